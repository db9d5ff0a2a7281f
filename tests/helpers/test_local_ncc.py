import keras
import numpy as np
import pytest

from helpers import backend, layers, local_ncc, losses, networks, transforms
from helpers.backend import ops
from tests.helpers import numeric

SHAPES = {2: (7, 6), 3: (5, 4, 6)}
both_dimensions = pytest.mark.parametrize("ndim", [2, 3])


def noise(ndim, seed, batch=2):
    generator = np.random.default_rng(seed)
    return generator.random((batch, *SHAPES[ndim], 1)).astype("float32")


def mean_ncc_by_loops(fixed, moved, window, floor=1e-3):
    """The mean of a local NCC whose covariance has the floor too, in float64."""
    half, found = window // 2, []
    for centre in np.ndindex(*fixed.shape):
        cut = tuple(slice(max(c - half, 0), c + half + 1) for c in centre)
        f, m = fixed[cut], moved[cut]
        covariance = ((f - f.mean()) * (m - m.mean())).mean() + floor
        found.append(covariance / np.sqrt((f.var() + floor) * (m.var() + floor)))
    return np.mean(found)


def force_by_loops(fixed, moved, window, step=1e-4):
    """Change one voxel of the moved image at a time."""
    slope = np.zeros(moved.shape)
    for voxel in np.ndindex(*moved.shape):
        ahead, behind = moved.copy(), moved.copy()
        ahead[voxel] += step
        behind[voxel] -= step
        rise = mean_ncc_by_loops(fixed, ahead, window)
        slope[voxel] = rise - mean_ncc_by_loops(fixed, behind, window)
    gradient = np.stack(np.gradient(moved), axis=-1)
    for axis in range(moved.ndim):
        for edge in (0, -1):
            np.moveaxis(gradient, axis, 0)[edge, ..., axis] = 0
    # The sum over the windows, not their mean, and never divided by less than 0.01.
    force = moved.size * slope[..., None] / (2 * step) * gradient
    return force / np.sqrt(np.mean(force**2) + 1e-4)


@pytest.mark.parametrize("window", [3, 5])
@both_dimensions
def test_the_force_is_the_slope_of_the_local_ncc_along_each_axis(ndim, window):
    fixed, moved = noise(ndim, 0), noise(ndim, 1)
    result = numeric.array(local_ncc.force(fixed, moved, window))
    for f, m, found in zip(fixed, moved, result, strict=True):
        one, other = (image[..., 0].astype("float64") for image in (f, m))
        expected = force_by_loops(one, other, window)
        # float32, and forces of up to 4.
        np.testing.assert_allclose(found, expected, atol=1e-5)


@both_dimensions
def test_a_small_step_along_the_force_raises_the_local_ncc(ndim):
    shape = {2: (24, 20), 3: (16, 12, 14)}[ndim]
    fixed, moved = (numeric.smooth_image(shape, seed) for seed in (0, 1))
    force = local_ncc.force(fixed, moved)
    ahead, behind = (
        transforms.warp(moved, sign * 0.02 * force, fill="edge") for sign in (1, -1)
    )
    before = losses.lncc_loss(fixed, moved, 5)
    assert numeric.array(losses.lncc_loss(fixed, ahead, 5)) < numeric.array(before)
    assert numeric.array(losses.lncc_loss(fixed, behind, 5)) > numeric.array(before)


@both_dimensions
def test_equal_images_and_flat_ones_are_at_rest(ndim):
    fixed, flat = noise(ndim, 0), np.full_like(noise(ndim, 0), 0.3)
    for one, other in ((fixed, fixed), (flat, flat), (fixed, flat)):
        found = numeric.array(local_ncc.force(one, other))
        # A force has length 1 on average: what float32 leaves of two equal terms is
        # 3e-5 of that.
        np.testing.assert_allclose(found, 0, atol=1e-4)


def test_noise_in_a_flat_background_does_not_pull():
    fixed, moved = noise(3, 0) * 0.01, noise(3, 1) * 0.01
    fixed[:, :, :, 3:], moved[:, :, :, 3:] = noise(3, 2)[:, :, :, 3:], 0.5
    moved[:, :, :, 3:] += 0.4 * noise(3, 3)[:, :, :, 3:]
    found = np.abs(numeric.array(local_ncc.force(fixed, moved, 3)))
    assert found[:, :, :, :2].mean() < 0.05 * found[:, :, :, 4:].mean()


def test_the_force_of_a_pair_does_not_depend_on_the_other_pairs():
    fixed, moved = noise(2, 0), noise(2, 1)
    alone = numeric.array(local_ncc.force(fixed[:1], moved[:1]))
    moved[1] = np.nan
    beside = numeric.array(local_ncc.force(fixed, moved))[:1]
    np.testing.assert_allclose(beside, alone, atol=1e-6)


@pytest.mark.parametrize("window", [0, 4, -3])
def test_a_window_that_has_no_centre_is_refused(window):
    with pytest.raises(ValueError, match=f"Received: {window}"):
        local_ncc.force(noise(2, 0), noise(2, 1), window)


def test_images_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="Received:"):
        local_ncc.force(noise(2, 0), noise(2, 1)[:, 1:])


@both_dimensions
def test_a_network_that_sees_the_force_begins_with_a_wider_convolution(ndim):
    shape = {2: (16, 24), 3: (8, 16, 12)}[ndim]
    widths = {"encoder": (4, 4), "decoder": ((4,), (4,), (4,))}
    for build in (networks.dense_network, networks.dense_cascade):
        model = build(shape, **widths, force=3)
        images = [numeric.smooth_image(shape, seed) for seed in (0, 1)]
        field = numeric.array(model(images)["transform"])
        assert field.shape == (1, *shape, ndim) and np.abs(field).max() < 1e-2
        first, plain = (b.weights[0].shape for b in (model, build(shape, **widths)))
        assert (first[-2], plain[-2]) == (2 + ndim, 2)


def test_no_gradient_flows_back_through_the_layer():
    fixed, moved = noise(2, 0), noise(2, 1)
    layer = layers.LocalNCCForce(3)
    slope = numeric.gradient(lambda m: keras.ops.square(layer(m, fixed)) + 0 * m, moved)
    np.testing.assert_array_equal(slope, 0)


def test_the_slope_is_the_derivative_that_the_backend_finds():
    fixed, moved = np.random.default_rng(8).random((2, 1, 8, 9, 7, 1), "float32")
    _, expected = backend.value_and_gradient(
        lambda image: ops.sum(local_ncc.ncc_map(fixed, image, 5))
    )(moved)
    found = local_ncc.slope(fixed, moved, 5)
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), ops.convert_to_numpy(expected), atol=1e-4
    )
