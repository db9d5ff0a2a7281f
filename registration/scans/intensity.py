"""Intensities: what becomes black and white, and where the mass of a head lies."""

import numpy as np

BRIGHT_PERCENTILE = 99.5
DARK_PERCENTILE = 1.0


def scaled(image):
    """Scale intensities to [0, 1], beyond `window` cut off.

    Args:
        image: Float array `(i, j, k)`.

    Returns:
        float32 array of the same shape.

    Raises:
        ValueError: As `window`.
    """
    dark, bright = window(image)
    return np.clip((image - dark) / (bright - dark), 0, 1, dtype="float32")


def barycentre(image, affine):
    """Return the centre of mass, the intensities being the mass.

    Args:
        image: Array `(i, j, k)`, not negative and not zero everywhere.
        affine: `(4, 4)`, voxels to RAS mm.

    Returns:
        Float64 array `(3,)` in RAS mm.
    """
    # In float64: in float32 the sums, and so a network's start, would depend by a
    # thousandth of a millimetre on the order in which the voxels lie in memory.
    profiles = [
        image.sum(axis=tuple({0, 1, 2} - {axis}), dtype="float64") for axis in range(3)
    ]
    mass = profiles[0].sum()
    centre = [p @ np.arange(len(p)) / mass for p in profiles]
    return affine[:3, :3] @ centre + affine[:3, 3]


def window(data):
    """Return the two intensities that become 0 and 1.

    Dark is the 1st percentile of the whole volume, which is air. Bright is the
    99.5th percentile of the head, where the head is what Otsu's threshold
    separates from the air: the share of air in the picture does not matter, nor
    do a few voxels of bright fat or blood.

    Args:
        data: Float array `(i, j, k)`.

    Returns:
        Two floats, the second larger than the first.

    Raises:
        ValueError: If the volume holds no two intensities to tell apart.

    Reference:
        Otsu, IEEE Transactions on Systems, Man, and Cybernetics, 1979.
    """
    step = max(1, int((data.size / 200_000) ** (1 / data.ndim)))
    some = data[(slice(None, None, step),) * data.ndim].ravel()
    dark = float(np.percentile(some, DARK_PERCENTILE))
    head = some[some > otsu(some)]
    bright = float(np.percentile(head, BRIGHT_PERCENTILE)) if head.size else dark
    if not bright > dark:
        dark, bright = float(data.min()), float(data.max())
    if not bright > dark:
        raise ValueError(f"a scan needs two intensities. Received: {dark:g} only")
    return dark, bright


def otsu(values):
    """Return the threshold that splits values into the two tightest classes.

    The histogram ends at the 99.9th percentile, so that one spike does not set
    its scale.

    Args:
        values: Float array `(n,)`.

    Returns:
        The threshold, a float.
    """
    top = np.percentile(values, 99.9)
    if not top > values.min():
        top = values.max()
    counts, edges = np.histogram(np.minimum(values, top), 256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    mass = np.cumsum(counts * centres)
    mean_below = mass[:-1] / np.maximum(below, 1)
    mean_above = (mass[-1] - mass[:-1]) / np.maximum(above, 1)
    between = below * above * (mean_above - mean_below) ** 2.0
    return float(edges[1:-1][between.argmax()])
