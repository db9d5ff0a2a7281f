"""Registrations whose error is known, and what `registration.check` says of them.

`python -m benchmarks.accuracy.failures`. A pair of heads is registered as it is, twelve
and fifteen steps of refinement included; that is the best that this pair allows. Then
it is spoiled in many ways (`damage.py`) and registered again, one pass or refined, the
brains found by the network or taken from the labels, after the affine and after the
deformation. Dice says what was lost, and the distance from the best transform by how
many millimetres. The models of the check are fitted to pairs of training scans, without
some kinds of damage; thresholds are set there too. Test scans and heads of other
scanners are judged afterwards.
"""

import argparse
import dataclasses
import functools
import multiprocessing
import pathlib
import sys
import typing

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import numpy as np
import pandas
import tqdm

from benchmarks import jobs, table
from benchmarks.accuracy import check_fit, damage, elsewhere
from registration import check, masks, quality, runtime
from registration import transform as transforms
from registration.scans import cohort

KEYS = ("split", "moving", "fixed", "damage", "stage", "refined", "masks")
TRUTH = ("dice", "best_dice", "error_mm")
COLUMNS = (*KEYS, *TRUTH, *check.NAMES)
PAIRS = {"train": 36, "test": 20, "elsewhere": 8}
STEPS = {"affine": 12, "dense": 15}
KINDS = tuple(damage.KINDS.items())
WORSE = 3
SOME = 2000
SEED = 0


def pairs(split):
    """Return pairs of heads, half of them to the cohort's fixed scan.

    Args:
        split: `"train"`, `"test"`, or `"elsewhere"`: heads of other scanners to test
            scans.

    Returns:
        List of `(moving, fixed)`, each a number of the split; -1 is the fixed scan.
    """
    if split == "elsewhere":
        return [(n % 2, n // 2 - 1) for n in range(PAIRS[split])]
    rng = np.random.default_rng((SEED, len(split)))
    order = rng.permutation(len(getattr(_cohort(), split)))[: PAIRS[split]]
    others = np.roll(order, 1)
    return [
        (int(one), int(other) if number % 2 else -1)
        for number, (one, other) in enumerate(zip(order, others, strict=True))
    ]


class Spoiled(typing.NamedTuple):
    """A pair before it is registered.

    Attributes:
        kind: Name of the damage, see `damage.KINDS`.
        refined: Whether its answers are to be refined.
        masks: `"labels"` or `"found"`: where the brains are from.
        moving: `scan.Scan` with a mask.
        fixed: `scan.Scan` with a mask.
        matrix: `(4, 4)`, from the moving world to the one of the spoiled head.
    """

    kind: str
    refined: bool
    masks: str
    moving: typing.Any
    fixed: typing.Any
    matrix: np.ndarray


def spoiled(task, rng):
    """Yield one pair spoiled in every way, the first one as it is.

    Args:
        task: Split, number of the moving scan, number of the fixed one.
        rng: `numpy.random.Generator`, as `generator` makes it. Who wants what is drawn
            afterwards to be the same draws of `damage.SPOILED` behind the first pair.

    Yields:
        `Spoiled`; none where no brain is found, since the command ends there.
    """
    moving, fixed = scans(task)
    for number, (kind, spoil) in enumerate((("none", damage.none), *KINDS)):
        here, there = spoil(rng, moving, fixed)
        refined = number == 0 or rng.random() < 0.25
        given = rng.random() < 0.5 or kind in ("skull_one_side", "skull_both", "half")
        if found := not given and number > 0:
            try:
                here, there = (
                    dataclasses.replace(s, mask=masks.find(s)) for s in (here, there)
                )
            except ValueError:
                continue
        # The header that was changed leads from the one world to the other.
        matrix = here.affine @ np.linalg.inv(moving.affine)
        yield Spoiled(kind, refined, ("labels", "found")[found], here, there, matrix)


def generator(task):
    """Return the `numpy.random.Generator` of a pair."""
    split, number, other = task
    return np.random.default_rng((SEED, len(split), number, other + 1))


def misplaced(rng, best, fixed):
    """Return what was found, made worse in some ways, by the names of the damage."""
    return {
        f"{name} {count}": wrong(rng, best, fixed)
        for name, wrong in damage.SPOILED.items()
        for count in range(WORSE)
    }


def rows(task):
    """Register one pair in every way; return its rows.

    Args:
        task: Split, number of the moving scan, number of the fixed one.

    Returns:
        List of dicts.
    """
    rng, (moving, fixed) = generator(task), scans(task)
    named = {"split": task[0], "moving": moving.name, "fixed": fixed.name}
    best, made = None, []
    for one in spoiled(task, rng):
        here, there = one.moving, one.fixed
        stages = registered(here, there, one.refined)
        found = {(stage, one.kind): way for stage, way in stages.items()}
        if best is None:
            best = stages["dense"]
            best_dice = dice(best, moving, fixed)
            worse = misplaced(rng, best, fixed)
            found |= {("dense", kind): way for kind, way in worse.items()}
        truth = transforms.Transform([one.matrix]) @ best
        other_way = runtime.affine(there.stripped(), here.stripped())
        labelled = [
            dataclasses.replace(scan, labels=own.labels)
            for scan, own in ((here, moving), (there, fixed))
        ]
        for (stage, kind), way in found.items():
            made.append(
                named
                | {"damage": kind, "stage": stage}
                | {"refined": one.refined, "masks": one.masks}
                | judged(way, here, there, other_way)
                | {"best_dice": best_dice, "error_mm": missed(way, truth, fixed)}
                | {"dice": dice(way, *labelled)}
            )
    return made


def registered(moving, fixed, refined):
    """Register as the command does; return the transforms after its two stages."""
    moving, fixed = moving.stripped(), fixed.stripped()
    steps = STEPS if refined else dict.fromkeys(STEPS, 0)
    rough = runtime.affine(moving, fixed, steps=steps["affine"])
    return {
        "affine": rough,
        "dense": runtime.dense(moving, fixed, rough, steps=steps["dense"]),
    }


def judged(found, moving, fixed, other_way):
    """Return what the check measures of a registration, without any label."""
    bare = [dataclasses.replace(scan, labels=None) for scan in (moving, fixed)]
    moved = found.apply(dataclasses.replace(bare[0], mask=None), fixed.grid)
    try:
        back = found.inverse()
    except ValueError:
        back = None
    numbers = quality.measured(found, *bare, moved, back)
    gap = check.gap(found, other_way, fixed)
    return check.measures(numbers, *bare, moved, found, gap)


def missed(found, truth, fixed):
    """Return the mean distance of two transforms in the fixed brain, mm."""
    places = np.argwhere(fixed.labels > 0)
    places = places[:: max(1, len(places) // SOME)].astype("float64")
    here = transforms.Transform([fixed.affine]).points(places)
    gap = found.points(here) - truth.points(here)
    return float(np.linalg.norm(gap, axis=1).mean())


def dice(found, moving, fixed):
    """Return the mean overlap of the labels of two scans, the moving ones carried."""
    bare = dataclasses.replace(moving, mask=moving.labels > 0)
    moved = found.apply(bare, fixed.grid)
    return quality.mean_dice(fixed.labels, moved.labels)


def scans(task):
    """Return the two scans of a task, with masks and labels that mean the same."""
    split, number, other = task
    some = _cohort().test if split == "elsewhere" else getattr(_cohort(), split)
    fixed = _cohort().fixed.scan(0) if other < 0 else some.scan(other)
    if split != "elsewhere":
        moving = some.scan(number)
    else:
        moving, table, scheme = _heads()[number]
        shared = elsewhere.structures(fixed.labels, table, "ixi", scheme)
        fixed = dataclasses.replace(fixed, labels=shared)
    return [dataclasses.replace(scan, landmarks=None) for scan in (moving, fixed)]


@functools.cache
def _heads():
    """Return the whole heads of other scanners, each with the mask of its brain."""
    heads = list(elsewhere.heads())
    brains = {head[0]: head[1].image > 0 for head in heads if head[4] == "brain"}
    # Colin27 comes once as a brain and once as a head; one has to be enough.
    last = {name: (scan, table, scheme) for name, scan, table, scheme, _ in heads}
    return [
        (dataclasses.replace(scan, mask=brains[name], name=name), table, scheme)
        for name, (scan, table, scheme) in last.items()
    ]


@functools.cache
def _cohort():
    """Load the cohort, once a process."""
    return cohort.load("ixi", 2.0, progress=False)


def main(argv=None):
    """Measure what has no row yet, fit the check to it, judge the test scans."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--results", type=pathlib.Path, default=jobs.RESULTS)
    add("--model", type=pathlib.Path, default=check.PATH)
    add("--workers", type=int, default=2)
    add("--limit", type=int, help="only so many pairs of a split")
    options = parser.parse_args(argv)
    path = options.results / "failures_pairs.csv"
    done = {key[:3] for key in table.finished(path, KEYS)}
    tasks = [(s, *p) for s in PAIRS for p in pairs(s)[: options.limit]]
    # Both splits grow alike, so that a run that was stopped can be used.
    place = {task: pairs(task[0]).index(task[1:]) for task in tasks}
    tasks = [t for t in sorted(tasks, key=place.get) if names(t) not in done]
    with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
        for made in tqdm.tqdm(pool.imap_unordered(rows, tasks), total=len(tasks)):
            for row in made:
                table.append(path, row, COLUMNS)
    check_fit.store(pandas.read_csv(path), options.results, options.model)
    return 0


def names(task):
    """Return the key of a task: its split and the names of its two scans."""
    return (task[0], *(scan.name for scan in scans(task)))


if __name__ == "__main__":
    sys.exit(main())
