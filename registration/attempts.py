"""Look for a transform, judge what is found, and try otherwise where it failed."""

import dataclasses
import functools
import itertools
import typing

import numpy as np

from registration import check, finding, provenance, quality, runtime
from registration import transform as transforms
from registration.scans import intensity

# How many of the starts that look best are followed to their ends.
FOLLOWED = 3


class Result(typing.NamedTuple):
    """What was found, measured and judged.

    Attributes:
        found: `finding.Found`, its fields faded.
        attempt: `finding.Attempt` that led to it.
        moving: `scan.Scan` with its mask and labels.
        fixed: `scan.Scan` the same.
        moved: `scan.Scan`, the moving one on the fixed one's grid.
        back: The `transform.Transform` of the way back; None where there is none.
        numbers: What `quality.measured` returns.
        verdict: `check.Verdict`.
    """

    found: finding.Found
    attempt: finding.Attempt
    moving: typing.Any
    fixed: typing.Any
    moved: typing.Any
    back: typing.Any
    numbers: dict
    verdict: check.Verdict


def register(
    moving, fixed, kind, refine, start, stages, *, labels=(None, None), retry=True
):
    """Find the transform between two scans; where the check is not content, try more.

    The other attempts turn or stretch the moving head first, cut the brains out in
    another way, or descend without a network's answer; where the check is in doubt,
    only the brains are cut out otherwise. The first that the check calls good ends
    them. What the check likes best is kept.

    Args:
        moving: `scan.Scan`; without a mask, the brain is found.
        fixed: `scan.Scan`, the same.
        kind: One of `finding.KINDS`.
        refine: Whether the networks' answers are refined for this pair.
        start: `transform.Transform` to begin with, or None. Whoever gives one wants no
            other: nothing else is tried then.
        stages: `provenance.Stages`.
        labels: The label maps of the moving and the fixed scan, integer arrays or
            None. They are no masks: they are carried along and measured.
        retry: Whether to try otherwise.

    Returns:
        The `Result` and a list of dicts, one an attempt, the first one first:
        `words`, `level`, `risk`, `error_mm`, `taken`. One that could not be followed
        to its end has `level` `"stopped"` and its `reason`.

    Raises:
        ValueError: If the first attempt cannot be made; it says why.
    """
    follow = functools.partial(_followed, moving, fixed, labels, kind, refine)
    results = [follow(start, stages)]
    stopped = []
    first = results[0].verdict
    if retry and start is None and first.level != "good":
        quiet = provenance.Stages()
        with stages("trying otherwise"):
            for attempt in _promising(moving, fixed, results[0]):
                try:
                    result = follow(None, quiet, attempt)
                except ValueError as error:
                    stopped.append((attempt, str(error)))
                else:
                    results.append(result)
                    if result.verdict.level == "good":
                        break
    best = min(results, key=lambda result: result.verdict.risk)
    told = [
        {
            "words": result.attempt.words,
            "level": result.verdict.level,
            "risk": round(result.verdict.risk, 4),
            "error_mm": round(result.verdict.error_mm, 2),
            "taken": result is best,
        }
        for result in results
    ]
    told += [
        {"words": attempt.words, "level": "stopped", "reason": why, "taken": False}
        for attempt, why in stopped
    ]
    return best, told


def sentence(tried):
    """Say what was tried and what was taken, or nothing where it was one attempt.

    Args:
        tried: The list that `register` returns.

    Returns:
        str, empty where nothing else was tried.
    """
    if len(tried) == 1:
        return ""
    (taken,) = [one for one in tried if one["taken"]]
    others = "; ".join(one["words"] for one in tried[1:])
    ways = "1 other way was" if len(tried) == 2 else f"{len(tried) - 1} other ways were"
    said = tried[0]["level"]
    if taken is tried[0]:
        return (
            f"The check said {said}, so {ways} tried ({others}); none was better, and "
            "the first result was kept."
        )
    return (
        f"The check said {said}, so {ways} tried ({others}); the result is the one "
        f"that was found {taken['words']} (estimated error {taken['error_mm']:.1f} mm, "
        f"{tried[0]['error_mm']:.1f} mm before)."
    )


def _followed(
    moving, fixed, labels, kind, refine, start, stages, attempt=finding.FIRST
):
    """Follow one attempt to its end: find, move, measure, judge."""
    found = finding.find(moving, fixed, kind, refine, start, stages, attempt)
    found = found._replace(transform=_faded(found.transform))
    scans = [
        dataclasses.replace(scan, mask=mask, labels=own)
        for scan, mask, own in zip((moving, fixed), found.masks, labels, strict=True)
    ]
    with stages("moving the scan"):
        # Nobody asks for the moved mask.
        bare = dataclasses.replace(scans[0], mask=None)
        moved = found.transform.apply(bare, scans[1].grid)
    with stages("the way back"):
        back = _inverse(found.transform)
    with stages("measuring"):
        numbers = quality.measured(found.transform, *scans, moved, back)
    with stages("checking"):
        seen = check.measures(numbers, *scans, moved, found.transform, found.gap_mm)
        # By what was found, not by what was asked for: a start may hold a field.
        verdict = check.judge(seen, "affine" if found.transform.is_affine else "dense")
    return Result(found, attempt, *scans, moved, back, numbers, verdict)


def _promising(moving, fixed, first):
    """Return the attempts worth following: a few turns, other brains, a descent."""
    others = []
    if set(first.found.masks_from.values()) != {"found by us"}:
        words = "with both brains found by the network"
        others.append(finding.Attempt(words, brains="found"))
    if first.verdict.level == "doubtful":
        return others
    if "the scan has no skull" not in first.found.masks_from.values():
        others.append(
            finding.Attempt("with whole heads for the affine", brains="whole")
        )
    heads = [
        dataclasses.replace(scan, mask=mask).stripped()
        for scan, mask in zip((moving, fixed), first.found.masks, strict=True)
    ]
    model = runtime.load(finding.BRAIN)
    found = []
    for turn, words in [*turns(*heads), stretch(*heads)]:
        start = finding.turned(heads[0], turn)
        upright = dataclasses.replace(
            heads[0], affine=np.linalg.inv(start.affine) @ heads[0].affine
        )
        rough = finding.affine(upright, heads[1], model)
        attempt = finding.Attempt(f"with {words}", turn)
        found.append((_resemblance(heads, start @ rough), attempt))
    found = [one for _, one in sorted(found, key=lambda one: -one[0])[:FOLLOWED]]
    descent = finding.Attempt("by descent alone", found[0].turn, descent=True)
    return [*found, *others, descent]


def turns(moving, fixed):
    """List rotations to begin with: by right angles, and along the principal axes.

    Args:
        moving: `scan.Scan`, its skull removed.
        fixed: `scan.Scan`, the same.

    Returns:
        List of a `(3, 3)` rotation and its words. The one that turns nothing is not
        among them, nor is a reflection: left and right cannot be told from a head.
    """
    made = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            turn = np.eye(3)[list(order)] * np.array(signs)[:, None]
            if np.linalg.det(turn) > 0 and not np.array_equal(turn, np.eye(3)):
                made.append((turn, f"the axes turned to {_words(turn)}"))
    own, goal = (_principal(scan) for scan in (moving, fixed))
    hand = np.linalg.det(goal) * np.linalg.det(own)
    for one, other in itertools.product((1.0, -1.0), repeat=2):
        turn = goal @ np.diag([one, other, one * other * hand]) @ own.T
        made.append((turn, "the principal axes of the brains on each other"))
    return made


def _words(turn):
    """Name whereto right, anterior and superior go, such as `LPS`."""
    letters = ("LR", "PA", "IS")
    return "".join(
        letters[int(np.abs(column).argmax())][int(column.sum() > 0)]
        for column in turn.T
    )


def stretch(moving, fixed):
    """Return the stretch that gives one brain the size of the other, and its words.

    Along every direction, by the spread of the brains about their barycentres; it turns
    nothing that was upright.

    Args:
        moving: `scan.Scan`, its skull removed.
        fixed: `scan.Scan`, the same.

    Returns:
        Symmetric matrix `(3, 3)` and str.
    """
    own, goal = (_spread(scan) for scan in (moving, fixed))
    half = _power(own, 0.5)
    between = _power(half @ goal @ half, 0.5)
    whole = _power(own, -0.5) @ between @ _power(own, -0.5)
    return whole, "the brain stretched to the size of the other"


def _power(matrix, exponent):
    """Return a power of a symmetric positive matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * values**exponent @ vectors.T


def _principal(scan):
    """Return the principal axes of a brain as columns, the longest first."""
    return np.linalg.eigh(_spread(scan))[1][:, ::-1]


def _spread(scan):
    """Return the covariance of a brain about its barycentre, mm², `(3, 3)`."""
    image = intensity.scaled(scan.image)
    places = np.argwhere(image > 0)[::97]
    weights = image[tuple(places.T)]
    points = transforms.Transform([scan.affine]).points(places.astype("float64"))
    points = points - np.average(points, axis=0, weights=weights)
    return (points * weights[:, None]).T @ points / weights.sum()


def _resemblance(heads, rough):
    """Return the correlation of two brains on voxels of 4 mm after an affine."""
    moving, fixed = heads
    grid = quality.box(fixed, 4.0)
    target = transforms.Transform().apply(_bare(fixed), grid).image
    moved = rough.apply(_bare(moving), grid).image
    return float(np.corrcoef(target.ravel(), moved.ravel())[0, 1])


def _bare(scan):
    return dataclasses.replace(scan, mask=None, labels=None, landmarks=None)


def _faded(found):
    """Let every field end in nothing, so that all tools read the same beyond it."""
    return transforms.Transform(
        [p.faded() if isinstance(p, transforms.Field) else p for p in found.parts]
    )


def _inverse(found):
    """Return the way back, None where it cannot be found."""
    try:
        return found.inverse()
    except ValueError:
        return None
