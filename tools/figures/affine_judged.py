"""Draw images/affine_judged.png, the opening picture of notebook 05."""

from pathlib import Path

import pandas as pd

from registration import show

ROOT = Path(__file__).resolve().parents[2]
METHODS = {
    "learned": "one pass",
    "refined": "one pass, refined",
    "ants_affine": "ANTs affine",
    "dipy_affine": "DIPY affine",
}
TARGETS = {
    "fixed": "to one fixed head",
    "any": "any to any",
    "simulated": "simulated",
}


def main():
    """Draw the stored Dice of every method, a group a kind of pairs."""
    table = pd.read_csv(ROOT / "benchmarks/results/affine_summary.csv")
    table = table[table["input"] == "stripped"].set_index(["targets", "method"])
    picture = show.figure(6.4, 3.0, "Dice of four methods on three kinds of pairs")
    ax = picture.subplots()
    for number, (method, name) in enumerate(METHODS.items()):
        places = [target + 0.16 * (number - 1.5) for target in range(len(TARGETS))]
        values = table.loc[[(target, method) for target in TARGETS], "dice"]
        ax.plot(places, values, "osD^"[number], markersize=8, label=name)
    ax.set_xticks(range(len(TARGETS)), TARGETS.values())
    ax.set_ylabel("Dice of the regions, mean")
    ax.legend(ncols=2, loc="upper left")
    ax.set_ylim(0.48, 0.62)
    picture.save(ROOT / "images" / "affine_judged.png")


if __name__ == "__main__":
    main()
