"""A table of results that grows row by row and survives being stopped."""

import pathlib

import pandas

DIGITS = "%.6g"


def append(path, row, columns):
    """Add one row in one write, with the header before the first.

    Args:
        path: The table, a CSV file that is made where there is none.
        row: Dict of at least the columns.
        columns: Names of all columns.

    Raises:
        ValueError: If the file has other columns.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists() or path.stat().st_size == 0
    header = list(columns if is_new else pandas.read_csv(path, nrows=0))
    if header != list(columns):
        raise ValueError(f"{path} must have the columns {columns}. Received: {header}")
    line = pandas.DataFrame([[row[column] for column in columns]], columns=columns)
    text = line.to_csv(index=False, header=is_new, float_format=DIGITS, na_rep="nan")
    with path.open("a", newline="") as file:
        file.write(text)


def key(values):
    """Return key values as `finished` reads them: texts, six digits of a float."""
    return tuple(DIGITS % v if isinstance(v, float) else str(v) for v in values)


def finished(path, keys):
    """Return the keys of the rows that a table holds already, a set of tuples."""
    if not pathlib.Path(path).exists():
        return set()
    rows = pandas.read_csv(path, dtype={key: str for key in keys})
    return set(rows[list(keys)].itertuples(index=False, name=None))


def means(rows, groups, metrics):
    """Return the mean and deviation of each metric by group.

    Args:
        rows: `pandas.DataFrame`.
        groups: Columns whose values a group has in common.
        metrics: Columns to average.

    Returns:
        `pandas.DataFrame` indexed by the groups, in the order in which they appear:
        `metric` and `metric_sd` of every metric.
    """
    made = rows.groupby(list(groups), sort=False)[list(metrics)].agg(["mean", "std"])
    made.columns = [m if kind == "mean" else f"{m}_sd" for m, kind in made.columns]
    return made
