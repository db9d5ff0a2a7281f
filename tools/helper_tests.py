"""Run the tests of `helpers` once for each Keras backend that is named.

python -m tools.helper_tests jax torch
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main(backends):
    """Run the tests and exit with an error if they failed on one backend."""
    failed = []
    for backend in backends:
        print(f"=== helpers on {backend}", flush=True)
        environment = os.environ | {"KERAS_BACKEND": backend}
        command = [sys.executable, "-m", "pytest", "--durations", "5", "tests/helpers"]
        if subprocess.run(command, cwd=ROOT, env=environment).returncode:
            failed.append(backend)
    if failed:
        sys.exit(f"Failed on: {', '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1:])
