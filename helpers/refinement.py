"""Refine a transform for the pair at hand: gradient descent on the same loss.

No network takes part: Adam moves the few numbers of an affine, or a velocity field,
from where the network has put them.
"""

import functools

import numpy as np

from helpers import affines, losses, training, transforms
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
