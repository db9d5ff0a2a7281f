"""Draw images/skull.png: what the skull costs on every test scan, from stored tables.

The table is made by `python -m benchmarks.skull.skull`.
"""

from pathlib import Path

import matplotlib
import numpy as np
import pandas

matplotlib.use("Agg")
from matplotlib import pyplot

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "benchmarks/results/skull_pairs.csv"
IMAGE = ROOT / "images/skull.png"
CELLS = (("stripped", "stripped"), ("skull", "skull"), ("brain_loss", "skull"))
NAMES = ("brains", "heads", "heads,\nloss in the brain")
TITLES = {"affine": "twelve numbers", "dense": "a displacement for every voxel"}


def main():
    """Draw a line a scan, and the means."""
    rows = pandas.read_csv(TABLE)
    rows = rows[rows["source"] == "ixi"]
    figure, axes = pyplot.subplots(
        1, 2, figsize=(8, 3), sharey=True, layout="constrained"
    )
    for ax, (level, title) in zip(axes, TITLES.items(), strict=True):
        some = rows[rows["level"] == level].pivot_table(
            index="scan", columns=["trained", "tested"], values="dice"
        )
        dice = some[list(CELLS)].to_numpy()
        ax.plot(range(len(CELLS)), dice.T, color="0.8", linewidth=0.8)
        for place, column in enumerate(dice.T):
            ax.plot([place] * len(column), column, "o", color="#56B4E9", markersize=3)
            ax.hlines(np.mean(column), place - 0.2, place + 0.2, color="#D55E00")
        ax.set_xticks(range(len(CELLS)), NAMES)
        ax.set_title(f"{title}, {len(dice)} scans", fontsize=10)
        ax.set_ylabel("Dice of the anatomy")
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(IMAGE, dpi=110)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
