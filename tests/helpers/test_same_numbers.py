"""The same numbers on every backend and processor, to a stated tolerance.

The expected values were computed once, on TensorFlow and a processor with AVX-512;
other tests say that they are right. What a training gives is held across processes by
`test_training.py`; between backends and processors its rounding grows with the steps.
"""

import numpy as np

from helpers import augmentation, local_ncc, losses, refinement, transforms
from tests.helpers import numeric

# Sums of a few hundred float32 products, in whatever order; fifteen steps of Adam let
# the difference grow.
TOLERANCE, AFTER_STEPS = 3e-5, 3e-4
LOSSES = [0.14169, 0.097788, 0.42513, 0.90338, 0.12015]
DESCENTS = [
    0.19437,
    0.30569,
    0.48403,
    0.17775,
    0.24416,
    0.47187,
    0.93669,
    -0.011479,
    -0.02729,
    0.070378,
    0.0016613,
    0.94442,
    -0.005281,
    0.039985,
    0.0072456,
    -0.0099917,
    0.94202,
    0.029008,
]
DRAWS = [
    0.72299,
    0.13508,
    0.61575,
    0.95274,
    -0.089586,
    0.093503,
    -0.066031,
    0.097088,
    0.93535,
    -0.095727,
    0.076583,
    -0.04281,
    0.10898,
    0.97537,
    0.046277,
]


def bumps():
    """Return a moving and a fixed volume made of sines, 12 × 10 × 8 voxels."""
    places = np.meshgrid(*map(np.arange, (12, 10, 8)), indexing="ij")
    waves = [
        sum(np.sin((axis + 1 + shift) * place / 3) for axis, place in enumerate(places))
        for shift in (0.0, 0.3)
    ]
    return [(0.5 + wave / 6).astype("float32")[None, ..., None] for wave in waves]


def told(array):
    """Return the mean, the deviation and one entry of an array."""
    array = numeric.array(array).astype("float64")
    return [array.mean(), array.std(), array.flat[array.size // 3]]


def test_losses_and_forces():
    moving, fixed = bumps()
    found = [
        losses.ncc_loss(fixed, moving)[0],
        losses.lncc_loss(fixed, moving, 5)[0],
        *told(local_ncc.force(fixed, moving)),
    ]
    np.testing.assert_allclose(np.array(found, "float64"), LOSSES, atol=TOLERANCE)


def test_fifteen_steps_of_each_descent():
    moving, fixed = bumps()
    zeros = np.zeros((1, 6, 5, 4, 3), "float32")
    velocity = refinement.velocity(moving, fixed, zeros, steps=15)
    displacement = transforms.integrate_velocity(velocity)
    unit = np.eye(3, 4, dtype="float32")[None]
    affine = refinement.affine(moving, fixed, unit, steps=15)
    found = [*told(velocity), *told(displacement), *numeric.array(affine).ravel()]
    np.testing.assert_allclose(found, DESCENTS, atol=AFTER_STEPS)


def test_a_seed_draws_the_same_look_and_the_same_affine():
    moving, _ = bumps()
    rng = np.random.default_rng(2026)
    look = augmentation.random_look(rng, moving[0, ..., 0])
    affine = augmentation.random_affines(rng, 1, 3, (5, 30), (0.1, 0.3), 0.05)
    found = [*told(look), *affine.ravel()]
    np.testing.assert_allclose(found, DRAWS, atol=TOLERANCE)
