"""Register two files: everything that `python -m registration pair` does."""

import dataclasses
import json
import pathlib
import sys

import numpy as np

from registration import (
    attempts,
    finding,
    inputs,
    itk,
    outputs,
    provenance,
    quality,
)
from registration import bids as bids_names
from registration import transform as transforms
from registration.mendable import InputError
from registration.scans import nifti

NAMES = {
    "moved": "moved.nii.gz",
    "labels": "labels.nii.gz",
    "points": "points.csv",
    "transform": "transform.h5",
    "affine": "affine.tfm",
    "affine_text": "affine.txt",
    "warp": "warp.nii.gz",
    "inverse_moved": "inverse_moved.nii.gz",
    "inverse_labels": "inverse_labels.nii.gz",
    "inverse_transform": "inverse_transform.h5",
    "inverse_affine": "inverse_affine.tfm",
    "inverse_affine_text": "inverse_affine.txt",
    "inverse_warp": "inverse_warp.nii.gz",
    "numbers": "registration.json",
    "report": "report.html",
}
SETTLED_MM, ITERATIONS = 1e-3, 100


def pair(
    moving,
    fixed,
    out,
    *,
    transform="dense",
    refine=True,
    moving_mask=None,
    fixed_mask=None,
    labels=None,
    fixed_labels=None,
    points=None,
    inverse=False,
    start=None,
    force=False,
    bids=False,
    report=True,
    retry=True,
    subjects=None,
    command=None,
    tell=None,
):
    """Register a moving scan to a fixed one, and write all that is found.

    Args:
        moving: A `.nii` or `.nii.gz` file of a head, T1-weighted, with its skull or
            without, in any orientation and voxel size.
        fixed: Another one.
        out: Folder for the results; see `NAMES`.
        transform: `"dense"`, a displacement of every voxel, or `"affine"`.
        refine: Whether the networks' answers are refined for this pair.
        moving_mask: File on the moving scan's grid, above zero in the brain; where
            None, the brain is found.
        fixed_mask: The same of the fixed scan.
        labels: Label map on the moving scan's grid, to be carried along.
        fixed_labels: Label map on the fixed scan's grid, to measure the Dice.
        points: CSV file of points of the moving scan, RAS mm, to be carried along.
        inverse: Whether the way back is written too.
        start: ITK file of a rough alignment to begin with, fixed → moving. With
            `"dense"` it takes the place of the affine network.
        force: Whether results of an earlier run may be replaced.
        bids: Whether the results are named as a BIDS derivative.
        report: Whether the page with pictures is made.
        retry: Whether other ways are tried where the check says failed.
        subjects: Names of the moving and the fixed scan for BIDS, where those of the
            files do not tell them apart.
        command: The words of the command, for the record; `sys.argv` when None.
        tell: Function of a text, called as the stages begin and end.

    Returns:
        Dict of the verdict, the numbers and their provenance, as `registration.json`
        holds them. A registration that failed by the verdict is written all the same.

    Raises:
        ValueError: If a file cannot be used or the results cannot be written; it says
            what to do. Nothing is written then.
    """
    kinds = finding.KINDS
    if transform not in kinds:
        raise InputError(f"transform must be one of {kinds}. Received: {transform!r}")
    given = {
        "moving": moving,
        "fixed": fixed,
        "moving_mask": moving_mask,
        "fixed_mask": fixed_mask,
        "labels": labels,
        "fixed_labels": fixed_labels,
        "points": points,
        "start": start,
    }
    out = pathlib.Path(out)
    names = _names(*(subjects or (moving, fixed)), bids)
    roles = _roles(given, inverse, report)
    if not force:
        outputs.refuse_existing(out, [names[role] for role in roles])
    outputs.refuse_inputs([out / names[role] for role in roles], given.values())
    stages = provenance.Stages(tell)
    with outputs.folder(out, force, lambda path: _ours(path, names)) as folder:
        with stages("reading"):
            read = _read(given)
        best, tried = attempts.register(
            read["moving"],
            read["fixed"],
            transform,
            refine,
            read["start"],
            stages,
            labels=(read["labels"], read["fixed_labels"]),
            retry=retry,
        )
        found, numbers, moved = best.found.transform, best.numbers, best.moved
        scans = best.moving, best.fixed
        # Where it cannot be found, this says why.
        back = found.inverse() if inverse and best.back is None else best.back
        for name in names.values():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        warnings = quality.warnings(numbers, *scans, found, best.found.masks_from)
        warnings = [*filter(None, [attempts.sentence(tried)]), *warnings]
        with stages("writing"):
            places = {role: folder / names[role] for role in roles}
            _write(places, "", found, moved, scans[1])
            if inverse:
                bare = dataclasses.replace(scans[1], mask=None)
                _write(places, "inverse_", back, back.apply(bare, scans[0].grid),
                       scans[0])  # fmt: skip
            if points is not None:
                table = read["points"]
                carried = points_back(found, table.places)
                table.moved(carried).save(places["points"])
        if report:
            with stages("drawing"):
                # Matplotlib starts with this import.
                from registration import report as pages

                pictures = pages.pictures(found, *scans, moved)
        record = provenance.record(
            sys.argv if command is None else command, given, stages
        )
        record = {
            "verdict": best.verdict._asdict(),
            "numbers": numbers,
            "warnings": warnings,
            "tried": tried,
            "options": {
                "transform": transform,
                "refine": bool(refine),
                "inverse": bool(inverse),
                "report": bool(report),
                "retry": bool(retry),
            },
            "transform": {
                "kind": transform,
                "refined": bool(refine),
                "masks_from": best.found.masks_from,
                "models": best.found.models,
                "engine": best.found.engine,
            },
            **record,
        }
        if report:
            text = pages.page(record, pictures, names, roles)
            places["report"].write_text(text, encoding="utf-8")
        if bids:
            _write_sidecars(folder, out, names, roles, record)
        made = sorted(p for p in folder.rglob("*") if p.is_file())
        record["files"] = {
            p.relative_to(folder).as_posix(): provenance.sha256(p) for p in made
        }
        places["numbers"].write_text(json.dumps(record, indent=2) + "\n")
    return record


def points_back(found, points):
    """Carry points of the moving scan to the fixed one.

    Each is found by iteration: no inverse of a whole field is needed.

    Args:
        found: `transform.Transform` from the fixed world to the moving one.
        points: Float array `(n, 3)` in RAS mm of the moving world.

    Returns:
        Float64 array `(n, 3)` in RAS mm of the fixed world.

    Raises:
        ValueError: If there is no such place for a point, since the transform folds
            there.
    """
    points = np.asarray(points, "float64")
    matrix = found.affine
    if abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
        raise InputError(f"a singular matrix has no inverse. Received: {matrix}")
    turn = np.linalg.inv(matrix[:3, :3]).T
    here = (points - matrix[:3, 3]) @ turn
    for _ in range(ITERATIONS):
        step = (points - found.points(here)) @ turn
        here = here + step
        if np.abs(step).max() < SETTLED_MM:
            return here
    worst = int(np.abs(step).max(axis=1).argmax())
    raise InputError(
        f"point {worst + 1} cannot be carried back: the transform folds there. "
        f"Received: {points[worst].tolist()}"
    )


def _names(moving, fixed, bids):
    if not bids:
        return NAMES
    stems = [
        pathlib.Path(path).name.removesuffix(".gz").removesuffix(".nii")
        for path in (moving, fixed)
    ]
    return bids_names.names(*stems)


def _roles(given, inverse, report):
    """Return what will be written, in the order of `NAMES`."""
    left_out = {role for role in ("labels", "points") if given[role] is None}
    if not report:
        left_out.add("report")
    if given["fixed_labels"] is None:
        left_out.add("inverse_labels")
    return [
        role
        for role in NAMES
        if role not in left_out and (inverse or not role.startswith("inverse_"))
    ]


def _ours(path, names):
    """List the files of an earlier run that nobody changed since."""
    record = path / names["numbers"]
    if not record.is_file():
        return []
    try:
        files = json.loads(record.read_text())["files"]
        known = {name: files[name] for name in names.values() if name in files}
    except (ValueError, TypeError, KeyError):
        return []
    return [
        name
        for name, digits in known.items()
        if (path / name).is_file() and provenance.sha256(path / name) == digits
    ]


def _read(given):
    """Read and check every input, before anything is computed."""
    read = {
        name: inputs.scan(given[name], given[f"{name}_mask"])
        for name in ("moving", "fixed")
    }
    for key, like in (("labels", "moving"), ("fixed_labels", "fixed")):
        path = given[key]
        read[key] = None if path is None else inputs.labels(path, read[like])
    path = given["points"]
    read["points"] = None if path is None else inputs.points(path, read["moving"])
    read["start"] = None
    if given["start"] is not None:
        read["start"] = itk.read(given["start"])
        _check_overlap(given["start"], read)
    return read


def _check_overlap(path, read):
    """Raise where a start leads from the fixed scan past the moving one."""
    fixed, moving = read["fixed"], read["moving"]
    voxels = np.argwhere(fixed.image > fixed.image.mean())[::50]
    points = voxels @ fixed.affine[:3, :3].T + fixed.affine[:3, 3]
    moved = read["start"].points(points)
    there = transforms.fetch(np.ones(moving.image.shape, bool), moving.affine, moved)
    if not there.any():
        raise InputError(
            f"{path}: with this start the two scans do not overlap; it must lead from "
            f"the fixed scan to the moving one. Received: the fixed head at "
            f"{np.round(moved.mean(axis=0)).tolist()} mm of the moving world"
        )


def _write(places, prefix, found, moved, onto):
    """Write a moved scan and its transform; a prefix marks the way back."""
    grid = outputs.stored_grid(onto)
    nifti.save(
        places[f"{prefix}moved"], outputs.as_stored(moved.image, onto), grid.affine
    )
    if f"{prefix}labels" in places:
        data = outputs.as_stored(moved.labels, onto)
        nifti.save(places[f"{prefix}labels"], data, grid.affine)
    itk.save(places[f"{prefix}transform"], found)
    rough = transforms.Transform([found.affine])
    itk.save(places[f"{prefix}affine"], rough)
    np.savetxt(places[f"{prefix}affine_text"], found.affine, fmt="%.12g")
    itk.save(places[f"{prefix}warp"], found, grid)


def _write_sidecars(folder, out, names, roles, record):
    """Write the JSON file beside each result, and the data set's own."""
    description = json.dumps(bids_names.description(), indent=2) + "\n"
    shared = {"dataset_description.json": description, ".bidsignore": bids_names.IGNORE}
    for name, text in shared.items():
        if not (out / name).exists():
            (folder / name).write_text(text)
    for role in roles:
        if role in ("numbers", "report", "points"):
            continue
        path = folder / names[role]
        way = "fixed" if role.startswith("inverse_") else "moving"
        stripped = record["transform"]["masks_from"][way] == "the scan has no skull"
        text = json.dumps(bids_names.sidecar(role, record, stripped), indent=2)
        stem = path.name.removesuffix(".gz").rpartition(".")[0]
        path.with_name(f"{stem}.json").write_text(text + "\n")
