import numpy as np
import pandas
import pytest

from benchmarks.accuracy import affine, pairs, robustness, score
from registration import transform
from registration.scans import scan as scans

HOME = np.diag([4.0, 5.0, 6.0, 1.0])


@pytest.fixture
def cohort(monkeypatch):
    labels = np.zeros((22, 20, 18), "int32")
    labels[5:17, 5:15, 5:13] = 1

    def scan(name, keep_skull=False):
        return scans.Scan(labels.astype("float32"), HOME, labels, name=name)

    monkeypatch.setattr(pairs, "scan", scan)
    monkeypatch.setattr(
        pairs, "fixed_pairs", lambda: [pairs.Pair(name, "fixed") for name in "abc"]
    )
    robustness._pair.cache_clear()
    robustness._unmoved.cache_clear()


def follow(moving, fixed):
    """Find the motion in the header, off by half a millimetre once it moved."""
    motion = moving.affine @ np.linalg.inv(HOME)
    motion[:3, 3] += 0.5 * (not np.allclose(motion, np.eye(4)))
    return score.Registration(transform.Transform([motion]))


def stay(moving, fixed):
    return score.Registration(transform.Transform())


def test_success_is_a_transform_that_follows_the_motion_to_two_millimetres(
    cohort, monkeypatch, tmp_path
):
    monkeypatch.setattr(affine, "METHODS", {"follow": follow, "stay": stay})
    path, figure = tmp_path / "capture_pairs.csv", tmp_path / "curve.png"
    arguments = ["--levels", "0:0,40:30", "--csv", str(path), "--quiet"]
    robustness.main([*arguments, "--figure", str(figure)])
    rows = pandas.read_csv(path)
    assert len(rows) == 2 * 2 * 3
    curve = pandas.read_csv(tmp_path / "capture_summary.csv")
    rates = curve.set_index(["method", "degrees"])["success_percent"].to_dict()
    assert rates == {
        ("follow", 0): 100,
        ("follow", 40): 100,
        ("stay", 0): 100,
        ("stay", 40): 0,
    }
    moved = rows[(rows["method"] == "follow") & (rows["degrees"] == 40)]
    np.testing.assert_allclose(moved["distance_mm"], 0.5 * 3**0.5, rtol=1e-4)
    assert figure.stat().st_size > 0


def test_levels_that_were_measured_are_not_measured_again(
    cohort, monkeypatch, tmp_path
):
    calls = []

    def counted(moving, fixed):
        calls.append(moving)
        return stay(moving, fixed)

    monkeypatch.setattr(affine, "METHODS", {"counted": counted})
    path = tmp_path / "capture_pairs.csv"
    arguments = ["--csv", str(path), "--quiet", "--pairs", "1"]
    robustness.main([*arguments, "--levels", "20:7.5"])
    robustness.main([*arguments, "--levels", "20:7.5,60:40"])
    # One call for the scan as it was, then one a level.
    assert len(calls) == 3
