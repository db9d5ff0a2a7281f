"""Measure the stored networks on heads of other scanners, to the cohort's fixed scan.

`python -m benchmarks.accuracy.elsewhere`. The heads lie in the folder `elsewhere` of
the data, with a table `labels.tsv` that says which labels of the three schemes name the
same structure; its README says where they come from. No network has seen any of them,
and no setting was chosen on them. Nobody gets a mask: the brains are as they were
stored, heads keep their skulls, or both brains are found by the stored network `brain`.
"""

import argparse
import dataclasses
import functools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import numpy as np
import pandas

from benchmarks import jobs
from helpers import metrics
from registration import affine, dense, masks, models
from registration.scans import cohort, download, nifti

KEYS = ("head", "input", "affine", "stage")
COLUMNS = (*KEYS, "dice", "structures", "folded_percent")
AFFINES = ("affine_t1", "affine_any")
DENSE = "dense_t1"
STEPS = {"affine": 0, "affine refined": 12, "dense": 0, "dense refined": 30}


def folder():
    """Return where the heads lie."""
    return download.cache_folder() / "elsewhere"


def structures(labels, table, scheme, other):
    """Number the structures that two schemes share from 1 on; the rest is 0.

    Args:
        labels: Integer array in the numbers of `scheme`.
        table: What `labels.tsv` holds, all text.
        scheme: Its column for these labels.
        other: Its column for the labels to compare with.

    Returns:
        Integer array of the same shape.
    """
    numbers = np.zeros(int(labels.max()) + 1, "int32")
    shared = table[(table[scheme] != "") & (table[other] != "")]
    for place, names in enumerate(shared[scheme], start=1):
        chosen = [int(name) for name in names.split(",")]
        numbers[[name for name in chosen if name < len(numbers)]] = place
    return numbers[labels]


def heads():
    """Yield the name, the scan with shared labels, the scheme and the skull's state."""
    path = folder()
    table = pandas.read_csv(path / "labels.tsv", sep="\t", dtype=str).fillna("")
    for name, file, labels, scheme in (
        ("OASIS A", "oasis_a", "oasis_a_labels", "oasis"),
        ("Colin27", "colin27_brain", "colin27_labels", "colin27"),
        ("Colin27", "colin27", "colin27_labels", "colin27"),
    ):
        scan = nifti.load(path / f"{file}.nii.gz")
        # The labels of Colin27 lie on the grid of its head.
        like = nifti.load(path / f"{labels.replace('_labels', '')}.nii.gz")
        found = nifti.load_labels(path / f"{labels}.nii.gz", like)
        shared = structures(found, table, scheme, "ixi")
        scan = dataclasses.replace(
            scan, labels=shared, mask=np.ones(shared.shape, bool)
        )
        for kind in ("head", "found") if file == "colin27" else ("brain",):
            yield name, scan, table, scheme, kind


def prepared(scan, kind):
    """Return a scan as it is given to the networks, without mask and labels."""
    bare = dataclasses.replace(scan, labels=None, mask=None)
    if kind == "found":
        bare = dataclasses.replace(bare, mask=masks.find(bare)).stripped()
    return dataclasses.replace(bare, mask=None)


def measured(scan, goal, target, found):
    """Measure a transform by the structures that the labels of both scans share.

    Args:
        scan: The moving `scan.Scan`, its labels numbered by `structures`.
        goal: The fixed scan's labels, numbered so.
        target: The fixed `scan.Scan`.
        found: `transform.Transform`.

    Returns:
        Dict of `dice` and `folded_percent`.
    """
    folds = [
        metrics.folding(field.voxels()[None])["folded_percent"][0]
        for field in found.fields
    ]
    moved = found.apply(scan, target.grid).labels
    return {
        "dice": metrics.mean_dice(goal, moved, min_voxels=1),
        "folded_percent": max(folds, default=0.0),
    }


def row(scan, table, scheme, kind, name, stage):
    """Register one head; return its row without the keys."""
    fixed = cohort_fixed()
    goal = structures(fixed.labels, table, "ixi", scheme)
    moving = prepared(scan, kind)
    target = prepared(fixed.stripped() if kind == "brain" else fixed, kind)
    model, other = _model(name), _model(DENSE)
    steps = STEPS["affine refined"] if stage.endswith("refined") else 0
    found = affine.register(moving, target, model, steps)
    if stage.startswith("dense"):
        found = dense.register(moving, target, other, found, STEPS[stage])
    count = len(np.unique(goal)) - 1
    return measured(scan, goal, fixed, found) | {"structures": count}


@functools.cache
def cohort_fixed():
    """Return the cohort's fixed scan."""
    limit = {"train": 1, "test": 1}
    found = cohort.load("ixi", 2.0, limit=limit, progress=False).fixed.scan(0)
    return dataclasses.replace(found, landmarks=None)


@functools.cache
def _model(name):
    return models.load(name)


def main():
    """Measure what has no row yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    path = jobs.RESULTS / "elsewhere.csv"
    parser.add_argument("--csv", type=pathlib.Path, default=path)
    given = parser.parse_args()
    todo = []
    for head, scan, table, scheme, kind in heads():
        for name in AFFINES:
            for stage in STEPS:
                # The dense network knows brains only.
                if stage.startswith("affine") or kind != "head":
                    keys = (head, kind, name, stage)
                    part = functools.partial(
                        row, scan, table, scheme, kind, name, stage
                    )
                    todo.append((keys, part))
    jobs.run(todo, given.csv, KEYS, COLUMNS, quiet=True)


if __name__ == "__main__":
    main()
