"""Make the mean of a cohort: everything that `python -m registration template` does.

The mean of the affines comes first, so that size and pose are the cohort's. Then every
scan is registered to the current mean, intensities and velocities are averaged, and the
mean is moved by minus the mean velocity, so that no scan has pulled it its way; until
it stops moving. Last, every velocity is refined.
"""

import contextlib
import json
import pathlib
import re
import shutil
import sys

import numpy as np

from registration import (
    listing,
    outputs,
    provenance,
    runtime,
    template_report,
    template_rounds,
    template_steps,
    workers,
)
from registration.mendable import InputError
from registration.scans import nifti

NAMES = {
    "template": "template.nii.gz",
    "mask": "template_mask.nii.gz",
    "labels": "template_labels.nii.gz",
    "probabilities": "template_probabilities.nii.gz",
    "volumes": "template_labels.tsv",
    "rounds": "rounds.nii.gz",
    "convergence": "convergence.tsv",
    "scans": "scans.tsv",
    "numbers": "template.json",
    "report": "report.html",
}
TRANSFORMS = "transforms/{}_to_template.h5", "transforms/template_to_{}.h5"


def template(
    source,
    out,
    *,
    rounds=template_rounds.ROUNDS,
    refine=True,
    start=None,
    force=False,
    dask=None,
    number=None,
    command=None,
    tell=lambda text: None,
):
    """Make the mean of the scans of a source.

    Args:
        source: See `listing.entries`; fixed scans that a table names do not count.
        out: Folder for the results; see `NAMES` and `TRANSFORMS`.
        rounds: The most rounds of one pass of the network.
        refine: Whether velocities are refined in the end.
        start: Name of the scan to begin with; that of middle size when None.
        force: Whether results of an earlier run may be replaced.
        dask: See `workers.run`.
        number: Of the workers, see `workers.run`.
        command: The words of the command, for the record; `sys.argv` when None.
        tell: Function of a text, called with a line now and then.

    Returns:
        Dict, as `template.json` holds it: `rounds` with the keys of
        `template_rounds.COLUMNS`, `scans` with those of `template_rounds.SCANS`, and
        where all came from.

    Raises:
        ValueError: If there is nothing to make a mean of; it says what to do. Nothing
            is written then. A scan that cannot be used is no such error: it is listed.
    """
    if rounds < 1:
        raise InputError(f"rounds must be one or more. Received: {rounds}")
    entries, left_out = listing.entries(source, "template")
    out, paths = pathlib.Path(out), _transforms(entries)
    targets = [*NAMES.values(), *(path for two in paths.values() for path in two)]
    if not force:
        outputs.refuse_existing(out, targets)
    given = [getattr(e, key) for e in entries for key in listing.FILES]
    outputs.refuse_inputs([out / name for name in targets], given)
    stages = _Told(tell)
    with (
        outputs.folder(out, force, _ours) as folder,
        _work(folder) as work,
        workers.pool(dask, number, tell) as do,
    ):
        made = template_rounds.Making(do, work, stages)
        members, rows = made.read(entries, start)
        mean = made.aligned(members, rows)
        mean = made.settled(mean, rounds, refine)
        made.finish(mean, folder, paths, rows)
        with stages("writing"):
            labels = _probabilities(mean, made.labels)
            _write(folder, mean, made, rows, labels)
        shutil.rmtree(work)
        record = _record(command, entries, made, rows, left_out, stages)
        page = template_report.page(record, made.pictures, mean.scan, out.name)
        (folder / NAMES["report"]).write_text(page, encoding="utf-8")
        parts = sorted(p for p in folder.rglob("*") if p.is_file())
        record["files"] = {
            p.relative_to(folder).as_posix(): provenance.sha256(p) for p in parts
        }
        (folder / NAMES["numbers"]).write_text(json.dumps(record, indent=2) + "\n")
    return record


class _Told(provenance.Stages):
    """Stages that are told in one line each, when they have ended."""

    def __init__(self, tell):
        super().__init__()
        self._line = tell

    @contextlib.contextmanager
    def __call__(self, name):
        """Time a `with` block under a name."""
        before = self.seconds.get(name, 0.0)
        with super().__call__(name):
            yield
        self._line(f"{name}: {self.seconds[name] - before:.1f} s")


def _probabilities(mean, labels):
    """Count the labels of the scans on the mean.

    Returns:
        The labels, a list, and a uint8 array `(i, j, k, labels)` in percent of the
        scans that have labels; None where none has.
    """
    places = {member.place for member in mean.members}
    given = [(place, some) for place, some in labels if place in places and some]
    if not given:
        return None
    values = sorted(set().union(*(some for _, some in given)))
    where = np.zeros(values[-1] + 1, "int64")
    where[values] = np.arange(len(values))
    counts = np.zeros((mean.scan.image.size, len(values)), "uint16")
    for place, _ in given:
        carried = template_steps.kept(place, "labels")["labels"].ravel()
        some = np.flatnonzero(carried)
        counts[some, where[carried[some]]] += 1
    percent = np.round(counts * (100 / len(given))).astype("uint8")
    return values, percent.reshape(*mean.scan.image.shape, len(values))


def _write(folder, mean, made, rows, labels):
    """Write the mean, and what is known of it."""
    affine, scan = mean.scan.affine, mean.scan
    nifti.save(folder / NAMES["template"], scan.image, affine)
    nifti.save(folder / NAMES["mask"], scan.mask, affine)
    series = np.stack([np.rint(255 * one) for one in made.pictures], axis=-1)
    nifti.save(folder / NAMES["rounds"], series.astype("uint8"), affine)
    if labels is not None:
        values, percent = labels
        likeliest = np.concatenate(
            [100 - np.minimum(percent.sum(-1, keepdims=True), 100), percent], axis=-1
        ).argmax(axis=-1)
        carried = np.array([0, *values])[likeliest]
        kind = "uint8" if values[-1] < 256 else "int32"
        nifti.save(folder / NAMES["labels"], carried.astype(kind), affine)
        nifti.save(folder / NAMES["probabilities"], percent, affine)
        millilitres = np.prod(scan.grid.spacing) / 1000
        sizes = [
            {"volume": n, "label": v, "ml": float((carried == v).sum() * millilitres)}
            for n, v in enumerate(values)
        ]
        _table(folder / NAMES["volumes"], ("volume", "label", "ml"), sizes)
    _table(folder / NAMES["convergence"], template_rounds.COLUMNS, made.rounds)
    _table(folder / NAMES["scans"], template_rounds.SCANS, rows.values())


def _table(path, columns, rows):
    lines = ["\t".join(columns)]
    lines += ["\t".join(_cell(row[column]) for column in columns) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _cell(value):
    if value is None:
        return "n/a"
    if isinstance(value, float):
        return f"{value:.5g}"
    return " ".join(str(value).split())


def _record(command, entries, made, rows, left_out, stages):
    """Return all that is known, as JSON can hold it."""
    roles = {"scan": "moving", "mask": "moving_mask", "labels": "labels"}
    given = {
        f"{entry.name} {role}": path
        for entry in entries
        for role, key in roles.items()
        if (path := getattr(entry, key)) is not None and path.is_file()
    }
    models = [runtime.load(name) for name in template_steps.MODELS]
    used = [row["brain_ml"] for row in rows.values() if row["state"] == "used"]
    return {
        "rounds": made.rounds,
        "scans": list(rows.values()),
        "left_out": [list(one) for one in left_out],
        "brain_ml": made.rounds[-1]["brain_ml"],
        "brain_ml_geometric_mean": float(np.exp(np.mean(np.log(used)))),
        "models": {model.name: model.contract["sha256"] for model in models},
        **provenance.record(sys.argv if command is None else command, given, stages),
    }


def _transforms(entries):
    """Return where the two transforms of every scan lie, by its name."""
    files = {}
    for entry in entries:
        name = re.sub(r"[^\w.-]", "_", entry.name)
        if entry.name in files or name in files.values():
            raise InputError(
                "two scans would have the same results; list the scans in a table with "
                f"a column name that tells them apart. Received: {entry.name}"
            )
        files[entry.name] = name
    return {name: [t.format(file) for t in TRANSFORMS] for name, file in files.items()}


def _ours(path):
    """List the files of an earlier run that nobody changed since."""
    try:
        files = json.loads((path / NAMES["numbers"]).read_text())["files"]
        return [
            name
            for name, digits in files.items()
            if (path / name).is_file() and provenance.sha256(path / name) == digits
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return []


@contextlib.contextmanager
def _work(folder):
    """Give a folder beside the results; it is gone before they take their places."""
    work = folder.resolve() / ".work"
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
