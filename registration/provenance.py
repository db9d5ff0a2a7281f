"""Where a result comes from: versions, hashes, the command, seconds and memory."""

import contextlib
import datetime
import hashlib
import importlib.metadata
import pathlib
import platform
import sys
import time

import psutil

import registration

PACKAGES = ("numpy", "scipy", "nibabel", "h5py", "keras", "tensorflow", "onnxruntime")


class Stages:
    """Time the named stages of a job, and tell of them.

    Args:
        tell: Function of a text, called when a stage begins and when it ends; None to
            keep quiet.
    """

    def __init__(self, tell=None):
        self.seconds, self._tell = {}, tell or (lambda text: None)
        self._start = time.perf_counter()

    @contextlib.contextmanager
    def __call__(self, name):
        """Time a `with` block under a name."""
        self._tell(f"{name:<28}")
        start = time.perf_counter()
        yield
        taken = time.perf_counter() - start
        self.seconds[name] = self.seconds.get(name, 0.0) + taken
        self._tell(f"{taken:6.1f} s\n")

    @property
    def total(self):
        """Seconds since the first of them."""
        return time.perf_counter() - self._start


def sha256(path):
    """Return the sha256 of a file as hexadecimal digits.

    Args:
        path: A file.

    Returns:
        str.
    """
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(2**20):
            found.update(piece)
    return found.hexdigest()


def versions():
    """Return the versions of Python, of this and of the packages that are loaded.

    Returns:
        Dict of name → version.
    """
    loaded = [name for name in PACKAGES if name in sys.modules]
    ours = {
        "python": platform.python_version(),
        "registration": registration.__version__,
    }
    return ours | {name: importlib.metadata.version(name) for name in loaded}


def peak_mib():
    """Return the most memory that this process has held, in MiB.

    Linux knows it as VmHWM, Windows as the peak of the working set; elsewhere it is
    what the process holds now.

    Returns:
        float.
    """
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        (line,) = (line for line in lines if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    held = psutil.Process().memory_info()
    return getattr(held, "peak_wset", held.rss) / 2**20


def record(command, inputs, stages):
    """Return what a stranger needs to make a result again.

    Args:
        command: The words of the command, a list.
        inputs: Dict of role → path, None where there is none.
        stages: `Stages` of the job.

    Returns:
        Dict that JSON can hold.
    """
    return {
        "command": list(command),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat("T", "seconds"),
        "inputs": {
            role: {"path": str(pathlib.Path(path).resolve()), "sha256": sha256(path)}
            for role, path in inputs.items()
            if path is not None
        },
        "versions": versions(),
        "machine": f"{platform.system()} {platform.machine()}",
        "seconds": {name: round(s, 3) for name, s in stages.seconds.items()},
        "seconds_total": round(stages.total, 3),
        "peak_memory_mib": round(peak_mib()),
    }
