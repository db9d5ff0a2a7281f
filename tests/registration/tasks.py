"""Tasks for workers of other processes, which have to import them."""

import os
import pathlib
import signal
import time


def write(task):
    """Write a file of a task's own; one in five dies before, the first time.

    What is there is kept, as `cohort.one` does: a result can be lost with its worker.
    """
    folder, number = task
    begun = pathlib.Path(folder) / f"{number}.begun"
    if number % 5 == 0 and not begun.exists():
        begun.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    done = pathlib.Path(folder) / f"{number}.done"
    if done.exists():
        return number**2
    with open(done, "a") as file:
        file.write(f"{number**2}\n")
    return number**2


def die(task):
    """Take the worker along."""
    if task == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def refuse(task):
    """Raise what a task may raise."""
    raise OSError(28, "No space left on device", task)


def wait(task):
    """Take a while."""
    time.sleep(0.05)
    return task
