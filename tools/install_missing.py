"""Install what requirements.txt names and this Python lacks; never TensorFlow.

Called by the first cell of a notebook on a hosted notebook service, which ships
TensorFlow built for its own machines. What is installed already keeps its version.
"""

import importlib.metadata
import re
import subprocess
import sys
import tempfile
from pathlib import Path

NEVER = {"tensorflow", "keras"}


def requirements(path):
    """Return the requirement lines of a requirements file, without comments."""
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("-")]


def name(requirement):
    """Return the normalised distribution name of a requirement line."""
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


def installed(distribution):
    """Return the installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def missing(lines):
    """Return the requirement lines whose distribution is not installed."""
    return [x for x in lines if name(x) not in NEVER and installed(name(x)) is None]


def main():
    """Install the missing ones, holding back what is installed; exit as pip does."""
    lines = requirements(Path(__file__).parents[1] / "requirements.txt")
    wanted = missing(lines)
    if not wanted:
        return
    print("Installing", ", ".join(name(line) for line in wanted), flush=True)
    versions = {name(line): installed(name(line)) for line in lines}
    pins = [f"{key}=={version}\n" for key, version in versions.items() if version]
    with tempfile.TemporaryDirectory() as folder:
        held = Path(folder) / "held.txt"
        held.write_text("".join(pins))
        pip = [sys.executable, "-m", "pip", "install", "-qq"]
        done = subprocess.run([*pip, "--constraint", held, *wanted])
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
