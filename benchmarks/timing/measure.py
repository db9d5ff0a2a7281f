"""Measure seconds, processor seconds and peak memory of a block."""

import contextlib
import dataclasses
import os
import pathlib
import re
import resource
import sys
import time


@dataclasses.dataclass
class Measured:
    """What a block took: `seconds`, `cpu_seconds` and `peak_mb` of the process."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = float("nan")


@contextlib.contextmanager
def measured():
    """Measure the block of a `with` statement.

    `cpu_seconds` adds up all threads of this process, without child processes;
    for a tool on one thread it is the time it would take on an idle core.
    `peak_mb` is the largest resident memory of the whole process during the
    block, libraries included; where the system cannot set that mark back (only
    Linux can), the largest since the process began.
    """
    taken = Measured()
    _reset_peak()
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        yield taken
    finally:
        taken.seconds = time.perf_counter() - wall
        taken.cpu_seconds = time.process_time() - cpu
        taken.peak_mb = peak_mb()


def cores():
    """Return how many cores this process may use; all where the system cannot tell."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _reset_peak():
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/clear_refs").write_text("5")


def peak_mb():
    """Return the largest resident memory of this process so far, in MiB."""
    with contextlib.suppress(OSError):
        status = pathlib.Path("/proc/self/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
