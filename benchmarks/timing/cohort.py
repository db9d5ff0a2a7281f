"""Pairs a minute of `registration cohort`, and what the scheduler costs.

    python -m benchmarks.timing.cohort [--scans 8] [--methods ants_syn,dipy_syn]

Test scans with their skulls are registered to the cohort's fixed scan, refined, with
all files but the page: by the command with one worker and with two, by `pair` in a
process a pair, and by other tools in a process a pair, all in the same run. What more
workers than this machine has would bring is simulated: workers that sleep for a second
a task. What the run takes beyond that second, a task and worker, is the scheduler's.
"""

import argparse
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import pandas

from benchmarks import jobs
from benchmarks.accuracy import pairs
from benchmarks.timing import fresh_process, measure
from registration import workers
from registration.scans import nifti

ROOT = pathlib.Path(__file__).resolve().parents[2]
REAL, SLEEPING = (1, 2), (1, 2, 4, 16, 64, 256)
TASKS_A_WORKER, SLEEP_S = 8, 1.0
# More would not start on two cores: beyond it, each has several threads.
MOST_STARTED = 64
OTHERS = ("ants_syn", "dipy_syn")


def row(what, number, count, seconds, overhead=float("nan")):
    """Return a row of the table; `overhead` is milliseconds a pair."""
    return {
        "what": what,
        "workers": number,
        "pairs": count,
        "seconds": round(seconds, 1),
        "pairs_a_minute": round(60 * count / seconds, 1),
        "overhead_ms": round(overhead, 1),
    }


def write(folder, count):
    """Write test scans and the fixed one into a folder; return the paths."""
    chosen = pairs.fixed_pairs()[:count]
    paths = []
    for name in (*[pair.moving for pair in chosen], chosen[0].fixed):
        scan = pairs.scan(name, keep_skull=True)
        paths.append(folder / f"{name}.nii.gz")
        nifti.save(paths[-1], scan.image, scan.affine)
    return paths[:-1], paths[-1]


def timed(words):
    """Run the command; return its seconds.

    Raises:
        RuntimeError: If it fails.
    """
    started = time.perf_counter()
    command = [sys.executable, "-m", "registration", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode not in (0, 3):
        raise RuntimeError(f"{words}: {done.stderr[-500:]}")
    return time.perf_counter() - started


def real(count, methods):
    """Return the rows of real registrations."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "scans").mkdir()
        moving, fixed = write(folder / "scans", count)
        fixed = fixed.rename(folder / "fixed.nii.gz")
        made = []
        for number in REAL:
            words = ["cohort", folder / "scans", "--fixed", fixed]
            words += ["--out", folder / f"by{number}", "--workers", number]
            words += ["--no-report"]
            made.append(row("cohort", number, count, timed(words)))
        some = moving[: max(1, count // 2)]
        seconds = [
            timed(["pair", one, fixed, "--out", folder / one.name, "--no-report"])
            for one in some
        ]
        made.append(row("pair, a process each", 1, len(some), sum(seconds)))
        for method in methods:
            seconds, _ = fresh_process._run(method, moving[0], fixed, folder)
            made.append(row(method, 1, 1, seconds))
    return made


def doze(task):
    """Sleep as long as a registration might take."""
    time.sleep(SLEEP_S)
    return task


def simulated(number):
    """Return the row of so many workers that sleep."""
    import distributed

    count = TASKS_A_WORKER * number
    started = min(number, MOST_STARTED)
    with distributed.LocalCluster(
        n_workers=started,
        threads_per_worker=number // started,
        processes=False,
        memory_limit=None,
        dashboard_address=None,
    ) as cluster:
        started = time.perf_counter()
        done = [
            place
            for place, _ in workers.run(
                doze, range(count), dask=cluster.scheduler_address
            )
        ]
        seconds = time.perf_counter() - started
    if sorted(done) != list(range(count)):
        raise RuntimeError(f"tasks were lost. Received: {len(done)} of {count}")
    beyond = 1000 * (seconds - TASKS_A_WORKER * SLEEP_S) / count
    return row("sleeping workers", number, count, seconds, beyond)


def main(argv=None):
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--scans", type=int, default=8, help="how many are registered")
    add("--methods", help=f"some of {','.join(OTHERS)}; all if left out")
    add("--csv", type=pathlib.Path, default=jobs.RESULTS / "cohort.csv")
    options = parser.parse_args(argv)
    methods = jobs.chosen(parser, "methods", options.methods, OTHERS)
    rows = real(options.scans, methods) + [simulated(number) for number in SLEEPING]
    table = pandas.DataFrame(rows)
    table["device"] = f"{platform.machine()}, {measure.cores()} cores"
    table.to_csv(options.csv, index=False)
    print(table.to_string(index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
