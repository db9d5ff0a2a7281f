"""Write notebooks/*.ipynb from the .py sources, keeping outputs that still hold.

The first code cell and the badge are brought up to date in the source on the way.
"""

import argparse
import subprocess
import sys

import nbformat

from tools import notebooks


def sync(path):
    """Bring one pair into step and return whether a file changed."""
    page = path.with_suffix(".ipynb")
    before = [p.read_bytes() if p.exists() else b"" for p in (path, page)]
    notebook = notebooks.completed(notebooks.read(path), path)
    notebooks.write_source(notebook, path)
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", path], check=True)
    notebook = notebooks.read(path)
    if page.exists():
        stored = nbformat.read(page, as_version=4)
        notebook = notebooks.with_outputs(notebook, stored)
    notebooks.write(notebook, page)
    return before != [p.read_bytes() for p in (path, page)]


def main():
    """Bring the chosen pairs into step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of the notebooks' names")
    for path in notebooks.sources(parser.parse_args().only):
        print(path.stem, "written" if sync(path) else "in step")


if __name__ == "__main__":
    main()
