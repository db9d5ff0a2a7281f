import time

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from registration.scans import cohort
from registration.scans import grid as grids
from registration.scans.sources.simulated import head, smooth_warp, template
from registration.scans.sources.simulated import subject as simulate


@pytest.fixture(scope="module")
def made():
    """Make a small simulated cohort at 4 mm."""
    limit = {"train": 3, "test": 1}
    return cohort.load("simulated", 4.0, limit=limit, progress=False)


def random_points(count=200, seed=0):
    random = np.random.default_rng(seed)
    return random.uniform((-95, -130, -150), (95, 120, 95), (count, 3))


def displacement(seed=0, amplitude=6.0):
    random = np.random.default_rng(seed)
    return smooth_warp.gentle(smooth_warp.random_field(random, 3, amplitude, 30))


def voxel_centres(grid):
    index = np.moveaxis(np.indices(grid.shape), 0, -1).reshape(-1, 3)
    return nibabel.affines.apply_affine(grid.affine, index)


def nearest(volume, affine, points):
    """Read a volume at the voxel nearest to each point, by plain indexing."""
    index = nibabel.affines.apply_affine(np.linalg.inv(affine), points)
    index = np.floor(index + 0.5).astype(int)
    inside = ((index >= 0) & (index < volume.shape)).all(axis=1)
    index = np.where(inside[:, None], index, 0)
    return np.where(inside, volume[tuple(index.T)], 0)


def test_the_displacement_is_the_b_spline_that_scipy_evaluates():
    field, points = displacement(), random_points()
    knots = (points - smooth_warp.LOW) / smooth_warp.KNOT_MM
    for axis in range(3):
        oracle = ndimage.map_coordinates(
            field[..., axis], knots.T, order=3, prefilter=False, mode="constant"
        )
        found = smooth_warp.evaluate(field, points)[:, axis]
        np.testing.assert_allclose(found, oracle, atol=1e-12)


def test_the_displacement_is_zero_far_away():
    far = np.array([[1e4, 0, 0], [0, -1e4, 0], [-1e5, 1e5, 1e6]])
    np.testing.assert_array_equal(smooth_warp.evaluate(displacement(), far), 0)


def test_on_a_grid_the_displacement_is_what_it_is_at_points():
    field = displacement()
    axes = [
        np.arange(-90.0, 90, 17),
        np.arange(-120.0, 110, 13),
        np.arange(-140.0, 90, 9),
    ]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    found = smooth_warp.evaluate_on_axes(field, axes)
    expected = smooth_warp.evaluate(field, points).T.reshape(found.shape)
    # float32 of displacements up to 10 mm.
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_the_slope_never_exceeds_its_bound_so_nothing_folds(seed):
    field = displacement(seed, amplitude=12.0)
    points, step = random_points(2000, seed), 1e-4
    columns = []
    for axis in range(3):
        shift = step * np.eye(3)[axis]
        ahead = smooth_warp.evaluate(field, points + shift)
        columns.append((ahead - smooth_warp.evaluate(field, points - shift)) / 2 / step)
    slope = np.stack(columns, axis=-1)
    bound = smooth_warp.steepness(field)
    assert np.linalg.norm(slope, 2, axis=(1, 2)).max() <= bound + 1e-8
    np.testing.assert_allclose(bound, smooth_warp.STEEPEST)
    assert np.linalg.det(np.eye(3) + slope).min() > 0


def test_the_inverse_is_exact_to_a_millionth_of_a_millimetre():
    field, points = displacement(amplitude=12.0), random_points()
    found = smooth_warp.invert(field, points)
    back = found + smooth_warp.evaluate(field, found)
    np.testing.assert_allclose(back, points, atol=1e-8)
    with pytest.raises(ValueError, match="may fold"):
        smooth_warp.invert(3 * field, points)


def test_the_truth_goes_there_and_back(made):
    landmarks = template.landmarks()
    for index in range(3):
        truth = made.train.truth(index)
        np.testing.assert_allclose(
            truth.to_template(truth.landmarks), landmarks, atol=1e-8
        )
        points = random_points(50)
        np.testing.assert_allclose(
            truth.from_template(truth.to_template(points)), points, atol=1e-8
        )


def test_landmarks_lie_inside_the_template_brain_left_and_right_alike():
    parts, landmarks = template.load(), template.landmarks()
    assert 200 < len(landmarks) < 1000
    assert nearest(parts.mask, parts.affine, landmarks).all()
    mirrored = {tuple(p) for p in landmarks * (-1, 1, 1)}
    shared = mirrored & {tuple(p) for p in landmarks}
    assert len(shared) > 0.95 * len(landmarks)


def test_resampling_the_template_through_the_truth_gives_the_subject(made):
    parts = template.load()
    grid = simulate.grid(4.0)
    points = voxel_centres(grid)
    for index in range(3):
        mapped = made.train.truth(index).to_template(points)
        expected = nearest(parts.labels, parts.affine, mapped).reshape(grid.shape)
        found = made.train.labels(index)[0]
        # The grid's own map is rounded to float32: a few ties fall the other way.
        assert np.mean(found != expected) < 1e-4


def test_resampling_one_subject_through_the_truth_gives_another(made):
    fixed, moving = made.fixed.truth(0), made.train.truth(0)
    points = voxel_centres(simulate.grid(4.0))
    labels = made.fixed.labels(0).ravel()
    inside = labels > 0
    there = moving.from_template(fixed.to_template(points[inside]))
    moved = nearest(made.train.labels(0)[0], made.affine, there)
    still = nearest(made.train.labels(0)[0], made.affine, points[inside])
    # Two nearest voxels of 4 mm in tissue sheets as thin as 3 mm.
    assert np.mean(moved > 0) > 0.97
    assert np.mean(moved == labels[inside]) > 0.75
    assert np.mean(still == labels[inside]) < 0.6


def test_unaligned_subjects_are_millimetres_apart_and_the_truth_is_not(made):
    fixed, moving = made.fixed.truth(0), made.train.truth(1)
    apart = np.linalg.norm(fixed.landmarks - moving.landmarks, axis=1)
    assert 3 < apart.mean() < 40
    there = moving.from_template(fixed.to_template(fixed.landmarks))
    np.testing.assert_allclose(there, moving.landmarks, atol=1e-8)


def test_the_skull_does_not_follow_the_truth_of_the_brain(made):
    fixed, moving = made.fixed.truth(0), made.train.truth(0)
    heads = [split.images(0)[0, ..., 0] > 0.2 for split in (made.fixed, made.train)]
    brains = [split.masks(0)[0] for split in (made.fixed, made.train)]
    points = voxel_centres(simulate.grid(4.0))
    around = (ndimage.distance_transform_edt(~brains[0], 4.0) < 25) & ~brains[0]
    there = moving.from_template(fixed.to_template(points[around.ravel()]))
    moved = nearest(heads[1], made.affine, there)
    same = np.mean(moved == heads[0][around])
    assert same < 0.9


def test_the_same_seed_is_the_same_head_at_every_voxel_size():
    fine, coarse = (simulate.subject([5, 1], simulate.grid(v)) for v in (2.0, 4.0))
    blocks = grids.block_mean(fine.scan.image, (2, 2, 2))
    np.testing.assert_allclose(blocks, coarse.scan.image, atol=1e-5)
    np.testing.assert_array_equal(fine.truth.coefficients, coarse.truth.coefficients)


def test_another_seed_is_another_head():
    first, again, other = (simulate.subject(s, simulate.grid(8.0)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.scan.image, again.scan.image)
    assert np.abs(first.scan.image - other.scan.image).max() > 0.3


def test_a_head_has_dark_air_and_fluid_gray_matter_and_white_matter_in_order(made):
    for index in range(3):
        image, labels = made.train.images(index)[0, ..., 0], made.train.labels(index)[0]
        assert image.min() >= 0 and 0.9 < image.max() <= 1
        means = [
            image[np.isin(labels, kinds)].mean() for kinds in ((1,), (2, 3), (4, 5))
        ]
        air = np.median(image[:2])
        assert air < 0.1 < means[0] < means[1] < means[2] < 0.9
        litres = (labels > 0).sum() * 0.004**3 * 1000
        assert 1.0 < litres < 2.2
        assert set(np.unique(labels)) == {0, *template.LABEL_NAMES}


@pytest.mark.parametrize(
    ("contrast", "order"), [("t1", (1, 2, 4)), ("t2", (4, 2, 1)), ("pd", (4, 1, 2))]
)
def test_another_contrast_is_the_same_head_with_other_tissues_bright(contrast, order):
    where = simulate.grid(4.0)
    plain = simulate.subject(3, where, skull=False).scan
    other = simulate.subject(3, where, skull=False, contrast=contrast).scan
    np.testing.assert_array_equal(other.labels, plain.labels)
    np.testing.assert_array_equal(other.landmarks, plain.landmarks)
    assert (other.image == plain.image).all() == (contrast == "t1")
    deep = ndimage.binary_erosion(plain.labels > 0, iterations=2)
    bright = [np.median(other.image[deep & (plain.labels == kind)]) for kind in order]
    assert bright[0] + 0.02 < bright[1] < bright[2] - 0.02


def test_an_unknown_contrast_is_refused():
    with pytest.raises(ValueError, match="t1, t2, pd"):
        simulate.subject(3, simulate.grid(8.0), contrast="flair")


def test_left_labels_lie_on_the_left(made):
    names = made.label_names()
    labels = made.fixed.labels(0)[0]
    for number, name in names.items():
        if name.endswith(("_L", "_R")):
            x = np.argwhere(labels == number)[:, 0].mean() - made.shape[0] / 2
            middle = np.argwhere(labels > 0)[:, 0].mean() - made.shape[0] / 2
            assert (x > middle) == name.endswith("_R"), name


def test_without_skull_nothing_is_left_around_the_brain():
    grid = simulate.grid(4.0)
    whole, bare = (simulate.subject(3, grid, skull=s).scan for s in (True, False))
    np.testing.assert_array_equal(whole.labels, bare.labels)
    far = ndimage.binary_dilation(whole.labels > 0, iterations=2)
    assert bare.image[~far].max() == 0 and whole.image[~far].max() > 0.3
    deep = ndimage.binary_erosion(whole.labels > 0, iterations=2)
    np.testing.assert_array_equal(bare.image[deep], whole.image[deep])


def test_a_subject_at_4_mm_takes_about_a_second():
    grid = simulate.grid(4.0)
    template.load()
    start = time.process_time()
    for seed in range(3):
        simulate.subject(seed, grid)
    # Processor time: what else the machine is doing does not count.
    assert (time.process_time() - start) / 3 < 2


def test_a_simulated_cohort_says_so_and_has_as_many_as_asked_for(made, capsys):
    assert made.source == "simulated"
    assert [len(made.fixed), len(made.train), len(made.test)] == [1, 3, 1]
    assert made.shape == (48, 64, 64)
    native = made.test.native(0)
    np.testing.assert_array_equal(native.image, made.test.images(0)[0, ..., 0])
    np.testing.assert_array_equal(native.affine, made.affine)
    np.testing.assert_array_equal(native.mask, made.test.masks(0)[0])
    np.testing.assert_array_equal(native.landmarks, made.test.truth(0).landmarks)
    assert np.isnan(made.train.ages).all()


def test_distances_meet_smoothly_and_never_exceed_the_smaller():
    first, second = np.meshgrid(np.linspace(-9, 9, 40), np.linspace(-9, 9, 40))
    found = head.smooth_minimum(first, second, 3.0)
    lower = np.minimum(first, second)
    assert (found <= lower + 1e-12).all() and (found >= lower - 1.5).all()
    apart = np.abs(first - second) > 6
    np.testing.assert_allclose(found[apart], lower[apart])


def test_the_signed_distance_of_a_box_is_known():
    box = np.zeros((20, 20, 20), bool)
    box[5:15, 5:15, 5:15] = True
    found = head.distance(box)
    assert found[10, 10, 1] == 4 * head.STEP_MM
    assert found[10, 10, 10] == -5 * head.STEP_MM
