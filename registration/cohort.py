"""Register many pairs: everything that `python -m registration cohort` does.

Each pair has its own results, as `pair` writes them, in BIDS-derivative names below one
folder. What is there already and belongs to the same inputs, models and options is
kept, so a run that was stopped goes on.
"""

import contextlib
import csv
import fcntl
import io
import json
import os
import pathlib
import shutil
import time
import traceback
import typing

from registration import (
    bids,
    cohort_report,
    listing,
    mendable,
    models,
    pair,
    provenance,
    workers,
)
from registration.mendable import InputError

TABLE, PAGE, HIDDEN = "registrations.tsv", "report.html", ".cohort"
STATES = ("done", "kept", "refused", "fault")
COLUMNS = (
    "name", "onto", "state", "verdict", "risk", "error_mm", "ncc_before", "ncc",
    "local_ncc_before", "local_ncc", "brain_dice_before", "brain_dice", "dice_before",
    "dice", "folded_percent", "log_jacobian_sd", "volume_ratio", "outside_percent",
    "there_and_back_mm", "seconds", "peak_memory_mib", "reason", "record",
)  # fmt: skip
SAVE_EVERY_S = 20.0


class Task(typing.NamedTuple):
    """What a worker is given.

    Attributes:
        entry: `listing.Entry`.
        out: Folder of the cohort.
        options: Dict of what goes on to `pair.pair`.
        force: Whether files may be replaced that no cohort has written.
    """

    entry: listing.Entry
    out: pathlib.Path
    options: dict
    force: bool = False


def cohort(
    source,
    out,
    *,
    fixed=None,
    fixed_mask=None,
    fixed_labels=None,
    options=None,
    force=False,
    dask=None,
    number=None,
    command=(),
    tell=lambda text: None,
):
    """Register all pairs of a source.

    Args:
        source: See `listing.entries`.
        out: Folder for the results.
        fixed: The scan that all are moved onto; None where the source names it.
        fixed_mask: Its brain mask, or None.
        fixed_labels: Its label map, or None.
        options: Dict of options of `pair.pair`: transform, refine, inverse, report,
            retry.
        force: Whether files may be replaced that no cohort has written.
        dask: See `workers.run`.
        number: Of the workers, see `workers.run`.
        command: The words of the command, for the records.
        tell: Function of a text, called with a line now and then.

    Returns:
        List of rows, dicts with the keys `COLUMNS`, in the order of the source. The
        table and the page hold the same.

    Raises:
        ValueError: If nothing can be begun; it says what to do. A pair that cannot be
            registered is no such error: it is listed with its reason.
    """
    entries, left_out = listing.entries(source, fixed, fixed_mask, fixed_labels)
    out = pathlib.Path(out)
    options = dict(options or {}) | {"command": list(command)}
    with _alone(out):
        _describe(out)
        rows, todo = {}, []
        for place, entry in enumerate(entries):
            row = stored(entry, out, options)
            if row is None:
                todo.append(place)
            else:
                rows[place] = row | {"state": "kept"}
        tell(
            f"{len(entries)} pairs: {len(rows)} are there already, {len(todo)} to do"
            + (f"; {len(left_out)} files left out" if left_out else "")
        )
        tasks = [Task(entries[place], out, options, force) for place in todo]
        saved = time.monotonic()
        for count, (task, result) in enumerate(
            workers.run(one, tasks, dask, number, tell), start=1
        ):
            row = result
            if isinstance(result, BaseException):
                # The worker itself was lost, more than once.
                row = _fault(tasks[task].entry, out, result)
            rows[todo[task]] = row
            tell(f"{count}/{len(todo)} {row['name']}: {_told(row)}")
            if time.monotonic() > saved + SAVE_EVERY_S:
                _save_table(out, rows)
                saved = time.monotonic()
        ordered = _save_table(out, rows)
        page = cohort_report.page(ordered, left_out, out.resolve().name)
        _replace(out / PAGE, page)
    return ordered


def one(task):
    """Register one pair, in a worker; what is there already is kept.

    Args:
        task: `Task`.

    Returns:
        A row, a dict with the keys `COLUMNS`; of a pair that cannot be registered, its
        `state` and `reason`.
    """
    entry, out, _, _ = task
    try:
        return _registered(task)
    except (mendable.InputError, OSError) as error:
        return _without(entry, "refused", str(error))
    except Exception as error:
        return _fault(entry, out, error)


def _registered(task):
    entry, out, options, force = task
    # Another worker may have been lost after its work was done.
    row = stored(entry, out, options)
    if row is not None:
        return row
    begun = out / HIDDEN / f"{_key(entry)}.begun"
    ours = begun.exists() or _record(entry, out) is not None
    begun.touch()
    pair.pair(
        entry.moving,
        entry.fixed,
        out,
        moving_mask=entry.moving_mask,
        fixed_mask=entry.fixed_mask,
        labels=entry.labels,
        fixed_labels=entry.fixed_labels,
        force=force or ours,
        bids=True,
        subjects=(entry.name, entry.onto),
        **options,
    )
    cohort_report.draw(entry, out)
    begun.unlink(missing_ok=True)
    return stored(entry, out, options)


def stored(entry, out, options):
    """Return the row of a pair whose results are there and still hold.

    Args:
        entry: `listing.Entry`.
        out: Folder of the cohort.
        options: As `Task` has them.

    Returns:
        A row; None where a file is missing, or inputs, models or options are others.
    """
    record = _record(entry, out)
    if record is None:
        return None
    asked = {key: value for key, value in options.items() if key != "command"}
    if any(record["options"].get(key) != value for key, value in asked.items()):
        return None
    known = {role: part["sha256"] for role, part in record["inputs"].items()}
    given = {role: getattr(entry, role) for role in listing.FILES}
    given = {role: path for role, path in given.items() if path is not None}
    if known.keys() != given.keys() or not all(p.is_file() for p in given.values()):
        return None
    if not all((out / name).is_file() for name in record["files"]):
        return None
    used = record["transform"]["models"]
    if any(_model_sha256(name) != digits for name, digits in used.items()):
        return None
    if any(provenance.sha256(path) != known[role] for role, path in given.items()):
        return None
    return _numbers(entry, record, out)


def _record(entry, out):
    """Return what `pair` has stored for an entry, None where there is nothing whole."""
    path = out / bids.names(entry.name, entry.onto)["numbers"]
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        needed = ("options", "inputs", "files", "transform", "numbers", "verdict")
        return record if all(key in record for key in needed) else None
    except (OSError, ValueError, TypeError):
        return None


def _model_sha256(name):
    try:
        return models.contract(name)["sha256"]
    except ValueError:
        return None


def _numbers(entry, record, out):
    """Return a row from what `pair` has stored."""
    numbers, verdict = record["numbers"], record["verdict"]
    row = dict.fromkeys(COLUMNS) | {
        "name": entry.name,
        "onto": entry.onto,
        "state": "done",
        "verdict": verdict["level"],
        "risk": verdict["risk"],
        "error_mm": verdict["error_mm"],
        "seconds": record["seconds_total"],
        "peak_memory_mib": record["peak_memory_mib"],
        "reason": " ".join([*verdict["reasons"], *record["warnings"]]),
        "record": bids.names(entry.name, entry.onto)["numbers"],
    }
    for key in ("ncc", "local_ncc", "brain_dice", "dice"):
        row[f"{key}_before"] = numbers["before"].get(key)
        row[key] = numbers["after"].get(key)
    return row | {key: numbers[key] for key in COLUMNS if key in numbers}


def _without(entry, state, reason):
    """Return the row of a pair that has no results."""
    row = dict.fromkeys(COLUMNS) | {"name": entry.name, "onto": entry.onto}
    return row | {"state": state, "reason": " ".join(reason.split())}


def _fault(entry, out, error):
    """Keep what a fault of ours left to read; return the row."""
    log = out / "logs" / f"{_key(entry)}.txt"
    log.parent.mkdir(exist_ok=True)
    log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    why = f"a fault of the program, or a worker that died: {error!r}; see logs/"
    return _without(entry, "fault", why + log.name)


def _told(row):
    if row["state"] in ("refused", "fault"):
        return f"{row['state']}: {row['reason']}"
    return f"{row['verdict']} (error about {row['error_mm']:.2g} mm)"


def _key(entry):
    """Return a file name of a pair's own."""
    return pathlib.Path(bids.names(entry.name, entry.onto)["numbers"]).stem


def _save_table(out, rows):
    """Write the table of what is known so far; return its rows in order."""
    ordered = [rows[place] for place in sorted(rows)]
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, delimiter="\t", lineterminator="\n")
    writer.writeheader()
    for row in ordered:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    _replace(out / TABLE, text.getvalue())
    return ordered


def _cell(value):
    if value is None:
        return "n/a"
    return f"{value:.5g}" if isinstance(value, float) else value


def _replace(path, text):
    """Write a file that is whole or not there."""
    partial = path.with_name(f".writing-{path.name}")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def _describe(out):
    """Write what belongs to the whole data set, before any worker would."""
    texts = {
        "dataset_description.json": json.dumps(bids.description(), indent=2) + "\n",
        ".bidsignore": f"{bids.IGNORE}{TABLE}\n{PAGE}\nlogs/\nfigures/\n",
    }
    for name, text in texts.items():
        if not (out / name).exists():
            _replace(out / name, text)


@contextlib.contextmanager
def _alone(out):
    """Hold the folder for this run alone, and sweep up after one that was killed."""
    try:
        (out / HIDDEN).mkdir(parents=True, exist_ok=True)
        lock = open(out / HIDDEN / "lock", "w")
    except OSError as error:
        raise InputError(
            f"{out}: cannot be written there; choose another folder for --out. "
            f"Received: {error}"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(
                f"{out}: another run is at work there; wait for it, or choose another "
                f"folder for --out. Received: {error}"
            ) from error
        for left in out.glob(".writing-*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
        yield
