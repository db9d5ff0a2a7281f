"""The normalised cross-correlation in cubic windows: its map, and its force."""

import numpy as np

from helpers.backend import ops

_FLOOR = 1e-5
_FORCE_FLOOR = 1e-3


def ncc_map(fixed, moved, window=9):
    """Return the NCC of the window around every voxel.

    At the border a window is cut off and its statistics are taken over the voxels
    that it still has. A variance of 1e-5 is added to each (intensities are in
    [0, 1]), so that flat windows count as NCC 0.

    Args:
        fixed: Float tensor `(batch, *shape, 1)`.
        moved: Float tensor of the same shape.
        window: Odd window width in voxels.

    Returns:
        Float tensor `(batch, *shape, 1)` in [-1, 1].

    Raises:
        ValueError: If the window is not odd and positive.
    """
    box = box_mean(fixed.shape[1:-1], window)
    *_, covariance, fixed_scale, moved_scale = _statistics(fixed, moved, box)
    return covariance * fixed_scale * moved_scale


def force(fixed, moved, window=5):
    """Return the direction in which each voxel's displacement raises the local NCC.

    The derivative of the mean local NCC by the moved image, from its formula, times
    that image's own: central differences, which are 0 at the border. Here 1e-3 is
    added to the covariance as to both variances (a standard deviation of 0.03), so
    that noise in flat windows does not pull and equal images are at rest. Each
    sample is divided by its root mean square: the force says where and whereto, not
    how far.

    Args:
        fixed: Float tensor `(batch, *shape, 1)`.
        moved: Float tensor of the same shape.
        window: Odd window width in voxels.

    Returns:
        Float tensor `(batch, *shape, ndim)` without unit, 0 for equal images.

    Raises:
        ValueError: If the shapes differ or the window is not odd and positive.

    Reference:
        Avants et al., Medical Image Analysis 12 (2008): the force of SyN. Qiu et
        al., MICCAI 2022: networks that see the gradient of what they shall lower.
    """
    fixed, moved = ops.convert_to_tensor(fixed), ops.convert_to_tensor(moved)
    if tuple(fixed.shape[1:]) != tuple(moved.shape[1:]) or moved.shape[-1] != 1:
        raise ValueError(
            "fixed and moved must both be (batch, *shape, 1). "
            f"Received: {tuple(fixed.shape)} and {tuple(moved.shape)}"
        )
    result = _slope(fixed, moved, window, _FORCE_FLOOR, _FORCE_FLOOR)
    result = result * central_differences(_centre(moved))
    axes = tuple(range(1, len(result.shape)))
    square = ops.mean(ops.square(result), axis=axes, keepdims=True)
    return result * ops.rsqrt(square + 1e-4)


def slope(fixed, moved, window=5):
    """Return the derivative of the sum of `ncc_map` by the moved image.

    Its closed formula, several times faster than what a backend derives by itself.

    Args:
        fixed: Float tensor `(batch, *shape, 1)`.
        moved: Float tensor of the same shape.
        window: Odd window width in voxels.

    Returns:
        Float tensor of the same shape.

    Raises:
        ValueError: If the window is not odd and positive.
    """
    return _slope(fixed, moved, window, _FLOOR, 0.0)


def _slope(fixed, moved, window, floor, rest):
    """Return the derivative, as if `rest` were added to the covariance in part of it.

    With the variances' floor as `rest`, equal images have no slope at all.
    """
    box = box_mean(fixed.shape[1:-1], window)
    spread = box_mean(fixed.shape[1:-1], window, adjoint=True)
    (fixed, mean_fixed), (moved, mean_moved), covariance, fixed_scale, moved_scale = (
        _statistics(fixed, moved, box, floor)
    )
    scale = fixed_scale * moved_scale
    pull = (covariance + rest) * scale * ops.square(moved_scale)
    steady = spread(pull * mean_moved - scale * mean_fixed)
    return spread(scale) * fixed - spread(pull) * moved + steady


def _statistics(fixed, moved, box, floor=_FLOOR):
    """Return both images with their means, their covariance and 1 / deviations."""
    fixed, moved = (_centre(image) for image in (fixed, moved))
    mean_fixed, mean_moved = box(fixed), box(moved)
    covariance = box(fixed * moved) - mean_fixed * mean_moved
    scales = [
        ops.rsqrt(ops.relu(box(ops.square(image)) - ops.square(mean)) + floor)
        for image, mean in ((fixed, mean_fixed), (moved, mean_moved))
    ]
    return (fixed, mean_fixed), (moved, mean_moved), covariance, *scales


def _centre(image):
    """Subtract the overall mean, which spares float32 a cancellation."""
    image = ops.convert_to_tensor(image)
    axes = tuple(range(1, len(image.shape)))
    return image - ops.mean(image, axis=axes, keepdims=True)


def box_mean(shape, window, adjoint=False):
    """Return the function that averages over windows: one matrix product an axis.

    Near the border the windows have fewer voxels, so the adjoint, which hands each
    window's value back to the voxels that it averaged, differs from it there.
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window must be odd and positive. Received: {window}")
    means = [_window_means(size, int(window)) for size in shape]
    means = [matrix.T for matrix in means] if adjoint else means

    def box(image):
        shape = tuple(image.shape[1:])
        for axis, matrix in enumerate(means):
            after = int(np.prod(shape[axis + 1 :]))
            if after == 1:
                image = ops.matmul(ops.reshape(image, (-1, shape[axis])), matrix.T)
            else:
                rows = ops.reshape(image, (-1, shape[axis], after))
                image = ops.matmul(matrix, rows)
        return ops.reshape(image, (-1, *shape))

    return box


def _window_means(size, window):
    """Return the banded matrix that averages over the window, cut at the border."""
    index = np.arange(size)
    inside = np.abs(index[:, None] - index) <= window // 2
    return (inside / inside.sum(axis=1, keepdims=True)).astype("float32")


def central_differences(image):
    """Return the slope of an image along each axis, 0 at the border.

    Args:
        image: Float tensor `(batch, *shape, 1)`.

    Returns:
        Float tensor `(batch, *shape, ndim)` a voxel.
    """
    ndim = len(image.shape) - 2
    differences = []
    for axis in range(1, ndim + 1):
        rows = ops.moveaxis(image, axis, 0)
        inner = ops.pad((rows[2:] - rows[:-2]) / 2, [(1, 1), *[(0, 0)] * (ndim + 1)])
        differences.append(ops.moveaxis(inner, 0, axis))
    return ops.concatenate(differences, axis=-1)
