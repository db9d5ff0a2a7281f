"""What the tables of pairs share: arguments, tasks, rows and the summary."""

import argparse
import collections
import functools
import pathlib
import sys

import pandas

from benchmarks import jobs, table
from benchmarks.accuracy import pairs, score
from registration.scans.sources import record

TARGETS = ("fixed", "any", "simulated")
SETTINGS = tuple(f"{t}-{kind}" for t in TARGETS for kind in ("stripped", "skull"))
KEYS = ("targets", "input", "scan", "fixed", "method")
GROUPS = ("targets", "input", "method")

Task = collections.namedtuple("Task", "targets input scan fixed load")


def main(name, methods, metrics, description, argv=None):
    """Measure methods on pairs of scans, one row a pair and method.

    Rows that the table holds already are skipped, so a run that was stopped goes
    on where it was. A pair that fails is listed at the end and stops nothing.
    Methods take their turns in the order in which they are given; those that start
    Keras must be last, so that its memory does not count as that of the others.

    Args:
        name: Name of the benchmark, which names its files.
        methods: Dictionary from a method's name to its function
            `(moving, fixed) -> score.Registration`.
        metrics: Columns of the table that are averaged.
        description: What `--help` says first.
        argv: Arguments; those of the process if None.

    Returns:
        0, or 1 where no row could be made at all.
    """
    options = _parse(name, methods, description, argv)
    tasks = list(_tasks(options))
    todo = [
        ((*task[:4], method), functools.partial(_measure, task, methods[method]))
        for method in options.methods
        for task in tasks
    ]
    jobs.run(todo, options.csv, KEYS, columns(metrics), options.quiet)
    if not options.csv.exists():
        print("no pair could be measured", file=sys.stderr)
        return 1
    planned = collections.Counter(task.targets for task in tasks)
    if options.moving_dir is None:
        planned = {kind: len(pairs.pairs(kind)) for kind in TARGETS}
    summary = summarise(options.csv, planned, metrics)
    names = (*TARGETS, "stripped", "skull", *methods)
    rank = {name: place for place, name in enumerate(names)}
    summary = summary.sort_values(list(GROUPS), key=lambda c: c.map(rank))
    summary.to_csv(options.csv.with_name(f"{options.summary}.csv"), index=False)
    print(show(summary, metrics))
    return 0


def columns(metrics):
    """Return the columns of a table of pairs whose summary averages the metrics."""
    scores = [metric for metric in metrics if metric not in score.COST]
    return (*KEYS, *scores, *score.COST)


def summarise(path, planned, metrics):
    """Return the mean and deviation of each metric by setting and method.

    The seconds of a method on one thread are its processor seconds, which other
    work on the machine disturbs least; those of any other are wall-clock
    seconds. The column `clock` says which.

    Args:
        path: Table of rows, one a pair and method.
        planned: Dictionary from targets to the number of pairs a full run has.
        metrics: Columns to average.

    Returns:
        A pandas table with one row a setting and method: `pairs` is how many
        were measured and `of` how many a full run has.
    """
    rows = pandas.read_csv(path)
    alone = rows["threads"] == 1
    rows["seconds"] = rows["cpu_seconds"].where(alone, rows["seconds"])
    summary = table.means(rows, GROUPS, metrics)
    groups = rows.groupby(list(GROUPS), sort=False)
    summary.insert(0, "pairs", groups.size())
    counts = zip(summary.index, summary["pairs"], strict=True)
    summary.insert(1, "of", [planned.get(key[0], count) for key, count in counts])
    threads = groups["threads"].unique().map(sorted)
    summary["threads"] = ["/".join(map(str, some)) for some in threads]
    summary["clock"] = ["processor" if some == [1] else "wall" for some in threads]
    return summary.round(4).reset_index()


def show(summary, metrics):
    """Return the summary as text, one `mean ± sd` a metric."""
    shown = summary[[*GROUPS]].copy()
    shown["pairs"] = summary["pairs"].astype(str) + "/" + summary["of"].astype(str)
    for metric in metrics:
        shown[metric] = [
            "" if mean != mean else f"{mean:.3f}" + (f" ± {sd:.3f}" if sd == sd else "")
            for mean, sd in zip(summary[metric], summary[f"{metric}_sd"], strict=True)
        ]
    shown["clock"] = summary["clock"]
    return shown.to_string(index=False)


def find_labels(scan_path, labels_folder):
    """Return the one file `NAME_*.nii.gz` that holds the labels of `NAME.nii.gz`.

    Raises:
        ValueError: If there is none, or more than one.
    """
    name = _stem(scan_path)
    found = sorted(
        path
        for path in labels_folder.glob(f"{name}_*.nii*")
        if path.resolve() != scan_path.resolve()
    )
    if len(found) != 1:
        raise ValueError(
            f"one label file {name}_*.nii.gz is needed in {labels_folder}. "
            f"Received: {len(found)} files"
        )
    return found[0]


def _stem(path):
    return path.name.removesuffix(".gz").removesuffix(".nii")


def _measure(task, method):
    moving, fixed = task.load()
    found = method(moving, fixed)
    return score.score(moving, fixed, found.transform) | found.cost()


def _tasks(options):
    if options.moving_dir is not None:
        yield from _folder_tasks(options)
        return
    for setting in options.settings:
        targets, kind = setting.split("-")
        for pair in pairs.pairs(targets)[: options.limit]:
            load = functools.partial(_load_pair, *pair, kind == "skull")
            yield Task(targets, kind, *pair, load)


def _load_pair(moving, fixed, keep_skull):
    return _cohort(moving, keep_skull), _cohort(fixed, keep_skull)


_cohort = functools.lru_cache(maxsize=4)(pairs.scan)


def _folder_tasks(options):
    files = sorted(options.moving_dir.glob("*.nii")) + sorted(
        options.moving_dir.glob("*.nii.gz")
    )
    kind = "skull" if options.keep_skull else "stripped"
    fixed = options.fixed.name if options.fixed else pairs.split_names("fixed")[0]
    for path in files[: options.limit]:
        load = functools.partial(_load_file, path, options)
        yield Task("fixed", kind, _stem(path), fixed, load)


def _load_file(path, options):
    labels = find_labels(path, options.labels_dir)
    moving = _read(path, labels, options.keep_skull)
    if options.fixed is None:
        return moving, _cohort(pairs.split_names("fixed")[0], options.keep_skull)
    return moving, _read(options.fixed, options.fixed_labels, options.keep_skull)


@functools.lru_cache(maxsize=4)
def _read(path, labels, keep_skull):
    found = record.load(record.Record(_stem(path), "test", path, labels))
    return found if keep_skull else found.stripped()


def _parse(name, methods, description, argv):
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--moving-dir", type=pathlib.Path, help="folder of scans NAME.nii.gz")
    add("--labels-dir", type=pathlib.Path, help="folder of labels NAME_*.nii.gz")
    add("--fixed", type=pathlib.Path, help="fixed scan; the cohort's if left out")
    add("--fixed-labels", type=pathlib.Path, help="labels of the fixed scan")
    add("--keep-skull", action="store_true", help="measure whole heads")
    add("--settings", help=f"some of {','.join(SETTINGS)}; all if left out")
    add("--methods", help=f"some of {','.join(methods)}; all if left out")
    add("--limit", type=int, help="only the first pairs")
    add("--csv", type=pathlib.Path, help="table of rows, made or continued")
    add("--quiet", action="store_true", help="show no progress bar")
    options = parser.parse_args(argv)
    if (options.moving_dir is None) != (options.labels_dir is None):
        parser.error("--moving-dir and --labels-dir go together")
    if (options.fixed is None) != (options.fixed_labels is None):
        parser.error("--fixed and --fixed-labels go together")
    if options.moving_dir is not None and options.csv is None:
        parser.error("--moving-dir needs --csv FILE")
    settings = SETTINGS[1::2] if options.keep_skull else SETTINGS
    options.settings = jobs.chosen(parser, "settings", options.settings, settings)
    options.methods = jobs.chosen(parser, "methods", options.methods, methods)
    options.summary = (
        f"{options.csv.stem}_summary" if options.csv else f"{name}_summary"
    )
    options.csv = options.csv or jobs.RESULTS / f"{name}_pairs.csv"
    return options
