import keras
import numpy as np
import pytest
from scipy import ndimage

from helpers import metrics, networks, transforms
from tests.helpers import numeric

SHAPES = {2: (16, 24), 3: (8, 16, 12)}
ENCODER = (4, 4)
DECODERS = {1: ((4,), (4,), (4, 3)), 2: ((4,), (4,)), 4: ((4, 4),)}
both_dimensions = pytest.mark.parametrize("ndim", [2, 3])
every_grid = pytest.mark.parametrize("factor", DECODERS)


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(0)


def pair(ndim, batch=2):
    generator = np.random.default_rng(0)
    return list(generator.random((2, batch, *SHAPES[ndim], 1)).astype("float32"))


def small(ndim, factor=1, **options):
    decoder = DECODERS[factor]
    return networks.dense_network(SHAPES[ndim], ENCODER, decoder, **options)


def disturb(model, images, size):
    """Give every weight a random value; the longest velocity becomes `size`.

    All but the last layer's are positive, so that convolutions average.
    """
    generator = np.random.default_rng(1)
    weights = [0.3 * np.abs(generator.normal(size=w.shape)) for w in model.weights]
    weights[-2] = generator.normal(size=weights[-2].shape)
    model.set_weights(weights)
    velocity = model(images)["velocity"]
    factor = size / np.abs(numeric.array(velocity)).max()
    # The last layer has no activation.
    model.set_weights([*weights[:-2], *(factor * w for w in weights[-2:])])
    return model


def smooth_pair(ndim):
    return [numeric.smooth_image(SHAPES[ndim], seed) for seed in (1, 2)]


def fetched(field, positions):
    """Read a field `(*shape, ndim)` at positions, by SciPy, edge beyond the grid."""
    parts = [
        ndimage.map_coordinates(part, positions, order=1, mode="nearest")
        for part in np.moveaxis(field, -1, 0)
    ]
    return np.stack(parts, axis=-1)


def integrated(velocity, squarings):
    """Square by SciPy what `transforms.integrate_velocity` squares."""
    grid = np.indices(velocity.shape[:-1])
    field = velocity / 2**squarings
    for _ in range(squarings):
        field = field + fetched(field, grid + np.moveaxis(field, -1, 0))
    return field


def refined_grid(field, factor):
    """Interpolate a field linearly on a finer grid, by SciPy, and lengthen it."""
    zoom = (factor,) * (field.ndim - 1) + (1,)
    fine = ndimage.zoom(field, zoom, order=1, mode="nearest", grid_mode=True)
    return factor * fine


@both_dimensions
@every_grid
def test_the_velocity_stands_on_its_grid_and_the_transform_on_the_images(ndim, factor):
    outputs = small(ndim, factor)(pair(ndim))
    coarse = tuple(size // factor for size in SHAPES[ndim])
    assert outputs.keys() == {"transform", "velocity"}
    assert tuple(outputs["velocity"].shape) == (2, *coarse, ndim)
    assert tuple(outputs["transform"].shape) == (2, *SHAPES[ndim], ndim)


@both_dimensions
@pytest.mark.parametrize(("factor", "squarings"), [(1, 0), (2, 7)])
def test_an_untrained_network_moves_nothing_by_a_hundredth_of_a_voxel(
    ndim, factor, squarings
):
    outputs = small(ndim, factor, squarings=squarings)(pair(ndim))
    largest = np.abs(numeric.array(outputs["transform"])).max()
    # Exactly zero would leave the layers before the last one without a gradient.
    assert 0 < largest < 1e-2


@both_dimensions
@every_grid
def test_without_squarings_the_transform_is_the_velocity_on_a_finer_grid(ndim, factor):
    images = pair(ndim, 1)
    outputs = disturb(small(ndim, factor, squarings=0), images, 1.0)(images)
    velocity, transform = (
        numeric.array(outputs[name])[0] for name in ("velocity", "transform")
    )
    expected = refined_grid(velocity.astype("float64"), factor)
    np.testing.assert_allclose(transform, expected, atol=1e-5)


@both_dimensions
@every_grid
def test_the_transform_is_the_integral_of_the_velocity_on_a_finer_grid(ndim, factor):
    images = pair(ndim, 1)
    outputs = disturb(small(ndim, factor, squarings=5), images, 1.0)(images)
    velocity, transform = (
        numeric.array(outputs[name])[0] for name in ("velocity", "transform")
    )
    expected = integrated(velocity.astype("float64"), 5)
    assert np.abs(expected - velocity).max() > 0.01
    # Squarings add up what float32 rounds off at positions of order 10, a
    # millionth, and refining to four times the grid lengthens it by 4.
    np.testing.assert_allclose(transform, refined_grid(expected, factor), atol=1e-4)


@both_dimensions
def test_the_negated_velocity_leads_back(ndim):
    images = smooth_pair(ndim)
    outputs = disturb(small(ndim), images, 1.5)(images)
    there = numeric.array(outputs["transform"])
    back = transforms.integrate_velocity(-numeric.array(outputs["velocity"]))
    assert np.abs(there).max() > 1
    assert (metrics.folding(there)["folded_percent"] == 0).all()
    error = transforms.inverse_error(there, numeric.array(back))
    # Linear interpolation rounds corners off at each squaring, by hundredths of a
    # voxel; the negated displacement, which is no inverse, misses by far more.
    assert (error < 0.05).all()
    assert (error < 0.3 * transforms.inverse_error(there, -there)).all()


@both_dimensions
def test_registration_moves_the_image_by_the_transform_and_keeps_the_velocity(ndim):
    images = pair(ndim)
    network = disturb(small(ndim, 2), images, 1.0)
    outputs, own = networks.registration(network)(images), network(images)
    assert outputs.keys() == {"transform", "velocity", "moved"}
    transform = numeric.array(outputs["transform"])
    np.testing.assert_allclose(transform, numeric.array(own["transform"]), atol=1e-5)
    positions = np.indices(SHAPES[ndim]) + np.moveaxis(transform[0], -1, 0)
    expected = ndimage.map_coordinates(
        images[0][0, ..., 0], positions, order=1, mode="grid-constant"
    )
    np.testing.assert_allclose(
        numeric.array(outputs["moved"])[0, ..., 0], expected, atol=1e-4
    )


def test_the_network_sees_both_images_and_tells_them_apart():
    moving, fixed = pair(2)
    network = disturb(small(2), [moving, fixed], 1.0)
    one, other = network([moving, fixed]), network([fixed, moving])
    difference = numeric.array(one["velocity"]) - numeric.array(other["velocity"])
    assert np.abs(difference).max() > 1e-3


def test_the_default_is_the_network_of_voxelmorph():
    shape = (16, 16, 16)
    voxelmorph = networks.dense_network(shape)
    # Widths and inputs of each 3 x 3 x 3 convolution, counted from the paper's figure.
    widths = (16, 32, 32, 32, 32, 32, 32, 32, 32, 16, 16, 3)
    inputs = (2, 16, 32, 32, 32, 64, 64, 48, 32, 34, 16, 16)
    pairs = zip(widths, inputs, strict=True)
    expected = sum(width * (27 * seen + 1) for width, seen in pairs)
    assert voxelmorph.count_params() == expected


@pytest.mark.parametrize(("ndim", "factor"), [(2, 1), (3, 2)])
def test_a_saved_network_gives_the_same_fields_afterwards(ndim, factor, tmp_path):
    images = pair(ndim)
    network = disturb(small(ndim, factor), images, 1.0)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    before, after = network(images), loaded(images)
    assert before.keys() == after.keys()
    for name in before:
        np.testing.assert_array_equal(
            numeric.array(before[name]), numeric.array(after[name]), err_msg=name
        )


def test_the_brain_network_answers_every_voxel_in_2d_and_3d():
    for shape in ((16, 24), (8, 16, 8)):
        network = networks.brain_network(shape, (4, 4, 4))
        image = np.random.default_rng(0).random((2, *shape, 1)).astype("float32")
        assert numeric.array(network(image)).shape == image.shape
    with pytest.raises(ValueError, match="divisible by 8"):
        networks.brain_network((16, 20), (4, 4, 4))


def test_the_evidence_of_a_block_lies_where_the_block_lies():
    network = networks.brain_network((8, 8), (4,))
    layer = network.get_layer("pieces")
    kernel, bias = layer.get_weights()
    layer.set_weights([0 * kernel, np.float32([1, 2, 3, 4])])
    evidence = numeric.array(network(np.zeros((1, 8, 8, 1), "float32")))[0, ..., 0]
    np.testing.assert_allclose(evidence[:4, :4], np.tile([[1, 2], [3, 4]], (2, 2)))
    assert bias.shape == (4,)


@both_dimensions
def test_a_second_look_is_at_what_the_first_has_moved_with_the_same_weights(ndim):
    shape, images = SHAPES[ndim], smooth_pair(ndim)
    once, twice = (
        networks.dense_cascade(shape, ENCODER, DECODERS[1], squarings=4, looks=looks)
        for looks in (1, 2)
    )
    disturb(once, images, 0.7)
    twice.set_weights(once.get_weights())
    first = once(images)
    moved = transforms.warp(images[0], first["transform"])
    fine, last = (twice.get_layer(name) for name in ("fine", "velocity"))
    expected = first["velocity"] + last(fine([numeric.array(moved), images[1]]))
    found = twice(images)["velocity"]
    assert np.abs(numeric.array(found - first["velocity"])).max() > 0.01
    np.testing.assert_allclose(
        numeric.array(found), numeric.array(expected), rtol=1e-5, atol=1e-5
    )
