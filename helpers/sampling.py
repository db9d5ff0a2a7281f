"""Sampling grid and interpolation, in any number of dimensions.

Notebook `00_spatial_transformer` writes both by hand.
"""

import numpy as np

from helpers import backend
from helpers.backend import keras, ops

MODES = ("linear", "nearest")
FILLS = ("zero", "edge")


def identity_grid(shape):
    """List the voxel position of every voxel of a grid.

    Args:
        shape: Sequence of `ndim` ints, the grid's shape in voxels.

    Returns:
        Float32 array `(*shape, ndim)`; component 0 runs along `shape[0]`.

    Raises:
        ValueError: If `shape` is empty or holds a size below 1.
    """
    shape = tuple(int(size) for size in shape)
    if not shape or min(shape) < 1:
        raise ValueError(f"shape needs one positive size per axis. Received: {shape}")
    axes = [np.arange(size, dtype="float32") for size in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def sample(image, points, mode="linear", fill="zero"):
    """Read `image` at voxel positions `points`.

    Outside the image, `fill="zero"` reads zero, and fades to it linearly over the
    first voxel beyond the border; `fill="edge"` reads the nearest border voxel.
    Differentiable in both arguments when linear; on a voxel centre the derivative
    in `points` is the one-sided one. A NaN position reads NaN.

    Args:
        image: Tensor `(batch, *in_shape, channels)`, floating for `"linear"`.
        points: Float tensor `(batch, *out_shape, ndim)` in voxels;
            `points[..., 0]` runs along `in_shape[0]`.
        mode: `"linear"`, or `"nearest"` for label maps (halves round up).
        fill: `"zero"` or `"edge"`.

    Returns:
        Tensor `(batch, *out_shape, channels)` of the image's type.

    Raises:
        ValueError: If `points` lacks one coordinate per image axis, the batches
            differ, an integer image is to be read linearly, or `mode` or `fill`
            is unknown.

    Reference:
        Jaderberg et al., Spatial Transformer Networks, NeurIPS 2015.
    """
    image, points = ops.convert_to_tensor(image), ops.convert_to_tensor(points)
    _check(image, points, mode, fill)
    if mode == "nearest":
        return _sample_nearest[fill](image, points)
    return _sample_linear[fill](image, ops.cast(points, image.dtype))


def _check(image, points, mode, fill):
    if mode not in MODES:
        raise ValueError(f"mode must be one of {MODES}. Received: {mode!r}")
    if fill not in FILLS:
        raise ValueError(f"fill must be one of {FILLS}. Received: {fill!r}")
    ndim = len(image.shape) - 2
    if ndim < 1:
        raise ValueError(
            "image must be (batch, *shape, channels) with at least one spatial "
            f"axis. Received: shape {tuple(image.shape)}"
        )
    if len(points.shape) < 2 or points.shape[-1] != ndim:
        raise ValueError(
            f"points must be (batch, *out_shape, {ndim}), one coordinate per image "
            f"axis. Received: points {tuple(points.shape)}, image {tuple(image.shape)}"
        )
    batches = image.shape[0], points.shape[0]
    if None not in batches and batches[0] != batches[1]:
        raise ValueError(
            "image and points must have the same batch size. "
            f"Received: {batches[0]} and {batches[1]}"
        )
    if not keras.backend.is_float_dtype(points.dtype):
        raise ValueError(f"points must be floating. Received: {points.dtype}")
    if mode == "linear" and not keras.backend.is_float_dtype(image.dtype):
        raise ValueError(
            "an integer image can only be read with mode='nearest'; convert it to "
            f"float32 to interpolate. Received: {image.dtype}"
        )


def _prepare(image, points, fill):
    """Pad for the boundary rule and clip the points to the padded image."""
    shape = image.shape[1:-1]
    if fill == "zero":
        image = ops.pad(image, [(0, 0)] + [(1, 1)] * len(shape) + [(0, 0)])
    else:
        for axis, size in enumerate(shape):
            if size == 1:
                image = ops.repeat(image, 2, axis=axis + 1)
    shape = tuple(image.shape[1:-1])
    offset = 1 if fill == "zero" else 0
    coordinates = [
        ops.clip(points[..., axis] + offset, 0.0, float(size - 1))
        for axis, size in enumerate(shape)
    ]
    return image, shape, coordinates


def _flatten(image, shape, out_rank):
    """Return the image as one row a voxel, each axis' stride, each batch's start."""
    strides = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    batch = ops.shape(image)[0]
    rows = ops.reshape(image, (-1, image.shape[-1]))
    starts = ops.arange(batch, dtype="int32") * int(np.prod(shape))
    return rows, strides, ops.reshape(starts, (-1,) + (1,) * out_rank)


def _index(position, last):
    return ops.clip(ops.cast(ops.floor(position), "int32"), 0, last)


def _locate(image, points, fill):
    """Return the voxels, each point's first corner, each axis' stride and fraction."""
    image, shape, coordinates = _prepare(image, points, fill)
    rows, strides, index = _flatten(image, shape, len(points.shape) - 2)
    axes = []
    for position, size, stride in zip(coordinates, shape, strides, strict=True):
        lower = _index(position, size - 2)
        fraction = position - ops.cast(lower, position.dtype)
        axes.append((stride, fraction[..., None]))
        index = index + lower * stride
    return rows, index, axes


def _interpolate(rows, index, axes):
    if not axes:
        return ops.take(rows, index, axis=0)
    (stride, fraction), *rest = axes
    low = _interpolate(rows, index, rest)
    high = _interpolate(rows, index + stride, rest)
    return low + fraction * (high - low)


def _linear(image, points, fill):
    # Not every XLA's clip leaves a position that is no number what it is.
    lost = ops.any(ops.isnan(points), axis=-1, keepdims=True)
    return ops.where(lost, float("nan"), _read(image, points, fill))


def _read(image, points, fill):
    return _interpolate(*_locate(image, points, fill))


def _gradient_in_points(image, points, upstream, fill):
    gradient = backend.value_and_gradient(lambda p: upstream * _read(image, p, fill))
    return gradient(points)[1]


def _gradient_in_image(image, points, upstream, fill):
    gradient = backend.value_and_gradient(lambda i: upstream * _read(i, points, fill))
    return gradient(image)[1]


def _nearest(image, points, fill):
    image, shape, coordinates = _prepare(image, points, fill)
    rows, strides, index = _flatten(image, shape, len(points.shape) - 2)
    for position, size, stride in zip(coordinates, shape, strides, strict=True):
        index = index + _index(position + 0.5, size - 1) * stride
    return ops.take(rows, index, axis=0)


def _bind(function, fill):
    return backend.compiled(lambda *tensors: function(*tensors, fill))


def _differentiable(fill):
    """Compile sampling and its two gradients, each by itself.

    Mostly one gradient is asked for; the other then falls out of the graph.
    """
    forward, in_image, in_points = (
        _bind(function, fill)
        for function in (_linear, _gradient_in_image, _gradient_in_points)
    )

    @ops.custom_gradient
    def linear(image, points):
        def gradients(*arguments, upstream=None):
            upstream = arguments[0] if upstream is None else upstream
            return (
                in_image(image, points, upstream),
                in_points(image, points, upstream),
            )

        return forward(image, points), gradients

    return linear


_sample_linear = {fill: _differentiable(fill) for fill in FILLS}
_sample_nearest = {fill: _bind(_nearest, fill) for fill in FILLS}
