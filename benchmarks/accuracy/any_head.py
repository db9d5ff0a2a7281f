"""Hold the dense network for any head against that of one scanner, and against MIND.

    python -m benchmarks.accuracy.any_head [--sets "cohort,OASIS A"] [--pairs 25]

Test scans of the cohort, heads of other scanners (`elsewhere.py`) and simulated heads
in three contrasts, brains without their skulls. All methods start from the same affine
of every pair, `affine_t1` refined; for the simulated heads that of their T1 pair. It
goes on where it was stopped: rows that `results/any_head_pairs.csv` holds are skipped.
"""

import argparse
import dataclasses
import functools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import numpy as np
import pandas

from benchmarks import jobs, table
from benchmarks.accuracy import elsewhere, pairs, score
from helpers import losses, refinement
from registration import affine, dense, models, prepare, transform
from registration.scans import grid as grids
from registration.scans import nifti
from registration.scans.sources import ixi_contrasts
from registration.scans.sources.simulated import subject

KEYS = ("set", "pair", "method")
METRICS = ("dice", "tre_mm", "folded_percent")
COLUMNS = (*KEYS, *METRICS)
CONTRASTS = ("t1", "t2", "pd")
HEADS = ("OASIS A", "Colin27 brain", "Colin27 found")
# T2 and PD of the cohort's own people, fetched where there is a network.
REAL = ("IXI T2", "IXI PD")
SETS = ("cohort", "any to any", *HEADS, *(f"simulated {c}" for c in CONTRASTS), *REAL)
STEPS = {"affine": 12, "dense": 15, "mind": 40}
# Chosen among 0.003, 0.01 and 0.03 on sim-041 and sim-042, two of the ten tested.
MIND_SMOOTH = 0.03


def network(name, steps=0):
    """Return the method that asks a dense network, and refines its answer."""

    def method(moving, fixed, start):
        return dense.register(moving, fixed, _model(name), start, steps)

    return method


def along_mind(name=None):
    """Return the method that descends MIND, from zero or from a network's answer."""

    def method(moving, fixed, start):
        model = _model(name or "dense_t1")
        pair = prepare.around_brain(
            moving, fixed, start, model.shape, model.voxel_mm, False
        )
        half = [size // 2 for size in model.shape]
        velocity = np.zeros((1, *half, 3), "float32")
        if name:
            both = [pair.moving, pair.fixed]
            velocity = model.network.predict_on_batch(both)["velocity"]
        found = refinement.velocity(
            pair.moving, pair.fixed, velocity, losses.mind_loss, MIND_SMOOTH,
            STEPS["mind"], squarings=model.squarings,
        )  # fmt: skip
        field = dense.field(found, pair.grid, model.squarings)
        return start @ transform.Transform([field])

    return method


METHODS = {
    "the start": lambda moving, fixed, start: start,
    "dense_t1": network("dense_t1"),
    "dense_t1 refined": network("dense_t1", STEPS["dense"]),
    "dense_any": network("dense_any"),
    "dense_any refined": network("dense_any", STEPS["dense"]),
    "MIND": along_mind(),
    "dense_any, MIND": along_mind("dense_any"),
}


@functools.cache
def _model(name):
    return models.load(name)


def by_region(moving, fixed, found):
    """Measure a pair with labels of one scheme."""
    row = score.score(moving, fixed, found)
    return {
        "dice": row["dice"],
        "tre_mm": row["tre_mm"],
        "folded_percent": row["folding"],
    }


def by_structure(scan, goal, fixed, found):
    """Measure a head whose labels were numbered as those of the fixed scan."""
    return elsewhere.measured(scan, goal, fixed, found) | {"tre_mm": np.nan}


def same_person(scan, plain):
    """Cut a person's brain out of a scan by the mask of another scan of that person.

    Both were made in one session, so their headers say how they lie to each other.
    """
    brain = plain.brain().astype("float32")
    inside = grids.resample(brain, plain.affine, scan.grid) > 0.5
    return dataclasses.replace(scan, image=scan.image * inside, name=plain.name)


def cases(name, most):
    """Yield the name of a pair, moving, fixed, its start's moving, and its measure."""
    if name in ("cohort", "any to any"):
        chosen = pairs.fixed_pairs() if name == "cohort" else pairs.any_pairs()
        for pair in chosen[:most]:
            moving, fixed = pairs.scan(pair.moving), pairs.scan(pair.fixed)
            measure = functools.partial(by_region, moving, fixed)
            yield pair.moving, moving, fixed, moving, measure
    elif name in HEADS:
        for head, scan, names, scheme, kind in elsewhere.heads():
            if name not in (head, f"{head} {kind}"):
                continue
            fixed = elsewhere.cohort_fixed()
            goal = elsewhere.structures(fixed.labels, names, "ixi", scheme)
            whole = fixed if kind == "found" else fixed.stripped()
            target = elsewhere.prepared(whole, kind)
            moving = elsewhere.prepared(scan, kind)
            measure = functools.partial(by_structure, scan, goal, fixed)
            yield head, moving, target, moving, measure
    elif name in REAL:
        contrast = name.removeprefix("IXI ")
        chosen = pairs.fixed_pairs()[:most]
        there = ixi_contrasts.fetch(contrast, [pair.moving for pair in chosen])
        for pair in chosen:
            if pair.moving in there:
                plain, fixed = pairs.scan(pair.moving), pairs.scan(pair.fixed)
                moving = same_person(nifti.load(there[pair.moving]), plain)
                measure = functools.partial(by_region, plain, fixed)
                yield pair.moving, moving, fixed, plain, measure
    else:
        where, contrast = subject.grid(pairs.SIMULATED_MM), name.split()[-1]
        fixed = pairs.scan(pairs.SIMULATED_FIXED)
        for one in pairs.SIMULATED_TEST[:most]:
            seed = [pairs.SIMULATED_SEED, int(one.removeprefix("sim-"))]
            plain, moving = (
                subject.subject(seed, where, skull=False, contrast=kind).scan
                for kind in ("t1", contrast)
            )
            measure = functools.partial(by_region, moving, fixed)
            yield one, moving, fixed, plain, measure


def measured(name, most, path):
    """Measure what a set lacks."""
    done = table.finished(path, KEYS)
    for case, moving, fixed, plain, measure in cases(name, most):
        todo = [m for m in METHODS if table.key((name, case, m)) not in done]
        if not todo:
            continue
        bare = [
            dataclasses.replace(one, labels=None, mask=None, landmarks=None)
            for one in (moving, fixed, plain)
        ]
        start = affine.register(bare[2], bare[1], _model("affine_t1"), STEPS["affine"])
        for method in todo:
            row = measure(METHODS[method](bare[0], bare[1], start))
            keys = dict(zip(KEYS, (name, case, method), strict=True))
            table.append(path, row | keys, COLUMNS)


def summary(rows):
    """Return the mean of every method on every set, and how often it does harm."""
    start = rows[rows["method"] == "the start"].set_index(["set", "pair"])
    start = start.reindex(pandas.MultiIndex.from_frame(rows[["set", "pair"]]))
    by_label = rows["tre_mm"].isna()
    worse = np.where(
        by_label,
        rows["dice"].to_numpy() < start["dice"].to_numpy() - 1e-6,
        rows["tre_mm"].to_numpy() > start["tre_mm"].to_numpy() + 1e-6,
    )
    rows = rows.assign(worse_percent=100.0 * worse, pairs=1)
    groups = rows.groupby(["set", "method"], sort=False)
    means = groups[[*METRICS, "worse_percent"]].mean()
    return means.assign(pairs=groups["pairs"].sum()).reset_index()


def main(argv=None):
    """Measure what has no row yet, and write the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--sets", help=f"some of {','.join(SETS)}; all if left out")
    add("--pairs", type=int, default=25, help="of a set, at most")
    add("--csv", type=pathlib.Path, default=jobs.RESULTS / "any_head_pairs.csv")
    options = parser.parse_args(argv)
    for name in jobs.chosen(parser, "sets", options.sets, SETS):
        try:
            measured(name, options.pairs, options.csv)
        except ConnectionError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    found = summary(pandas.read_csv(options.csv))
    path = options.csv.with_name(options.csv.name.replace("_pairs", ""))
    found.to_csv(path, index=False, float_format="%.4g")
    print(found.to_string(index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
