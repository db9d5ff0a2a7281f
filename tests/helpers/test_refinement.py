import gc
import weakref

import numpy as np
import pytest
from keras import ops

from helpers import affines, losses, refinement, training, transforms
from tests.helpers import numeric

SHAPES = {2: (24, 16), 3: (16, 12, 14)}


def blobs(ndim, batch=2):
    """Images of smooth blobs that fade out before the border."""
    image = numeric.smooth_image(SHAPES[ndim], seed=3, waves=8)
    for axis, size in enumerate(SHAPES[ndim], start=1):
        window = np.hanning(size + 2)[1:-1].astype("float32")
        image = image * window.reshape(-1, *[1] * (ndim + 1 - axis))
    return np.tile(image, (batch, *[1] * (ndim + 1)))


def moved_by(image, affine):
    field = transforms.affine_displacement(affine, image.shape[1:-1])
    return numeric.array(transforms.warp(image, field))


@pytest.mark.parametrize(("ndim", "kind"), [(2, "affine"), (2, "rigid"), (3, "affine")])
def test_refinement_finds_the_affine_that_made_the_fixed_image(ndim, kind):
    generator = np.random.default_rng(0)
    parameters = generator.uniform(-0.1, 0.1, (2, ndim * (ndim + 1)))
    truth = affines.from_parameters(parameters.astype("float32"), ndim, kind)
    moving = blobs(ndim)
    fixed = moved_by(moving, truth)
    found = refinement.affine(
        moving, fixed, affines.identity(ndim, 2), kind=kind, steps=200
    )
    # A thousandth of half the longest side, where Adam stops: a hundredth of a voxel.
    truth = numeric.array(truth)
    np.testing.assert_allclose(numeric.array(found), truth, atol=1e-3)
    assert np.abs(truth - np.eye(ndim, ndim + 1)).max() > 0.08
    left = numeric.array(losses.ncc_loss(fixed, moved_by(moving, found)))
    assert (left < 1e-5).all()


def test_no_steps_leave_the_start_as_it_is():
    start = np.float32([[[1, 0.1, 0.2], [0, 1, -0.1]]] * 2)
    found = refinement.affine(blobs(2), blobs(2), start, steps=0)
    np.testing.assert_allclose(numeric.array(found), start, atol=1e-7)


def test_each_pair_of_a_batch_is_refined_for_itself():
    truth = np.float32([[[1, 0, 0.1], [0, 1, 0]], [[1, 0, 0], [0, 1, -0.1]]])
    moving = blobs(2)
    fixed, start = moved_by(moving, truth), numeric.array(affines.identity(2, 2))
    together = numeric.array(refinement.affine(moving, fixed, start, steps=10))
    for one in range(2):
        alone = refinement.affine(
            moving[one : one + 1], fixed[one : one + 1], start[one : one + 1], steps=10
        )
        np.testing.assert_allclose(numeric.array(alone)[0], together[one], atol=1e-5)


def test_adam_with_a_decayed_rate_finds_the_bottom_of_a_parabola():
    target = np.float32([[1.0, -2.0], [0.5, 3.0]])
    found = training.refine(parabola, np.zeros((2, 2), "f4"), [target], 200, 0.1)
    # The rate falls to zero before the last digits are found.
    np.testing.assert_allclose(numeric.array(found), target, atol=5e-3)


def parabola(parameters, target):
    return ops.sum(ops.square(parameters - target), axis=-1)


def test_the_first_step_of_adam_is_the_learning_rate_long():
    target = np.float32([[1.0, -2.0]])
    found = training.refine(parabola, np.zeros((1, 2), "f4"), [target], 1, 0.1)
    np.testing.assert_allclose(numeric.array(found), [[0.1, -0.1]], rtol=1e-5)


def test_nan_in_an_image_stops_with_an_error():
    moving, fixed = blobs(2), blobs(2)
    fixed[0, 4, 4] = np.nan
    with pytest.raises(ValueError, match="not finite.*Received: .*nan"):
        refinement.affine(moving, fixed, affines.identity(2, 2), steps=2)


def test_losses_made_on_the_fly_are_let_go():
    kept = []
    for _ in range(2 * refinement.PROGRAMS):

        def loss(fixed, moved):
            return ops.mean(ops.square(fixed - moved), axis=(1, 2, 3))

        refinement.affine(blobs(2), blobs(2), affines.identity(2, 2), loss, steps=1)
        kept.append(weakref.ref(loss))
        del loss
    gc.collect()
    assert sum(one() is not None for one in kept) <= refinement.PROGRAMS


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_force_on_an_affine_sums_to_what_a_small_shift_gains(ndim):
    fixed, shape = blobs(ndim, 1), SHAPES[ndim]
    # Whole voxels: between them, linear interpolation has a slope of its own.
    there = np.zeros((1, *shape, ndim), "float32")
    there[..., 0], there[..., 1] = 1, -1
    moving = numeric.array(transforms.warp(fixed, there))
    identity = affines.identity(ndim)
    force = numeric.array(refinement.affine_force(identity, moving, fixed))[0]
    found = force.reshape(-1, ndim).sum(axis=0)

    def gain(axis, step):
        shift = np.zeros((1, *shape, ndim), "float32")
        shift[..., axis] = step
        moved = transforms.warp(moving, shift)
        return -float(refinement.lncc5(fixed, moved)[0])

    expected = [(gain(axis, 1) - gain(axis, -1)) / 2 for axis in range(ndim)]
    # Both are differences over two voxels, of the image and of the similarity.
    np.testing.assert_allclose(found, expected, rtol=0.35, atol=2e-3)
    assert found[0] < -0.01 < 0.01 < found[1]
