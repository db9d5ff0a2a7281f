"""A table of results that grows row by row and survives being stopped."""

import csv
import os
import pathlib

import pandas

KEYS = ("targets", "input", "scan", "fixed", "method")
GROUPS = ("targets", "input", "method")


def append(path, row, columns):
    """Add one row in one write, with the header before the first.

    Raises:
        ValueError: If the file has other columns.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.stat().st_size == 0:
        _write(path, columns)
    header = path.open(newline="").readline().rstrip("\r\n").split(",")
    if header != list(columns):
        raise ValueError(f"{path} must have the columns {columns}. Received: {header}")
    _write(path, [short(row[column]) for column in columns])


def _write(path, values):
    with path.open("a", newline="") as file:
        csv.writer(file, lineterminator=os.linesep).writerow(values)


def short(value):
    """Return a value as a table holds it, six digits of a float."""
    return f"{value:.6g}" if isinstance(value, float) else value


def finished(path, keys=KEYS):
    """Return the keys of the rows that a table holds already, a set of tuples."""
    if not pathlib.Path(path).exists():
        return set()
    rows = pandas.read_csv(path, dtype={key: str for key in keys})
    return set(rows[list(keys)].itertuples(index=False, name=None))


def summarise(path, planned, metrics):
    """Return the mean and deviation of each metric by setting and method.

    The seconds of a method on one thread are its processor seconds, which other
    work on the machine disturbs least; those of any other are wall-clock
    seconds. The column `clock` says which.

    Args:
        path: Table of rows, one a pair and method.
        planned: Dictionary from targets to the number of pairs a full run has.
        metrics: Columns to average.

    Returns:
        A pandas table with one row a setting and method: `pairs` is how many
        were measured and `of` how many a full run has.
    """
    rows = pandas.read_csv(path)
    alone = rows["threads"] == 1
    rows["seconds"] = rows["cpu_seconds"].where(alone, rows["seconds"])
    lines = []
    for key, group in rows.groupby(list(GROUPS), sort=False):
        line = dict(zip(GROUPS, key, strict=True))
        line["pairs"], line["of"] = len(group), planned.get(key[0], len(group))
        for metric in metrics:
            line[metric] = group[metric].mean()
            line[f"{metric}_sd"] = group[metric].std()
        threads = sorted(group["threads"].unique())
        line["threads"] = "/".join(map(str, threads))
        line["clock"] = "processor" if threads == [1] else "wall"
        lines.append(line)
    return pandas.DataFrame(lines).round(4)


def show(summary, metrics):
    """Return the summary as text, one `mean ± sd` a metric."""
    shown = summary[[*GROUPS]].copy()
    shown["pairs"] = summary["pairs"].astype(str) + "/" + summary["of"].astype(str)
    for metric in metrics:
        shown[metric] = [
            "" if mean != mean else f"{mean:.3f}" + (f" ± {sd:.3f}" if sd == sd else "")
            for mean, sd in zip(summary[metric], summary[f"{metric}_sd"], strict=True)
        ]
    shown["clock"] = summary["clock"]
    return shown.to_string(index=False)
