"""The common grid of a cohort: where it lies, and how scans are brought onto it."""

import typing

import nibabel
import numpy as np
from scipy import ndimage

BLOCK_MM = 64.0
MULTIPLE = 16
BRIGHT_PERCENTILE = 99.5
DARK_PERCENTILE = 1.0


class Grid(typing.NamedTuple):
    """A box of cubic voxels along right, anterior, superior."""

    shape: tuple
    affine: np.ndarray
    voxel_mm: float


def around(affine, shape, voxel_mm):
    """Return a grid centred on a scan's own grid and no smaller than it.

    Every side is a multiple of 16 voxels, so that a network may halve it four
    times, and of 64 mm, so that the grids of 1, 2 and 4 mm span the same box and
    an affine found on one holds on the others.

    Args:
        affine: `(4, 4)` of the scan, voxels to RAS millimetres.
        shape: `(i, j, k)` of the scan.
        voxel_mm: Edge of a voxel of the new grid.

    Returns:
        A `Grid`.

    Raises:
        ValueError: If `voxel_mm` is not between 0.5 and 16.
    """
    if not 0.5 <= voxel_mm <= 16:
        raise ValueError(f"voxel_mm must lie in 0.5 to 16. Received: {voxel_mm}")
    same_box = (BLOCK_MM / voxel_mm) % MULTIPLE == 0
    step = BLOCK_MM if same_box else MULTIPLE * voxel_mm
    size = np.abs(affine[:3, :3]) @ np.asarray(shape)
    sides = np.maximum(1, np.ceil(np.round(size / step, 3))) * step
    count = np.round(sides / voxel_mm).astype(int)
    matrix = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    matrix[:3, 3] = centre(affine, shape) - voxel_mm * (count - 1) / 2
    return Grid(tuple(int(n) for n in count), matrix, float(voxel_mm))


def centre(affine, shape):
    """Return where the centre of a grid lies.

    Args:
        affine: `(4, 4)`, voxels to RAS millimetres.
        shape: `(i, j, k)`.

    Returns:
        `(3,)` in RAS millimetres.
    """
    return nibabel.affines.apply_affine(affine, (np.asarray(shape) - 1) / 2)


def resample(data, affine, grid):
    """Interpolate a volume linearly on a grid; outside the volume reads zero.

    Where the grid is coarser than the volume, a finer grid in the same box is
    interpolated and its blocks are averaged, so that detail too fine for the
    grid is averaged out instead of turning into false detail.

    Args:
        data: Float array `(i, j, k)`.
        affine: `(4, 4)` of `data`, voxels to RAS millimetres.
        grid: The `Grid` to fill.

    Returns:
        float32 array of shape `grid.shape`.
    """
    sizes = nibabel.affines.voxel_sizes(affine)
    turn = np.abs(affine[:3, :3] / sizes).argmax(axis=1)
    factors = np.maximum(1, np.round(grid.voxel_mm / sizes[turn] - 0.01).astype(int))
    fine = subdivide(grid, factors)
    out = _pull(data, affine, fine, "float32", order=1)
    return block_mean(out, factors)


def block_mean(data, factors):
    """Average blocks of voxels.

    Args:
        data: Float array whose sides are multiples of the factors.
        factors: The sides of a block, one integer an axis.

    Returns:
        Array with every side divided by its factor.
    """
    for axis, factor in enumerate(factors):
        if factor > 1:
            blocks = (*data.shape[:axis], -1, factor, *data.shape[axis + 1 :])
            data = data.reshape(blocks).mean(axis=axis + 1)
    return data


def resample_labels(labels, affine, grid):
    """Take for each voxel of a grid the nearest voxel of a label map.

    Args:
        labels: Integer array `(i, j, k)`.
        affine: `(4, 4)` of `labels`.
        grid: The `Grid` to fill.

    Returns:
        Array of shape `grid.shape` and the type of `labels`; zero outside.
    """
    return _pull(labels, affine, grid, labels.dtype, order=0)


def subdivide(grid, factors):
    """Return the affine and shape of a grid with each voxel cut into blocks.

    Args:
        grid: A `Grid`.
        factors: How many pieces along each axis, three integers.

    Returns:
        A `Grid` over the same box; its `voxel_mm` is that of the first axis.
    """
    factors = np.asarray(factors)
    scale = np.diag([*(1.0 / factors), 1.0])
    scale[:3, 3] = (1.0 / factors - 1.0) / 2
    shape = tuple(int(n) for n in np.asarray(grid.shape) * factors)
    return Grid(shape, grid.affine @ scale, grid.voxel_mm / float(factors[0]))


def intensity_range(data):
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


def _pull(data, affine, grid, kind, order):
    """Read `data` at the voxel centres of `grid`; outside it reads zero."""
    matrix = np.linalg.inv(affine) @ grid.affine
    linear, offset = matrix[:3, :3], matrix[:3, 3]
    if np.allclose(linear, np.diag(np.diag(linear)), atol=1e-6):
        along = _linear_along if order else _nearest_along
        for axis, count in enumerate(grid.shape):
            positions = linear[axis, axis] * np.arange(count) + offset[axis]
            data = along(data, axis, positions)
        return data.astype(kind, copy=False)
    return ndimage.affine_transform(
        data, linear, offset, grid.shape, output=kind, order=order,
        mode="grid-constant", cval=0, prefilter=False,
    )  # fmt: skip


def _linear_along(data, axis, positions):
    """Interpolate linearly along one axis: three of these are three times faster."""
    first = np.floor(positions).astype(int)
    share = (positions - first).astype("float32")
    out = 0.0
    for index, weight in ((first, 1 - share), (first + 1, share)):
        inside = (index >= 0) & (index < data.shape[axis])
        weight = np.expand_dims(
            np.where(inside, weight, np.float32(0)), [a for a in range(3) if a != axis]
        )
        out = out + data.take(index, axis, mode="clip") * weight
    return out


def _nearest_along(data, axis, positions):
    """Take the nearest voxel along one axis."""
    index = np.floor(positions + 0.5).astype(int)
    inside = (index >= 0) & (index < data.shape[axis])
    shape = [-1 if a == axis else 1 for a in range(3)]
    return data.take(index, axis, mode="clip") * inside.reshape(shape)
