"""Run the tests of `helpers` once for each Keras backend that is named.

A test file belongs to a module if its name begins with `test_` and the module's name;
files named test_oracle* compare with PyTorch and run too.

    python -m tools.helper_tests jax torch
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def files():
    """Return the test files of the modules in helpers/, without those of its data."""
    modules = [
        path.stem for path in (ROOT / "helpers").iterdir() if path.stem != "data"
    ]
    prefixes = tuple(f"test_{name}" for name in [*modules, "oracle"])
    found = sorted((ROOT / "tests").glob("test_*.py"))
    return [str(path) for path in found if path.stem.startswith(prefixes)]


def main(backends):
    """Run the tests and exit with an error if they failed on one backend."""
    chosen, failed = files(), []
    if not chosen:
        sys.exit("There is no test of a module in helpers/.")
    for backend in backends:
        print(f"=== helpers on {backend}", flush=True)
        environment = os.environ | {"KERAS_BACKEND": backend}
        command = [sys.executable, "-m", "pytest", "--durations", "5", *chosen]
        if subprocess.run(command, cwd=ROOT, env=environment).returncode:
            failed.append(backend)
    if failed:
        sys.exit(f"Failed on: {', '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1:])
