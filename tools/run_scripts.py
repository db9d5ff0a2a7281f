"""Run the scripts below a folder one after the other, each in a process of its own.

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
    """Return the scripts below a folder whose path from there contains `only`."""
    paths = {path: name(path, folder) for path in sorted(folder.rglob("*.py"))}
    chosen = [path for path, text in paths.items() if only in text]
    return [path for path in chosen if "__main__" in path.read_text()]


def name(path, folder):
    """Return a script's path from the folder, without its suffix."""
    return path.relative_to(folder).with_suffix("").as_posix()


def main():
    """Run them; exit with an error if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="part of the scripts' paths")
    options = parser.parse_args()
    folder, failed = ROOT / options.folder, []
    for path in scripts(folder, options.only):
        start, label = time.monotonic(), name(path, folder)
        print(f"{label}:", flush=True)
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(path)]
        if subprocess.run(command, cwd=ROOT, env=environment).returncode:
            failed.append(label)
        print(f"{label}: {time.monotonic() - start:.0f} s", flush=True)
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
