"""Losses of a fixed and a moved image and of a field: lower is better.

Each returns one value a sample, `(batch,)`, so that a reader can see which pair is
hard; the training takes the mean.
"""

import functools

from helpers import local_ncc
from helpers import mind as descriptors
from helpers.backend import ops

_TINY_VARIANCE = 1e-10


def _same_shape(fixed, moved):
    fixed, moved = ops.convert_to_tensor(fixed), ops.convert_to_tensor(moved)
    if len(fixed.shape) < 3 or tuple(fixed.shape[1:]) != tuple(moved.shape[1:]):
        raise ValueError(
            "fixed and moved must both be (batch, *shape, channels). "
            f"Received: {tuple(fixed.shape)} and {tuple(moved.shape)}"
        )
    return fixed, moved, tuple(range(1, len(fixed.shape)))


def mse(fixed, moved):
    """Return the mean squared difference.

    Args:
        fixed: Float tensor `(batch, *shape, channels)`.
        moved: Float tensor of the same shape.

    Returns:
        Float tensor `(batch,)`, 0 for equal images.

    Raises:
        ValueError: If the shapes differ.
    """
    fixed, moved, axes = _same_shape(fixed, moved)
    return ops.mean(ops.square(fixed - moved), axis=axes)


def ncc_loss(fixed, moved, weights=None):
    """Return 1 - NCC, the normalised cross-correlation over the whole image.

    Signed, not squared: 0 for images equal up to brightness and contrast, 1 for
    unrelated and 2 for inverted ones. A constant image has NCC 0 and gradient 0.

    Args:
        fixed: Float tensor `(batch, *shape, channels)`.
        moved: Float tensor of the same shape.
        weights: Non-negative tensor that broadcasts to that shape, for example a
            brain mask; outside its support nothing counts. `None` counts all.

    Returns:
        Float tensor `(batch,)`.

    Raises:
        ValueError: If the shapes differ.
    """
    fixed, moved, axes = _same_shape(fixed, moved)
    if weights is None:
        mean = functools.partial(ops.mean, axis=axes, keepdims=True)
    else:
        weights = ops.broadcast_to(ops.cast(weights, fixed.dtype), ops.shape(fixed))
        total = ops.maximum(ops.sum(weights, axis=axes, keepdims=True), 1e-6)

        def mean(image):
            return ops.sum(image * weights, axis=axes, keepdims=True) / total

    fixed, moved = fixed - mean(fixed), moved - mean(moved)
    variances = mean(ops.square(fixed)), mean(ops.square(moved))
    flat = ops.logical_or(*(v <= _TINY_VARIANCE for v in variances))
    product = ops.where(flat, 1.0, variances[0] * variances[1])
    ncc = ops.where(flat, 0.0, mean(fixed * moved) * ops.rsqrt(product))
    return 1 - ops.reshape(ncc, (-1,))


def lncc_loss(fixed, moved, window=9, squared=False, weights=None):
    """Return 1 - the mean local NCC over cubic windows.

    At the border a window is cut off and its statistics are taken over the voxels
    that it still has. Flat windows count as NCC 0 with a finite gradient: a
    variance of 1e-5 is added to each (intensities are in [0, 1]). Signed, so that
    an anti-correlated window is pulled the right way; `squared=True` gives the
    form of VoxelMorph, which pulls it further apart.

    Args:
        fixed: Float tensor `(batch, *shape, 1)`.
        moved: Float tensor of the same shape.
        window: Odd window width in voxels.
        squared: Square the local NCC.
        weights: Non-negative tensor `(batch, *shape, 1)` that weighs the windows
            by their centres, or `None`.

    Returns:
        Float tensor `(batch,)`: 0 for equal images without flat windows, 1 for
        unrelated or flat ones, 2 for inverted ones (0 when squared).

    Raises:
        ValueError: If the shapes differ or the window is not odd and positive.

    Reference:
        Avants et al., Medical Image Analysis 12 (2008); Balakrishnan et al., TMI
        2019.
    """
    fixed, moved, axes = _same_shape(fixed, moved)
    ncc = local_ncc.ncc_map(fixed, moved, window)
    ncc = ops.square(ncc) if squared else ncc
    if weights is None:
        return 1 - ops.mean(ncc, axis=axes)
    weights = ops.cast(weights, ncc.dtype)
    total = ops.maximum(ops.sum(weights, axis=axes), 1e-6)
    return 1 - ops.sum(ncc * weights, axis=axes) / total


def mind_loss(fixed, moved, window=3, radius=2, weights=None):
    """Return the mean squared difference of two images' descriptors, see `mind.mind`.

    For pairs of different contrast: what is compared is how each voxel lies in its own
    image, not how bright it is.

    Args:
        fixed: Float tensor `(batch, *shape, 1)`.
        moved: Float tensor of the same shape.
        window: Odd width of a patch in voxels.
        radius: Distance of the patches in voxels.
        weights: Non-negative tensor `(batch, *shape, 1)`, or `None`.

    Returns:
        Float tensor `(batch,)` in [0, 1): 0 for images equal up to brightness and
        contrast, and for two flat ones, with a finite gradient.

    Raises:
        ValueError: If the shapes differ, or as `mind.mind`.

    Reference:
        Heinrich et al., Medical Image Analysis 16 (2012).
    """
    fixed, moved, axes = _same_shape(fixed, moved)
    both = [descriptors.mind(image, window, radius) for image in (fixed, moved)]
    apart = ops.mean(ops.square(both[0] - both[1]), axis=-1, keepdims=True)
    if weights is None:
        return ops.mean(apart, axis=axes)
    weights = ops.cast(weights, apart.dtype)
    total = ops.maximum(ops.sum(weights, axis=axes), 1e-6)
    return ops.sum(apart * weights, axis=axes) / total


def dice_loss(fixed, moved):
    """Return 1 - the mean soft Dice over the channels.

    Args:
        fixed: Float tensor `(batch, *shape, labels)` of one-hot or soft labels.
        moved: Float tensor of the same shape.

    Returns:
        Float tensor `(batch,)` in [0, 1]; a label absent from both counts as
        overlap 1.

    Raises:
        ValueError: If the shapes differ.
    """
    fixed, moved, axes = _same_shape(fixed, moved)
    both = ops.sum(fixed * moved, axis=axes[:-1])
    total = ops.sum(fixed, axis=axes[:-1]) + ops.sum(moved, axis=axes[:-1])
    return 1 - ops.mean((2 * both + 1e-5) / (total + 1e-5), axis=-1)


def smoothness(field, kind="diffusion"):
    """Return how unevenly a displacement or velocity changes from voxel to voxel.

    Differences are taken between neighbours inside the grid only.

    Args:
        field: Float tensor `(batch, *shape, ndim)` in voxels.
        kind: `"diffusion"`: mean over axes of the mean squared first difference;
            `"bending"`: the same of all second differences, mixed ones twice, so
            that an affine field costs nothing.

    Returns:
        Float tensor `(batch,)`, 0 for a constant field.

    Raises:
        ValueError: If `kind` is unknown.
    """
    field = ops.convert_to_tensor(field)
    axes = range(1, len(field.shape) - 1)
    if kind == "diffusion":
        parts = [_difference(field, axis) for axis in axes]
    elif kind == "bending":
        parts = [_difference(_difference(field, a), b) for a in axes for b in axes]
    else:
        raise ValueError(f"kind must be 'diffusion' or 'bending'. Received: {kind!r}")
    every = tuple(range(1, len(field.shape)))
    return sum(ops.mean(ops.square(part), axis=every) for part in parts) / len(axes)


def _difference(field, axis):
    field = ops.moveaxis(field, axis, 0)
    return ops.moveaxis(field[1:] - field[:-1], 0, axis)
