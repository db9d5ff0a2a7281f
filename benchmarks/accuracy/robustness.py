"""Measure how far a scan may be turned and shifted before registration is lost.

The moving scan is turned about a random axis and shifted along a random direction.
A method succeeds where the transform it then finds, with that motion undone,
differs from the one it found for the scan as it was by less than 2 mm on average
over the fixed scan's brain.
"""

import argparse
import functools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import pandas

from benchmarks import jobs
from benchmarks.accuracy import affine, pairs, score

LEVELS = "0:0,10:7.5,20:15,30:22.5,40:30,50:37.5,60:40"
LIMIT_MM = 2.0
KEYS = ("method", "input", "scan", "fixed", "degrees", "millimetres")
COLUMNS = (*KEYS, "distance_mm", "success", "seconds", "cpu_seconds", "threads")


def main(argv=None):
    """Measure the chosen methods at the chosen levels; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--methods", help=f"some of {','.join(affine.METHODS)}; all if left out")
    add("--levels", default=LEVELS, help="DEGREES:MILLIMETRES,...")
    add("--pairs", type=int, default=25, help="how many test scans to move")
    add("--keep-skull", action="store_true", help="measure whole heads")
    add("--csv", type=pathlib.Path, default=jobs.RESULTS / "robustness_pairs.csv")
    add("--figure", type=pathlib.Path, help="draw the curves into this file")
    add("--quiet", action="store_true", help="show no progress bar")
    options = parser.parse_args(argv)
    methods = jobs.chosen(parser, "methods", options.methods, affine.METHODS)
    jobs.run(list(_jobs(methods, options)), options.csv, KEYS, COLUMNS, options.quiet)
    curve = summarise(options.csv)
    curve.to_csv(options.csv.with_stem(f"{_stem(options.csv)}_summary"), index=False)
    print(curve.to_string(index=False))
    if options.figure:
        draw(curve, options.figure)
    return 0


def _stem(path):
    return path.stem.removesuffix("_pairs")


def _jobs(methods, options):
    kind = "skull" if options.keep_skull else "stripped"
    levels = [
        tuple(map(float, level.split(":"))) for level in options.levels.split(",")
    ]
    for method in methods:
        for index, pair in enumerate(pairs.fixed_pairs()[: options.pairs]):
            for degrees, shift in levels:
                key = (method, kind, *pair, degrees, shift)
                yield key, functools.partial(_measure, *key, index)


def _measure(method, kind, moving_name, fixed_name, degrees, millimetres, index):
    moving, fixed = _pair(kind, moving_name, fixed_name)
    motion = pairs.random_motion(moving, degrees, millimetres, index)
    found = affine.METHODS[method](pairs.move(moving, motion), fixed)
    unmoved = _unmoved(method, kind, moving_name, fixed_name)
    distance = score.motion_undone_mm(fixed, unmoved, found.transform, motion)
    row = {"distance_mm": distance, "success": int(distance < LIMIT_MM)}
    return row | found.cost()


@functools.lru_cache(maxsize=1)
def _pair(kind, *names):
    return [pairs.scan(name, kind == "skull") for name in names]


@functools.lru_cache(maxsize=1)
def _unmoved(method, kind, *names):
    return affine.METHODS[method](*_pair(kind, *names)).transform


def summarise(path):
    """Return the success rate of each method at each level, as a pandas table."""
    rows = pandas.read_csv(path)
    groups = rows.groupby(["method", "input", "degrees", "millimetres"])
    curve = groups.agg(
        pairs=("success", "size"),
        success_percent=("success", lambda column: 100 * column.mean()),
        median_mm=("distance_mm", "median"),
        worst_mm=("distance_mm", "max"),
    )
    return curve.round(3).reset_index()


def draw(curve, path):
    """Draw success against the turn, one line a method, the shift under the angle."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
    for (method, kind), line in curve.groupby(["method", "input"], sort=False):
        least, most = line["pairs"].min(), line["pairs"].max()
        count = f"{least}" if least == most else f"{least} to {most}"
        label = f"{method.replace('_', ' ')}, {kind} ({count} pairs)"
        axes.plot(line["degrees"], line["success_percent"], marker="o", label=label)
    levels = curve[["degrees", "millimetres"]].drop_duplicates().sort_values("degrees")
    axes.set_xticks(
        levels["degrees"],
        [f"{turn:g}°\n{shift:g} mm" for turn, shift in levels.itertuples(index=False)],
    )
    axes.set(xlabel="added turn and shift", ylabel="success in %", ylim=(-4, 104))
    axes.legend()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
