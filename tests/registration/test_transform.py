import nibabel
import numpy as np
import pytest
import scipy.ndimage

from registration import transform
from registration.scans import grid as grids
from registration.scans import scan as scans
from tests.registration import heads

Transform, Field = transform.Transform, transform.Field
UNIT = grids.Grid((5, 4, 3), np.eye(4))
SHEAR = np.array(
    [[1.1, 0.2, 0, 3], [-0.1, 0.9, 0.05, -2], [0, 0.1, 1, 5], [0, 0, 0, 1]]
)


def volume(shape=(5, 4, 3), seed=0):
    return np.random.default_rng(seed).random(shape, "float32")


def some_points(count=50, seed=1):
    return np.random.default_rng(seed).uniform(-10, 10, (count, 3))


def test_the_empty_transform_moves_nothing():
    points = some_points()
    np.testing.assert_array_equal(Transform().points(points), points)
    scan = scans.Scan(volume(), np.eye(4))
    np.testing.assert_array_equal(Transform().apply(scan, UNIT).image, scan.image)


def test_an_integer_shift_fetches_the_voxel_that_far_away():
    shift = np.eye(4)
    shift[:3, 3] = [2, -1, 0]
    scan = scans.Scan(volume(), np.eye(4), labels=np.arange(60).reshape(5, 4, 3))
    moved = Transform([shift]).apply(scan, UNIT)
    np.testing.assert_array_equal(moved.image[:3, 1:], scan.image[2:, :3])
    np.testing.assert_array_equal(moved.labels[:3, 1:], scan.labels[2:, :3])
    assert not moved.image[3:].any() and not moved.labels[:, 0].any()
    assert moved.labels.dtype == scan.labels.dtype


def test_the_right_factor_of_a_product_is_applied_first():
    turn, shift = heads.turned(90), np.eye(4)
    shift[:3, 3] = [1, 0, 0]
    point = np.array([[2.0, 0, 0]])
    first_shift = Transform([turn]) @ Transform([shift])
    first_turn = Transform([shift]) @ Transform([turn])
    np.testing.assert_allclose(first_shift.points(point), [[0, 3, 0]], atol=1e-12)
    np.testing.assert_allclose(first_turn.points(point), [[1, 2, 0]], atol=1e-12)


def test_a_product_with_fields_is_followed_from_point_to_point():
    grid = heads.oblique()
    first, second = heads.bump(grid, [2, 1, -1]), heads.bump(grid, [-1, 3, 0.5])
    inner = Transform([first, SHEAR])
    outer = Transform([heads.turned(30), second])
    points = grid.points()
    expected = outer.points(inner.points(points))
    np.testing.assert_allclose((outer @ inner).points(points), expected, atol=1e-5)
    assert len((outer @ inner).parts) == 3


def test_matrices_that_follow_each_other_become_one():
    found = Transform([SHEAR, heads.turned(10)])
    assert len(found.parts) == 1
    np.testing.assert_array_equal(found.affine, heads.turned(10) @ SHEAR)
    assert found.is_affine


def test_a_field_moves_the_point_on_a_voxel_by_what_is_stored_there():
    grid = heads.oblique()
    field = Field(grid, volume((*grid.shape, 3)))
    place = nibabel.affines.apply_affine(grid.affine, [3, 4, 2])
    # float32 vectors of order 1.
    np.testing.assert_allclose(
        field.points(place[None])[0] - place, field.displacement[3, 4, 2], atol=1e-6
    )


def test_beyond_its_grid_a_field_goes_on_with_its_edge():
    field = Field(UNIT, volume((5, 4, 3, 3)))
    moved = field.points(np.array([[-50.0, 2, 1], [0.0, 2, 1]]))
    np.testing.assert_allclose(moved[0] - [-50, 2, 1], moved[1] - [0, 2, 1], atol=1e-6)


def test_a_field_in_voxels_times_its_grid_is_the_field_in_millimetres():
    grid = heads.oblique()
    field = heads.bump(grid, [3, 1, -2])
    back = field.voxels() @ grid.affine[:3, :3].T
    np.testing.assert_allclose(back, field.displacement, atol=1e-6)


def test_the_inverse_of_a_chain_undoes_it():
    grid = heads.oblique((20, 20, 20))
    chain = Transform(
        [heads.bump(grid, [2, 1, -1]), SHEAR, heads.bump(grid, [1, 1, 1])]
    )
    points = grid.points()[4:-4, 4:-4, 4:-4].astype("float64")
    back = chain.inverse().points(chain.points(points))
    # Both fields are interpolated between voxels of 1.5 to 3 mm; what one misses the
    # matrix and the other do not take back.
    assert np.linalg.norm(back - points, axis=-1).max() < 0.05


def test_on_its_voxels_the_found_way_back_solves_its_equation():
    grid = heads.oblique((20, 20, 20))
    field = heads.bump(grid, [2, 1, -1])
    voxels = grid.points().astype("float64")
    there = field.points(field.inverse().points(voxels))
    # The iteration stops at a thousandth of a voxel of 1.5 mm.
    assert np.linalg.norm(there - voxels, axis=-1).max() < 2e-3


def test_a_known_way_back_is_taken_and_leads_forth_again():
    there, back = volume((5, 4, 3, 3)), volume((5, 4, 3, 3), 2)
    inverse = Field(UNIT, there, back).inverse()
    assert inverse.displacement is back and inverse.inverse().displacement is there


def test_a_field_that_folds_has_no_inverse_and_says_so():
    folding = 20 * volume((5, 4, 3, 3)) - 10
    with pytest.raises(ValueError, match="folds.*Received: .* voxels left"):
        Field(UNIT, folding).inverse()


def test_a_singular_matrix_has_no_inverse():
    with pytest.raises(ValueError, match="singular.*Received"):
        Transform([np.diag([1.0, 1, 0, 1])]).inverse()


def test_an_image_is_interpolated_once_however_long_the_chain():
    half = np.eye(4)
    half[0, 3] = 0.5
    scan = scans.Scan(volume(), np.eye(4))
    there_and_back = Transform([np.linalg.inv(half)]) @ Transform([half])
    np.testing.assert_array_equal(there_and_back.apply(scan, UNIT).image, scan.image)


def test_an_image_through_a_turn_is_what_scipy_makes_of_it():
    here, there = heads.oblique((12, 10, 9)), heads.oblique(spacing=(2, 1.5, 1.5))
    scan, matrix = (
        scans.Scan(volume(here.shape), here.affine),
        heads.turned(5, (1, 2, 3)),
    )
    to_voxels = np.linalg.inv(here.affine) @ matrix @ there.affine
    expected = scipy.ndimage.affine_transform(
        scan.image, to_voxels[:3, :3], to_voxels[:3, 3], there.shape, order=1,
        mode="grid-constant",
    )  # fmt: skip
    assert (expected > 0).mean() > 0.5
    moved = Transform([matrix]).apply(scan, there).image
    # Points are kept in float32: some 1e-6 of 20 mm.
    np.testing.assert_allclose(moved, expected, atol=1e-5)


def test_on_a_coarser_grid_the_detail_between_its_voxels_is_averaged():
    fine = scans.Scan(volume((8, 6, 4)), np.eye(4))
    coarse = grids.Grid((4, 3, 2), np.diag([2.0, 2, 2, 1]))
    coarse.affine[:3, 3] = 0.5
    moved = Transform().apply(fine, coarse).image
    expected = fine.image.reshape(4, 2, 3, 2, 2, 2).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(moved, expected, atol=1e-6)


def test_large_grids_are_filled_slab_by_slab_without_a_seam(monkeypatch):
    scan, grid = scans.Scan(volume((12, 10, 9)), SHEAR), heads.oblique()
    chain = Transform([heads.bump(grid, [2, 1, -1]), heads.turned(10)])
    whole = chain.apply(scan, grid).image
    monkeypatch.setattr(transform, "ROWS_AT_ONCE", 100)
    np.testing.assert_array_equal(chain.apply(scan, grid).image, whole)


@pytest.mark.parametrize("fine", [(12, 10, 9), (60, 50, 44)])
def test_a_field_along_the_grids_axes_is_read_as_point_by_point(fine):
    box = grids.Grid((11, 12, 10), np.diag([2.0, 2, 2, 1]))
    place = np.diag([-0.7, 0.6, 0.5, 1.0])
    place[:3, 3] = [16, -3, -2]
    grid, scan = grids.Grid(fine, place), scans.Scan(volume((20, 24, 22)), np.eye(4))
    field = Field(box, 3 * volume((*box.shape, 3), 4) - 1)
    found = Transform([field, SHEAR])
    points = found.points(grid.points().astype("float64"))
    expected = transform.fetch(scan.image, scan.affine, points, "linear")
    assert (expected > 0).mean() > 0.1
    # Weights in float32: 1e-6 of 25 mm, where the noise changes by 1 a mm.
    np.testing.assert_allclose(found.apply(scan, grid).image, expected, atol=1e-4)


def test_landmarks_travel_the_other_way():
    scan = scans.Scan(volume(), np.eye(4), landmarks=some_points())
    found = Transform([SHEAR])
    moved = found.apply(scan, UNIT).landmarks
    np.testing.assert_allclose(found.points(moved), scan.landmarks, atol=1e-9)


def test_points_keep_their_type_and_shape():
    points = some_points().astype("float32").reshape(5, 10, 3)
    moved = Transform([SHEAR]).points(points)
    assert moved.dtype == "float32" and moved.shape == points.shape


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Transform([np.eye(3)]), r"\(4, 4\)"),
        (lambda: Transform([np.full((4, 4), np.nan)]), "finite"),
        (lambda: Field(UNIT, np.zeros((5, 4, 3))), r"\(5, 4, 3, 3\).*Received"),
        (lambda: Field(UNIT, np.zeros((5, 4, 3, 3)), np.zeros(3)), "back must be"),
        (lambda: Transform().points(np.zeros((4, 2))), r"Received: \(4, 2\)"),
        (
            lambda: transform.fetch(volume(), np.eye(4), np.zeros((1, 3)), "cubic"),
            "Received: 'cubic'",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
