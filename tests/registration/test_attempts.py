import dataclasses
import json

import numpy as np
import pytest

from registration import __main__ as command_line
from registration import attempts, check, finding, provenance, transform
from registration.scans import nifti
from tests.registration import heads

TURN = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])


@pytest.fixture(scope="module")
def scans():
    return heads.head(5), heads.head(6)


def judged(monkeypatch, risks):
    """Let the check find these risks, one after the other; above .5 is failed."""
    left = iter(risks)

    def judge(measured, kind):
        risk = next(left)
        level = "failed" if risk > 0.5 else "good"
        return check.Verdict(level, risk, 10 * risk, [], measured)

    monkeypatch.setattr(check, "judge", judge)


def register(scans, **options):
    return attempts.register(
        *scans, "affine", False, None, provenance.Stages(), **options
    )


def others(monkeypatch, *words):
    """Let these be the other attempts, and the networks answer at once."""
    monkeypatch.setattr(finding, "find", heads.answered)
    made = [finding.Attempt(text) for text in words]
    monkeypatch.setattr(attempts, "_promising", lambda *arguments: made)


def test_the_first_way_that_is_good_ends_the_trying_and_is_said(scans, monkeypatch):
    others(monkeypatch, "one way", "another", "a third")
    judged(monkeypatch, [0.9, 0.7, 0.2, 0.1])
    best, tried = register(scans)
    assert best.verdict.risk == 0.2
    assert [one["taken"] for one in tried] == [False, False, True]
    said = attempts.sentence(tried)
    assert "found another" in said and "(one way; another)" in said
    assert "2.0 mm, 9.0 mm before" in said


def test_where_none_is_good_what_the_check_likes_best_is_taken(scans, monkeypatch):
    others(monkeypatch, "one way", "another", "a third")
    judged(monkeypatch, [0.9, 0.7, 0.6, 0.8])
    best, tried = register(scans)
    assert best.verdict.risk == 0.6
    assert [one["taken"] for one in tried] == [False, False, True, False]


def test_where_nothing_is_better_the_first_result_is_kept_and_it_is_said(
    scans, monkeypatch
):
    others(monkeypatch, "one way")
    judged(monkeypatch, [0.6, 0.7])
    best, tried = register(scans)
    assert best.attempt is finding.FIRST and tried[0]["taken"]
    assert "none was better" in attempts.sentence(tried)


def test_an_attempt_that_cannot_be_followed_is_told_of(scans, monkeypatch):
    others(monkeypatch, "a way that breaks", "one way")

    def find(*arguments):
        if arguments[-1].words == "a way that breaks":
            raise ValueError("no brain is found in the scan")
        return heads.answered(*arguments)

    monkeypatch.setattr(finding, "find", find)
    judged(monkeypatch, [0.9, 0.1])
    _, tried = register(scans)
    assert tried[-1]["level"] == "stopped"
    assert "no brain is found" in tried[-1]["reason"]
    assert "a way that breaks" in attempts.sentence(tried)


@pytest.mark.parametrize("why", ["good", "told not to", "a start was given"])
def test_nothing_else_is_tried_where_it_is_not_wanted(scans, monkeypatch, why):
    others(monkeypatch, "one way")
    judged(monkeypatch, [0.1 if why == "good" else 0.9])
    start = transform.Transform() if why == "a start was given" else None
    _, tried = attempts.register(
        *scans, "affine", False, start, provenance.Stages(), retry=why != "told not to"
    )
    assert len(tried) == 1 and attempts.sentence(tried) == ""


def test_the_turns_are_rotations_and_all_different(scans):
    found = [turn for turn, _ in attempts.turns(*scans)]
    assert len(found) == 23 + 4
    for turn in found:
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(turn) == pytest.approx(1)
    apart = [np.abs(a - b).max() for n, a in enumerate(found) for b in found[:n]]
    assert min(apart) > 0.01


def test_the_stretch_undoes_a_wrong_voxel_size(scans):
    _, fixed = scans
    wrong = np.diag([1.5, 1.0, 0.8, 1.0])
    moving = heads.moved(fixed, wrong)
    found, _ = attempts.stretch(moving, fixed)
    np.testing.assert_allclose(found, np.diag([1 / 1.5, 1, 1 / 0.8]), atol=1e-6)
    start = finding.turned(moving, found)
    upright = np.linalg.inv(start.affine) @ moving.affine
    np.testing.assert_allclose(upright[:3, :3], fixed.affine[:3, :3], atol=1e-6)


def test_where_the_check_is_in_doubt_only_the_brains_are_cut_out_otherwise(scans):
    masked = [dataclasses.replace(s, mask=s.image > 0.3) for s in scans]
    first, _ = register(masked, retry=False)
    verdict = first.verdict._replace(level="doubtful")
    tried = attempts._promising(*masked, first._replace(verdict=verdict))
    assert [one.brains for one in tried] == ["found"]
    found = first.found._replace(masks_from=dict.fromkeys("ab", "found by us"))
    first = first._replace(verdict=verdict, found=found)
    assert attempts._promising(*masked, first) == []


def test_a_turn_is_named_by_where_its_axes_go():
    # Right goes to anterior, anterior to left.
    assert attempts._words(TURN) == "ALS"
    assert attempts._words(np.eye(3)) == "RAS"


def test_a_head_on_its_side_is_set_upright(scans):
    moving, fixed = scans
    middle = moving.grid.centre
    matrix = np.eye(4)
    matrix[:3, :3] = TURN @ TURN
    matrix[:3, 3] = middle - matrix[:3, :3] @ middle
    lying = heads.moved(moving, matrix)
    attempt = finding.Attempt("turned", np.linalg.inv(matrix[:3, :3]))
    found = finding.find(
        lying, fixed, "affine", False, None, provenance.Stages(), attempt
    )
    straight = finding.find(moving, fixed, "affine", False, None, provenance.Stages())
    points = heads.brain_points(fixed)
    there = transform.Transform([matrix]) @ straight.transform
    apart = found.transform.points(points) - there.points(points)
    # The barycentre is known to a part of a voxel of 4 mm.
    assert np.linalg.norm(apart, axis=1).mean() < 0.5
    assert found.gap_mm == pytest.approx(straight.gap_mm, abs=0.5)


def test_a_failed_registration_is_written_marked_and_has_its_exit_code(
    scans, tmp_path, monkeypatch, capsys
):
    others(monkeypatch)
    monkeypatch.setattr(check, "judge", heads.verdict("failed"))
    for name, scan in zip(("moving", "fixed"), scans, strict=True):
        nifti.save(tmp_path / f"{name}.nii.gz", scan.image, scan.affine)
    monkeypatch.chdir(tmp_path)
    words = "pair moving.nii.gz fixed.nii.gz --out out --transform affine"
    assert command_line.main(words.split()) == 3
    assert "failed (error about 1.5 mm)" in capsys.readouterr().out
    record = json.loads((tmp_path / "out" / "registration.json").read_text())
    assert record["verdict"]["level"] == "failed"
    assert (tmp_path / "out" / "moved.nii.gz").exists()
    page = (tmp_path / "out" / "report.html").read_text()
    assert 'class="verdict failed"' in page and "The deformation folds." in page
