"""The scorecard: one table, the same in every notebook."""

import numpy as np
import pandas as pd

from helpers import backend, metrics
from registration import settings, show

COLUMNS = ("ncc", "dice", "brain_dice", "tre_mm", "folded_percent", "seconds")
TITLES = {
    "ncc": "NCC",
    "dice": "Dice",
    "brain_dice": "brain-mask Dice",
    "tre_mm": "TRE (mm)",
    "folded_percent": "folded (%)",
    "seconds": "seconds a pair",
}


def overlap(fixed, moved):
    """Judge a registration by the anatomy, which no loss has seen.

    Args:
        fixed: `scan.Scan` with a mask.
        moved: `scan.Scan` on the same grid, its labels and mask fetched once.

    Returns:
        Dict `dice`, the mean over the labels of at least 200 voxels, NaN where one of
        the two has no labels, and `brain_dice`, that of the masks.

    Raises:
        ValueError: If a mask is missing or the grids have different shapes.
    """
    labels = fixed.labels, moved.labels
    known = all(part is not None for part in labels)
    return {
        "dice": metrics.mean_dice(*labels) if known else float("nan"),
        "brain_dice": metrics.dice(fixed.brain(), moved.brain())[1],
    }


def table(notebook, rows):
    """Show mean ± standard deviation of every method on pairs it never saw.

    Where `REGISTRATION_BUILD` names a folder, the same numbers are written there
    as `scorecards/<notebook>.csv`.

    Args:
        notebook: Name of the notebook, for example `"01_affine_2d_mnist"`.
        rows: Dict method → dict of column → array of one value a pair, or a float.
            Columns: `ncc`, `dice`, `brain_dice`, `tre_mm`, `folded_percent`,
            `seconds`.

    Returns:
        `Scorecard`, which shows itself as a table.

    Raises:
        ValueError: If a column is unknown.
    """
    unknown = {c for values in rows.values() for c in values} - set(COLUMNS)
    if unknown:
        raise ValueError(f"columns must be among {COLUMNS}. Received: {unknown}")
    rows = {method: _known(values) for method, values in rows.items()}
    used = [c for c in COLUMNS if any(c in values for values in rows.values())]
    pairs = {m: max(np.size(v) for v in values.values()) for m, values in rows.items()}
    device = backend.device_name()
    records = [
        {"method": method, "pairs": pairs[method], "device": device}
        | {f"{c}_mean": np.mean(values[c]) for c in used if c in values}
        | {f"{c}_sd": np.std(values[c]) for c in used if c in values}
        for method, values in rows.items()
    ]
    if folder := settings.folder("REGISTRATION_BUILD"):
        path = folder / "scorecards" / f"{notebook}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(records).to_csv(path, index=False)
    shown = pd.DataFrame(
        {TITLES[c]: [_format(rows[m].get(c), c) for m in rows] for c in used}
        | {"pairs": [pairs[m] for m in rows]},
        index=list(rows),
    )
    return Scorecard(shown, f"Mean ± standard deviation. Device: {device}")


class Scorecard:
    """Show the table with its caption, in a notebook or as plain text.

    Args:
        frame: `pandas.DataFrame` of texts, one row a method.
        caption: What stands below the table.
    """

    def __init__(self, frame, caption):
        self.frame, self.caption = frame, caption

    def _repr_html_(self):
        return show.table(self.frame, caption=self.caption).html

    def __repr__(self):
        """Return the table as lines of text."""
        return f"{self.frame.to_string()}\n{self.caption}"


def _known(values):
    """Leave out a column that no pair has a value for, such as Dice without labels."""
    return {c: value for c, value in values.items() if not np.isnan(value).all()}


def _format(values, column):
    if values is None:
        return "–"
    mean, spread = np.mean(values), np.std(values)
    digits = 2 if column in ("tre_mm", "folded_percent") else 3
    if column == "seconds" and mean < 0.01:
        digits = 5
    text = f"{mean:.{digits}f}"
    return text if np.size(values) < 2 else f"{text} ± {spread:.{digits}f}"
