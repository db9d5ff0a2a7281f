"""A description of every voxel by its own surroundings, whatever the contrast."""

from helpers import local_ncc
from helpers.backend import ops

# Of the mean variance of an image: below and above, a voxel's own counts as that.
_LEAST, _MOST = 1e-3, 1e3
_FLOOR = 1e-6


def mind(image, window=3, radius=2):
    """Return the modality-independent neighbourhood descriptor of every voxel.

    For each axis, forth and back, how little the patch around a voxel resembles the
    patch `radius` voxels away: the mean squared difference of the two, divided by its
    mean over all directions, as exp(-d / mean). So the descriptor says in which
    directions the image goes on as it is here. Brightness and contrast drop out, and
    nearly so any function of the intensities that tells the tissues apart. At the
    border a patch is cut off, and outside of the image it goes on as at the edge. A
    flat image has the descriptor 1 everywhere.

    Args:
        image: Float tensor `(batch, *shape, 1)`.
        window: Odd width of a patch in voxels.
        radius: Distance of the patches in voxels.

    Returns:
        Float tensor `(batch, *shape, 2 * ndim)` in (0, 1].

    Raises:
        ValueError: If the window is not odd and positive, or an axis not longer than
            the radius.

    Reference:
        Heinrich et al., Medical Image Analysis 16 (2012).
    """
    image = ops.convert_to_tensor(image)
    shape = tuple(image.shape[1:-1])
    if not 1 <= radius < min(shape):
        raise ValueError(
            f"radius must be at least 1 and less than any axis of {shape}. "
            f"Received: {radius}"
        )
    box = local_ncc.box_mean(shape, window)
    away = [
        box(ops.square(image - _shifted(image, axis, step)))
        for axis in range(1, len(shape) + 1)
        for step in (-radius, radius)
    ]
    away = ops.concatenate(away, axis=-1)
    variance = ops.mean(away, axis=-1, keepdims=True)
    axes = tuple(range(1, len(image.shape)))
    typical = ops.mean(variance, axis=axes, keepdims=True) + _FLOOR
    variance = ops.clip(variance, _LEAST * typical, _MOST * typical)
    return ops.exp(-away / variance)


def _shifted(image, axis, step):
    """Return the image moved along an axis, its edge repeated."""
    rows = ops.moveaxis(image, axis, 0)
    edge = rows[-1:] if step > 0 else rows[:1]
    edges = ops.repeat(edge, abs(step), axis=0)
    parts = [rows[step:], edges] if step > 0 else [edges, rows[:step]]
    return ops.moveaxis(ops.concatenate(parts, axis=0), 0, axis)
