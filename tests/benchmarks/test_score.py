import dataclasses

import numpy as np
import pytest

from benchmarks import pairs, scans, score
from helpers import metrics

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
    return scans.Scan("head", noise * inside, affine, labels)


def registration(points, inverse=None):
    return score.Registration(points, 0.0, 0.0, 0.0, inverse=inverse)


def test_a_scan_registered_to_itself_by_the_identity_scores_perfectly():
    scan = head()
    scores = score.score(scan, scan, score.linear(np.eye(4), scan))
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
        "moving",
        np.roll(fixed.image, shift, (0, 1, 2)),
        OBLIQUE,
        np.roll(fixed.labels, shift, (0, 1, 2)),
    )
    matrix = np.eye(4)
    matrix[:3, 3] = OBLIQUE[:3, :3] @ shift
    points = score.linear(matrix, fixed).points
    labels = score.fetch(moving.labels, OBLIQUE, points, "nearest")
    np.testing.assert_array_equal(labels, fixed.labels)
    # Float32 points leave the linear weights exact to four digits.
    image = score.fetch(moving.image, OBLIQUE, points, "linear")
    np.testing.assert_allclose(image, fixed.image, atol=1e-3)


def test_a_moved_header_and_the_motion_that_undoes_it_score_perfectly():
    scan = head()
    motion = pairs.random_motion(scan, 40, 30, index=3)
    moved = scans.move(scan, motion)
    scores = score.score(moved, scan, score.linear(motion, scan))
    assert scores["dice"] == 1
    still, found = (score.linear(m, scan).points for m in (np.eye(4), motion))
    distance = score.motion_undone_mm(scan, still, found, motion)
    np.testing.assert_allclose(distance, 0, atol=1e-4)


def test_motion_left_over_is_measured_in_millimetres():
    scan = head()
    matrix = np.eye(4)
    matrix[:3, 3] = (0, 3, 4)
    found = score.linear(matrix, scan).points
    still = score.linear(np.eye(4), scan).points
    distance = score.motion_undone_mm(scan, still, found, np.eye(4))
    np.testing.assert_allclose(distance, 5, rtol=1e-5)


def test_a_random_motion_turns_and_shifts_the_brain_by_what_was_asked():
    scan = head()
    motion = pairs.random_motion(scan, 40, 30, index=3)
    cosine = (np.trace(motion[:3, :3]) - 1) / 2
    np.testing.assert_allclose(np.rad2deg(np.arccos(cosine)), 40, rtol=1e-9)
    np.testing.assert_allclose(np.linalg.det(motion[:3, :3]), 1, rtol=1e-9)
    centre = scans.world_grid(scan)[scan.mask].astype("float64").mean(0)
    moved = scans.transform_points(motion, centre)
    np.testing.assert_allclose(np.linalg.norm(moved - centre), 30, rtol=1e-5)


def test_folding_counts_the_slabs_where_the_first_axis_runs_backwards():
    scan = head(affine=np.diag([2.0, 1.5, 3.0, 1.0]))
    points = scans.world_grid(scan)
    points[..., 0] = np.abs(points[..., 0] - 2 * 5)
    scores = score.score(scan, scan, registration(points))
    # Slabs 0 to 4 run backwards; on slab 5 the central difference is zero.
    np.testing.assert_allclose(scores["folding_grid"], 100 * 6 / 28)
    brain = scan.mask
    np.testing.assert_allclose(scores["folding"], 100 * brain[:6].sum() / brain.sum())


def test_the_spread_of_the_log_jacobian_ignores_a_constant_scale():
    scan = head(affine=np.diag([2.0, 1.5, 3.0, 1.0]))
    points = scans.world_grid(scan)
    slab = np.arange(28)
    stretch = np.where(slab < 9, slab, 9 + 3 * (slab - 9))
    points[..., 0] = 2 * stretch[:, None, None]
    points *= np.float32(1.3)
    determinant = np.select([slab < 9, slab == 9], [1, 2], 3) * 1.3**3
    expected = np.broadcast_to(np.log(determinant)[:, None, None], scan.shape)
    found = score.score(scan, scan, registration(points))["log_jacobian_sd"]
    np.testing.assert_allclose(found, expected[scan.mask].std(), rtol=1e-5)


def test_the_way_there_and_back_is_measured_in_millimetres():
    scan = head()
    points = scans.world_grid(scan)
    found = registration(points, lambda positions: positions + (0, 3, 4))
    scores = score.score(scan, scan, found)
    np.testing.assert_allclose(scores["inverse_mm"], 5, rtol=1e-5)


def test_landmarks_are_followed_between_the_voxels_of_an_oblique_grid():
    fixed = head()
    voxels = np.random.default_rng(4).uniform(2, 18, (40, 3))
    places = scans.transform_points(OBLIQUE, voxels)
    matrix = pairs.rigid_motion((1, 0, 2), 15, (2, 1, 3), np.zeros(3))
    matrix[0, 1] += 0.1
    fixed = dataclasses.replace(fixed, landmarks=places)
    moved = scans.transform_points(matrix, places)
    moving = dataclasses.replace(fixed, landmarks=moved)
    scores = score.score(moving, fixed, score.linear(matrix, fixed))
    np.testing.assert_allclose(scores["tre_mm"], 0, atol=1e-4)
    matrix[:3, 3] += (0, 3, 4)
    scores = score.score(moving, fixed, score.linear(matrix, fixed))
    np.testing.assert_allclose(scores["tre_mm"], 5, rtol=1e-5)


def test_small_labels_do_not_count_and_the_mean_is_that_of_the_helpers():
    random = np.random.default_rng(1)
    chances = [0.4, 0.3, 0.25, 0.05]
    fixed, moved = random.choice([0, 3, 7, 90], size=(2, 12, 13, 14), p=chances)
    labels = score.scored_labels(fixed)
    assert labels.tolist() == [3, 7]
    np.testing.assert_allclose(
        score.dice(fixed, moved, labels).mean(),
        metrics.mean_dice(fixed, moved),
        rtol=1e-12,
    )


def test_correlation_is_that_of_the_helpers():
    fixed, moved = np.random.default_rng(2).normal(size=(2, 5, 6, 7))
    expected = metrics.ncc(fixed[None, ..., None], moved[None, ..., None])
    np.testing.assert_allclose(score.ncc(fixed, moved), expected[0], rtol=1e-12)


def test_points_off_the_fixed_grid_are_an_error():
    scan = head()
    with pytest.raises(ValueError, match=r"Received: \(22, 28, 26, 3\)"):
        score.score(scan, scan, registration(np.zeros((22, 28, 26, 3))))


def test_a_fixed_scan_without_a_large_label_is_an_error():
    scan = head(shape=(12, 12, 12))
    with pytest.raises(ValueError, match="200 voxels"):
        score.score(scan, scan, score.linear(np.eye(4), scan))


def test_points_outside_of_the_moving_scan_read_zero():
    ones = np.ones((3, 4, 5), "int32")
    points = np.array([[-0.6, 0, 0], [-0.4, 3.4, 4.4], [0, 0, 4.6]])
    found = score.fetch(ones, np.eye(4), points, "nearest")
    assert found.tolist() == [0, 1, 0]


def test_every_test_scan_moves_once_and_is_fixed_once():
    chosen = pairs.any_pairs()
    names = sorted(pairs.split_names("test"))
    assert len(names) == 25
    assert sorted(pair.moving for pair in chosen) == names
    assert sorted(pair.fixed for pair in chosen) == names
    assert all(pair.moving != pair.fixed for pair in chosen)
    assert chosen != pairs.any_pairs(seed=1)


def test_the_fixed_scan_of_the_cohort_has_118_labels_that_count():
    (name,) = pairs.split_names("fixed")
    if not list(scans.cohort_folder().glob(f"*/{name}*_DLMUSE.nii.gz")):
        pytest.skip("the ixi cohort is not in the cache")
    assert len(score.scored_labels(scans.cohort_scan(name).labels)) == 118
