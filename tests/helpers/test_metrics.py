import warnings

import numpy as np
import pytest

from helpers import metrics, sampling

FIXED = np.array([[1, 1, 2], [1, 1, 2], [0, 3, 3]])
MOVED = np.array([[1, 1, 1], [1, 0, 2], [0, 0, 0]])


def test_ncc_is_the_correlation_of_each_pair_and_zero_for_a_constant():
    generator = np.random.default_rng(0)
    fixed, moved = generator.random((2, 3, 5, 4, 1))
    moved[1], moved[2] = 1 - 2 * fixed[1], 0.5
    expected = [np.corrcoef(fixed[0].ravel(), moved[0].ravel())[0, 1], -1, 0]
    np.testing.assert_allclose(metrics.ncc(fixed, moved), expected, atol=1e-12)


def test_dice_of_every_label_is_twice_the_overlap_over_both_sizes():
    assert metrics.dice(FIXED, MOVED) == {1: 2 * 3 / 8, 2: 2 * 1 / 3, 3: 0.0}
    chosen = metrics.dice(FIXED, MOVED, labels=[1, 7])
    assert chosen[1] == 0.75 and np.isnan(chosen[7])
    assert metrics.dice(FIXED, FIXED) == {1: 1.0, 2: 1.0, 3: 1.0}


def test_dice_of_masks_is_that_of_the_label_true():
    assert metrics.dice(FIXED == 1, MOVED == 1) == {1: 0.75}


def test_mean_dice_leaves_out_the_background_and_small_labels():
    assert metrics.mean_dice(FIXED, MOVED, min_voxels=3) == 0.75
    all_three = metrics.mean_dice(FIXED, MOVED, min_voxels=1)
    np.testing.assert_allclose(all_three, (0.75 + 2 / 3 + 0) / 3)


def test_tre_is_the_distance_of_corresponding_points():
    fixed = np.float32([[0, 0, 0], [1, 2, 3]])
    np.testing.assert_array_equal(metrics.tre(fixed, fixed + [3, 4, 0]), [5, 5])


def test_folding_counts_the_voxels_whose_determinant_is_not_positive():
    field = np.zeros((2, 4, 3, 2), "float32")
    # The rows fetch rows 0, 3, 0, 3: determinants 3, 0, 0, 3.
    field[1, 1, :, 0], field[1, 2, :, 0] = 2, -2
    result = metrics.folding(field)
    np.testing.assert_array_equal(result["folded_percent"], [0, 50])
    np.testing.assert_allclose(result["log_jacobian_sd"], 0, atol=1e-7)


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_spread_of_the_log_determinant_is_that_of_the_stretches(ndim):
    shape = (6, 4, 5)[:ndim]
    field = np.zeros((1, *shape, ndim), "float32")
    # The first axis is fetched from 0 1 2 3 5 7: stretched by 1 1 1 1.5 2 2.
    rows = np.float32([0, 0, 0, 0, 1, 2])
    field[..., 0] = rows.reshape(1, -1, *[1] * (ndim - 1))
    expected = np.std(np.log([1, 1, 1, 1.5, 2, 2]))
    result = metrics.folding(field)
    np.testing.assert_allclose(result["log_jacobian_sd"], [expected], rtol=1e-6)


def test_a_field_that_folds_everywhere_has_no_spread_and_gives_no_warning():
    field = -2 * sampling.identity_grid((4, 3))[None]
    field[..., 1] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        result = metrics.folding(field)
    assert result["folded_percent"] == 100
    assert np.isnan(result["log_jacobian_sd"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.ncc(np.zeros((1, 3)), np.zeros((1, 4))), "Received"),
        (lambda: metrics.dice(FIXED, MOVED[1:]), r"\(3, 3\) and \(2, 3\)"),
        (lambda: metrics.dice(FIXED, MOVED + 0.5), "float64"),
        (lambda: metrics.mean_dice(FIXED, MOVED), "the largest 4"),
        (lambda: metrics.tre(np.zeros((2, 3)), np.zeros((3, 3))), "Received"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
