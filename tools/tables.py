"""Markdown tables of what was measured; nothing in them is typed by hand."""

import csv
import math

from tools import notebooks

RESULTS = notebooks.ROOT / "benchmarks" / "results"
MEASURED = RESULTS / "notebooks.csv"
CONTENTS = notebooks.FOLDER / "contents.csv"
COLUMNS = ("notebook", "kind", "device", "profile", "minutes", "peak_memory_mb")
NOTHING = "–"
METHODS = {
    "learned": "learned: one pass of the stored networks",
    "refined": "refined: the same, then a few steps for this pair",
    "command": "the command `registration pair`: fewer steps, no TensorFlow",
    "ants_syn": "ANTs SyN",
    "dipy_syn": "DIPY SyN",
}
# Whole processes that are the command; one pass of it answers as Keras does.
COMMAND = {"learned": "onnx", "command": "onnx_refined"}


def rows(path):
    """Return the rows of a CSV file as dictionaries; none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def measured():
    """Return minutes and memory of the stored runs, a row a notebook and device."""
    return rows(MEASURED)


def goals():
    """Return a dictionary from a notebook's name to its goal, one sentence."""
    return {row["notebook"]: row["goal"] for row in rows(CONTENTS)}


def table(columns, lines):
    """Return a Markdown table."""
    head = [" | ".join(columns), " | ".join("---" for _ in columns)]
    return "\n".join(f"| {line} |" for line in [*head, *map(" | ".join, lines)])


def decimals(value):
    """Return how many decimals show three digits of a number, four at most."""
    if not value or not math.isfinite(value):
        return 0
    return min(4, max(0, 2 - math.floor(math.log10(abs(value)))))


def number(text, places=None):
    """Shorten a number to three digits, or to some decimals, and leave other text."""
    try:
        value = float(text)
    except ValueError:
        return text
    if math.isnan(value):
        return NOTHING
    if 0 < abs(value) < 1e-3 and places is None:
        return f"{value:.2g}"
    if value.is_integer() and not places:
        return f"{value:.0f}"
    return f"{value:.{decimals(value) if places is None else places}f}"


def spread(mean, deviation):
    """Write "mean ± deviation", both to the same decimals; the mean where all agree."""
    try:
        places = decimals(float(mean)) or decimals(float(deviation))
        if not float(deviation):
            return number(mean)
    except ValueError:
        return number(mean)
    return f"{number(mean, places)} ± {number(deviation, places)}"


def merged(row):
    """Write `x` or `x_mean` and its `x_sd` as one column `x`, "mean ± sd"."""
    result = {}
    for key, text in row.items():
        name = key.removesuffix("_mean")
        if key.endswith("_sd") and {key[:-3], f"{key[:-3]}_mean"} & row.keys():
            continue
        deviation = row.get(f"{name}_sd")
        result[name] = spread(text, deviation) if deviation else number(text)
    return result


def csv_table(path):
    """Return a CSV file as a Markdown table with the device under it.

    A column that is empty in every row is left out.
    """
    content = [merged(row) for row in rows(path)]
    devices = sorted({row.pop("device", "") for row in content} - {""})
    if not content:
        return "Not measured yet."
    columns = [name for name in content[0] if any(row[name] for row in content)]
    names = [name.replace("_", " ") for name in columns]
    lines = [[row[name] or NOTHING for name in columns] for row in content]
    note = f"\n\nDevice: {'; '.join(devices)}." if devices else ""
    return table(names, lines) + note


def notebook_table():
    """Return the path through the series: number, title, goal and minutes."""
    runs = {(row["notebook"], row["kind"]): row for row in measured()}
    kinds = [kind for kind in ("CPU", "GPU") if any(k == kind for _, k in runs)]
    lines = []
    for path in notebooks.sources():
        title = notebooks.title(notebooks.read(path)) or path.stem
        link = f"[{title}](notebooks/{path.stem}.ipynb)"
        line = [notebooks.number(path), link, goals().get(path.stem, "")]
        for kind in kinds:
            run = runs.get((path.stem, kind))
            line.append(f"{float(run['minutes']):.1f}" if run else NOTHING)
        lines.append(line)
    columns = ["", "notebook", "goal", *(f"minutes, {kind}" for kind in kinds)]
    devices = sorted({f"{row['device']} ({row['profile']})" for row in measured()})
    note = f"\n\nMeasured on {'; '.join(devices)}." if devices else ""
    return table(columns, lines) + note


def result_table():
    """Return the table of results: ours beside two classical tools.

    Seconds in a fresh process come from `fresh_process.csv`; until it has a method
    its cell shows a dash.
    """
    found = {
        row["method"]: row
        for row in rows(RESULTS / "dense_summary.csv")
        if (row["targets"], row["input"]) == ("fixed", "stripped")
    }
    fresh = [
        row
        for row in rows(RESULTS / "fresh_process.csv")
        if row.get("size", "2 mm") == "2 mm"
    ]
    lines = []
    for method, name in METHODS.items():
        row, timed = found.get(method, {}), COMMAND.get(method, method)
        seconds = [float(one["seconds"]) for one in fresh if one["method"] == timed]
        lines.append(
            [
                name,
                spread(row["dice"], row["dice_sd"]) if row else NOTHING,
                f"{float(row['folding']):.2f}" if row else NOTHING,
                f"{float(row['seconds']):.1f}" if row else NOTHING,
                f"{sum(seconds) / len(seconds):.0f}" if seconds else NOTHING,
            ]
        )
    columns = [
        "method",
        "Dice",
        "folded voxels, %",
        "seconds, warm",
        "seconds, fresh process",
    ]
    return table(columns, lines) + "\n\n" + _conditions(found, fresh)


def _conditions(found, fresh):
    """Say on what the results were measured, and by which clock."""
    shown = [found[method] for method in METHODS if method in found]
    pairs = " or ".join(sorted({row["pairs"] for row in shown})) or "No"
    text = [f"{pairs} pairs that the networks never saw, mean ± standard deviation."]
    clocks = {row.get("clock") for row in shown}
    if "processor" in clocks:
        text.append(
            "The seconds of ANTs and DIPY are processor time of one thread, ours are "
            "wall-clock time in a process that has registered before."
        )
    devices = sorted({row["device"] for row in fresh if row.get("device")})
    if devices:
        text.append(f"Fresh processes on {'; '.join(devices)}.")
    return " ".join(text)


def scorecards():
    """Return the scorecards of the stored notebooks, a table each."""
    parts = []
    for path in notebooks.sources():
        card = RESULTS / "scorecards" / f"{path.stem}.csv"
        if card.exists():
            title = notebooks.title(notebooks.read(path))
            link = f"[{notebooks.number(path)} · {title}](notebooks/{path.stem}.ipynb)"
            parts.append(f"**{link}**\n\n{csv_table(card)}")
    return "\n\n".join(parts)


def benchmarks():
    """Return a dictionary from the name of a benchmark's table to its file.

    Files of single pairs are not shown, nor those that have a place of their own.
    """
    return {
        path.stem: path
        for path in sorted(RESULTS.glob("*.csv"))
        if path != MEASURED and not path.stem.endswith("_pairs")
    }
