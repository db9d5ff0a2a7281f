import nibabel
import nibabel.processing
import numpy as np
import pytest
from scipy import ndimage

from registration.scans import grid as grids
from registration.scans import intensity
from tests.scans.heads import ROTATED, SHAPE, blob, world


@pytest.mark.parametrize("voxel_mm", [1, 1.5, 2, 3, 4, 8])
def test_the_grid_has_sides_divisible_by_16_and_holds_the_scan(voxel_mm):
    made = grids.around(grids.Grid(SHAPE, ROTATED), voxel_mm)
    assert all(n % 16 == 0 for n in made.shape)
    np.testing.assert_allclose(made.centre, grids.Grid(SHAPE, ROTATED).centre)
    inside = world(ROTATED, SHAPE).reshape(-1, 3)
    index = nibabel.affines.apply_affine(np.linalg.inv(made.affine), inside)
    assert (index >= -0.5).all() and (index <= np.array(made.shape) - 0.5).all()


def test_the_grids_of_1_2_and_4_mm_span_the_same_box():
    psr = np.array([[0, 0, 2.0, -88], [-2, 0, 0, 118], [0, 2, 0, -135], [0, 0, 0, 1]])
    made = [grids.around(grids.Grid((120, 120, 90), psr), v) for v in (1.0, 2.0, 4.0)]
    assert [g.shape for g in made] == [(192, 256, 256), (96, 128, 128), (48, 64, 64)]
    for g in made:
        corner = nibabel.affines.apply_affine(g.affine, [-0.5, -0.5, -0.5])
        np.testing.assert_allclose(corner, [-95.0, -129.0, -144.0])


@pytest.mark.parametrize("voxel_mm", [0.1, 40, -2, float("nan")])
def test_an_impossible_voxel_size_is_refused(voxel_mm):
    with pytest.raises(ValueError, match="voxel_mm must lie in"):
        grids.around(grids.Grid(SHAPE, ROTATED), voxel_mm)


@pytest.mark.parametrize("voxel_mm", [3.0, 6.0, 12.0])
def test_a_ramp_in_the_world_stays_that_ramp_on_any_grid(voxel_mm):
    slope = np.array([0.3, -0.2, 0.5])
    ramp = world(ROTATED, SHAPE) @ slope
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = grids.Grid(SHAPE, ROTATED).centre - 1.5 * voxel_mm
    grid = grids.Grid((4, 4, 4), affine)
    expected = world(affine, (4, 4, 4)) @ slope
    # float32 of values up to 40.
    np.testing.assert_allclose(grids.resample(ramp, ROTATED, grid), expected, atol=2e-5)


@pytest.mark.parametrize("order", [0, 1])
def test_a_scan_lands_on_the_grid_where_nibabel_puts_it(order):
    data = (blob() * 200).astype("float32" if order else "uint8")
    grid = grids.around(grids.Grid(SHAPE, ROTATED), 4.0)
    oracle = nibabel.processing.resample_from_to(
        nibabel.Nifti1Image(data, ROTATED), (grid.shape, grid.affine), order=order
    ).get_fdata()
    # Half a voxel beyond the outer voxel centres the two end in different ways.
    inner = ndimage.binary_erosion(oracle > 0, iterations=2)
    if order:
        found = grids.resample(data, ROTATED, grid)
        np.testing.assert_allclose(found[inner], oracle[inner], rtol=1e-4, atol=1e-4)
    else:
        found = grids.resample_labels(data, ROTATED, grid)
        np.testing.assert_array_equal(found[inner], oracle[inner])


def test_detail_too_fine_for_the_grid_is_averaged_not_aliased():
    board = (np.indices((32, 32, 32)).sum(0) % 2).astype("float32")
    fine = np.diag([2.0, 2.0, 2.0, 1.0])
    coarse = grids.around(grids.Grid(board.shape, fine), 4.0)
    inside = grids.resample_labels(np.ones((32, 32, 32), "uint8"), fine, coarse) > 0
    np.testing.assert_allclose(grids.resample(board, fine, coarse)[inside], 0.5)


def test_intensities_ignore_how_much_air_there_is_and_one_bright_voxel():
    random = np.random.default_rng(0)
    head = random.uniform(300, 1000, (40, 40, 40))
    ranges = []
    for air in (10, 30):
        scan = random.uniform(0, 20, (40 + 2 * air,) * 3)
        scan[air:-air, air:-air, air:-air] = head
        scan[air, air, air] = 1e6
        ranges.append(intensity.window(scan))
    # 1st percentile of the air, about 0.2, and 99.5th of the head, about 996.
    np.testing.assert_allclose(ranges, [[0.2, 996.5]] * 2, atol=4)


def test_otsu_splits_two_heaps_between_them():
    values = np.r_[np.linspace(0, 10, 5000), np.linspace(60, 100, 1000)]
    assert 10 <= intensity.otsu(values) <= 60
