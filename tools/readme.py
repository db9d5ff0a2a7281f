"""Fill the tables of README.md from what was measured; nothing there is typed by hand.

A table stands between `<!-- begin NAME -->` and `<!-- end NAME -->`.
"""

import csv
import re

from tools import notebooks

README = notebooks.ROOT / "README.md"
RESULTS = notebooks.ROOT / "benchmarks" / "results"
MEASURED = RESULTS / "notebooks.csv"
CONTENTS = notebooks.FOLDER / "contents.csv"
COLUMNS = ("notebook", "kind", "device", "profile", "minutes", "peak_memory_mb")


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


def notebook_table():
    """Return the table of notebooks: what each is for and what a run took."""
    runs = {(row["notebook"], row["kind"]): row for row in measured()}
    lines = []
    for path in notebooks.sources():
        name = notebooks.title(notebooks.read(path)) or path.stem
        line = [f"[{name}](notebooks/{path.stem}.ipynb)", goals().get(path.stem, "")]
        for kind in ("CPU", "GPU"):
            run = runs.get((path.stem, kind))
            line.append(run["minutes"] if run else "not measured")
        run = runs.get((path.stem, "CPU"))
        line.append(f"{float(run['peak_memory_mb']) / 1000:.1f}" if run else "")
        lines.append(line)
    columns = ["notebook", "goal", "minutes, CPU", "minutes, GPU", "GB, CPU"]
    devices = sorted({f"{row['device']} ({row['profile']})" for row in measured()})
    note = f"\n\nMeasured on {'; '.join(devices)}." if devices else ""
    return table(columns, lines) + note


def number(text):
    """Shorten a number to three decimals, or three digits, and leave other text."""
    try:
        value = float(text)
    except ValueError:
        return text
    if value.is_integer():
        return f"{value:.0f}"
    return f"{value:.3f}" if abs(value) >= 0.1 else f"{value:.3g}"


def merged(row):
    """Write `x` or `x_mean` and its `x_sd` as one column `x`, "mean ± sd"."""
    result = {}
    for key, text in row.items():
        name = key.removesuffix("_mean")
        if key.endswith("_sd") and {key[:-3], f"{key[:-3]}_mean"} & row.keys():
            continue
        spread = row.get(f"{name}_sd")
        result[name] = number(text) + (f" ± {number(spread)}" if spread else "")
    return result


def csv_table(path):
    """Return a CSV file as a Markdown table with the device under it."""
    content = [merged(row) for row in rows(path)]
    devices = sorted({row.pop("device", "") for row in content} - {""})
    if not content:
        return ""
    columns = [name.replace("_", " ") for name in content[0]]
    note = f"\n\nDevice: {'; '.join(devices)}." if devices else ""
    return table(columns, [row.values() for row in content]) + note


def scorecards():
    """Return the scorecards of the stored notebooks, a table each."""
    parts = []
    for path in sorted((RESULTS / "scorecards").glob("*.csv")):
        if (notebooks.FOLDER / f"{path.stem}.py").exists():
            link = f"[{path.stem}](notebooks/{path.stem}.ipynb)"
            parts.append(f"**{link}**\n\n{csv_table(path)}")
    return "\n\n".join(parts)


def benchmarks():
    """Return the tables in benchmarks/results, without those of single pairs."""
    parts = []
    for path in sorted(RESULTS.glob("*.csv")):
        if path != MEASURED and not path.stem.endswith("_pairs"):
            parts.append(f"**{path.stem.replace('_', ' ')}**\n\n{csv_table(path)}")
    return "\n\n".join(parts)


TABLES = {
    "notebooks": notebook_table,
    "scorecards": scorecards,
    "benchmarks": benchmarks,
}


def filled(text):
    """Return the README's text with its tables brought up to date."""
    for name, build in TABLES.items():
        pattern = f"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
        content = build()
        text = re.sub(
            pattern,
            lambda found, content=content: (
                found.group(1) + (content + "\n" if content else "") + found.group(2)
            ),
            text,
            flags=re.DOTALL,
        )
    return text


def write():
    """Bring README.md up to date."""
    README.write_text(filled(README.read_text()))


if __name__ == "__main__":
    write()
