"""Say whether a registration can be trusted, from the pair and the transform alone.

No labels: what is looked at is what every pair has. Two small models turn it into a
risk and an error in millimetres; `benchmarks/accuracy/failures.py` fitted them to
registrations whose error is known, and `check.json` holds them.
"""

import functools
import json
import pathlib
import typing

import numpy as np

from registration import inputs, quality, transform
from registration.scans import grid as grids

PATH = pathlib.Path(__file__).resolve().with_suffix(".json")
LEVELS = ("good", "doubtful", "failed")
# No inverse, or none that can be measured: as far off as a head is wide.
LOST_MM = 150.0
SOME = 2000
# Voxels of 2 mm.
SHIFT = 2
NAMES = {
    "ncc": "the two scans resemble each other little",
    "local_ncc": "in small windows the two scans disagree",
    "overlap": "the outlines of the two brains do not meet",
    "volume": "the affine changes the brain's volume to another than the fixed one's",
    "stretch": "the affine stretches more than heads differ",
    "aspect": "the affine stretches one direction much more than another",
    "roughness": "the deformation is rough",
    "folds": "the deformation folds",
    "back": "the way there and back ends elsewhere",
    "outside": "a part of the fixed brain lies beyond the moving scan",
    "size": "what was taken for a brain has not the size of one",
    "disagreement": "registered the other way round, the affine is another one",
    "bend": "the deformation moves the brain far",
    "peak": "shifted by 4 mm, the two scans resemble each other hardly less",
    "texture": "the scans are noisy or blurred, unlike those the networks know",
}


class Verdict(typing.NamedTuple):
    """What the check finds.

    Attributes:
        level: One of `LEVELS`.
        risk: Probability that the labels' overlap is below nine tenths of what this
            pair allows.
        error_mm: Estimated mean distance, inside the fixed brain, from the best
            registration of this pair.
        reasons: List of sentences, what speaks most against it first; empty where the
            level is good.
        measures: Dict of what was looked at, see `measures`.
    """

    level: str
    risk: float
    error_mm: float
    reasons: list
    measures: dict


def measures(numbers, moving, fixed, moved, found, gap_mm):
    """Measure what the models look at.

    Args:
        numbers: What `quality.measured` returns for this registration.
        moving: `scan.Scan` with a mask.
        fixed: `scan.Scan` with a mask.
        moved: `scan.Scan`, the moving one on the fixed one's grid.
        found: `transform.Transform`.
        gap_mm: Of the affine from the one found with the scans exchanged, see `gap`.

    Returns:
        Dict of floats by the names in `NAMES`; all grow as things get worse, but for
        `texture`, which says how sharp and free of noise the scans are: noise agrees
        with nothing, a blurred scan with everything.
    """
    after, linear = numbers["after"], found.affine[:3, :3]
    stretch = np.log(np.linalg.svd(linear, compute_uv=False))
    litres = [inputs.volume_ml(scan.brain(), scan) / 1350 for scan in (moving, fixed)]
    back = numbers["there_and_back_mm"]
    return {
        "ncc": -float(np.log(max(1e-3, after["ncc"]))),
        "local_ncc": -float(np.log(max(1e-3, after["local_ncc"]))),
        "overlap": float(np.log(1.005 - after["brain_dice"])),
        "volume": abs(float(stretch.sum() + np.log(litres[1] / litres[0]))),
        "stretch": float(np.abs(stretch).max()),
        "aspect": float(np.ptp(stretch)),
        "roughness": numbers["log_jacobian_sd"],
        "folds": float(np.log1p(numbers["folded_percent"])),
        "back": float(np.log1p(LOST_MM if back is None else back)),
        "outside": float(np.log1p(numbers["outside_percent"])),
        "size": float(np.abs(np.log(litres)).max()),
        "disagreement": float(np.log1p(gap_mm)),
        "bend": float(np.log1p(_bend_mm(found, fixed))),
        **_in_small_windows(fixed, moved),
    }


def gap(there, back, fixed):
    """Return by how much points of a brain miss themselves, there and back.

    Args:
        there: `transform.Transform`, fixed → moving; its fields are left out.
        back: `transform.Transform`, moving → fixed, found with the scans exchanged.
        fixed: `scan.Scan` with a mask.

    Returns:
        The mean distance in mm.
    """
    here = _some_points(fixed)
    missed = back.points(transform.Transform([there.affine]).points(here)) - here
    return float(np.linalg.norm(missed, axis=1).mean())


def judge(measured, kind, model=None):
    """Turn measures into a verdict.

    Args:
        measured: Dict, see `measures`.
        kind: `"affine"` or `"dense"`.
        model: What `check.json` holds, when None.

    Returns:
        `Verdict`.
    """
    model = (_stored() if model is None else model)[kind]
    values = np.array([measured[name] for name in model["names"]])
    scaled = (values - model["middle"]) / model["spread"]
    scaled = np.clip(scaled, -model["limit"], model["limit"])
    pushes = scaled * model["risk"]["weights"]
    risk = 1 / (1 + np.exp(-(pushes.sum() + model["risk"]["offset"])))
    error = np.exp(scaled @ model["error"]["weights"] + model["error"]["offset"])
    level = int(np.searchsorted(model["thresholds"], risk, side="right"))
    level = LEVELS[max(level, int(error > model["gross_mm"]))]
    # What is no worse than usual is no reason, whatever its weight.
    against = [i for i in np.argsort(-pushes) if pushes[i] > 0.5 and scaled[i] > 1]
    reasons = [NAMES[model["names"][i]] for i in against[:3]]
    if level != "good" and not reasons:
        reasons = ["several measures are a little worse than usual"]
    reasons = [] if level == "good" else [f"{r[0].upper()}{r[1:]}." for r in reasons]
    return Verdict(level, float(risk), float(error), reasons, measured)


def sentence(verdict):
    """Say a verdict in a line.

    Args:
        verdict: Dict of what a `Verdict` holds.

    Returns:
        str, such as `"failed (error about 14 mm): The outlines ... do not meet."`.
    """
    reasons = " ".join(verdict["reasons"])
    about = f"{verdict['level']} (error about {verdict['error_mm']:.2g} mm)"
    return f"{about}: {reasons}" if reasons else about


def _in_small_windows(fixed, moved):
    """Compare local correlations: a scan with itself, the two where one is shifted.

    What a local correlation can reach depends on the scanners; how much of it a shift
    takes away does so less.
    """
    grid = quality.box(fixed, quality.VOXEL_MM, 4.0)
    inside = transform.fetch(fixed.brain(), fixed.affine, grid.points())
    target, image = (
        grids.resample(scan.image, scan.affine, grid) for scan in (fixed, moved)
    )
    here = quality.local_ncc(target, image, inside)
    there = [
        quality.local_ncc(target, np.roll(image, shift, axis), inside)
        for axis in range(3)
        for shift in (-SHIFT, SHIFT)
    ]
    own = [
        quality.local_ncc(one, np.roll(one, 1, axis=2), inside)
        for one in (target, image)
    ]
    return {
        "peak": float(np.log(max(1e-3, max(there)) / max(1e-3, here))),
        "texture": min(own),
    }


def _some_points(scan):
    """Return points of a brain, RAS mm."""
    places = np.argwhere(scan.brain())
    places = places[:: max(1, len(places) // SOME)]
    return transform.Transform([scan.affine]).points(places.astype("float64"))


def _bend_mm(found, fixed):
    """Return by how much the fields move a brain, in the mean."""
    if found.is_affine:
        return 0.0
    here = _some_points(fixed)
    bent = found.points(here) - transform.Transform([found.affine]).points(here)
    return float(np.linalg.norm(bent, axis=1).mean())


@functools.cache
def _stored():
    return json.loads(PATH.read_text())
