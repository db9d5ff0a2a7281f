import numpy as np
import pytest
from scipy import ndimage

from registration import pieces


def noise(shape, share):
    return np.random.default_rng(0).random(shape) < share


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 0.8, 1.0])
@pytest.mark.parametrize("border", [0, 3])
def test_holes_are_filled_as_scipy_fills_them(share, border):
    mask = np.pad(noise((12, 9, 10), share), border)
    expected = ndimage.binary_fill_holes(mask)
    np.testing.assert_array_equal(pieces.filled(mask), expected)
    if share == 0.8:
        assert expected.sum() > mask.sum()


def test_the_largest_piece_is_kept_and_corners_do_not_join():
    mask = np.zeros((9, 8, 7), bool)
    mask[1:3, 1:3, 1:3] = True
    mask[3:6, 3:6, 3:6] = True
    kept = pieces.largest(mask)
    assert kept.sum() == 27 and kept[3:6, 3:6, 3:6].all()
    assert not pieces.largest(np.zeros((3, 3, 3), bool)).any()


def test_the_box_holds_what_is_set():
    mask = np.zeros((9, 8, 7), bool)
    mask[2, 3, 4] = mask[5, 3, 6] = True
    assert pieces.box(mask) == (slice(2, 6), slice(3, 4), slice(4, 7))
