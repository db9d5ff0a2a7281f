"""Execute the notebooks into build/, with a line of progress each and a summary.

Every notebook runs in a fresh kernel, from its .py source. What it shows goes to
build/NN_topic.ipynb and .html, its scorecard to build/scorecards/NN_topic.csv, and
minutes, memory and device to build/summary.csv.
"""

import argparse
import csv
import json
import os
import re
import sys
import time

import nbclient
import nbconvert
import nbformat

from tools import memory, notebooks, tables

BUILD = notebooks.ROOT / "build"
COLUMNS = (
    "notebook",
    "status",
    "minutes",
    "peak_memory_mb",
    "kind",
    "device",
    "profile",
)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
PROBE = """\
import json
from helpers import backend
from registration import settings
gpu = backend.has_gpu()
print(json.dumps({
    "kind": "GPU" if gpu else "CPU",
    "device": backend.device_name(),
    "profile": settings.value("REGISTRATION_PROFILE") or ("full" if gpu else "quick"),
}))
"""


class Progress:
    """Print one line a notebook; on a terminal it counts the cells meanwhile."""

    def __init__(self, label, cells):
        """Say which notebook starts."""
        self.label, self.cells, self.done = label, cells, 0
        self.live = sys.stdout.isatty()
        self.show("starts")

    def show(self, text):
        """Print the line, on a terminal over the one before."""
        start, end = ("\r", "") if self.live else ("", "\n")
        print(f"{start}{self.label}  {text:<50}", end=end, flush=True)

    def step(self, **_):
        """Count one executed cell."""
        self.done += 1
        if self.live:
            self.show(f"cell {min(self.done, self.cells)} of {self.cells}")

    def close(self, text):
        """Print what became of the notebook."""
        self.show(text)
        if self.live:
            print()


def execute(path, kernel, label, folder=None, variables=None):
    """Run one notebook.

    Args:
        path: The .py source.
        kernel: Name of the kernel specification.
        label: Start of the progress line.
        folder: Where the kernel starts; the source's folder when None.
        variables: Dict of environment variables of the kernel besides this one's.

    Returns:
        The executed notebook, its row of the summary, and the error's text or "".
    """
    notebook = notebooks.read(path)
    steps = sum(cell.cell_type == "code" for cell in notebook.cells)
    progress = Progress(label, steps)
    client = nbclient.NotebookClient(
        notebook,
        timeout=None,
        kernel_name=kernel,
        extra_arguments=["--log-level=40"],
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder or path.parent)}},
        on_cell_executed=progress.step,
    )
    row = dict.fromkeys(COLUMNS, "")
    row.update(notebook=path.stem, status="ok")
    error = ""
    start = time.monotonic()
    environment = os.environ | {"REGISTRATION_BUILD": str(BUILD)} | (variables or {})
    with client.setup_kernel(env=environment):
        with memory.PeakMemory(client.km.provisioner.pid) as peak:
            try:
                for index, cell in enumerate(notebook.cells):
                    client.execute_cell(cell, index)
            except (nbclient.exceptions.CellExecutionError, RuntimeError) as problem:
                row["status"] = "failed"
                error = COLOURS.sub("", str(problem))
            row["minutes"] = f"{(time.monotonic() - start) / 60:.2f}"
        row["peak_memory_mb"] = f"{peak.megabytes:.0f}"
        if not error:
            row.update(probe(client, notebook))
            client.set_widgets_metadata()
    progress.close(
        f"{row['status']}, {row['minutes']} min, {row['peak_memory_mb']} MB, "
        f"{row['device']}"
    )
    return notebooks.tidy(notebook), row, error


def probe(client, notebook):
    """Ask the kernel that ran the notebook for its device."""
    cell = nbformat.v4.new_code_cell(PROBE)
    notebook.cells.append(cell)
    try:
        client.execute_cell(cell, len(notebook.cells) - 1, store_history=False)
        return json.loads(cell.outputs[-1].text)
    finally:
        notebook.cells.pop()


def export(notebook, name):
    """Write the executed notebook and its HTML page into build/."""
    notebooks.write(notebook, BUILD / f"{name}.ipynb")
    exporter = nbconvert.HTMLExporter(embed_images=True)
    resources = {"metadata": {"name": name, "path": str(notebooks.FOLDER)}}
    page, _ = exporter.from_notebook_node(notebook, resources)
    (BUILD / f"{name}.html").write_text(page, encoding="utf-8")


def scorecard(name):
    """Return a notebook's scorecard on one line; empty if it wrote none."""
    cards = tables.rows(BUILD / "scorecards" / f"{name}.csv")
    lines = []
    for row in map(tables.merged, cards):
        row.pop("device", None)
        method = row.pop("method", "")
        values = ", ".join(f"{key} {value}" for key, value in row.items() if value)
        lines.append(f"{method}: {values}")
    return "; ".join(lines)


def write_summary(rows):
    """Write build/summary.csv; notebooks that did not run now keep their rows."""
    path = BUILD / "summary.csv"
    kept = {row["notebook"]: row for row in tables.rows(path)}
    kept.update({row["notebook"]: row for row in rows})
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, (*COLUMNS, "scorecard"))
        writer.writeheader()
        writer.writerows(kept[name] for name in sorted(kept))
    return path


def main():
    """Run the chosen notebooks and exit with an error if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of the notebooks' names")
    parser.add_argument("--kernel", default="python3", help="kernel specification")
    options = parser.parse_args()
    paths = notebooks.sources(options.only)
    if not paths:
        sys.exit(f"No notebook's name contains {options.only!r}.")
    (BUILD / "scorecards").mkdir(parents=True, exist_ok=True)
    rows, errors = [], {}
    for number, path in enumerate(paths, 1):
        (BUILD / "scorecards" / f"{path.stem}.csv").unlink(missing_ok=True)
        label = f"[{number}/{len(paths)}] {path.stem}"
        notebook, row, error = execute(path, options.kernel, label)
        export(notebook, path.stem)
        rows.append({**row, "scorecard": scorecard(path.stem)})
        if error:
            errors[path.stem] = error
            print(error, flush=True)
    summary = write_summary(rows)
    print("Pages:      build/*.html\nScorecards: build/scorecards/*.csv")
    print(f"Summary:    {summary.relative_to(notebooks.ROOT)}")
    if errors:
        sys.exit(
            f"Failed: {', '.join(errors)}. The error stands above, and in the page."
        )


if __name__ == "__main__":
    main()
