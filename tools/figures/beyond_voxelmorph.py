"""Draw images/beyond_voxelmorph.png, the opening picture of notebook 08."""

from pathlib import Path

import pandas as pd

from registration import show

ROOT = Path(__file__).resolve().parents[2]
METHODS = {
    "refined_affine": "twelve numbers",
    "ants_syn": "SyN, ANTs",
    "dipy_syn": "SyN, DIPY",
    "voxelmorph_mse": "VoxelMorph, mean squares",
    "voxelmorph_lncc": "VoxelMorph, local NCC",
    "voxelmorph_diffeomorphic": "VoxelMorph, diffeomorphic",
    "learned": "for any pair",
    "refined": "for any pair, refined",
}


def main():
    """Draw the stored Dice of every method on the test scans to the fixed one."""
    table = pd.read_csv(ROOT / "benchmarks/results/dense_summary.csv")
    chosen = (table["targets"] == "fixed") & (table["input"] == "stripped")
    table = table[chosen & (table["pairs"] == 25)].set_index("method")
    lines = [name for name in METHODS if name in table.index]
    picture = show.figure(6.4, 3.0, "Dice of each method on 25 test scans, with its sd")
    ax = picture.subplots()
    for place, name in enumerate(lines):
        colour = "tab:blue" if name.startswith("voxelmorph") else "0.35"
        value, spread = table.loc[name, ["dice", "dice_sd"]]
        ax.errorbar(value, place, xerr=spread, fmt="o", color=colour, markersize=8)
    ax.set_yticks(range(len(lines)), [METHODS[name] for name in lines])
    ax.set_xlabel("Dice of the regions: mean and standard deviation of 25 test scans")
    picture.save(ROOT / "images" / "beyond_voxelmorph.png")


if __name__ == "__main__":
    main()
