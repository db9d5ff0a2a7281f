"""What the command lines of the benchmarks share: arguments, the loop, resuming."""

import argparse
import collections
import functools
import pathlib
import sys

import tqdm

from benchmarks import pairs, scans, score, simulated, table

RESULTS = pathlib.Path(__file__).parent / "results"
TARGETS = ("fixed", "any", "simulated")
SETTINGS = tuple(f"{t}-{kind}" for t in TARGETS for kind in ("stripped", "skull"))

Task = collections.namedtuple("Task", "targets input scan fixed load")


def main(name, methods, metrics, description, argv=None):
    """Measure methods on pairs of scans, one row a pair and method.

    Rows that the table holds already are skipped, so a run that was stopped goes
    on where it was. A pair that fails is listed at the end and stops nothing.

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
    measured = [name for name in metrics if name != "peak_mb"]
    columns = (*table.KEYS, *measured, "cpu_seconds", "peak_mb", "threads")
    tasks = list(_tasks(options))
    jobs = [
        ((*task[:4], method), functools.partial(_measure, task, methods[method]))
        for task in tasks
        for method in options.methods
    ]
    run(jobs, options.csv, table.KEYS, columns, options.quiet)
    if not options.csv.exists():
        print("no pair could be measured", file=sys.stderr)
        return 1
    planned = collections.Counter(task.targets for task in tasks)
    if options.moving_dir is None:
        planned = {kind: len(pairs.pairs(kind)) for kind in TARGETS}
    summary = table.summarise(options.csv, planned, metrics)
    names = (*TARGETS, "stripped", "skull", *methods)
    rank = {name: place for place, name in enumerate(names)}
    summary = summary.sort_values(list(table.GROUPS), key=lambda c: c.map(rank))
    summary.to_csv(options.csv.with_name(f"{options.summary}.csv"), index=False)
    print(table.show(summary, metrics))
    return 0


def run(jobs, path, keys, columns, quiet=False):
    """Do the jobs whose rows a table lacks, and list those that fail.

    Args:
        jobs: List of `(key, work)`: the values of the key columns, and a function
            without arguments that returns the rest of the row as a dictionary.
        path: The table.
        keys: Names of the key columns.
        columns: Names of all columns.
        quiet: Show no progress bar.
    """
    done, failures = table.finished(path, keys), []
    jobs = [job for job in jobs if _key(job[0]) not in done]
    progress = tqdm.tqdm(jobs, disable=quiet)
    for key, work in progress:
        progress.set_postfix_str(" ".join(map(str, key)))
        try:
            row = work()
        except Exception as error:
            failures.append(f"{' '.join(map(str, key))}: {error!r}")
            continue
        table.append(path, row | dict(zip(keys, key, strict=True)), columns)
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)


def _key(values):
    return tuple(str(table.short(value)) for value in values)


def _measure(task, method):
    moving, fixed = task.load()
    found = method(moving, fixed)
    return score.score(moving, fixed, found) | {
        "seconds": found.seconds,
        "cpu_seconds": found.cpu_seconds,
        "peak_mb": found.peak_mb,
        "threads": found.threads,
    }


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


@functools.lru_cache(maxsize=4)
def _cohort(name, keep_skull):
    load = simulated.scan if name.startswith("sim-") else scans.cohort_scan
    return load(name, keep_skull)


_read = functools.lru_cache(maxsize=4)(scans.read)


def _folder_tasks(options):
    files = sorted(options.moving_dir.glob("*.nii")) + sorted(
        options.moving_dir.glob("*.nii.gz")
    )
    for path in files[: options.limit]:
        name = path.name.removesuffix(".gz").removesuffix(".nii")
        kind = "skull" if options.keep_skull else "stripped"
        load = functools.partial(_load_file, path, options)
        fixed = options.fixed.name if options.fixed else pairs.split_names("fixed")[0]
        yield Task("fixed", kind, name, fixed, load)


def _load_file(path, options):
    labels = scans.find_labels(path, options.labels_dir)
    moving = _read(path, labels, options.keep_skull)
    if options.fixed is None:
        return moving, _cohort(pairs.split_names("fixed")[0], options.keep_skull)
    return moving, _read(options.fixed, options.fixed_labels, options.keep_skull)


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
    options.settings = chosen(parser, "settings", options.settings, settings)
    options.methods = chosen(parser, "methods", options.methods, methods)
    options.summary = (
        f"{options.csv.stem}_summary" if options.csv else f"{name}_summary"
    )
    options.csv = options.csv or RESULTS / f"{name}_pairs.csv"
    return options


def chosen(parser, what, text, known):
    """Return the names in a comma-separated text, all known ones if it is None."""
    names = list(known) if text is None else text.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(
            f"{what} must be some of {', '.join(known)}. Received: {', '.join(unknown)}"
        )
    return names
