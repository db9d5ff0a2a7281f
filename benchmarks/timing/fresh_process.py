"""Time whole processes: two files in, the moved scan written, and the end.

What a user waits for who registers one pair: starting Python, importing, reading,
registering, fetching, writing. The pair is a test scan and the cohort's fixed scan,
their skulls removed beforehand; methods take turns, so that a change of the machine
meets all of them.

    python -m benchmarks.timing.fresh_process [--rounds 5] [--methods learned,refined]
"""

import argparse
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import pandas

from benchmarks import jobs
from benchmarks.accuracy import pairs
from benchmarks.timing import measure
from registration.scans import nifti

ROOT = pathlib.Path(__file__).resolve().parents[2]

METHODS = {
    "learned": "learned.learned_dense",
    "refined": "learned.refined_dense",
    "onnx": "onnx.0",
    "onnx_refined": "onnx.15",
    "ants_syn": "classical.ants_syn",
    "dipy_syn": "classical.dipy_syn",
}
ONE = """
import sys
sys.path.insert(0, sys.argv[1])
from benchmarks.accuracy import {module}
from registration.scans import nifti
moving, fixed = nifti.load(sys.argv[2]), nifti.load(sys.argv[3])
found = {module}.{function}(moving, fixed).transform
moved = found.apply(moving, fixed.grid)
nifti.save(sys.argv[4], moved.image, fixed.affine)
"""

# The engine without Keras has no first registration to set aside, so no wrapper.
ONNX = """
import sys
sys.path.insert(0, sys.argv[1])
from registration import runtime
from registration.scans import nifti
moving, fixed = nifti.load(sys.argv[2]), nifti.load(sys.argv[3])
start = runtime.affine(moving, fixed)
found = runtime.dense(moving, fixed, start, steps={function})
moved = found.apply(moving, fixed.grid)
nifti.save(sys.argv[4], moved.image, fixed.affine)
"""


def main(argv=None):
    """Time the chosen methods and write benchmarks/results/fresh_process.csv."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=5, help="processes a method")
    add("--methods", help=f"some of {','.join(METHODS)}; all if left out")
    add("--csv", type=pathlib.Path, default=jobs.RESULTS / "fresh_process.csv")
    options = parser.parse_args(argv)
    methods = jobs.chosen(parser, "methods", options.methods, METHODS)
    seconds, memory = {name: [] for name in methods}, {}
    with tempfile.TemporaryDirectory() as folder:
        scans = _write_pair(pathlib.Path(folder))
        for _ in range(options.rounds):
            for name in methods:
                taken, peak = _run(name, *scans, pathlib.Path(folder))
                seconds[name].append(taken)
                memory[name] = max(memory.get(name, 0), peak)
    device = f"{platform.machine()}, {measure.cores()} cores"
    rows = pandas.DataFrame(
        {
            "method": methods,
            "seconds": [round(statistics.median(seconds[n]), 2) for n in methods],
            "peak_mb": [round(memory[n]) for n in methods],
            "rounds": options.rounds,
            "device": device,
        }
    )
    if options.csv.exists():
        kept = pandas.read_csv(options.csv)
        rows = pandas.concat([kept[~kept["method"].isin(methods)], rows])
    rows.to_csv(options.csv, index=False)
    print(rows.to_string(index=False))
    return 0


def _write_pair(folder):
    """Write the first test scan and the fixed scan without their skulls."""
    paths = []
    for name in pairs.fixed_pairs()[0]:
        scan = pairs.scan(name)
        paths.append(folder / f"{name}.nii.gz")
        nifti.save(paths[-1], scan.image, scan.affine)
    return paths


def _run(name, moving, fixed, folder):
    """Return the seconds and the peak memory in MiB of one process."""
    module, function = METHODS[name].split(".")
    code = (ONNX if module == "onnx" else ONE).format(module=module, function=function)
    paths = [str(path) for path in (ROOT, moving, fixed, folder / f"{name}.nii.gz")]
    command = [sys.executable, "-c", _measuring(code), *paths]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    taken = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{name} failed. Received: {done.stderr[-500:]}")
    return taken, float(done.stdout.split()[-1])


def _measuring(code):
    """Let a process end by telling its own largest resident memory in MiB."""
    tell = "from benchmarks.timing import measure\nprint(measure.peak_mb())\n"
    return f"{code}{tell}"


if __name__ == "__main__":
    sys.exit(main())
