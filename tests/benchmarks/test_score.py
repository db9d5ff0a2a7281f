import dataclasses

import nibabel
import numpy as np
import pytest

from benchmarks.accuracy import pairs, score
from registration import transform
from registration.scans import scan as scans
from registration.scans.sources import ixi

OBLIQUE = pairs.rigid_motion((1, 2, 3), 25, (5, -7, 11), np.zeros(3)) @ np.diag(
    [2.0, 1.5, 3.0, 1.0]
)


def head(shape=(28, 22, 26), affine=OBLIQUE, seed=0):
    """Make a scan with four labels inside an ellipsoid, and nothing around it."""
    grid = np.moveaxis(np.indices(shape), 0, -1)
    middle = (np.array(shape) - 1) / 2
    inside = (((grid - middle) / (middle - 3)) ** 2).sum(-1) < 1
    labels = 1 + 2 * (grid[..., 0] > middle[0]) + (grid[..., 2] > middle[2])
    labels = np.where(inside, labels, 0).astype("int32")
    noise = np.random.default_rng(seed).uniform(1, 2, shape).astype("float32")
    return scans.Scan(noise * inside, affine, labels, name="head")


def world(matrix):
    return transform.Transform([matrix])


def bent(scan, points, back=None):
    """Return the transform that carries the scan's voxels to some points."""
    start = scan.grid.points()
    field = (points - start).astype("float32")
    back = None if back is None else np.broadcast_to(back, field.shape)
    return transform.Transform([transform.Field(scan.grid, field, back)])


def test_a_scan_registered_to_itself_by_the_identity_scores_perfectly():
    scan = head()
    scores = score.score(scan, scan, world(np.eye(4)))
    assert scores["dice"] == scores["brain_dice"] == 1
    np.testing.assert_allclose(scores["ncc"], 1, rtol=1e-6)
    assert scores["folding"] == scores["folding_grid"] == 0
    # Float32 points: a hundred millimetres to six digits.
    np.testing.assert_allclose(scores["log_jacobian_sd"], 0, atol=1e-5)
    np.testing.assert_allclose(scores["inverse_mm"], 0, atol=1e-4)


def test_a_shift_by_whole_voxels_of_an_oblique_grid_is_undone_exactly():
    fixed = head()
    shift = (2, -1, 3)
    moving = scans.Scan(
        np.roll(fixed.image, shift, (0, 1, 2)),
        OBLIQUE,
        np.roll(fixed.labels, shift, (0, 1, 2)),
    )
    matrix = np.eye(4)
    matrix[:3, 3] = OBLIQUE[:3, :3] @ shift
    scores = score.score(moving, fixed, world(matrix))
    assert scores["dice"] == scores["brain_dice"] == 1
    # Float32 points leave the linear weights exact to four digits.
    np.testing.assert_allclose(scores["ncc"], 1, atol=1e-4)


def test_a_moved_header_and_the_motion_that_undoes_it_score_perfectly():
    scan = head()
    motion = pairs.random_motion(scan, 40, 30, index=3)
    moved = pairs.move(scan, motion)
    scores = score.score(moved, scan, world(motion))
    assert scores["dice"] == 1
    distance = score.motion_undone_mm(scan, world(np.eye(4)), world(motion), motion)
    np.testing.assert_allclose(distance, 0, atol=1e-4)


def test_motion_left_over_is_measured_in_millimetres():
    scan = head()
    matrix = np.eye(4)
    matrix[:3, 3] = (0, 3, 4)
    still = world(np.eye(4))
    distance = score.motion_undone_mm(scan, still, world(matrix), np.eye(4))
    np.testing.assert_allclose(distance, 5, rtol=1e-5)


def test_a_random_motion_turns_and_shifts_the_brain_by_what_was_asked():
    scan = head()
    motion = pairs.random_motion(scan, 40, 30, index=3)
    cosine = (np.trace(motion[:3, :3]) - 1) / 2
    np.testing.assert_allclose(np.rad2deg(np.arccos(cosine)), 40, rtol=1e-9)
    np.testing.assert_allclose(np.linalg.det(motion[:3, :3]), 1, rtol=1e-9)
    centre = scan.grid.points()[scan.mask].astype("float64").mean(0)
    moved = nibabel.affines.apply_affine(motion, centre)
    np.testing.assert_allclose(np.linalg.norm(moved - centre), 30, rtol=1e-5)


def test_folding_counts_the_slabs_where_the_first_axis_runs_backwards():
    scan = head(affine=np.diag([2.0, 1.5, 3.0, 1.0]))
    points = scan.grid.points()
    points[..., 0] = np.abs(points[..., 0] - 2 * 5)
    scores = score.score(scan, scan, bent(scan, points))
    # Slabs 0 to 4 run backwards; on slab 5 the central difference is zero.
    np.testing.assert_allclose(scores["folding_grid"], 100 * 6 / 28)
    brain = scan.mask
    np.testing.assert_allclose(scores["folding"], 100 * brain[:6].sum() / brain.sum())


def test_the_spread_of_the_log_jacobian_ignores_a_constant_scale():
    scan = head(affine=np.diag([2.0, 1.5, 3.0, 1.0]))
    points = scan.grid.points()
    slab = np.arange(28)
    stretch = np.where(slab < 9, slab, 9 + 3 * (slab - 9))
    points[..., 0] = 2 * stretch[:, None, None]
    points *= np.float32(1.3)
    determinant = np.select([slab < 9, slab == 9], [1, 2], 3) * 1.3**3
    expected = np.broadcast_to(np.log(determinant)[:, None, None], scan.image.shape)
    found = score.score(scan, scan, bent(scan, points))["log_jacobian_sd"]
    np.testing.assert_allclose(found, expected[scan.mask].std(), rtol=1e-5)


def test_the_way_there_and_back_is_measured_in_millimetres():
    scan = head()
    found = bent(scan, scan.grid.points(), back=np.float32([0, 3, 4]))
    scores = score.score(scan, scan, found)
    np.testing.assert_allclose(scores["inverse_mm"], 5, rtol=1e-5)


def test_landmarks_are_followed_between_the_voxels_of_an_oblique_grid():
    fixed = head()
    voxels = np.random.default_rng(4).uniform(2, 18, (40, 3))
    places = nibabel.affines.apply_affine(OBLIQUE, voxels)
    matrix = pairs.rigid_motion((1, 0, 2), 15, (2, 1, 3), np.zeros(3))
    matrix[0, 1] += 0.1
    fixed = dataclasses.replace(fixed, landmarks=places)
    moved = nibabel.affines.apply_affine(matrix, places)
    moving = dataclasses.replace(fixed, landmarks=moved)
    scores = score.score(moving, fixed, world(matrix))
    np.testing.assert_allclose(scores["tre_mm"], 0, atol=1e-4)
    matrix[:3, 3] += (0, 3, 4)
    scores = score.score(moving, fixed, world(matrix))
    np.testing.assert_allclose(scores["tre_mm"], 5, rtol=1e-5)


def test_a_fixed_scan_without_a_large_label_is_an_error():
    scan = head(shape=(12, 12, 12))
    with pytest.raises(ValueError, match="200 voxels"):
        score.score(scan, scan, world(np.eye(4)))


def test_a_scan_without_labels_cannot_be_scored():
    bare = dataclasses.replace(head(), labels=None, name="bare")
    with pytest.raises(ValueError, match="with labels is needed. Received: bare"):
        score.score(bare, head(), world(np.eye(4)))


def test_every_test_scan_moves_once_and_is_fixed_once():
    chosen = pairs.any_pairs()
    names = sorted(pairs.split_names("test"))
    assert len(names) == 25
    assert sorted(pair.moving for pair in chosen) == names
    assert sorted(pair.fixed for pair in chosen) == names
    assert all(pair.moving != pair.fixed for pair in chosen)
    assert chosen != pairs.any_pairs(seed=1)


def test_the_fixed_scan_of_the_cohort_has_118_labels_that_count():
    (chosen,) = (one for one in ixi.subjects() if one.split == "fixed")
    if not chosen.labels.exists():
        pytest.skip("the ixi cohort is not in the cache")
    counts = np.bincount(pairs.scan(chosen.id).labels.ravel())
    assert (counts[1:] >= 200).sum() == 118
