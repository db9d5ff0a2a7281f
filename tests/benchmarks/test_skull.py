import types

import numpy as np
import pandas
from scipy import stats

from benchmarks.skull import (
    skull,
    skull_convergence,
    skull_differences,
    skull_maskless,
    skull_networks,
    skull_scans,
    skull_why,
)
from helpers import losses, metrics
from registration.scans import grid as grids

SHAPE = (16, 20, 24)


def heads(count=3, seed=0):
    """Make noise that stands for heads: a bright brain in a darker head."""
    rng = np.random.default_rng(seed)
    brain = np.zeros((1, *SHAPE, 1), "float32")
    brain[:, 4:12, 5:15, 6:18] = 1
    skull = rng.uniform(0.1, 1, (count, *SHAPE, 1)).astype("float32")
    images = {"skull": skull, "stripped": skull * brain}
    fixed = {kind: image[:1] for kind, image in images.items()}
    return types.SimpleNamespace(train=images, fixed=fixed, mask=brain, shape=SHAPE)


def test_the_paired_interval_is_that_of_students_test():
    rng = np.random.default_rng(1)
    one, other = rng.normal(0.5, 0.1, 25), rng.normal(0.45, 0.1, 25)
    found = skull_differences.paired(one, other)
    interval = stats.ttest_rel(one, other).confidence_interval(0.95)
    np.testing.assert_allclose([found["low"], found["high"]], interval, rtol=1e-9)
    assert found["p"] == stats.wilcoxon(one, other).pvalue
    assert found["pairs"] == 25


def test_scans_without_a_partner_do_not_count_and_two_give_no_interval():
    found = skull_differences.paired([0.5, 0.4, np.nan], [0.4, 0.2, 0.1])
    assert found["pairs"] == 2
    np.testing.assert_allclose(found["difference"], 0.15)
    assert np.isnan(found["p"]) and np.isnan(found["low"])


def test_differences_pair_the_same_scans(tmp_path):
    rows = [
        ("ixi", "affine", trained, tested, scan, dice, 0.9, np.nan)
        for trained, tested, scores in (
            ("skull", "skull", {"a": 0.3, "b": 0.4, "c": 0.5, "d": 0.9}),
            ("stripped", "stripped", {"c": 0.6, "b": 0.45, "a": 0.5}),
        )
        for scan, dice in scores.items()
    ]
    columns = (*skull.KEYS, *skull.SCORES)
    pandas.DataFrame(rows, columns=columns).to_csv(
        tmp_path / "skull_pairs.csv", index=False
    )
    (line,) = skull_differences.write(tmp_path).to_dict("records")
    assert line["comparison"] == "skull at both - neither"
    assert line["pairs"] == 3
    np.testing.assert_allclose(line["difference"], -0.35 / 3, atol=1e-4)


def test_a_classical_method_counts_only_where_both_inputs_were_measured(tmp_path):
    rows = [
        ("fixed", kind, scan, "ants_affine", dice, np.nan)
        for kind, scan, dice in (
            ("skull", "a", 0.4),
            ("stripped", "a", 0.5),
            ("stripped", "b", 0.9),
        )
    ]
    columns = ("targets", "input", "scan", "method", "dice", "tre_mm")
    table = pandas.DataFrame(rows, columns=columns)
    table.to_csv(tmp_path / "affine_pairs.csv", index=False)
    (line,) = skull_differences.of_classical(tmp_path)
    assert (line["method"], line["pairs"]) == ("ants_affine", 1)
    np.testing.assert_allclose(line["difference"], -0.1)


def test_a_brain_only_loss_weighs_nothing_outside_the_fixed_brain():
    some = heads()
    batch = skull_networks.make_pairs(some, "affine", "brain_loss")(0)
    np.testing.assert_array_equal(batch["weights"][0], some.mask[0])
    assert (batch["moving"][:, 0] > 0).all(), "it sees whole heads"
    plain = skull_networks.make_pairs(some, "affine", "skull")(0)
    np.testing.assert_array_equal(plain["moving"], batch["moving"])
    assert (plain["weights"] == 1).all()


def test_a_mixture_shows_heads_and_brains_moving_and_fixed_alike():
    some, seen = heads(), set()
    pairs = skull_networks.make_pairs(some, "affine", "mixture")
    for step in range(12):
        batch = pairs(step)
        kinds = {bool((batch[name][:, 0] > 0).any()) for name in ("moving", "fixed")}
        assert len(kinds) == 1
        seen |= kinds
    assert seen == {True, False}


def test_a_window_of_the_brain_counts_the_same_whoever_else_is_counted():
    some = heads()
    fixed, moved = some.train["skull"][:1], some.train["skull"][1:2]
    field = {"moved": moved, "velocity": np.zeros((1, *SHAPE, 3), "float32")}
    whole, brain = (
        float(skull_networks.dense_loss({"fixed": fixed, "weights": w}, field)[0])
        for w in (np.ones_like(some.mask), some.mask)
    )
    rest = losses.lncc_loss(fixed, moved, 5, False, 1 - some.mask)
    expected = whole - float(rest[0]) * float((1 - some.mask).mean())
    np.testing.assert_allclose(brain, expected, rtol=1e-4)


def test_a_mask_grows_and_shrinks_by_millimetres():
    centre = np.array([15, 15, 15])
    distance = 2 * np.linalg.norm(np.argwhere(np.ones((31,) * 3)) - centre, axis=1)
    distance = distance.reshape(31, 31, 31)
    for millimetres in (-6, 0, 6):
        found = skull_scans.resized(distance <= 16, millimetres, 2.0)
        radius = 2 * (found.sum() / (4 / 3 * np.pi)) ** (1 / 3)
        assert abs(radius - 16 - millimetres) < 1.5, "up to a voxel's diagonal"


def test_the_pull_is_the_gradient_in_a_shift_of_one_voxel():
    image = np.linspace(0, 1, 16, dtype="float32") ** 2
    moved = np.broadcast_to(image[:, None, None], SHAPE)[None, ..., None]
    felt = np.random.default_rng(0).normal(size=moved.shape).astype("float32")
    found = skull_why.displacement_gradient(felt, np.ascontiguousarray(moved))
    slope = (image[8] - image[6]) / 2
    np.testing.assert_allclose(
        found[0, 7], np.abs(felt[0, 7, ..., 0]) * slope, rtol=1e-5
    )


def test_a_region_that_is_equal_up_to_brightness_gives_the_ncc_no_gradient():
    rng = np.random.default_rng(0)
    fixed = rng.uniform(size=(1, *SHAPE, 1)).astype("float32")
    same = skull_why.image_gradient(losses.ncc_loss, fixed, 0.5 * fixed + 0.1)
    other = skull_why.image_gradient(losses.ncc_loss, fixed, fixed[:, ::-1])
    # float32, and a sum over 7,680 voxels.
    assert np.abs(same).max() < 1e-3 * np.abs(other).max()


def test_a_displacement_of_one_voxel_is_four_millimetres_in_the_world():
    points = np.random.default_rng(0).uniform(-8, 8, (5, 3))
    world = np.diag([2.0, 2.0, 2.0, 1.0])
    world[:3, 3] = -np.array([31.0, 39.0, 47.0])
    scans = types.SimpleNamespace(grid=grids.Grid((32, 40, 48), world))
    some = types.SimpleNamespace(scans=scans, shape=SHAPE)
    nowhere = np.zeros((*SHAPE, 3), "float32")
    shift = nowhere + np.array([1, 0, 0], "float32")
    moved = np.eye(3, 4, dtype="float32")
    moved[0, 3] = 4 / 48
    for affine, field, expected in (
        (np.eye(3, 4), nowhere, 0.0),
        (np.eye(3, 4), shift, 4.0),
        (moved, nowhere, 4.0),
        (moved, shift, 8.0),
    ):
        found = skull_scans.transform_of(some, affine, field)
        apart = found.points(points) - points - [expected, 0, 0]
        # 4 / 48 in float32, of 48 mm.
        np.testing.assert_allclose(apart, 0, atol=1e-5)


def test_the_displacement_inside_and_outside_is_told_apart():
    some = heads()
    field = np.zeros((*SHAPE, 3), "float32")
    field[..., 0] = np.where(some.mask[0, ..., 0] > 0, 0.5, 2.0)
    facts = skull.field_facts(some, field, np.zeros_like(field))
    assert facts["inside_mm"] == facts["apart_mm"] == 2.0
    assert facts["outside_mm"] == 8.0


def test_a_doubled_field_keeps_a_slope_and_is_read_on_the_finer_grid():
    rows = np.arange(6.0)[:, None, None, None] + np.zeros((6, 4, 4, 3))
    made = skull_convergence.doubled(rows)
    assert made.shape == (12, 8, 8, 3)
    np.testing.assert_allclose(made[1:-1, 0, 0, 0], 0.25 + np.arange(10) / 2)


def test_labels_shifted_by_whole_voxels_are_found_where_the_field_points():
    fixed = np.zeros((24, 24, 24), "uint8")
    fixed[8:16, 8:16, 8:16] = 1
    moving = np.roll(fixed, 2, axis=1)
    images = {"labels": np.stack([fixed, moving]), "place": np.diag([2.0, 2, 2, 1])}
    still, field = np.eye(3, 4), np.zeros((12, 12, 12, 3))
    apart = skull_convergence.overlap(images, 0, still)
    assert apart[1] == metrics.dice(fixed > 0, moving > 0)[1] == 0.75
    field[..., 1] = 1.0
    assert skull_convergence.overlap(images, 0, still, field) == (1.0, 1.0)


def test_the_cost_of_the_skull_is_a_share_of_the_gain_on_brains(tmp_path):
    rows = [
        ("ixi", "affine", kind, seed, 50, 25, 0.1, dice, 0.0, 0.9, 1.0)
        for seed, scores in enumerate(((0.4, 0.5), (0.3, 0.5)))
        for kind, dice in zip(("skull", "stripped"), scores, strict=True)
    ]
    path = tmp_path / "skull_convergence_pairs.csv"
    columns = skull_convergence.COLUMNS
    pandas.DataFrame(rows, columns=columns).to_csv(path, index=False)
    skull_convergence.summarise(tmp_path)
    (line,) = pandas.read_csv(tmp_path / "skull_convergence.csv").to_dict("records")
    assert line["seeds"] == 2
    np.testing.assert_allclose(line["cost"], 0.15)
    np.testing.assert_allclose(line["share"], (0.25 + 0.5) / 2)


def test_equal_terms_count_only_scans_that_every_method_registered(tmp_path):
    bare, stored = [], {"affine": [], "dense": []}
    for name, (level, maskless) in skull_maskless.COMPARED.items():
        method = name.removesuffix("_affine") if name.endswith("d_affine") else name
        for scan, dice in (("a", 0.5), ("b", 0.6), ("c", 0.7)):
            for kind, cost in (("skull", 0.1), ("stripped", 0.0)):
                row = ("fixed", kind, scan, method, dice - cost)
                stored[level].append(row)
            if maskless and scan != "c":
                bare.append(("fixed", maskless, scan, level, dice - 0.2, 0.9))
    for level, rows in stored.items():
        columns = ("targets", "input", "scan", "method", "dice")
        table = pandas.DataFrame(rows, columns=columns)
        table.to_csv(tmp_path / f"{level}_pairs.csv", index=False)
    table = pandas.DataFrame(bare, columns=skull_maskless.COLUMNS)
    table.to_csv(tmp_path / "skull_maskless_pairs.csv", index=False)
    skull_maskless.summarise(tmp_path)
    made = pandas.read_csv(tmp_path / "skull_equal.csv").set_index("method")
    assert set(made["pairs"]) == {2}
    np.testing.assert_allclose(made["difference"]["dipy_syn"], -0.1)
    np.testing.assert_allclose(made["difference"]["refined_affine"], -0.2)
    np.testing.assert_allclose(made["fixed_mask"]["refined_affine"], 0.45)
