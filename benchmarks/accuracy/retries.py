"""Failed registrations before and after other ways were tried.

`python -m benchmarks.accuracy.retries`. Test scans and heads of other scanners, as they
are and spoiled so that the first attempt fails (`damage.py`): turned by right angles or
by any angle, stretched, whole on one side only, whole on both. `attempts.register`
registers each, refined; beside its first result stands what it took in the end. The
error is the distance from the best registration of the undisturbed pair.
"""

import argparse
import dataclasses
import functools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import numpy as np

from benchmarks import jobs
from benchmarks.accuracy import damage, failures
from registration import attempts, provenance
from registration import transform as transforms

KEYS = ("split", "moving", "fixed", "damage")
COLUMNS = (
    *KEYS, "best_dice", "first_dice", "first_mm", "first_level", "dice", "mm", "level",
    "taken", "tried", "seconds_first", "seconds",
)  # fmt: skip
KINDS = ("none", "axes", "turned", "size", "skull_one_side", "skull_both")
TASKS = [("test", *pair) for pair in ((0, -1), (3, 4))]
TASKS += [("elsewhere", head, fixed) for head in (0, 1) for fixed in (-1, 2)]


def row(task, kind):
    """Register one spoiled pair, once as it comes and once with other ways.

    Args:
        task: Split and numbers of the two scans, as in `failures.py`.
        kind: Name of the damage.

    Returns:
        Dict of the columns without the keys.
    """
    moving, fixed = failures.scans(task)
    best = _best(task)
    seed = failures.SEED, KINDS.index(kind), TASKS.index(task)
    rng = np.random.default_rng(seed)
    here, there = damage.KINDS[kind](rng, moving, fixed)
    matrix = here.affine @ np.linalg.inv(moving.affine)
    truth = transforms.Transform([matrix]) @ best
    bare = [dataclasses.replace(scan, labels=None) for scan in (here, there)]
    found = {"best_dice": failures.dice(best, moving, fixed)}
    for name, retry in (("first_", False), ("", True)):
        stages = provenance.Stages()
        result, tried = attempts.register(
            *bare, "dense", True, None, stages, retry=retry
        )
        one = result.found.transform
        carried = [
            dataclasses.replace(scan, labels=own.labels)
            for scan, own in ((here, moving), (there, fixed))
        ]
        found |= {
            f"{name}dice": failures.dice(one, *carried),
            f"{name}mm": failures.missed(one, truth, fixed),
            f"{name}level": result.verdict.level,
        }
        found["seconds_first" if name else "seconds"] = stages.total
    found |= {"taken": result.attempt.words, "tried": len(tried)}
    return found


@functools.lru_cache(maxsize=1)
def _best(task):
    """Return the best registration of an undisturbed pair."""
    return failures.registered(*failures.scans(task), True)["dense"]


def main():
    """Measure what has no row yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    path = jobs.RESULTS / "retries.csv"
    parser.add_argument("--csv", type=pathlib.Path, default=path)
    given = parser.parse_args()
    todo = [
        ((*failures.names(task), kind), functools.partial(row, task, kind))
        for task in TASKS
        for kind in KINDS
    ]
    jobs.run(todo, given.csv, KEYS, COLUMNS, quiet=True)


if __name__ == "__main__":
    main()
