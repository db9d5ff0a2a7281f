"""Paired differences of the skull benchmark: what the skull costs on each scan."""

import numpy as np
import pandas
from scipy import stats

from benchmarks import table

PAIR = ("trained", "tested")
COMPARISONS = {
    "skull at both - neither": (("skull", "skull"), ("stripped", "stripped")),
    "skull at the test only - neither": (
        ("stripped", "skull"),
        ("stripped", "stripped"),
    ),
    "skull in training only - neither": (
        ("skull", "stripped"),
        ("stripped", "stripped"),
    ),
    "brain-only loss - plain, heads": (("brain_loss", "skull"), ("skull", "skull")),
    "mixture - plain, heads": (("mixture", "skull"), ("skull", "skull")),
    "mixture - plain, brains": (("mixture", "stripped"), ("stripped", "stripped")),
    "brain-only loss, heads - stripped": (
        ("brain_loss", "skull"),
        ("stripped", "stripped"),
    ),
}
SCORES = ("dice", "tre_mm")
CLASSICAL = {
    "affine_pairs.csv": {"affine": ("dipy_affine", "ants_affine", "refined")},
    "dense_pairs.csv": {"dense": ("dipy_syn", "ants_syn", "refined")},
}


SUMMARIES = {
    "skull": ("source", "level", "trained", "tested"),
    "skull_gradient": ("source", "stage", "loss"),
    "skull_tools": ("source", "method"),
    "skull_masks": ("source", "level", "trained", "mask"),
}


def paired(one, other):
    """Compare two scores of the same scans.

    Args:
        one: Array `(n,)`.
        other: Array `(n,)` of the same scans.

    Returns:
        Dict of `pairs`, `difference` (the mean of one - other), `low` and `high`
        (its 95 % confidence interval by Student's t), and `p` of the Wilcoxon
        signed-rank test; NaN where there are too few pairs.
    """
    gap = np.asarray(one, "float64") - np.asarray(other, "float64")
    gap = gap[np.isfinite(gap)]
    result = {"pairs": len(gap), "difference": gap.mean() if len(gap) else np.nan}
    half, p = np.nan, np.nan
    if len(gap) > 2 and gap.std() > 0:
        half = stats.t.ppf(0.975, len(gap) - 1) * stats.sem(gap)
        p = stats.wilcoxon(gap).pvalue
    low, high = result["difference"] - half, result["difference"] + half
    return result | {"low": low, "high": high, "p": p}


def of_networks(rows):
    """Return the paired differences of `skull_pairs.csv`, one line each."""
    lines = []
    for (source, level), some in rows.groupby(["source", "level"], sort=False):
        for title, (one, other) in COMPARISONS.items():
            for metric in SCORES:
                columns = [
                    some[(some[list(PAIR)] == list(setting)).all(axis=1)]
                    .set_index("scan")[metric]
                    .dropna()
                    for setting in (one, other)
                ]
                both = pandas.concat(columns, axis=1, join="inner")
                if len(both):
                    line = {"source": source, "level": level, "method": "network"}
                    line |= {"comparison": title, "metric": metric}
                    lines.append(line | paired(*both.to_numpy().T))
    return lines


def of_classical(folder):
    """Return what the skull costs the methods of the stored affine and dense tables.

    Only scans that were measured with the skull and without count.
    """
    lines = []
    for name, levels in CLASSICAL.items():
        if not (folder / name).exists():
            continue
        rows = pandas.read_csv(folder / name)
        for level, methods in levels.items():
            for targets, source in (("fixed", "ixi"), ("simulated", "simulated")):
                for method in methods:
                    some = rows[(rows.targets == targets) & (rows.method == method)]
                    lines += _classical_lines(some, source, level, method)
    return lines


def _classical_lines(rows, source, level, method):
    title, lines = next(iter(COMPARISONS)), []
    for metric in SCORES:
        both = rows.pivot_table(index="scan", columns="input", values=metric)
        if {"skull", "stripped"} <= set(both):
            both = both[["skull", "stripped"]].dropna()
            if len(both):
                line = {"source": source, "level": level, "method": method}
                line |= {"comparison": title, "metric": metric}
                lines.append(line | paired(*both.to_numpy().T))
    return lines


def summarise(folder):
    """Write the mean and deviation of every table of single scans in a folder."""
    for name, groups in SUMMARIES.items():
        path = folder / f"{name}_pairs.csv"
        if not path.exists():
            continue
        rows = pandas.read_csv(path)
        metrics = [c for c in rows if c not in (*groups, "scan", "steps")]
        summary = table.means(rows, groups, metrics)
        grouped = rows.groupby(list(groups), sort=False)
        summary.insert(0, "scans", grouped.size())
        if "steps" in rows:
            summary["steps"] = grouped["steps"].max()
        summary.round(4).reset_index().to_csv(folder / f"{name}.csv", index=False)


def write(folder):
    """Write `skull_differences.csv` from the tables of a folder, and return it."""
    path = folder / "skull_pairs.csv"
    lines = of_networks(pandas.read_csv(path)) if path.exists() else []
    made = pandas.DataFrame(lines + of_classical(folder))
    made = made.round(dict.fromkeys(("difference", "low", "high"), 4))
    made["p"] = made["p"].map("{:.2g}".format)
    made.to_csv(folder / "skull_differences.csv", index=False)
    return made
