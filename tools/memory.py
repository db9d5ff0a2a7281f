"""Measure the memory that a process and its children take."""

import threading

import psutil

MEGABYTE = 1e6


class PeakMemory:
    """Sample the resident memory of a process tree while a block runs.

    Args:
        pid: Number of the process at the root of the tree.
        interval: Seconds between two samples.
    """

    def __init__(self, pid, interval=0.25):
        """Remember what to watch."""
        self.megabytes = 0.0
        self._process = psutil.Process(pid)
        self._interval = interval
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        """Start watching."""
        self._thread.start()
        return self

    def __exit__(self, *exception):
        """Stop watching."""
        self._stopped.set()
        self._thread.join()

    def _watch(self):
        while not self._stopped.wait(self._interval):
            self.megabytes = max(self.megabytes, tree_memory(self._process))


def tree_memory(process):
    """Return the resident memory of a process and its descendants in megabytes."""
    total = 0
    try:
        for one in [process, *process.children(recursive=True)]:
            total += one.memory_info().rss
    except psutil.Error:
        # A process that has just ended; the next sample sees the rest.
        pass
    return total / MEGABYTE
