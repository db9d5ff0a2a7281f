"""Time whole processes: two files in, the moved scan written, and the end.

What a user waits for who registers one pair: starting Python, importing, reading,
registering, fetching, writing. `onnx` and `onnx_refined` are the command itself,
`python -m registration pair --no-report`, which writes the transforms too. The pair is
a test scan and the cohort's fixed scan, their skulls removed beforehand, or with
`--voxel-mm 1` the same resampled to 256³; methods take turns, so that a change of the
machine meets all of them.

    python -m benchmarks.timing.fresh_process [--rounds 5] [--methods onnx,ants_syn]
"""

import argparse
import json
import os
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
from registration.scans import grid as grids
from registration.scans import nifti

ROOT = pathlib.Path(__file__).resolve().parents[2]

METHODS = {
    "learned": "learned.learned_dense",
    "refined": "learned.refined_dense",
    "onnx": "command.--no-refine",
    "onnx_refined": "command.",
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

LARGE = 256


def main(argv=None):
    """Time the chosen methods and write benchmarks/results/fresh_process.csv."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=5, help="processes a method")
    add("--methods", help=f"some of {','.join(METHODS)}; all if left out")
    add("--voxel-mm", type=int, choices=(1, 2), default=2, help="size of the voxels")
    add("--csv", type=pathlib.Path, default=jobs.RESULTS / "fresh_process.csv")
    options = parser.parse_args(argv)
    methods = jobs.chosen(parser, "methods", options.methods, METHODS)
    seconds, memory = {name: [] for name in methods}, {}
    with tempfile.TemporaryDirectory() as folder:
        scans = _write_pair(pathlib.Path(folder), options.voxel_mm)
        for _ in range(options.rounds):
            for name in methods:
                taken, peak = _run(name, *scans, pathlib.Path(folder))
                seconds[name].append(taken)
                memory[name] = max(memory.get(name, 0), peak)
    device = f"{platform.machine()}, {measure.cores()} cores"
    rows = pandas.DataFrame(
        {
            "method": methods,
            "size": f"{options.voxel_mm} mm",
            "seconds": [round(statistics.median(seconds[n]), 2) for n in methods],
            "peak_mb": [round(memory[n]) for n in methods],
            "rounds": options.rounds,
            "device": device,
        }
    )
    if options.csv.exists():
        kept = pandas.read_csv(options.csv)
        again = kept["method"].isin(methods) & kept["size"].isin(rows["size"])
        rows = pandas.concat([kept[~again], rows])
    rows.to_csv(options.csv, index=False)
    print(rows.to_string(index=False))
    return 0


def _write_pair(folder, voxel_mm):
    """Write the first test scan and the fixed scan without their skulls."""
    paths = []
    for name in pairs.fixed_pairs()[0]:
        scan = pairs.scan(name)
        paths.append(folder / f"{name}.nii.gz")
        image, affine = scan.image, scan.affine
        if voxel_mm == 1:
            grid = grids.box(scan.grid.centre, (LARGE,) * 3, 1.0)
            image, affine = grids.resample(image, affine, grid), grid.affine
        nifti.save(paths[-1], image, affine)
    return paths


def _run(name, moving, fixed, folder):
    """Return the seconds and the peak memory in MiB of one process.

    It runs in a folder of its own, so that it finds no affine that another one kept.
    """
    folder = pathlib.Path(tempfile.mkdtemp(dir=folder))
    module, function = METHODS[name].split(".")
    if module == "command":
        words = "--no-report --json --quiet --force --out".split()
        command = [sys.executable, "-m", "registration", "pair", moving, fixed, *words]
        command += [folder / name, *function.split()]
        here = ROOT
    else:
        code = _measuring(ONE.format(module=module, function=function))
        paths = ROOT, moving, fixed, folder / f"{name}.nii.gz"
        command, here = [sys.executable, "-c", code, *paths], folder
    command = list(map(str, command))
    alone = os.environ | {"REGISTRATION_BUILD": str(folder)}
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, cwd=here, env=alone)
    taken = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{name} failed. Received: {done.stderr[-500:]}")
    if module == "command":
        return taken, json.loads(done.stdout)["peak_memory_mib"]
    return taken, float(done.stdout.split()[-1])


def _measuring(code):
    """Let a process end by telling its own largest resident memory in MiB."""
    tell = "from benchmarks.timing import measure\nprint(measure.peak_mb())\n"
    return f"{code}{tell}"


if __name__ == "__main__":
    sys.exit(main())
