import dataclasses

import numpy as np
import pytest

from registration import check, quality, transform
from tests.registration import heads

MODEL = {
    "names": ["folds", "overlap"],
    "middle": [0.0, -2.0],
    "spread": [1.0, 0.5],
    "limit": 6.0,
    "risk": {"weights": [2.0, 1.0], "offset": -4.0},
    "error": {"weights": [0.5, 0.25], "offset": 0.0},
    "thresholds": [0.2, 0.8],
    "gross_mm": 20.0,
}


@pytest.fixture(scope="module")
def pair():
    """Return a simulated head and the same one, turned and bent, in the world."""
    fixed = heads.head(3)
    fixed = dataclasses.replace(fixed, mask=fixed.image > 0.1)
    found = transform.Transform([heads.turned(8.0, (5.0, -3.0, 2.0))])
    moving = found.inverse().apply(fixed, fixed.grid)
    return moving, fixed, found


def seen(pair, found, gap_mm=0.5):
    moving, fixed, _ = pair
    moved = found.apply(moving, fixed.grid)
    numbers = quality.measured(found, moving, fixed, moved, found.inverse())
    return check.measures(numbers, moving, fixed, moved, found, gap_mm)


def test_risk_and_error_are_those_of_the_two_models():
    measured = {"folds": 1.5, "overlap": -1.0}
    verdict = check.judge(measured, "dense", {"dense": MODEL})
    assert verdict.risk == pytest.approx(1 / (1 + np.exp(-(3.0 + 2.0 - 4.0))))
    assert verdict.error_mm == pytest.approx(np.exp(0.75 + 0.5))
    assert verdict.level == "doubtful"
    assert verdict.reasons == [
        "The deformation folds.",
        "The outlines of the two brains do not meet.",
    ]


@pytest.mark.parametrize(
    ("folds", "level"), [(0.0, "good"), (1.5, "doubtful"), (4.0, "failed")]
)
def test_the_level_follows_the_risk(folds, level):
    measured = {"folds": folds, "overlap": -2.0}
    verdict = check.judge(measured, "dense", {"dense": MODEL})
    assert verdict.level == level
    assert bool(verdict.reasons) == (level != "good")


def test_what_is_said_to_be_far_off_is_not_called_good():
    measured = {"folds": 0.0, "overlap": -2.0}
    model = MODEL | {"error": {"weights": [0.5, 0.25], "offset": np.log(25.0)}}
    verdict = check.judge(measured, "dense", {"dense": model})
    assert verdict.risk < 0.2 and verdict.error_mm == pytest.approx(25)
    assert verdict.level == "doubtful" and verdict.reasons


def test_a_measure_beyond_all_that_was_seen_counts_as_the_limit():
    verdicts = [
        check.judge({"folds": f, "overlap": -2.0}, "dense", {"dense": MODEL})
        for f in (6.0, 600.0)
    ]
    assert verdicts[0].risk == verdicts[1].risk
    assert np.isfinite(verdicts[1].error_mm)


def test_what_is_no_worse_than_usual_is_no_reason():
    measured = {"folds": 0.9, "overlap": -1.6}
    model = MODEL | {"thresholds": [0.0, 0.9]}
    verdict = check.judge(measured, "dense", {"dense": model})
    assert verdict.level == "doubtful"
    assert verdict.reasons == ["Several measures are a little worse than usual."]


def test_every_measure_has_a_sentence_and_is_finite(pair):
    measured = seen(pair, pair[2])
    assert set(measured) == set(check.NAMES)
    assert np.isfinite(list(measured.values())).all()


def test_a_wrong_transform_measures_worse_than_the_true_one(pair):
    true = seen(pair, pair[2])
    off = transform.Transform([heads.turned(0.0, (12.0, 0.0, 0.0))])
    wrong = seen(pair, pair[2] @ off)
    for name in ("ncc", "local_ncc", "overlap", "peak"):
        assert wrong[name] > true[name] + 0.1, name
    # It shifts, and does nothing else.
    assert wrong["volume"] == pytest.approx(true["volume"])
    assert wrong["stretch"] == pytest.approx(true["stretch"], abs=1e-9)


def test_the_gap_is_how_far_points_end_from_where_they_began(pair):
    _, fixed, found = pair
    back = transform.Transform([heads.turned(0.0, (3.0, 4.0, 0.0))]) @ found.inverse()
    assert check.gap(found, found.inverse(), fixed) == pytest.approx(0, abs=1e-9)
    assert check.gap(found, back, fixed) == pytest.approx(5.0)


def test_the_stored_models_know_both_kinds_and_fear_what_is_wrong(pair):
    true = check.judge(seen(pair, pair[2]), "affine")
    off = transform.Transform([heads.turned(30.0, (25.0, 0.0, 0.0))])
    wrong = check.judge(seen(pair, pair[2] @ off, 30.0), "affine")
    assert wrong.risk > true.risk + 0.5 and wrong.level == "failed"
    assert wrong.error_mm > 5 > true.error_mm
    field = transform.Transform([heads.bump(pair[1].grid, [1, 0, 0])])
    assert check.judge(seen(pair, pair[2] @ field), "dense").risk < 1


def test_a_verdict_is_said_in_a_line():
    verdict = check.judge({"folds": 4.0, "overlap": -2.0}, "dense", {"dense": MODEL})
    said = check.sentence(verdict._asdict())
    assert said == "failed (error about 7.4 mm): The deformation folds."
    good = check.Verdict("good", 0.1, 1.24, [], {})
    assert check.sentence(good._asdict()) == "good (error about 1.2 mm)"
