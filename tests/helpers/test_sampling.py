import numpy as np
import pytest
from keras import ops
from scipy import ndimage

from helpers import backend, sampling
from tests.helpers import numeric

SHAPES = {1: (7,), 2: (6, 5), 3: (5, 4, 6)}
SCIPY = {"zero": "grid-constant", "edge": "nearest"}


def random_image(ndim, batch=2, channels=2, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(batch, *SHAPES[ndim], channels)).astype("float32")


def random_points(ndim, batch=2, beyond=3, seed=1):
    """Positions on a 3 × 4 array, some of them outside the image."""
    generator = np.random.default_rng(seed)
    low, high = -beyond, np.array(SHAPES[ndim]) - 1 + beyond
    return generator.uniform(low, high, (batch, 3, 4, ndim)).astype("float32")


def read(*arguments, **options):
    return numeric.array(sampling.sample(*arguments, **options))


def scipy_reads(image, points, order, fill):
    return np.stack(
        [
            np.stack(
                [
                    ndimage.map_coordinates(
                        image[b, ..., c],
                        np.moveaxis(points[b], -1, 0),
                        order=order,
                        mode=SCIPY[fill],
                    )
                    for c in range(image.shape[-1])
                ],
                axis=-1,
            )
            for b in range(len(image))
        ]
    )


def test_the_identity_grid_lists_rows_first():
    expected = [[[0, 0], [0, 1], [0, 2]], [[1, 0], [1, 1], [1, 2]]]
    np.testing.assert_array_equal(sampling.identity_grid((2, 3)), expected)


@pytest.mark.parametrize("ndim", SHAPES)
@pytest.mark.parametrize("mode", sampling.MODES)
@pytest.mark.parametrize("fill", sampling.FILLS)
def test_sampling_the_identity_grid_returns_the_image(ndim, mode, fill):
    image = random_image(ndim)
    points = np.stack([sampling.identity_grid(SHAPES[ndim])] * 2)
    # The last voxel of an axis is reached by a lerp, with its rounding.
    np.testing.assert_allclose(read(image, points, mode, fill), image, atol=1e-6)


def test_sampling_a_ramp_is_exact_in_value_and_gradient():
    slope = np.array([3.0, -1.0], "float32")
    ramp = (sampling.identity_grid((6, 5)) @ slope)[None, ..., None]
    points = np.array([[[0.25, 1.5], [3.7, 2.1]]], "float32")
    np.testing.assert_allclose(read(ramp, points)[..., 0], points @ slope, rtol=1e-6)
    gradient = numeric.gradient(lambda p: sampling.sample(ramp, p), points)
    np.testing.assert_allclose(gradient, [[slope, slope]], rtol=1e-6)


@pytest.mark.parametrize("ndim", SHAPES)
@pytest.mark.parametrize("fill", sampling.FILLS)
def test_linear_and_nearest_agree_with_scipy_inside_and_outside(ndim, fill):
    image, points = random_image(ndim), random_points(ndim)
    for order, mode in enumerate(("nearest", "linear")):
        np.testing.assert_allclose(
            read(image, points, mode, fill),
            scipy_reads(image, points, order, fill),
            atol=3e-6,
        )


def test_points_shifted_by_whole_voxels_read_the_neighbour_they_point_to():
    image = np.arange(12, dtype="float32").reshape(1, 3, 4, 1)
    points = sampling.identity_grid((3, 4))[None] + np.float32([1, -2])
    expected = [[0, 0, 4, 5], [0, 0, 8, 9], [0, 0, 0, 0]]
    for mode in sampling.MODES:
        np.testing.assert_array_equal(read(image, points, mode)[0, ..., 0], expected)
    expected = [[4, 4, 4, 5], [8, 8, 8, 9], [8, 8, 8, 9]]
    for mode in sampling.MODES:
        moved = read(image, points, mode, "edge")[0, ..., 0]
        np.testing.assert_array_equal(moved, expected)


def test_zero_fill_fades_over_one_voxel_and_edge_fill_does_not():
    image = np.full((1, 4, 1), 8.0, "float32")
    points = np.float32([-1.5, -1, -0.25, 0, 3, 3.75, 4, 9])[None, :, None]
    expected = [0, 0, 6, 8, 8, 2, 0, 0]
    np.testing.assert_array_equal(read(image, points)[0, :, 0], expected)
    np.testing.assert_array_equal(read(image, points, fill="edge")[0, :, 0], [8] * 8)


def test_nearest_rounds_halves_up_and_keeps_integer_labels():
    labels = np.int32([10, 20, 30])[None, :, None]
    points = np.float32([-0.6, -0.5, 0.49, 0.5, 1.5, 2.49, 2.51])[None, :, None]
    result = read(labels, points, "nearest")
    assert result.dtype == np.int32
    np.testing.assert_array_equal(result[0, :, 0], [0, 10, 10, 20, 30, 30, 0])


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("fill", sampling.FILLS)
def test_the_gradient_in_the_points_is_the_difference_quotient(ndim, fill):
    image = random_image(ndim, channels=1)
    generator = np.random.default_rng(2)
    points = np.floor(random_points(ndim, beyond=2))
    points += generator.uniform(0.2, 0.8, points.shape).astype("float32")
    gradient = numeric.gradient(lambda p: sampling.sample(image, p, fill=fill), points)
    for axis in range(ndim):
        # Between voxel centres the image is linear along each axis, so that the
        # quotient is exact but for float32 rounding, divided by 0.2.
        step = 0.1 * np.eye(ndim, dtype="float32")[axis]
        ahead, behind = (read(image, points + s * step, fill=fill) for s in (1, -1))
        quotient = (ahead - behind)[..., 0] / 0.2
        np.testing.assert_allclose(gradient[..., axis], quotient, atol=2e-5)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("fill", sampling.FILLS)
def test_the_gradient_in_the_image_is_the_transpose_of_sampling(ndim, fill):
    image, points = random_image(ndim), random_points(ndim)
    weights = np.random.default_rng(3).normal(size=(2, 3, 4, 2)).astype("float32")
    gradient = numeric.gradient(
        lambda i: ops.multiply(weights, sampling.sample(i, points, fill=fill)), image
    )
    value = (weights * read(image, points, fill=fill)).sum()
    np.testing.assert_allclose((gradient * image).sum(), value, rtol=1e-5)


def test_far_outside_the_image_value_and_gradient_are_finite_and_flat():
    image = random_image(2, batch=1)
    points = np.float32([[[-50, 2], [2, 1e9], [np.inf, -np.inf]]])
    np.testing.assert_array_equal(read(image, points), 0)
    gradient = numeric.gradient(lambda p: sampling.sample(image, p), points)
    np.testing.assert_array_equal(gradient[0, [0, 1], [0, 1]], 0)
    assert np.isfinite(gradient).all()


def test_on_a_voxel_centre_the_derivative_is_the_one_sided_one_ahead():
    image = np.float32([0, 1, 4, 9])[None, :, None]
    points = np.float32([1, 2])[None, :, None]
    gradient = numeric.gradient(lambda p: sampling.sample(image, p), points)
    np.testing.assert_array_equal(gradient[0, :, 0], [3, 5])


def test_a_nan_position_reads_nan_and_spoils_no_other():
    image, points = random_image(2), random_points(2)
    clean = read(image, points)
    points[0, 1, 2, 1] = np.nan
    result = read(image, points)
    assert np.isnan(result[0, 1, 2]).all()
    result[0, 1, 2] = clean[0, 1, 2]
    np.testing.assert_array_equal(result, clean)


def test_a_nan_voxel_spoils_only_the_points_beside_it():
    image = np.ones((1, 5, 6, 1), "float32")
    image[0, 0, 0] = np.nan
    points = np.float32([[[0.5, 0.5], [1.5, 0.5], [3.2, 4.9]]])
    np.testing.assert_array_equal(
        np.isnan(read(image, points)[0, :, 0]), [True, False, False]
    )


@pytest.mark.parametrize("mode", sampling.MODES)
@pytest.mark.parametrize("fill", sampling.FILLS)
def test_an_empty_batch_gives_an_empty_batch(mode, fill):
    if backend.NAME == "jax":
        pytest.skip("jax.numpy.take drops the indices' shape where the array is empty")
    result = read(random_image(2)[:0], random_points(2)[:0], mode, fill)
    assert result.shape == (0, 3, 4, 2)


def test_an_axis_of_one_voxel_is_read_like_any_other():
    image = np.float32([[[3, 5, 7]]])[..., None]
    points = np.float32([[[0, 0.5], [0.5, 1], [-2, 2]]])
    np.testing.assert_array_equal(read(image, points)[0, :, 0], [4, 2.5, 0])
    edge = read(image, points, fill="edge")
    np.testing.assert_array_equal(edge[0, :, 0], [4, 5, 7])


@pytest.mark.parametrize("shape", [(), (3, 0), (-1, 2)])
def test_a_grid_without_voxels_is_refused(shape):
    with pytest.raises(ValueError, match=r"Received: \("):
        sampling.identity_grid(shape)


@pytest.mark.parametrize(
    ("image", "points", "options", "message"),
    [
        ((2, 6, 5, 1), (2, 4, 3), {}, "one coordinate per image axis"),
        ((2, 6, 5, 1), (2,), {}, "one coordinate per image axis"),
        ((6, 5), (6, 5, 2), {}, "at least one spatial axis"),
        ((2, 6, 5, 1), (3, 4, 2), {}, "same batch size. Received: 2 and 3"),
        ((2, 6, 5, 1), (2, 4, 2), {"mode": "cubic"}, "Received: 'cubic'"),
        ((2, 6, 5, 1), (2, 4, 2), {"fill": "wrap"}, "Received: 'wrap'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(image, points, options, message):
    with pytest.raises(ValueError, match=message):
        sampling.sample(np.zeros(image, "f4"), np.zeros(points, "f4"), **options)


def test_integer_images_are_refused_for_linear_and_integer_points_for_both():
    image, points = np.zeros((1, 4, 3, 1)), np.zeros((1, 2, 2))
    with pytest.raises(ValueError, match="mode='nearest'.*Received: .*int32"):
        sampling.sample(image.astype("int32"), points.astype("float32"))
    with pytest.raises(ValueError, match="points must be floating. Received: .*int32"):
        sampling.sample(image.astype("float32"), points.astype("int32"), "nearest")
