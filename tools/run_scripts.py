"""Run the scripts of a folder one after the other, each in a process of its own.

A script is a file with a `__main__` block; the others are what the scripts share.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def scripts(folder, only=""):
    """Return the scripts of a folder whose names contain `only`."""
    paths = [path for path in sorted(folder.glob("*.py")) if only in path.stem]
    return [path for path in paths if "__main__" in path.read_text()]


def main():
    """Run them; exit with an error if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="part of the scripts' names")
    options = parser.parse_args()
    failed = []
    for path in scripts(ROOT / options.folder, options.only):
        start = time.monotonic()
        print(f"{path.stem}:", flush=True)
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(path)]
        if subprocess.run(command, cwd=ROOT, env=environment).returncode:
            failed.append(path.stem)
        print(f"{path.stem}: {time.monotonic() - start:.0f} s", flush=True)
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
