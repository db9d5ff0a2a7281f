import keras
import numpy as np
import pytest
from scipy import ndimage

from helpers import metrics, networks, refinement, transforms
from helpers.networks import stored
from tests import numeric

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
    error = metrics.inverse_consistency(there, numeric.array(back))
    # Linear interpolation rounds corners off at each squaring, by hundredths of a
    # voxel; the negated displacement, which is no inverse, misses by far more.
    assert (error < 0.05).all()
    assert (error < 0.3 * metrics.inverse_consistency(there, -there)).all()


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


def test_a_stored_network_is_built_again_from_its_json(monkeypatch, tmp_path):
    monkeypatch.setattr(stored, "MODELS", tmp_path / "models")
    options = {"shape": SHAPES[2], "encoder": ENCODER, "decoder": DECODERS[2]}
    images, options = pair(2), options | {"squarings": 3}
    network = disturb(networks.dense_network(**options), images, 1.0)
    networks.store(network, "tiny", "dense_network", options)
    again = networks.load("tiny")
    np.testing.assert_array_equal(
        numeric.array(again(images)["transform"]),
        numeric.array(network(images)["transform"]),
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((16, 18), ENCODER, DECODERS[1]), r"divisible by 4.*Received: \(16, 18\)"),
        (((16, 16), ENCODER, ((4,),) * 4), "1 to 3 grids.*Received: .*4"),
        (((16, 16), ENCODER, ()), r"1 to 3 grids.*Received: \(\)"),
        (((16, 16), ENCODER, ((4,), ())), "each with a width. *Received: .*4"),
    ],
)
def test_wrong_shapes_and_decoders_are_refused(arguments, message):
    for builder in (networks.unet, networks.dense_network):
        with pytest.raises(ValueError, match=message):
            builder(*arguments)


def test_negative_squarings_are_refused():
    with pytest.raises(ValueError, match="squarings must be 0 or more. Received: -1"):
        small(2, squarings=-1)


def bump(shape, seed=0):
    """Return a smooth velocity `(1, *shape, ndim)` that fades out at the border."""
    parts = [
        numeric.smooth_image(shape, seed + axis) - 0.5 for axis in range(len(shape))
    ]
    field = np.concatenate(parts, axis=-1)
    for axis, size in enumerate(shape, start=1):
        window = np.hanning(size + 2)[1:-1]
        field = field * window.reshape(-1, *[1] * (len(shape) + 1 - axis))
    return (4.0 * field / np.abs(field).max()).astype("float32")


def texture(shape, count):
    """Return images `(count, *shape, 1)` with an edge every few voxels."""
    images = np.random.default_rng(2).random((count, *shape))
    sigma = (0, *[1.0] * len(shape))
    images = ndimage.gaussian_filter(images, sigma, mode="nearest")
    low, high = images.min(), images.max()
    return ((images - low) / (high - low))[..., None].astype("float32")


def moved_by_scipy(image, displacement):
    positions = np.indices(displacement.shape[:-1]) + np.moveaxis(displacement, -1, 0)
    return ndimage.map_coordinates(image[..., 0], positions, order=1, mode="nearest")


@pytest.mark.parametrize(
    ("ndim", "factor", "smooth"), [(2, 1, 0.5), (2, 2, 0.05), (3, 2, 0.05)]
)
def test_refinement_finds_the_velocity_that_made_the_fixed_image(ndim, factor, smooth):
    shape = {2: (24, 32), 3: (12, 16, 12)}[ndim]
    truth, moving = integrated(bump(shape)[0].astype("float64"), 7), texture(shape, 1)
    fixed = moved_by_scipy(moving[0], truth)[None, ..., None].astype("float32")
    start = np.zeros((1, *(size // factor for size in shape), ndim), "float32")
    found = refinement.velocity(moving, fixed, start, smooth=smooth)
    assert tuple(found.shape) == start.shape
    found = integrated(numeric.array(found)[0].astype("float64"), 5)
    found = refined_grid(found, factor)
    moved = moved_by_scipy(moving[0], found)[None, ..., None]
    assert metrics.ncc(fixed, moving)[0] < 0.92 < 0.98 < metrics.ncc(fixed, moved)[0]
    left, length = (np.linalg.norm(f, axis=-1).mean() for f in (found - truth, truth))
    # A texture does not fix the motion along its edges: nearly half the way is found
    # beyond doubt, where a wrong sign or swapped axes would double the distance.
    assert left < 0.6 * length


def test_each_pair_of_a_batch_has_its_velocity_refined_for_itself():
    shape = (16, 12)
    moving, fixed = texture(shape, 2), texture(shape, 4)[2:]
    start = np.zeros((2, *shape, 2), "float32")
    together = numeric.array(refinement.velocity(moving, fixed, start, steps=5))
    for one in (slice(0, 1), slice(1, 2)):
        alone = refinement.velocity(moving[one], fixed[one], start[one], steps=5)
        np.testing.assert_allclose(numeric.array(alone), together[one], atol=1e-4)
    assert np.abs(together[0] - together[1]).max() > 0.1


@pytest.mark.parametrize(
    "grid", [(24, 16), (8, 16), (6, 6), (5, 8), (8,), (4, 4, 4)], ids=str
)
def test_a_start_on_a_grid_that_does_not_fit_the_images_is_refused(grid):
    images = texture((12, 16), 1)
    start = np.zeros((1, *grid, len(grid)), "float32")
    with pytest.raises(ValueError, match="coarser by one whole factor. Received: "):
        refinement.velocity(images, images, start, steps=1)
