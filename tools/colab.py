"""Run the notebooks as a reader of a hosted notebook service does.

Every notebook starts in an empty folder, in a kernel of that service's versions that
can import `google.colab`, and its first cell fetches the repository as it was last
committed. A cell that fails, and a line on stderr (it stands red on the page), are
errors.

    make test-colab [ONLY=01]
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

from tools import notebooks, run_notebooks

# What such a service lacks, and the first cell installs.
MISSING = ("dipy", "nilearn", "onnxruntime", "pooch")


def stub(folder):
    """Write a package `google.colab` that can be imported, and return its folder."""
    package = folder / "stub" / "google" / "colab"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    return folder / "stub"


def uninstall(python):
    """Take out of an environment what the service does not have."""
    command = [python, "-m", "pip", "uninstall", "--quiet", "--yes", *MISSING]
    subprocess.run(command, check=True)


def red_lines(notebook):
    """Return what the cells of an executed notebook wrote to stderr."""
    return [
        line
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.get("name") == "stderr"
        for line in "".join(output.text).splitlines()
        if line.strip()
    ]


def main(argv=None):
    """Run the chosen notebooks; return 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", required=True, help="kernel specification")
    parser.add_argument("--python", required=True, help="interpreter of that kernel")
    parser.add_argument("--only", default="", help="part of the notebooks' names")
    options = parser.parse_args(argv)
    paths = notebooks.sources(options.only)
    if not paths:
        sys.exit(f"No notebook's name contains {options.only!r}.")
    uninstall(options.python)
    failed = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        bare = folder / "repository.git"
        clone = ["git", "clone", "--quiet", "--bare", notebooks.ROOT, bare]
        subprocess.run(clone, check=True)
        variables = {
            "PYTHONPATH": str(stub(folder)),
            "REGISTRATION_URL": bare.as_uri(),
            "REGISTRATION_BUILD": str(folder / "build"),
        }
        for number, path in enumerate(paths, 1):
            start = folder / path.stem
            start.mkdir()
            label = f"[{number}/{len(paths)}] {path.stem}"
            notebook, _, error = run_notebooks.execute(
                path, options.kernel, label, start, variables
            )
            red = red_lines(notebook)
            if error or red:
                failed[path.stem] = {"error": error, "stderr": red[:5]}
    print(json.dumps(failed, indent=2) if failed else "All as they should be.")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
