"""Warping, and the algebra of displacement fields, in 2D and 3D.

A displacement is `(batch, *shape, ndim)` in voxels of the fixed grid and says where
to fetch: `moved(x) = moving(x + displacement(x))`. Beyond the grid a displacement
goes on with the value at its edge.
"""

import functools

import numpy as np

from helpers import affines, backend, sampling
from helpers.backend import ops


def warp(image, displacement, mode="linear", fill="zero"):
    """Fetch every voxel of the fixed grid from `image`.

    Args:
        image: Tensor `(batch, *in_shape, channels)`, the moving image.
        displacement: Float tensor `(batch, *shape, ndim)` in voxels.
        mode: `"linear"`, or `"nearest"` for label maps.
        fill: What is read outside the image: `"zero"` or the `"edge"` voxel.

    Returns:
        Tensor `(batch, *shape, channels)`, the moved image.

    Raises:
        ValueError: As `sampling.sample`.
    """
    return sampling.sample(image, points(displacement), mode, fill)


def points(displacement):
    """Return the voxel positions to which a displacement points.

    Args:
        displacement: Float tensor `(batch, *shape, ndim)` in voxels.

    Returns:
        Float tensor of the same shape: identity grid + displacement.

    Raises:
        ValueError: If the last axis does not match the number of spatial axes.
    """
    displacement = ops.convert_to_tensor(displacement)
    shape = tuple(displacement.shape)
    if len(shape) < 3 or shape[-1] != len(shape) - 2:
        raise ValueError(
            "displacement must be (batch, *shape, ndim), one component per spatial "
            f"axis. Received: shape {shape}"
        )
    grid = ops.convert_to_tensor(sampling.identity_grid(shape[1:-1]))
    return displacement + ops.cast(grid, displacement.dtype)


def affine_displacement(affine, shape, spacing=1.0):
    """Write an affine as a displacement, so that one code path serves both.

    Args:
        affine: Float tensor `(batch, ndim, ndim + 1)`, centred coordinates.
        shape: The fixed grid's shape in voxels; the moving image shares the grid.
        spacing: Voxel size in mm, one number or one per axis.

    Returns:
        Float tensor `(batch, *shape, ndim)` in voxels.

    Raises:
        ValueError: If the affine's dimension is not the grid's.
    """
    grid = ops.convert_to_tensor(sampling.identity_grid(shape)[None])
    return _affine_change(affine, grid, tuple(shape), spacing)


def compose_affine(affine, displacement, spacing=1.0):
    """Return the displacement that applies `displacement` first, then `affine`.

    Unlike `compose`, exact beyond the grid too.

    Args:
        affine: Float tensor `(batch, ndim, ndim + 1)`, centred coordinates.
        displacement: Float tensor `(batch, *shape, ndim)` in voxels.
        spacing: Voxel size in mm, one number or one per axis.

    Returns:
        Float tensor `(batch, *shape, ndim)` in voxels.

    Raises:
        ValueError: If the affine's dimension is not the field's.
    """
    positions = points(displacement)
    shape = tuple(positions.shape[1:-1])
    change = _affine_change(affine, positions, shape, spacing)
    return ops.convert_to_tensor(displacement) + change


def _affine_change(affine, positions, shape, spacing):
    """Return affine(position) - position, in voxels."""
    affine, ndim = ops.convert_to_tensor(affine), len(shape)
    if tuple(affine.shape[1:]) != (ndim, ndim + 1):
        raise ValueError(
            f"a {ndim}D grid needs an affine (batch, {ndim}, {ndim + 1}). "
            f"Received: shape {tuple(affine.shape)}"
        )
    to_centred = affines.voxel_to_centred(shape, spacing).astype("float32")
    scale = ops.convert_to_tensor(to_centred.diagonal()[:ndim].copy())
    offset = ops.convert_to_tensor(to_centred[:ndim, ndim].copy())
    flat = ops.reshape(positions, (-1, int(np.prod(shape)), ndim)) * scale + offset
    change = affine - affines.identity(ndim)
    change = (
        ops.matmul(flat, ops.swapaxes(change[..., :ndim], 1, 2))
        + (change[:, None, :, ndim])
    )
    return ops.reshape(change / scale, (-1, *shape, ndim))


def compose(outer, inner):
    """Return the displacement that applies `inner` first, then `outer`.

    Fetching through the result is fetching through `outer` an image that is
    fetched through `inner` afterwards: `warp(image, compose(outer, inner))` equals
    `warp(warp(image, outer), inner)` up to interpolation, with one instead of two.

    Args:
        outer: Float tensor `(batch, *shape, ndim)` in voxels.
        inner: Float tensor of the same shape.

    Returns:
        Float tensor of the same shape.
    """
    return ops.convert_to_tensor(inner) + warp(outer, inner, fill="edge")


def integrate_velocity(velocity, squarings=7):
    """Integrate a stationary velocity over unit time by scaling and squaring.

    Args:
        velocity: Float tensor `(batch, *shape, ndim)` in voxels a unit of time.
        squarings: The flow is followed in `2 ** squarings` steps.

    Returns:
        Float tensor of the same shape, the displacement.

    Raises:
        ValueError: If `squarings` is negative.

    Reference:
        Arsigny et al., MICCAI 2006; Dalca et al., MICCAI 2018.
    """
    if squarings < 0:
        raise ValueError(f"squarings must be 0 or more. Received: {squarings}")
    displacement = ops.convert_to_tensor(velocity) / 2.0**squarings
    for _ in range(squarings):
        displacement = compose(displacement, displacement)
    return displacement


def invert_displacement(displacement, iterations=20):
    """Invert a displacement by fixed-point iteration.

    Solves `inverse(y) = -displacement(y + inverse(y))`, which converges where the
    displacement is no steeper than 1 voxel a voxel; check with `compose`.

    Args:
        displacement: Float tensor `(batch, *shape, ndim)` in voxels.
        iterations: Number of iterations.

    Returns:
        Float tensor of the same shape.

    Raises:
        ValueError: If `iterations` is below 1.

    Reference:
        Chen et al., Medical Physics 35 (2008).
    """
    if iterations < 1:
        raise ValueError(f"iterations must be 1 or more. Received: {iterations}")
    inverse = -ops.convert_to_tensor(displacement)
    for _ in range(iterations):
        inverse = -warp(displacement, inverse, fill="edge")
    return inverse


def inverse_error(displacement, inverse):
    """Return how far each voxel ends from its start after going there and back.

    A voxel that leaves the grid on its way reads the edge there and tells nothing:
    see `points(inverse)` for where it goes.

    Args:
        displacement: Float tensor `(batch, *shape, ndim)` in voxels.
        inverse: Float tensor of the same shape.

    Returns:
        Float64 array `(batch,)`: the mean distance in voxels over those that stay on
        the grid; NaN where none does.
    """
    rest = ops.convert_to_numpy(compose(displacement, inverse))
    target = ops.convert_to_numpy(points(inverse))
    inside = ((target >= 0) & (target <= np.asarray(rest.shape[1:-1]) - 1)).all(-1)
    distance = np.linalg.norm(rest.astype("float64"), axis=-1)
    return np.array(
        [
            d[i].mean() if i.any() else np.nan
            for d, i in zip(distance, inside, strict=True)
        ]
    )


def jacobian_determinant(displacement):
    """Return by how much each voxel's surroundings grow; at or below 0 they fold.

    Derivatives are central differences, one-sided at the border.

    Args:
        displacement: Float tensor `(batch, *shape, ndim)` in voxels, `ndim` 2 or 3,
            at least two voxels along every axis.

    Returns:
        Float tensor `(batch, *shape)`: 1 where nothing changes.

    Raises:
        ValueError: If the field is neither 2D nor 3D or an axis has one voxel.
    """
    positions = points(displacement)
    ndim = positions.shape[-1]
    if ndim not in (2, 3) or min(positions.shape[1:-1]) < 2:
        raise ValueError(
            "the determinant needs a 2D or 3D field with at least 2 voxels an axis. "
            f"Received: shape {tuple(positions.shape)}"
        )
    rows = [_derivative(positions, axis) for axis in range(1, ndim + 1)]
    if ndim == 2:
        (a, b), (c, d) = ((row[..., 0], row[..., 1]) for row in rows)
        return a * d - b * c
    return ops.sum(rows[0] * ops.cross(rows[1], rows[2]), axis=-1)


def _derivative(field, axis):
    field = ops.moveaxis(field, axis, 0)
    inside = (field[2:] - field[:-2]) / 2
    ends = field[1:2] - field[:1], field[-1:] - field[-2:-1]
    return ops.moveaxis(ops.concatenate([ends[0], inside, ends[1]], axis=0), 0, axis)


def upsample_displacement(displacement, factor):
    """Bring a displacement to a grid `factor` times as fine, same extent.

    Vectors are interpolated linearly and lengthened by `factor`, since they count
    the finer voxels.

    Args:
        displacement: Float tensor `(batch, *shape, ndim)` in coarse voxels.
        factor: Int, 1 or more.

    Returns:
        Float tensor `(batch, *(factor * shape), ndim)` in fine voxels.

    Raises:
        ValueError: If `factor` is below 1.
    """
    if factor < 1 or factor != int(factor):
        raise ValueError(f"factor must be a whole number from 1. Received: {factor}")
    displacement = ops.convert_to_tensor(displacement)
    return displacement if factor == 1 else _upsampling(int(factor))(displacement)


@functools.cache
def _upsampling(factor):
    """Compile a linear interpolation that is one matrix product an axis."""

    def upsample(field):
        for axis in range(1, len(field.shape) - 1):
            size = field.shape[axis]
            position = (np.arange(size * factor) + 0.5) / factor - 0.5
            distance = np.clip(position, 0, size - 1)[:, None] - np.arange(size)
            weights = np.maximum(1 - np.abs(distance), 0).astype("float32")
            field = ops.moveaxis(ops.tensordot(field, weights, [axis, 1]), -1, axis)
        return field * factor

    return backend.compiled(upsample)
