import numpy as np
import pytest

from helpers import losses
from tests.helpers import numeric

SHAPES = {2: (7, 6), 3: (6, 5, 7)}
both_dimensions = pytest.mark.parametrize("ndim", [2, 3])


def noise(ndim, seed, batch=2):
    generator = np.random.default_rng(seed)
    return generator.random((batch, *SHAPES[ndim], 1)).astype("float32")


def value(loss, *arguments, **options):
    return numeric.array(loss(*arguments, **options))


def local_ncc_by_loops(fixed, moved, window):
    """The local NCC of each voxel, one window at a time, in float64."""
    half, shape = window // 2, fixed.shape
    result = np.zeros(shape)
    for centre in np.ndindex(*shape):
        cut = tuple(slice(max(c - half, 0), c + half + 1) for c in centre)
        f, m = fixed[cut].astype("float64"), moved[cut].astype("float64")
        covariance = ((f - f.mean()) * (m - m.mean())).mean()
        variances = f.var() + 1e-5, m.var() + 1e-5
        result[centre] = covariance / np.sqrt(variances[0] * variances[1])
    return result


def test_the_mean_squared_difference_is_taken_for_each_pair():
    fixed = np.zeros((2, 2, 2, 1), "float32")
    moved = np.float32([[[1, 1], [1, 1]], [[2, 0], [0, 0]]])[..., None]
    np.testing.assert_array_equal(value(losses.mse, fixed, moved), [1, 1])
    np.testing.assert_array_equal(value(losses.mse, fixed, fixed), [0, 0])


def test_ncc_of_four_pixels_is_the_one_worked_by_hand():
    fixed = np.float32([[1, 2], [3, 4]])[None, ..., None]
    moved = np.float32([[1, 3], [2, 4]])[None, ..., None]
    # Deviations (-3 -1 1 3)/2 and (-3 1 -1 3)/2: 16/20.
    np.testing.assert_allclose(value(losses.ncc_loss, fixed, moved), [0.2], atol=1e-6)


@both_dimensions
def test_ncc_agrees_with_numpy_and_ignores_brightness_and_contrast(ndim):
    fixed, moved = noise(ndim, 0), noise(ndim, 1)
    expected = [
        1 - np.corrcoef(f.ravel(), m.ravel())[0, 1]
        for f, m in zip(fixed, moved, strict=True)
    ]
    np.testing.assert_allclose(value(losses.ncc_loss, fixed, moved), expected, 1e-5)
    brighter = value(losses.ncc_loss, fixed, 0.3 * moved + 0.2)
    np.testing.assert_allclose(brighter, expected, 1e-5)


@both_dimensions
def test_equal_images_have_ncc_loss_zero_and_inverted_ones_two(ndim):
    fixed = noise(ndim, 0)
    same, inverted = fixed, 1 - fixed
    np.testing.assert_allclose(value(losses.ncc_loss, fixed, same), 0, atol=1e-6)
    np.testing.assert_allclose(value(losses.ncc_loss, fixed, inverted), 2, atol=1e-6)


def test_weighted_ncc_is_the_ncc_of_the_voxels_inside_the_mask():
    fixed, moved = noise(2, 0), noise(2, 1)
    mask = noise(2, 2) > 0.4
    expected = [
        1 - np.corrcoef(f[m], g[m])[0, 1]
        for f, g, m in zip(fixed, moved, mask, strict=True)
    ]
    result = value(losses.ncc_loss, fixed, moved, mask.astype("float32"))
    np.testing.assert_allclose(result, expected, 1e-5)
    changed = np.where(mask, moved, 7).astype("float32")
    unchanged = value(losses.ncc_loss, fixed, changed, mask.astype("float32"))
    np.testing.assert_allclose(unchanged, expected, 1e-5)


@pytest.mark.parametrize("window", [3, 9])
@both_dimensions
def test_local_ncc_is_the_mean_over_windows_cut_off_at_the_border(ndim, window):
    fixed, moved = noise(ndim, 0), noise(ndim, 1)
    local = [
        local_ncc_by_loops(f[..., 0], m[..., 0], window)
        for f, m in zip(fixed, moved, strict=True)
    ]
    expected = [1 - np.mean(ncc) for ncc in local]
    result = value(losses.lncc_loss, fixed, moved, window)
    np.testing.assert_allclose(result, expected, atol=1e-5)
    squared = value(losses.lncc_loss, fixed, moved, window, squared=True)
    np.testing.assert_allclose(squared, [1 - np.mean(n**2) for n in local], atol=1e-5)


def test_weights_choose_the_windows_by_their_centres():
    fixed, moved = noise(2, 0), noise(2, 1)
    weights = noise(2, 2)
    expected = [
        1 - np.average(local_ncc_by_loops(f[..., 0], m[..., 0], 3), weights=w[..., 0])
        for f, m, w in zip(fixed, moved, weights, strict=True)
    ]
    result = value(losses.lncc_loss, fixed, moved, 3, weights=weights)
    np.testing.assert_allclose(result, expected, atol=1e-5)


@both_dimensions
def test_local_ncc_is_signed_and_its_square_is_not(ndim):
    fixed = noise(ndim, 0)
    # A variance of 1/12 and 1e-5 beside it keep the loss 1e-4 away from its bounds.
    same = value(losses.lncc_loss, fixed, fixed)
    inverted = value(losses.lncc_loss, fixed, 1 - fixed)
    squared = value(losses.lncc_loss, fixed, 1 - fixed, squared=True)
    for result, bound in ((same, 0), (inverted, 2), (squared, 0)):
        np.testing.assert_allclose(result, bound, atol=5e-4)


def test_anti_correlated_windows_are_pulled_towards_correlation():
    fixed = noise(2, 0)
    slope = numeric.gradient(lambda m: losses.lncc_loss(fixed, m, 3), 1 - fixed)
    better = 1 - fixed - 0.1 * slope / np.abs(slope).max()
    before = value(losses.lncc_loss, fixed, 1 - fixed, 3)
    assert (value(losses.lncc_loss, fixed, better, 3) < before - 1e-3).all()


@both_dimensions
@pytest.mark.parametrize("loss", [losses.mse, losses.ncc_loss, losses.lncc_loss])
def test_gradients_of_the_losses_are_difference_quotients(ndim, loss):
    fixed, moved = noise(ndim, 0), noise(ndim, 1)
    numeric.assert_gradient(lambda m: loss(fixed, m), moved)
    numeric.assert_gradient(lambda f: loss(f, moved), fixed)


@pytest.mark.parametrize("loss", [losses.ncc_loss, losses.lncc_loss])
@pytest.mark.parametrize("level", [0.0, 0.7])
@both_dimensions
def test_constant_images_count_as_unrelated_with_a_finite_gradient(ndim, loss, level):
    varied, flat = noise(ndim, 0), np.full_like(noise(ndim, 0), level)
    for fixed, moved in ((varied, flat), (flat, varied), (flat, flat)):
        np.testing.assert_allclose(value(loss, fixed, moved), 1, atol=1e-5)
        slope = numeric.gradient(lambda m, f=fixed: loss(f, m), moved)
        assert np.isfinite(slope).all()
        if loss is losses.ncc_loss:
            np.testing.assert_array_equal(slope, 0)


def test_a_flat_half_of_the_image_leaves_local_ncc_finite():
    fixed, moved = noise(3, 0), noise(3, 1)
    fixed[:, :3], moved[:, :3] = 0, 0
    expected = [
        1 - np.mean(local_ncc_by_loops(f[..., 0], m[..., 0], 3))
        for f, m in zip(fixed, moved, strict=True)
    ]
    # In float32 the variance of a flat window is off by 1e-8, beside the 1e-5 added.
    result = value(losses.lncc_loss, fixed, moved, 3)
    np.testing.assert_allclose(result, expected, rtol=1e-3)
    slope = numeric.gradient(lambda m: losses.lncc_loss(fixed, m, 3), moved)
    assert np.isfinite(slope).all()


def test_nan_in_one_image_spoils_the_loss_of_its_own_pair_only():
    fixed, moved = noise(2, 0), noise(2, 1)
    moved[1, 3, 2] = np.nan
    for loss in (losses.mse, losses.ncc_loss, losses.lncc_loss):
        result = value(loss, fixed, moved)
        assert np.isfinite(result[0]) and np.isnan(result[1])


@pytest.mark.parametrize("loss", [losses.mse, losses.ncc_loss, losses.lncc_loss])
def test_an_empty_batch_has_no_losses(loss):
    assert value(loss, noise(2, 0)[:0], noise(2, 1)[:0]).shape == (0,)


def test_soft_dice_counts_overlap_channel_by_channel():
    fixed, moved = np.zeros((2, 1, 2, 4, 2), "float32")
    fixed[..., :2, 0], moved[..., 1:3, 0] = 1, 1
    # First label: 4 and 4 voxels, 2 in common; the second is in neither.
    result = value(losses.dice_loss, fixed, moved)
    np.testing.assert_allclose(result, [1 - (0.5 + 1) / 2], atol=1e-5)
    np.testing.assert_allclose(value(losses.dice_loss, fixed, fixed), 0, atol=1e-6)


def test_smoothness_of_a_parabola_is_the_one_worked_by_hand():
    field = np.zeros((1, 4, 3, 2), "float32")
    field[..., 0] = np.float32([0, 1, 4, 9])[None, :, None]
    # First differences 1 3 5 on one axis in one of two components: 35/3/2/2.
    # Second differences 2 2: 4/2/2, the mixed ones and the other axis 0.
    np.testing.assert_allclose(value(losses.smoothness, field), 35 / 12, 1e-6)
    np.testing.assert_allclose(value(losses.smoothness, field, "bending"), 1, 1e-6)


def test_mixed_second_differences_count_twice():
    field = np.zeros((1, 3, 3, 2), "float32")
    field[..., 1] = np.outer([0, 1, 2], [0, 1, 2])
    # x * y has mixed differences 1 and no others: twice 1/2 over two axes.
    np.testing.assert_allclose(value(losses.smoothness, field, "bending"), 0.5, 1e-6)


@both_dimensions
def test_constant_fields_are_smooth_and_affine_ones_do_not_bend(ndim):
    axes = np.meshgrid(*map(np.arange, SHAPES[ndim]), indexing="ij")
    grid = np.stack(axes, -1)[None].astype("float32")
    for kind in ("diffusion", "bending"):
        assert value(losses.smoothness, np.ones_like(grid), kind) == 0
    assert value(losses.smoothness, 0.5 * grid, "bending") == 0
    # A field that grows by 0.5 along its own axis only.
    np.testing.assert_allclose(value(losses.smoothness, 0.5 * grid), 0.25 / ndim, 1e-6)


@both_dimensions
@pytest.mark.parametrize("kind", ["diffusion", "bending"])
def test_gradients_of_smoothness_are_difference_quotients(ndim, kind):
    field = np.random.default_rng(3).normal(size=(2, *SHAPES[ndim], ndim))
    numeric.assert_gradient(lambda u: losses.smoothness(u, kind), field)


IMAGE = np.zeros((1, 4, 3, 1), "float32")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.mse(IMAGE, IMAGE[:, 1:]), r"\(1, 4, 3, 1\) and \(1, 3, 3, 1\)"),
        (lambda: losses.ncc_loss(IMAGE[0, 0], IMAGE[0, 0]), r"\(3, 1\) and \(3, 1\)"),
        (lambda: losses.lncc_loss(IMAGE, IMAGE[:, :, 1:]), "Received:"),
        (lambda: losses.dice_loss(IMAGE, IMAGE[..., [0, 0]]), "Received:"),
        (lambda: losses.lncc_loss(IMAGE, IMAGE, 4), "Received: 4"),
        (lambda: losses.lncc_loss(IMAGE, IMAGE, -1), "Received: -1"),
        (lambda: losses.smoothness(IMAGE, "elastic"), "Received: 'elastic'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
