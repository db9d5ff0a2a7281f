"""Write requirements.lock: exact versions, valid on every Python and system we name."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADER = """\
# The exact versions that CI installs, for Python 3.10 to 3.13 on Linux and macOS.
# Written by `make lock` from requirements.txt and requirements/dev.txt.
"""


def main():
    """Resolve the ranges for all supported Pythons at once and write the result."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"]
    command += ["--python-version", "3.10", "--upgrade", "--no-header"]
    command += ["--no-annotate", "requirements.txt", "requirements/dev.txt"]
    lock = subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    (ROOT / "requirements.lock").write_text(HEADER + lock)


if __name__ == "__main__":
    main()
