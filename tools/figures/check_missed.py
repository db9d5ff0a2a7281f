"""Draw images/check_missed.jpeg: what the check calls good though it is bad.

One registration of each kind of damage that it misses, the worst of the test scans,
made anew as `benchmarks/accuracy/failures.py` made it: the fixed brain, what the pair
reaches undisturbed, and what was missed, each with the outline of the fixed brain.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pandas

from benchmarks.accuracy import check_fit, failures
from registration import check
from registration.show import geometry, style

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "benchmarks/results/failures_pairs.csv"
IMAGE = ROOT / "images/check_missed.jpeg"
MOST = 8


def missed():
    """Return the worst missed row of each kind, the worst of all first."""
    rows = pandas.read_csv(TABLE)
    rows = rows.assign(kind=rows["damage"].str.split().str[0])
    rows = rows.assign(share=rows["dice"] / check_fit.best(rows))
    rows = rows[(rows["split"] == "test") & (rows["share"] < check_fit.BAD)]
    told = [check.judge(row, row["stage"]).level for row in rows.to_dict("records")]
    rows = rows[np.array(told) == "good"].sort_values("share")
    return rows.drop_duplicates("kind").head(MOST)


def registered(row):
    """Make a registration of the table anew.

    Args:
        row: A row of it.

    Returns:
        Three slices and the outline: the fixed brain, the moving one by the best
        registration of the pair and by this one.
    """
    task = next(
        ("test", *pair)
        for pair in failures.pairs("test")
        if failures.names(("test", *pair))[1:] == (row.moving, row.fixed)
    )
    rng, (moving, fixed) = failures.generator(task), failures.scans(task)
    best = failures.registered(moving, fixed, True)["dense"]
    for number, one in enumerate(failures.spoiled(task, rng)):
        ways = failures.misplaced(rng, best, fixed) if number == 0 else {}
        if row.damage in ways:
            way, here = ways[row.damage], moving
            break
        if number and one.kind == row.damage:
            here = one.moving
            way = failures.registered(here, one.fixed, one.refined)[row.stage]
            break
    heads = [(best, moving), (way, here)]
    moved = [
        found.apply(dataclasses.replace(scan, mask=None), fixed.grid).image
        for found, scan in heads
    ]
    plane = geometry.PLANES[1]
    index = int(np.argwhere(fixed.mask).mean(axis=0)[1])
    cut = [geometry.cut(volume, plane, index) for volume in (fixed.image, *moved)]
    return cut, geometry.cut(fixed.mask, plane, index)


def main():
    """Draw a column for each kind."""
    rows = list(missed().itertuples())
    picture, axes = style.subplots(
        3, len(rows), 1.55 * len(rows) + 0.4, 4.9, "What the check misses"
    )
    for column, row in zip(axes.T, rows, strict=True):
        cut, mask = registered(row)
        for ax, image in zip(column, cut, strict=True):
            ax.imshow(image / np.quantile(image, 0.995), cmap="gray", vmin=0, vmax=1)
            ax.contour(mask, [0.5], colors=style.COLOURS[0], linewidths=0.7)
            ax.set(xticks=[], yticks=[])
        column[0].set_title(f"{row.kind.replace('_', ' ')}\n{row.stage}", fontsize=8)
        column[2].set_xlabel(
            f"Dice {row.dice:.2f} of {row.dice / row.share:.2f}", fontsize=8
        )
    for ax, name in zip(axes[:, 0], ("fixed", "undisturbed", "missed"), strict=True):
        ax.set_ylabel(name)
    picture.save(IMAGE)


if __name__ == "__main__":
    main()
