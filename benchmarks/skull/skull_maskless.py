"""Register whole heads without any mask: `python -m benchmarks.skull.skull_maskless`.

The affine and the dense table give our own methods the fixed scan's brain mask where
the heads keep their skulls, and the classical tools none. These rows take it away, so
that all methods see the same. The pairs and the score are those of these tables.
"""

import argparse
import dataclasses
import functools
import pathlib
import sys

import pandas

from benchmarks import jobs
from benchmarks.accuracy import learned, pairs
from benchmarks.skull import skull_differences
from helpers import metrics

KEYS = ("targets", "method", "scan")
COLUMNS = (*KEYS, "level", "dice", "brain_dice")
METHODS = {
    "refined_affine": "affine",
    "voxelmorph_diffeomorphic": "dense",
    "learned": "dense",
    "refined": "dense",
}
# Row of `skull_equal.csv` → level, and its method among the rows without a mask,
# unless it never had one.
COMPARED = {
    "dipy_affine": ("affine", None),
    "ants_affine": ("affine", None),
    "learned_affine": ("affine", None),
    "refined_affine": ("affine", "refined_affine"),
    "dipy_syn": ("dense", None),
    "ants_syn": ("dense", None),
    "voxelmorph_diffeomorphic": ("dense", "voxelmorph_diffeomorphic"),
    "learned": ("dense", "learned"),
    "refined": ("dense", "refined"),
}


def main(argv=None):
    """Register the pairs that the table lacks; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--methods", help=f"some of {','.join(METHODS)}; all if left out")
    add("--targets", default="fixed", help="fixed or simulated")
    add("--limit", type=int, help="only the first pairs")
    add("--results", type=pathlib.Path, default=jobs.RESULTS)
    add("--quiet", action="store_true", help="show no progress bar")
    options = parser.parse_args(argv)
    methods = jobs.chosen(parser, "methods", options.methods, METHODS)
    todo = [
        ((options.targets, method, pair.moving), functools.partial(row, pair, method))
        for pair in pairs.pairs(options.targets)[: options.limit]
        for method in methods
    ]
    path = options.results / "skull_maskless_pairs.csv"
    jobs.run(todo, path, KEYS, COLUMNS, options.quiet)
    summarise(options.results)
    return 0


def row(pair, method):
    """Return the Dice of a pair of whole heads, registered without a mask."""
    moving, fixed = _scan(pair.moving), _scan(pair.fixed)
    found = transform(moving, fixed, method)
    moved = found.apply(dataclasses.replace(moving, landmarks=None), fixed.grid)
    return {
        "level": METHODS[method],
        "dice": metrics.mean_dice(fixed.labels, moved.labels),
        "brain_dice": metrics.dice(fixed.brain(), moved.mask)[1],
    }


def transform(moving, fixed, method):
    """Return the `transform.Transform` of one of `METHODS`, which sees no mask.

    Args:
        moving: `scan.Scan`.
        fixed: `scan.Scan`.
        method: One of `METHODS`, with the steps that the accuracy tables give it.
    """
    from registration import affine, dense

    steps = 0 if method == "learned" else learned.AFFINE_STEPS
    start = affine.register(moving, fixed, _model("affine_t1"), steps)
    if METHODS[method] == "affine":
        return start
    name = method if method == "voxelmorph_diffeomorphic" else "dense_t1"
    steps = learned.DENSE_STEPS if method == "refined" else 0
    return dense.register(moving, fixed, _model(name), start, steps)


def summarise(folder):
    """Write `skull_equal.csv`: all methods without a mask, and all with both masks.

    Only scans count on which every method was measured, both ways. Without a mask:
    `heads`. With both: `brains`, each scan cut out by its own mask. `fixed_mask` is
    what our methods reach on heads when they alone are given the fixed scan's mask.

    Args:
        folder: `pathlib.Path` of the tables of the accuracy benchmarks and of the rows
            without a mask.
    """
    bare = pandas.read_csv(folder / "skull_maskless_pairs.csv")
    bare = bare[bare["targets"] == "fixed"]
    columns = {}
    for name, (level, maskless) in COMPARED.items():
        rows = pandas.read_csv(folder / f"{level}_pairs.csv")
        rows = rows[rows["targets"] == "fixed"]
        method = name.removesuffix("_affine") if name.endswith("d_affine") else name
        dice = rows[rows["method"] == method].set_index(["input", "scan"])["dice"]
        heads = dice["skull"] if "skull" in dice else None
        if maskless:
            columns[name, "fixed_mask"] = heads
            heads = bare[bare["method"] == maskless].set_index("scan")["dice"]
        columns |= {(name, "heads"): heads, (name, "brains"): dice["stripped"]}
    columns = {key: one for key, one in columns.items() if one is not None}
    dice, lines = pandas.concat(columns, axis=1, join="inner").dropna(), []
    for name, (level, _) in COMPARED.items():
        some = dice[name]
        line = {"level": level, "method": name, "pairs": len(some)}
        for column in ("heads", "brains"):
            line |= {column: some[column].mean(), f"{column}_sd": some[column].std()}
        facts = skull_differences.paired(some["heads"], some["brains"])
        line |= {k: facts[k] for k in ("difference", "low", "high")}
        line["fixed_mask"] = some["fixed_mask"].mean() if "fixed_mask" in some else None
        lines.append(line)
    made = pandas.DataFrame(lines).round(4)
    made.to_csv(folder / "skull_equal.csv", index=False)


@functools.cache
def _model(name):
    from registration import models

    return models.load(name)


@functools.lru_cache(maxsize=4)
def _scan(name):
    return pairs.scan(name, keep_skull=True)


if __name__ == "__main__":
    sys.exit(main())
