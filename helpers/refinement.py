"""Refine a transform for the pair at hand: gradient descent on the same loss.

No network takes part: Adam moves the few numbers of an affine, or a velocity field,
from where the network has put them. The whole step is one compiled program.
"""

import functools

import numpy as np
from keras import ops

from helpers import affines, backend, losses, transforms


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
    change = minimise(objective, zeros, data, steps, learning_rate)
    return affines.compose(data[0], affines.from_parameters(change, ndim, kind))


@functools.cache
def _affine_objective(loss, spacing, kind):
    def objective(parameters, start, moving, fixed, *weights):
        ndim = len(moving.shape) - 2
        change = affines.from_parameters(parameters, ndim, kind)
        displacement = transforms.affine_displacement(
            affines.compose(start, change), moving.shape[1:-1], spacing
        )
        return loss(fixed, transforms.warp(moving, displacement), *weights)

    return objective


def minimise(objective, start, data, steps, learning_rate):
    """Minimise a function of one tensor with Adam and a cosine-decayed rate.

    Args:
        objective: Function `(parameters, *data) -> (batch,)` tensor; define it once
            and call this often, since each objective is compiled once a shape.
        start: Float tensor `(batch, …)`, where to begin.
        data: List of tensors that the objective needs.
        steps: Number of steps.
        learning_rate: At the start.

    Returns:
        Float tensor like `start`.

    Raises:
        ValueError: If the objective is not finite at the last step.
    """
    step = _adam_step(objective)
    parameters = ops.convert_to_tensor(start)
    data = [ops.convert_to_tensor(array) for array in data]
    first = second = ops.zeros_like(parameters)
    value = ops.zeros(1)
    for count in range(steps):
        rate = learning_rate * (1 + np.cos(np.pi * count / steps)) / 2
        scalars = ops.convert_to_tensor(np.array([rate, count + 1], "float32"))
        parameters, first, second, value = step(
            parameters, first, second, scalars, *data
        )
    if not np.isfinite(ops.convert_to_numpy(value)).all():
        raise ValueError(
            "the loss of the refinement is not finite: look for NaN in the images, "
            f"or lower the learning rate. Received: {ops.convert_to_numpy(value)}"
        )
    return parameters


@functools.cache
def _adam_step(objective):
    """Compile one step of Adam (Kingma and Ba, ICLR 2015)."""

    def step(parameters, first, second, scalars, *data):
        rate, count = scalars[0], scalars[1]
        value, gradient = backend.value_and_gradient(objective)(parameters, *data)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * ops.square(gradient)
        corrected = first / (1 - 0.9**count)
        scale = ops.sqrt(second / (1 - 0.999**count)) + 1e-8
        return parameters - rate * corrected / scale, first, second, value

    return backend.compiled(step)
