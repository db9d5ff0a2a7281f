"""Disturb `registration cohort` in every way, and look whether anything is lost.

    python -m benchmarks.accuracy.cohort_faults [--scans 20]

Scans of the cohort are registered to its fixed one, an affine in one pass, by two
workers. Once undisturbed; then again while workers are killed at random; while the
whole run is killed and started anew; on a scheduler that is killed and started anew;
and with a disk that is full for some files. Afterwards every file but the records,
which hold times, is compared with that of the undisturbed run.
"""

import argparse
import contextlib
import hashlib
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import pandas
import psutil

from benchmarks import jobs
from registration.scans import cohort, nifti

ROOT = pathlib.Path(__file__).resolve().parents[2]
OPTIONS = "--transform affine --no-refine --no-report --no-retry".split()
DASK = "from distributed.cli.dask_{} import main; main()"
# Bytes that a file may have while the disk is full: a moved scan has more.
ROOM = 200_000
SEED = 0


class Folder:
    """The scans, and where results go.

    Attributes:
        path: `pathlib.Path`.
        count: Number of scans.
    """

    def __init__(self, path, count):
        """Write so many scans and the fixed one."""
        self.path, self.count = path, count
        (path / "scans").mkdir()
        scans = cohort.load("ixi", 2.0, progress=False, limit={"train": count})
        heads = [scans.train.scan(i) for i in range(count)]
        for number, scan in enumerate([*heads, scans.fixed.scan(0)]):
            name = f"scans/{number:03}.nii.gz" if number < count else "fixed.nii.gz"
            nifti.save(path / name, scan.image, scan.affine)

    def start(self, name, *more, room=None):
        """Start the command; return the process."""
        words = ["cohort", self.path / "scans", "--fixed", self.path / "fixed.nii.gz"]
        words += ["--out", self.path / name, *OPTIONS, *more]
        command = " ".join(map(str, [sys.executable, "-m", "registration", *words]))
        if room is not None:
            # A write beyond it fails, as on a full disk, where the signal is ignored.
            command = f"trap '' XFSZ; ulimit -f {room // 512}; {command}"
        return subprocess.Popen(
            command, shell=True, cwd=ROOT, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def content(self, name):
        """Return the sha256 of every result but the records, by its name."""
        where = self.path / name
        paths = [p for p in where.rglob("*") if p.is_file()]
        return {
            str(p.relative_to(where)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in paths
            if p.suffix != ".json" and p.parent.name != ".cohort" and "sub-" in p.name
        }


def undisturbed(folder, name):
    """Let it run."""
    return [_said(folder.start(name, "--workers", "2"))]


def workers_killed(folder, name):
    """Kill a worker every few seconds."""
    process, rng, killed = folder.start(name, "--workers", "2"), random.Random(SEED), 0
    while process.poll() is None:
        time.sleep(4)
        if not _done(folder, name):
            continue
        workers = _below(process, "spawn_main")
        if workers and killed < folder.count // 4:
            with contextlib.suppress(psutil.NoSuchProcess):
                rng.choice(workers).kill()
                killed += 1
    return [_said(process), f"{killed} workers killed"]


def run_killed(folder, name):
    """Kill everything when a third is done, and start anew; twice."""
    said = []
    for part in (1 / 3, 2 / 3):
        process = folder.start(name, "--workers", "2")
        while process.poll() is None and _done(folder, name) < part * folder.count:
            time.sleep(0.2)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        said.append(_said(process))
    return [*said, _said(folder.start(name, "--workers", "2"))]


def scheduler_restarted(folder, name):
    """Kill the scheduler and its workers when a third is done, and start them anew."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    where = f"tcp://127.0.0.1:{port}"

    def served():
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        ways = [("scheduler", "--host", "127.0.0.1", "--port", port)]
        ways += [("worker", where, "--nthreads", "1")] * 2
        return [
            subprocess.Popen(
                [sys.executable, "-c", DASK.format(kind), *words, "--no-dashboard"],
                cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, **quiet,
            )
            for kind, *words in ways
        ]  # fmt: skip

    there = served()
    try:
        process = folder.start(name, "--dask", where)
        while process.poll() is None and _done(folder, name) < folder.count / 3:
            time.sleep(0.2)
        _kill(there)
        time.sleep(1)
        there = served()
        return [_said(process)]
    finally:
        _kill(there)


def disk_full(folder, name):
    """Let no file grow beyond some kilobytes, and then run again with room."""
    return [
        _said(folder.start(name, "--workers", "2", room=ROOM)),
        _said(folder.start(name, "--workers", "2")),
    ]


FAULTS = (undisturbed, workers_killed, run_killed, scheduler_restarted, disk_full)


def _said(process):
    return process.communicate()[0]


def _done(folder, name):
    return len(list((folder.path / name).rglob("*_registration.json")))


def _below(process, sign):
    """Return the processes below one that bear a sign and have no child."""
    try:
        below = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    found = []
    for one in below:
        with contextlib.suppress(psutil.NoSuchProcess):
            if sign in " ".join(one.cmdline()) and not one.children():
                found.append(one)
    return found


def _kill(processes):
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
        process.kill()
        process.wait()


def row(folder, fault, whole):
    """Run the command under a fault; return a row of the table.

    Args:
        folder: `Folder`.
        fault: One of `FAULTS`.
        whole: What `Folder.content` returned without a fault; None for that run.

    Returns:
        Dict, and the content.
    """
    started = time.perf_counter()
    said = fault(folder, fault.__name__)
    seconds = time.perf_counter() - started
    found = folder.content(fault.__name__)
    finished = [
        line.split(":")[0].split()[-1]
        for text in said
        for line in text.splitlines()
        if re.match(r"\d+/\d+ \S+: (good|doubtful|failed)", line)
    ]
    whole = found if whole is None else whole
    same = sum(found.get(key) == digits for key, digits in whole.items())
    half = list((folder.path / fault.__name__).glob(".writing*"))
    return {
        "fault": fault.__doc__.splitlines()[0].rstrip("."),
        "pairs": folder.count,
        "files": len(whole),
        "same_bytes": same,
        "lost": len(whole.keys() - found.keys()),
        "too_many": len(found.keys() - whole.keys()) + len(half),
        "told_twice": len(finished) - len(set(finished)),
        "seconds": round(seconds, 1),
    }, found


def main(argv=None):
    """Try every fault and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    path = jobs.RESULTS / "cohort_faults.csv"
    parser.add_argument("--csv", type=pathlib.Path, default=path)
    parser.add_argument("--scans", type=int, default=60)
    options = parser.parse_args(argv)
    rows, whole = [], None
    with tempfile.TemporaryDirectory() as name:
        folder = Folder(pathlib.Path(name), options.scans)
        for fault in FAULTS:
            found, content = row(folder, fault, whole)
            whole = content if whole is None else whole
            print(found, flush=True)
            rows.append(found)
    pandas.DataFrame(rows).to_csv(options.csv, index=False)
    return int(any(row["same_bytes"] != row["files"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
