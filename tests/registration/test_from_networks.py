import numpy as np
import pytest

from helpers import transforms
from registration import scorecard, transform
from registration.scans import grid as grids
from registration.scans import scan as scans

# No cubic voxels, an oblique grid and three different sides: a swapped axis, a sign or
# a unit that is wrong cannot pass.
TURN = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]])


def oblique():
    affine = np.eye(4)
    affine[:3, :3] = TURN * [2.0, 2.5, 3.0]
    affine[:3, 3] = [-7.0, 11.0, 5.0]
    return grids.Grid((9, 8, 7), affine)


def voxel_points(grid, displacement):
    """Return where a displacement in voxels leads, in RAS mm."""
    voxels = np.asarray(transforms.points(displacement))[0]
    return voxels @ grid.affine[:3, :3].T + grid.affine[:3, 3]


def test_an_affine_of_a_network_moves_points_as_its_displacement_does():
    grid, rng = oblique(), np.random.default_rng(0)
    affine = (np.eye(3, 4) + rng.normal(0, 0.1, (3, 4))).astype("float32")
    spacing = tuple(grid.spacing)
    field = transforms.affine_displacement(affine[None], grid.shape, spacing)
    found = transform.Transform.from_centred(affine, grid)
    # In millimetres; the displacement is float32.
    np.testing.assert_allclose(
        found.points(grid.points()), voxel_points(grid, field), atol=1e-4
    )


def test_a_displacement_of_a_network_moves_points_as_it_does_voxels():
    grid, rng = oblique(), np.random.default_rng(1)
    displacement = rng.normal(0, 1, (1, *grid.shape, 3)).astype("float32")
    field = transform.Field.from_voxels(grid, displacement[0])
    # In millimetres; the points are float32.
    np.testing.assert_allclose(
        field.points(grid.points()), voxel_points(grid, displacement), atol=1e-4
    )
    np.testing.assert_allclose(field.voxels(), displacement[0], atol=1e-6)


def test_a_displacement_of_another_shape_than_the_grid_is_refused():
    with pytest.raises(ValueError, match=r"Received: \(2, 2, 2, 3\)"):
        transform.Field.from_voxels(oblique(), np.zeros((2, 2, 2, 3)))


def labelled(first, labels=True):
    """Return a scan whose only region, of 8 x 8 x 8 voxels, begins at `first`."""
    volume = np.zeros((24, 12, 12), "uint8")
    volume[first : first + 8, 2:10, 2:10] = 3
    known = {"labels": volume} if labels else {"mask": volume > 0}
    return scans.Scan(volume.astype("float32"), np.eye(4), **known)


def test_the_overlap_of_two_scans_is_that_of_their_regions_and_of_their_brains():
    found = scorecard.overlap(labelled(4), labelled(6))
    assert found == {"dice": 0.75, "brain_dice": 0.75}


def test_without_labels_the_dice_is_not_a_number_and_the_brains_are_compared():
    found = scorecard.overlap(labelled(4), labelled(6, labels=False))
    assert np.isnan(found["dice"])
    assert found["brain_dice"] == 0.75


def test_the_scorecard_leaves_out_a_column_that_no_pair_has_a_value_for(monkeypatch):
    monkeypatch.delenv("REGISTRATION_BUILD", raising=False)
    nothing = np.full(2, np.nan)
    rows = {"before": {"dice": nothing, "brain_dice": np.array([0.5, 0.7])}}
    shown = scorecard.table("00_test", rows)
    assert list(shown.frame.columns) == ["brain-mask Dice", "pairs"]
    assert list(shown.frame["pairs"]) == [2]
