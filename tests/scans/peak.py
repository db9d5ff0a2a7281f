"""The memory that a process has taken at most, for code that tests start by itself."""

import resource
import sys


def peak_bytes():
    """Return the most memory that this program has held since it began, in bytes.

    On Linux the kernel's `VmHWM` is read, which starts anew with each program;
    `ru_maxrss` would go on from whatever the process that started it had taken.
    """
    if sys.platform.startswith("linux"):
        with open("/proc/self/status") as status:
            (line,) = (line for line in status if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
