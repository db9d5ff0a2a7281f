import numpy as np
import pytest
from scipy import linalg, ndimage

from helpers import transforms
from registration import means
from registration.scans import grid as grids
from tests.registration import heads


def affines(count=6, seed=0):
    """Return affines as they lie between heads, each with its own shift."""
    rng = np.random.default_rng(seed)
    generators = np.zeros((count, 4, 4))
    generators[:, :3, :3] = rng.normal(0, 0.15, (count, 3, 3))
    generators[:, :3, 3] = rng.normal(0, 20, (count, 3))
    return np.array([linalg.expm(one) for one in generators])


def test_the_mean_of_half_and_double_is_the_same_size():
    scales = [np.diag([s, 1 / s, 1.0, 1.0]) for s in (0.5, 2.0)]
    np.testing.assert_allclose(means.barycentre(scales), np.eye(4), atol=1e-9)
    scales = [np.diag([s, s, s, 1.0]) for s in (1.0, 4.0)]
    # From the mean world one scan is half as large, the other twice.
    np.testing.assert_allclose(np.diag(means.barycentre(scales))[:3], 0.5, atol=1e-9)


def test_from_the_mean_all_affines_lead_equally_far_and_keep_the_geometric_size():
    found = affines()
    moved = found @ means.barycentre(found)
    logs = [linalg.logm(one).real for one in moved]
    np.testing.assert_allclose(np.mean(logs, axis=0), 0, atol=1e-6)
    sizes = np.linalg.det(moved[:, :3, :3])
    assert np.exp(np.mean(np.log(sizes))) == pytest.approx(1, abs=1e-7)


def test_the_mean_does_not_depend_on_where_the_affines_start():
    found, other = affines(), heads.turned(25, (90.0, -60.0, 30.0))
    elsewhere = found @ other
    np.testing.assert_allclose(
        elsewhere @ means.barycentre(elsewhere),
        found @ means.barycentre(found),
        atol=1e-7,
    )


def test_a_mirrored_affine_and_half_a_turn_have_no_logarithm():
    for matrix in (np.diag([-1.0, 1, 1, 1]), heads.turned(180)):
        with pytest.raises(ValueError, match="has no logarithm"):
            means.logarithms([np.eye(4), matrix])


def test_logarithms_are_those_of_scipy():
    given = [*affines(), heads.turned(170, (200.0, 0, 0)), heads.turned(0, (9, 8, 7))]
    expected = [linalg.logm(one).real for one in given]
    np.testing.assert_allclose(means.logarithms(given), expected, atol=1e-8)


def velocity(shape=(9, 11, 8)):
    axes = [np.linspace(0, np.pi, size) for size in shape]
    weight = np.prod(np.meshgrid(*map(np.sin, axes), indexing="ij"), axis=0)
    return (weight[..., None] * [1.2, -0.7, 0.5]).astype("float32")


def test_a_velocity_is_integrated_as_by_the_helper():
    expected = np.asarray(transforms.integrate_velocity(velocity()[None], 5))[0]
    np.testing.assert_allclose(means.integrated(velocity(), 5), expected, atol=1e-5)
    assert np.abs(expected).max() > 1


def test_a_flow_is_in_mm_of_the_world_and_comes_back():
    grid = heads.oblique()
    field = means.flow(velocity(grid.shape), grid, 5)
    np.testing.assert_allclose(
        field.voxels(), means.integrated(velocity(grid.shape), 5), atol=1e-5
    )
    points = grid.points()[2:-2, 2:-2, 2:-2]
    again = field.inverse().points(field.points(points))
    # A tenth of a voxel of 1.5 to 3 mm: what interpolation leaves.
    assert np.linalg.norm(again - points, axis=-1).mean() < 0.2
    assert means.flow(velocity(grid.shape), grid, 5, both=False).back is None


def test_a_coarser_grid_spans_the_same_box():
    fine = grids.Grid((8, 12, 4), heads.oblique().affine)
    coarse = means.coarser(fine, 2)
    assert coarse.shape == (4, 6, 2)
    assert coarse.subdivided((2, 2, 2)).gap_mm(fine) < 1e-9


def brain(shape=(24, 28, 20)):
    """Return an image with detail in an ellipsoid, and the ellipsoid."""
    places = np.moveaxis(np.indices(shape), 0, -1)
    middle = (np.array(shape) - 1) / 2
    inside = (((places - middle) / (0.42 * np.array(shape))) ** 2).sum(-1) < 1
    waves = np.sin(places.sum(-1) * 1.3) + np.sin(places[..., 0] * 0.5)
    detail = 0.5 + 0.15 * waves
    return (detail * inside).astype("float32"), inside


def test_standardised_intensities_do_not_know_brightness_and_contrast():
    image, inside = brain()
    ramp = 1 + 0.3 * np.linspace(-1, 1, image.shape[0])[:, None, None]
    found, mean, spread = means.standardised(image, inside, [2.0] * 3)
    other = means.standardised((0.4 * image * ramp + 0.2) * inside, inside, [2.0] * 3)
    assert np.corrcoef(found[inside], other[0][inside])[0, 1] > 0.97
    assert abs(found[inside].mean()) < 0.1 and 0.7 < found[inside].std() < 1.3
    assert not found[~inside].any() and not mean[~inside].any()
    np.testing.assert_allclose((found * spread + mean)[inside], image[inside], 1e-4)


def test_the_mean_of_one_image_thrice_is_that_image_and_sums_may_be_joined():
    image, inside = brain()
    sums = [means.Sums(image.shape) for _ in range(2)]
    for one in (sums[0], sums[1], sums[1]):
        one.add(image, inside, [2.0] * 3)
    sums[0].join(sums[1])
    found, mask = sums[0].mean()
    np.testing.assert_allclose(found, image, atol=1e-5)
    np.testing.assert_array_equal(mask, inside)
    assert sums[0].count == 3


def test_a_blurred_image_is_less_sharp():
    image, inside = brain()
    soft = ndimage.gaussian_filter(image, 1.0)
    sharp = [means.sharpness(one, inside, [2.0] * 3) for one in (image, soft)]
    assert sharp[1] < 0.9 * sharp[0]
    assert means.sharpness(3 * image, inside, [2.0] * 3) == pytest.approx(sharp[0])


def test_the_entropy_of_two_equal_intensities_is_one_bit():
    image = np.tile([0.2, 0.8], 100)
    assert means.entropy(image, np.ones(200, bool)) == pytest.approx(1)
