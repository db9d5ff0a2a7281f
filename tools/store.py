"""Keep the last `make run`: notebooks with results, scorecards, minutes, README.

    make store            everything
    make store ONLY=01    one notebook
    python -m tools.store --summary FILE   only minutes and memory, from elsewhere

The last form adds what a run on another machine, say one with a GPU, has measured.
"""

import argparse
import csv
import shutil
import sys
from pathlib import Path

import nbformat

from tools import check, notebooks, readme, tables

BUILD = notebooks.ROOT / "build"
SCORECARDS = tables.RESULTS / "scorecards"


def keep_page(path):
    """Copy an executed notebook beside its source; return what stands in the way."""
    page = BUILD / f"{path.stem}.ipynb"
    if not page.exists():
        return ["it has not been run: `make run`"]
    executed = nbformat.read(page, as_version=4)
    if notebooks.content(executed) != notebooks.content(notebooks.read(path)):
        return ["its source has changed since: `make run`"]
    found = check.output_problems(executed)
    if not found:
        notebooks.write(notebooks.tidy(executed), path.with_suffix(".ipynb"))
        scorecard = BUILD / "scorecards" / f"{path.stem}.csv"
        if scorecard.exists():
            SCORECARDS.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(scorecard, SCORECARDS / scorecard.name)
    return found


def keep_summary(path, names):
    """Merge rows of a summary into benchmarks/results/notebooks.csv."""
    kept = {(row["notebook"], row["kind"]): row for row in tables.measured()}
    for row in tables.rows(path):
        if row["notebook"] in names and row["status"] == "ok":
            key = row["notebook"], row["kind"]
            kept[key] = {column: row[column] for column in tables.COLUMNS}
    tables.RESULTS.mkdir(parents=True, exist_ok=True)
    with tables.MEASURED.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, tables.COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept[key] for key in sorted(kept))


def main():
    """Store what can be stored; exit with the reasons where something cannot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of the notebooks' names")
    parser.add_argument("--summary", type=Path, help="summary.csv of another machine")
    options = parser.parse_args()
    paths, refused = notebooks.sources(options.only), {}
    if options.summary is None:
        refused = {path.stem: keep_page(path) for path in paths}
        refused = {name: found for name, found in refused.items() if found}
    names = {path.stem for path in paths} - refused.keys()
    keep_summary(options.summary or BUILD / "summary.csv", names)
    readme.write()
    for name in sorted(names):
        print(f"{name}: stored")
    for name, found in refused.items():
        print(f"{name}: not stored\n  " + "\n  ".join(found))
    sys.exit(1 if refused else 0)


if __name__ == "__main__":
    main()
