"""Draw images/check_roc.png: how much the check catches at which share of false alarms.

The table is made by `python -m benchmarks.accuracy.failures`.
"""

from pathlib import Path

import pandas

from registration.show import style

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "benchmarks/results/check_roc_pairs.csv"
IMAGE = ROOT / "images/check_roc.png"
TITLES = {"affine": "after the affine", "dense": "after the deformation"}
HEADS = {"test scans": 0, "other scanners": 1}
DAMAGE = {"known": "-", "kept aside": "--"}


def main():
    """Draw a curve for each group of heads and kind of damage."""
    rows = pandas.read_csv(TABLE)
    picture, axes = style.subplots(1, 2, 8.4, 3.8, "ROC of the check")
    for ax, (stage, title) in zip(axes.flat, TITLES.items(), strict=True):
        for heads, colour in HEADS.items():
            for damage, line in DAMAGE.items():
                some = rows[(rows["stage"] == stage) & (rows["heads"] == heads)]
                some = some[some["damage"] == damage]
                ax.step(
                    100 * some["false_alarms"],
                    100 * some["caught"],
                    line,
                    where="post",
                    color=style.LINES[colour],
                    label=f"{heads}, damage {damage}",
                )
        ax.axvline(5, color="0.8", linewidth=0.8, zorder=0)
        ax.set(xlabel="false alarms (%)", ylabel="bad ones caught (%)")
        ax.set(xlim=(0, 60), ylim=(30, 101), title=title)
    axes.flat[1].legend(loc="lower right", fontsize=8)
    picture.save(IMAGE)


if __name__ == "__main__":
    main()
