"""Measure what the skull does to registration: `python -m benchmarks.skull.skull`.

Networks that saw heads, brains, a mixture of the two, or heads with a loss inside
the fixed brain only, are trained on a cohort and tested on scans that they never
saw, with the skull and without. Rows that the tables hold already are skipped, and
weights are kept in `build/skull`, so a run that was stopped goes on where it was.
"""

import argparse
import functools
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import numpy as np

from benchmarks import jobs
from benchmarks.skull import (
    skull_differences,
    skull_masks,
    skull_networks,
    skull_scans,
    skull_why,
)
from helpers import backend, metrics
from registration import masks

PARTS = ("networks", "why", "tools", "masks")
SOURCES = ("ixi", "simulated")
KEYS = ("source", "level", "trained", "tested", "scan")
SCORES = ("dice", "brain_dice", "tre_mm")
FIELD = ("inside_mm", "outside_mm", "log_jacobian_sd", "apart_mm")
MATCHED = (("skull", "skull"), ("stripped", "stripped"), ("brain_loss", "skull"))
CHAINS = (*MATCHED, ("mixture", "skull"), ("mixture", "stripped"))
MASK_SCANS = 10


def main(argv=None):
    """Measure the chosen parts; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--parts", help=f"some of {','.join(PARTS)}; all if left out")
    add("--sources", help=f"some of {','.join(SOURCES)}; both if left out")
    add("--affine-steps", type=int, default=skull_networks.STEPS["affine"])
    add("--dense-steps", type=int, default=skull_networks.STEPS["dense"])
    add("--methods", help=f"tools, some of {','.join(masks.METHODS)}")
    add("--limit", type=int, help="only so many test scans, and 8 to train on")
    add("--results", type=pathlib.Path, default=jobs.RESULTS)
    add("--build", type=pathlib.Path, default=pathlib.Path("build/skull"))
    add("--quiet", action="store_true", help="show no progress bar")
    options = parser.parse_args(argv)
    parts = jobs.chosen(parser, "parts", options.parts, PARTS)
    options.methods = jobs.chosen(parser, "methods", options.methods, masks.METHODS)
    options.build.mkdir(parents=True, exist_ok=True)
    steps = {"affine": options.affine_steps, "dense": options.dense_steps}
    started = time.monotonic()
    for source in jobs.chosen(parser, "sources", options.sources, SOURCES):
        limit = {"train": 8, "test": options.limit} if options.limit else None
        heads = skull_scans.Heads(source, limit)
        answers = skull_networks.Answers(heads, steps, options.build)
        for part in parts:
            _PARTS[part](answers, options)
            minutes = (time.monotonic() - started) / 60
            print(f"{source}, {part}: {minutes:.1f} minutes since the start")
    skull_differences.summarise(options.results)
    table = skull_differences.write(options.results)
    print(table.to_string(index=False))
    print(f"device: {backend.device_name()}")
    return 0


def _networks(answers, options):
    heads, todo = answers.heads, []
    plan = [
        (level, trained, tested)
        for level in ("affine", "dense")
        for tested in skull_scans.INPUTS
        for trained in ("none", *skull_networks.TRAINED)
    ]
    plan += [("chain", *both) for both in CHAINS]
    for setting in plan:
        for index, scan in enumerate(heads.scans.test.ids):
            work = functools.partial(_network_row, answers, *setting, index)
            todo.append(((heads.scans.source, *setting, scan), work))
    columns = (*KEYS, *SCORES, *FIELD, "steps")
    jobs.run(todo, options.results / "skull_pairs.csv", KEYS, columns, options.quiet)


def _network_row(answers, level, trained, tested, index):
    affine, displacement = (
        found[index] for found in answers.transforms(level, trained, tested)
    )
    found = skull_scans.transform_of(answers.heads, affine, displacement)
    row = skull_scans.score(answers.heads, index, found)
    row |= dict.fromkeys(FIELD, float("nan"))
    row["steps"] = 0 if trained == "none" else answers.steps[_network_of(level)]
    if level == "dense" and trained != "none":
        reference = answers.transforms("dense", "stripped", "stripped")[1][index]
        row |= field_facts(answers.heads, displacement, reference)
    return row


def _network_of(level):
    return "affine" if level == "affine" else "dense"


def field_facts(heads, displacement, reference):
    """Return what a displacement spends inside the fixed brain and around it.

    Args:
        heads: `skull_scans.Heads`.
        displacement: Array `(*shape, 3)` in voxels of 4 mm.
        reference: The same of the network that knows brains only, given brains.

    Returns:
        Dict of the mean length in mm inside the fixed brain and in the rest of the
        fixed head, the deviation of the logarithm of the Jacobian determinant inside
        the brain, and the mean distance in mm from the reference there.
    """
    brain = heads.mask[0, ..., 0] > 0.5
    head = (heads.fixed["skull"][0, ..., 0] > skull_why.DARK) & ~brain
    length = 4 * np.linalg.norm(displacement, axis=-1)
    apart = 4 * np.linalg.norm(displacement - reference, axis=-1)
    voxels = np.moveaxis(np.indices(brain.shape), 0, -1)
    determinant = metrics.jacobian_determinant(voxels + displacement)[brain]
    return {
        "inside_mm": float(length[brain].mean()),
        "outside_mm": float(length[head].mean()),
        "log_jacobian_sd": float(np.log(determinant[determinant > 0]).std()),
        "apart_mm": float(apart[brain].mean()),
    }


def _why(answers, options):
    heads, keys = answers.heads, ("source", "stage", "loss", "scan")
    todo = []
    for index, scan in enumerate(heads.scans.test.ids):
        for stage in ("before", "after"):
            for loss in skull_why.LOSSES:
                key = (heads.scans.source, stage, loss, scan)
                part = functools.partial(
                    skull_why.gradient_shares, heads, index, stage, loss
                )
                todo.append((key, part))
    columns = (*keys, "image", "displacement", "head")
    path = options.results / "skull_gradient_pairs.csv"
    jobs.run(todo, path, keys, columns, options.quiet)


def _tools(answers, options):
    masks = skull_masks.Masks(answers.heads, options.build)
    keys, todo = ("source", "method", "scan"), []
    for method in options.methods:
        for index, scan in enumerate(answers.heads.scans.test.ids):
            key = (answers.heads.scans.source, method, scan)
            work = functools.partial(skull_masks.tool_row, masks, index, method)
            todo.append((key, work))
    columns = (*keys, "mask_dice", "missing_percent", "too_much_percent")
    columns = (*columns, "cpu_seconds")
    path = options.results / "skull_tools_pairs.csv"
    jobs.run(todo, path, keys, columns, options.quiet)


def _masks(answers, options):
    heads = answers.heads
    masks = skull_masks.Masks(heads, options.build)
    keys, todo = ("source", "level", "trained", "mask", "scan"), []
    for level, trained in skull_masks.NETWORKS:
        for index, scan in enumerate(heads.scans.test.ids[:MASK_SCANS]):
            for kind in (*skull_masks.SIZES_MM, *options.methods):
                key = (heads.scans.source, level, trained, kind, scan)
                work = functools.partial(
                    skull_masks.registration_row,
                    *(answers, masks, index, level, trained, kind),
                )
                todo.append((key, work))
    path = options.results / "skull_masks_pairs.csv"
    jobs.run(todo, path, keys, (*keys, *SCORES), options.quiet)


_PARTS = {"networks": _networks, "why": _why, "tools": _tools, "masks": _masks}


if __name__ == "__main__":
    sys.exit(main())
