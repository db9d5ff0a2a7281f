"""Find the transform between two scans with the stored networks, one attempt."""

import dataclasses
import typing

import numpy as np

from registration import check, inputs, masks, mendable, runtime
from registration import transform as transforms
from registration.mendable import InputError
from registration.scans import intensity

KINDS = ("affine", "dense")
STEPS = {"affine": 12, "dense": 15}
# Of the descent that does without a network's answer.
DESCENT = 60
BRAINS = ("known", "found", "whole")
BRAIN, WHOLE = "affine_t1", "affine_any"


class Attempt(typing.NamedTuple):
    """One way to look for the transform.

    Attributes:
        words: What it does, for the reader.
        turn: Float array `(3, 3)`: how the moving head is turned about its barycentre
            before the network sees it.
        brains: `"known"`, cut out by the masks that are given, by the zeros around a
            stripped brain, or by the network `brain`; `"found"`, always by that
            network; `"whole"`, not cut out for the affine, for which the network
            stands that knows whole heads.
        descent: Whether the affine is found by steps of descent alone.
    """

    words: str
    turn: np.ndarray = np.eye(3)
    brains: str = "known"
    descent: bool = False


FIRST = Attempt("as always")


class Found(typing.NamedTuple):
    """What an attempt finds.

    Attributes:
        transform: `transform.Transform`, fixed → moving.
        masks: The brains of the moving and the fixed scan, bool arrays.
        masks_from: Dict of `moving` and `fixed`: how the masks were come by.
        gap_mm: Of the affine from the one with the scans exchanged, see `check.gap`.
        models: Dict of name → sha256.
        engine: What ran them.
    """

    transform: transforms.Transform
    masks: tuple
    masks_from: dict
    gap_mm: float
    models: dict
    engine: str = "onnxruntime"


def find(moving, fixed, kind, refine, start, stages, attempt=FIRST):
    """Find the transform between two scans.

    The engine: whatever takes its place needs no more than these arguments.

    Args:
        moving: `scan.Scan`; without a mask, the brain is found.
        fixed: `scan.Scan`, the same.
        kind: One of `KINDS`.
        refine: Whether the networks' answers are refined for this pair.
        start: `transform.Transform` to begin with, or None. With `"dense"` it takes
            the place of the affine network.
        stages: `provenance.Stages`.
        attempt: `Attempt`.

    Returns:
        `Found`.

    Raises:
        ValueError: If a scan has no two intensities to tell apart, or no brain.
    """
    network = WHOLE if attempt.brains == "whole" else BRAIN
    with mendable.inputs():
        affine_model = runtime.load(network)
        dense_model = runtime.load("dense_t1") if kind == "dense" else None
    with stages("finding the brains"):
        brains = _brains(moving, fixed, attempt.brains)
    heads = moving, fixed
    cut = _stripped(moving, fixed, [mask for mask, _ in brains])
    placed = turned(cut[0], attempt.turn) if start is None else start
    heads, cut = ((_placed(*scans, placed), scans[1]) for scans in (heads, cut))
    seen = heads if attempt.brains == "whole" else cut
    rough = transforms.Transform()
    if start is None or kind == "affine":
        with stages("affine"):
            rough = affine(*seen, affine_model, refine, attempt.descent)
    with stages("the other way"):
        # One pass: what is asked is whether both ways tell of the same place.
        back = affine(seen[1], seen[0], affine_model)
        gap_mm = check.gap(rough, back, cut[1])
    if attempt.brains == "whole":
        mask = _carried(placed @ rough, fixed, brains[1][0], moving)
        brains = [(mask, "that of the fixed scan, carried over"), brains[1]]
        cut = _stripped(moving, fixed, [mask for mask, _ in brains])
        cut = _placed(cut[0], cut[1], placed), cut[1]
    if dense_model is not None:
        with stages("dense"):
            steps = STEPS["dense"] * bool(refine)
            rough = runtime.dense(*cut, rough, dense_model, steps)
    # What only the check has asked is not among them.
    models = [affine_model] * (start is None or kind == "affine")
    models += [dense_model] * (dense_model is not None)
    return Found(
        placed @ rough,
        tuple(mask for mask, _ in brains),
        {name: how for name, (_, how) in zip(("moving", "fixed"), brains, strict=True)},
        gap_mm,
        {model.name: model.contract["sha256"] for model in models},
    )


def affine(moving, fixed, model, refine=False, descent=False):
    """Find an affine, by a network or without its answer.

    Args:
        moving: `scan.Scan`, as the network is to see it.
        fixed: `scan.Scan`, the same.
        model: What `runtime.load` returns.
        refine: Whether the network's answer is refined.
        descent: Whether to do without the network's answer.

    Returns:
        `transform.Transform`.
    """
    if descent:
        return runtime.descent(moving, fixed, model, DESCENT)
    return runtime.affine(moving, fixed, model, STEPS["affine"] * bool(refine))


def turned(moving, linear):
    """Return the start that turns or stretches a head about its barycentre.

    Args:
        moving: `scan.Scan`.
        linear: Matrix `(3, 3)` by which it is turned.

    Returns:
        `transform.Transform`, from the world where it is turned to its own.
    """
    if np.array_equal(linear, np.eye(3)):
        return transforms.Transform()
    middle = intensity.barycentre(intensity.scaled(moving.image), moving.affine)
    matrix = np.eye(4)
    matrix[:3, :3] = np.linalg.inv(linear)
    matrix[:3, 3] = middle - matrix[:3, :3] @ middle
    return transforms.Transform([matrix])


def _brains(moving, fixed, which):
    """Return each scan's brain, and how it was come by."""
    brains = []
    for name, scan in (("moving", moving), ("fixed", fixed)):
        mask, how = (None, "found by us") if which == "found" else _known_mask(scan)
        if mask is None:
            with mendable.inputs():
                mask = masks.find(scan)
        if not mask.any():
            raise InputError(
                f"no brain was found in the {name} scan; give one by --{name}-mask. "
                "Received: an empty mask"
            )
        brains.append((mask, how))
    return brains


def _known_mask(scan):
    """Return the brain of a scan where it needs no network, and how it is known."""
    if scan.mask is not None:
        return scan.mask, "given"
    mask = inputs.stripped_mask(scan)
    return mask, "found by us" if mask is None else "the scan has no skull"


def _stripped(moving, fixed, brains):
    return tuple(
        dataclasses.replace(scan, mask=mask).stripped()
        for scan, mask in zip((moving, fixed), brains, strict=True)
    )


def _carried(found, fixed, mask, moving):
    """Return the fixed scan's brain on the moving scan's grid."""
    bare = dataclasses.replace(fixed, image=mask.astype("float32"), labels=None)
    bare = dataclasses.replace(bare, mask=None, landmarks=None)
    return found.inverse().apply(bare, moving.grid).image > 0.5


def _placed(moving, fixed, start):
    """Return the moving scan where a start puts it in the fixed world."""
    if not start.parts:
        return moving
    if start.is_affine:
        affine = np.linalg.inv(start.affine) @ moving.affine
        return dataclasses.replace(moving, affine=affine)
    return start.apply(moving, fixed.grid)
