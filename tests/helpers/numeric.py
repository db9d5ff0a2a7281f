"""What the numerical tests share."""

import numpy as np
from keras import ops

from helpers import backend


def array(tensor):
    """Return a tensor of any backend as a NumPy array."""
    return ops.convert_to_numpy(tensor)


def gradient(function, *arguments):
    """Return the gradient of the sum of `function` in its first argument."""
    _, result = backend.value_and_gradient(function)(*arguments)
    return array(result)


def assert_gradient(function, at, step=1e-2, tolerance=1e-3, seed=0):
    """Compare a gradient with central differences along three random directions.

    Both are of the sum of `function`. A tolerance of 1e-3 is what float32 allows:
    at a step of 1e-2 the difference of two values of order 1 carries a rounding
    error of 1e-5, and the curvature one of 1e-4.
    """
    at = np.asarray(at, "float32")
    slope = gradient(function, at).astype("float64")
    assert slope.shape == at.shape
    generator = np.random.default_rng(seed)
    for _ in range(3):
        direction = generator.normal(size=at.shape)
        direction = (direction / np.abs(direction).max()).astype("float32")
        ahead, behind = (
            array(function(ops.convert_to_tensor(at + sign * step * direction)))
            for sign in (1, -1)
        )
        measured = (ahead.astype("float64") - behind).sum() / (2 * step)
        expected = (slope * direction).sum()
        scale = max(1.0, np.linalg.norm(slope))
        np.testing.assert_allclose(expected, measured, rtol=0, atol=tolerance * scale)


def smooth_image(shape, seed=0, waves=4):
    """Return a sum of slow cosines `(1, *shape, 1)` in [0, 1], float32."""
    generator = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    image = np.zeros(shape)
    for _ in range(waves):
        frequency = generator.uniform(-1.5, 1.5, len(shape)) / max(shape)
        phase = generator.uniform(0, 2 * np.pi)
        image += np.cos(2 * np.pi * (grid @ frequency) + phase)
    image = (image - image.min()) / (image.max() - image.min())
    return image[None, ..., None].astype("float32")
