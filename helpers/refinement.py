"""Refine a transform for the pair at hand: gradient descent on the same loss.

No network takes part: Adam moves the few numbers of an affine, or a velocity field,
from where the network has put them.
"""

import functools

import numpy as np

from helpers import affines, local_ncc, losses, training, transforms
from helpers.backend import ops

# As many losses are kept with their programs; an older one is let go.
PROGRAMS = 8


def lncc5(fixed, moved, weights=None):
    """Return 1 - local NCC in windows of 5 voxels; see `losses.lncc_loss`."""
    return losses.lncc_loss(fixed, moved, window=5, weights=weights)


def affine(
    moving,
    fixed,
    start,
    loss=losses.ncc_loss,
    steps=50,
    learning_rate=0.02,
    spacing=1.0,
    kind="affine",
    weights=None,
):
    """Refine affines, all pairs of a batch at once and each for itself.

    Args:
        moving: Float tensor `(batch, *shape, 1)`.
        fixed: Float tensor of the same shape.
        start: Affines `(batch, ndim, ndim + 1)` in centred coordinates.
        loss: Function `(fixed, moved) -> (batch,)`, or with `weights` a function
            `(fixed, moved, weights)`; defined once, since each is compiled once.
        steps: Number of steps of Adam; its rate falls to zero along a cosine.
        learning_rate: At the start, in half sides of the volume and radians.
        spacing: Voxel size in mm, one number or one per axis.
        kind: `"affine"` or `"rigid"`: what is composed with `start`.
        weights: Third argument of the loss, or `None`.

    Returns:
        Float tensor `(batch, ndim, ndim + 1)`.

    Raises:
        ValueError: If the loss is not finite.
    """
    ndim = len(moving.shape) - 2
    spacing = tuple(spacing) if hasattr(spacing, "__len__") else float(spacing)
    objective = _affine_objective(loss, spacing, kind)
    data = [ops.convert_to_tensor(array) for array in (start, moving, fixed)]
    data += [] if weights is None else [ops.convert_to_tensor(weights)]
    zeros = np.zeros((len(moving), ndim * (ndim + 1)), "float32")
    change = training.refine(objective, zeros, data, steps, learning_rate)
    return affines.compose(data[0], affines.from_parameters(change, ndim, kind))


@functools.lru_cache(PROGRAMS)
def _affine_objective(loss, spacing, kind):
    def objective(parameters, start, moving, fixed, *weights):
        ndim = len(moving.shape) - 2
        change = affines.from_parameters(parameters, ndim, kind)
        displacement = transforms.affine_displacement(
            affines.compose(start, change), moving.shape[1:-1], spacing
        )
        return loss(fixed, transforms.warp(moving, displacement), *weights)

    return objective


def velocity(
    moving,
    fixed,
    start,
    loss=lncc5,
    smooth=0.1,
    steps=60,
    learning_rate=0.1,
    squarings=5,
    weights=None,
):
    """Refine a velocity, all pairs of a batch at once and each for itself.

    Args:
        moving: Float tensor `(batch, *shape, 1)`.
        fixed: Float tensor of the same shape.
        start: Float tensor `(batch, *grid, ndim)` in voxels of its grid, which is as
            fine as the image's or coarser by a whole factor.
        loss: Function `(fixed, moved) -> (batch,)`, or with `weights` a function
            `(fixed, moved, weights)`; defined once, since each is compiled once.
        smooth: Weight of the diffusion smoothness of the velocity.
        steps: Number of steps of Adam; its rate falls to zero along a cosine.
        learning_rate: At the start, in voxels.
        squarings: Of `transforms.integrate_velocity`; with 0 the field is the
            displacement itself.
        weights: Third argument of the loss, or `None`.

    Returns:
        Float tensor like `start`.

    Raises:
        ValueError: If the grid of `start` is not that of the image or coarser by a
            whole factor, or the loss is not finite.
    """
    shape, grid = moving.shape[1:-1], start.shape[1:-1]
    factors = {size / coarse for size, coarse in zip(shape, grid, strict=False)}
    factor = min(factors)
    if len(shape) != len(grid) or len(factors) > 1 or factor < 1 or factor % 1:
        raise ValueError(
            "the start's grid must be the image's, or coarser by one whole factor. "
            f"Received: {tuple(start.shape)} for images {tuple(moving.shape)}"
        )
    objective = _velocity_objective(loss, smooth, squarings, int(factor))
    data = [moving, fixed] + ([] if weights is None else [weights])
    return training.refine(objective, start, data, steps, learning_rate)


@functools.lru_cache(PROGRAMS)
def _velocity_objective(loss, smooth, squarings, factor):
    def objective(field, moving, fixed, *weights):
        displacement = transforms.upsample_displacement(
            transforms.integrate_velocity(field, squarings), factor
        )
        moved = transforms.warp(moving, displacement)
        return loss(fixed, moved, *weights) + smooth * losses.smoothness(field)

    return objective


def descend(velocity, first, second, scalars, moving, fixed, smooth=0.3, squarings=5):
    """Make one step of `velocity` by closed formulas, where nothing differentiates.

    The force of the local NCC in windows of 5 voxels on the displacement is taken for
    the force on the velocity, as greedy methods do. So 15 steps at a rate of 0.25 come
    near what `velocity` reaches in 30, and a program of them needs no gradients.

    Args:
        velocity: Float tensor `(1, *grid, ndim)`, as `start` of `velocity`.
        first: As of `training.adam`.
        second: As of `training.adam`.
        scalars: Float tensor `(2,)`: learning rate, and number of the step from 1.
        moving: Float tensor `(1, *shape, 1)`.
        fixed: Float tensor of the same shape.
        smooth: Weight of the diffusion smoothness of the velocity.
        squarings: Of `transforms.integrate_velocity`.

    Returns:
        The new velocity, first and second.

    Reference:
        Avants et al., Medical Image Analysis 12 (2008).
    """
    shape = moving.shape[1:-1]
    factor = shape[0] // velocity.shape[1]
    displacement = transforms.upsample_displacement(
        transforms.integrate_velocity(velocity, squarings), factor
    )
    moved = transforms.warp(moving, displacement)
    force = local_ncc.slope(fixed, moved) * local_ncc.central_differences(moved)
    force = force * (factor ** (len(shape) + 1) / np.prod(shape))
    force = ops.average_pool(force, factor) if factor > 1 else force
    gradient = smooth * _smoothness_gradient(velocity) - force
    return training.adam(velocity, gradient, first, second, scalars[0], scalars[1])


def affine_force(affine, moving, fixed):
    """Return the force of the local NCC in windows of 5 voxels on a moved image.

    Where a small motion is made before the affine, the mean local NCC gains the sum
    over all voxels of the force times that voxel's motion. So a step of `affine` needs
    sums of the force only, where nothing differentiates.

    Args:
        affine: Float tensor `(batch, ndim, ndim + 1)` in centred coordinates.
        moving: Float tensor `(batch, *shape, 1)` of cubic voxels.
        fixed: Float tensor of the same shape.

    Returns:
        Float tensor `(batch, *shape, ndim)`, a voxel's share a voxel of motion.
    """
    shape = tuple(moving.shape[1:-1])
    moved = transforms.warp(moving, transforms.affine_displacement(affine, shape))
    force = local_ncc.slope(fixed, moved) * local_ncc.central_differences(moved)
    return force / int(np.prod(shape))


def _smoothness_gradient(field):
    """Return the gradient of `losses.smoothness`, diffusion, of one sample."""
    ndim, total = len(field.shape) - 2, 0.0
    for axis in range(1, ndim + 1):
        rows = ops.moveaxis(field, axis, 0)
        change = rows[1:] - rows[:-1]
        rest = [(0, 0)] * (len(field.shape) - 1)
        part = ops.pad(change, [(1, 0), *rest]) - ops.pad(change, [(0, 1), *rest])
        weight = 2.0 / (ndim * int(np.prod(change.shape)))
        total = total + ops.moveaxis(part, 0, axis) * weight
    return total
