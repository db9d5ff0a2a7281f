import numpy as np
import pytest

from registration import show
from registration.show import geometry, montage

SAGITTAL, CORONAL, AXIAL = geometry.PLANES


def test_slices_show_right_on_the_right_and_superior_above():
    volume = np.zeros((20, 24, 28), "float32")
    volume[15:, :, 20:] = 1
    coronal = geometry.cut(volume, CORONAL, 12)
    assert coronal.shape == (28, 20)
    rows, columns = np.nonzero(coronal)
    assert columns.min() == 15 and rows.max() == 7
    volume = np.zeros((20, 24, 28), "float32")
    volume[:, 18:, :] = 1
    sagittal, axial = (geometry.cut(volume, p, 3) for p in (SAGITTAL, AXIAL))
    assert np.nonzero(sagittal)[1].min() == 18
    assert np.nonzero(axial)[0].max() == 5


@pytest.mark.parametrize("size", [7, 8])
def test_zero_millimetres_is_the_centre_of_the_grid(size):
    index = geometry.to_index(0.0, size, 2.0)
    assert abs((index + 0.5 - size / 2) * 2.0) <= 1.0


def test_a_picture_and_a_slider_cut_at_the_same_voxel():
    volume = np.random.default_rng(0).random((7, 8, 9)).astype("float32")
    steps, at = (2.0, 3.0, 4.0), (3.1, -4.0, 9.0)
    figure = show.planes(volume, steps, at=at)
    drawn = [np.asarray(ax.images[0].get_array()) for ax in figure.axes]
    beside = montage.laid_out(volume, 1.0, np.divide(at, steps))
    widths = np.cumsum([image.shape[1] + montage.GAP for image in drawn])
    parts = np.split(beside, widths[:-1], axis=1)
    for image, part in zip(drawn, parts, strict=True):
        above = (len(part) - len(image)) // 2
        found = part[above : above + len(image), : image.shape[1]]
        np.testing.assert_array_equal(found, image)


def test_an_index_and_its_millimetres_are_inverse():
    for size, step in ((7, 2.0), (8, 1.5)):
        for index in range(size):
            millimetres = geometry.to_mm(index, size, step)
            assert geometry.to_index(millimetres, size, step) == index


def test_millimetres_beyond_the_volume_are_its_last_voxel():
    assert geometry.to_index(-1e6, 7, 2.0) == 0
    assert geometry.to_index(1e6, 7, 2.0) == 6


def test_letters_are_those_of_the_ends_of_a_ras_volume():
    assert [plane.letters for plane in geometry.PLANES] == [
        ("P", "A", "S"),
        ("L", "R", "S"),
        ("L", "R", "A"),
    ]


def test_a_position_just_below_zero_has_no_sign():
    assert geometry.position(AXIAL, -0.4) == "z = 0 mm"
    assert geometry.position(SAGITTAL, -12.0) == "x = \u221212 mm"


def test_a_view_repeats_the_longer_voxels_until_pixels_are_square():
    volume = np.arange(12.0).reshape(2, 3, 2)
    view = geometry.view(volume, AXIAL, 0, (1.0, 2.0, 1.0))
    plane = geometry.cut(volume, AXIAL, 0)
    np.testing.assert_array_equal(view, plane.repeat(2, axis=0))


@pytest.mark.parametrize("voxel_mm", [0, (1, 2), (1, 2, -3), (1, np.nan, 1)])
def test_a_voxel_size_that_is_none_is_refused(voxel_mm):
    with pytest.raises(ValueError, match="Received: "):
        show.planes(np.zeros((3, 3, 3)), voxel_mm)
    with pytest.raises(ValueError, match="Received: "):
        show.slices(np.zeros((3, 3, 3)), voxel_mm)
