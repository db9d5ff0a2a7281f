"""What a source hands to the cohort: which files belong to which subject.

What several sources share is here too: reading a subject, dealing splits, tables.
"""

import dataclasses
import pathlib
import re
import typing

import numpy as np

from registration.scans import intensity, nifti

SPLITS = ("fixed", "train", "test")
NAME = re.compile(r"^(?P<stem>.+?)\.nii(\.gz)?$", re.IGNORECASE)


class Request(typing.NamedTuple):
    """What `cohort.load` was asked for.

    Attributes:
        limit: See `limited`.
        folder: Of a reader's own scans, or None.
        fixed: Id of the fixed scan, or None where the source chooses.
        seed: Of the deal, and of heads that are made.
    """

    limit: typing.Any = None
    folder: pathlib.Path | None = None
    fixed: str | None = None
    seed: int = 0


class Record(typing.NamedTuple):
    """One subject of a cohort.

    Attributes:
        id: Readable, and no other subject's.
        split: One of `SPLITS`.
        image: The file of the scan; None for a head that is made.
        labels: The file of its label map, or None.
        mask: The file of its brain mask, or None.
        age: In years, NaN where it is not known.
        sex: As the source writes it, empty where it is not known.
        seed: Of a head that is made, a list of integers.
    """

    id: str
    split: str
    image: pathlib.Path | None
    labels: pathlib.Path | None = None
    mask: pathlib.Path | None = None
    age: float = float("nan")
    sex: str = ""
    seed: list | None = None


class Files(typing.NamedTuple):
    """The files of one scan in a reader's folder, relative to it.

    Attributes:
        image: The scan, a `pathlib.PurePath`.
        ids: The ids it may have, the shortest first.
        mask: Its brain mask, or None.
        labels: Its label map, or None.
    """

    image: pathlib.PurePath
    ids: tuple
    mask: pathlib.PurePath | None = None
    labels: pathlib.PurePath | None = None


class Found(typing.NamedTuple):
    """What a source has.

    Attributes:
        records: A list of `Record`.
        left_out: A list of `(name, reason)` for each subject or file that is not
            among them and could be expected there.
        why: How they were found, for the line that the cohort prints.
    """

    records: list
    left_out: list = []
    why: str = ""


def stem(path):
    """Return the name of a NIfTI file without `.nii` or `.nii.gz`.

    Args:
        path: A `pathlib.PurePath`.

    Returns:
        A string.
    """
    return NAME.match(path.name)["stem"]


def load(record):
    """Read a subject from its files.

    Args:
        record: A `Record`.

    Returns:
        A `scan.Scan`, its intensities as stored in the file.

    Raises:
        ValueError: If a file cannot be trusted.
    """
    scan = nifti.load(record.image)
    parts = {}
    if record.labels is not None:
        parts["labels"] = nifti.load_labels(record.labels, scan)
    if record.mask is not None:
        parts["mask"] = nifti.load_labels(record.mask, scan) > 0
    return dataclasses.replace(scan, name=record.id, **parts)


def read(record, skull=True, voxel_mm=None):
    """Read a subject from its files, intensities scaled to [0, 1].

    Args:
        record: A `Record`.
        skull: False sets everything outside the brain mask to zero.
        voxel_mm: For sources that make their heads; here the file decides.

    Returns:
        A `scan.Scan` on its own grid.

    Raises:
        ValueError: If a file cannot be trusted, or a mask is wanted and missing.
    """
    scan = load(record)
    scan = dataclasses.replace(scan, image=intensity.scaled(scan.image))
    if skull:
        return scan
    if scan.mask is None:
        raise ValueError(
            f"{record.image}: without a brain mask or labels its skull cannot be "
            "removed. Received: skull=False"
        )
    return scan.stripped()


def limited(records, limit, default=None):
    """Keep the first scans of each split.

    Args:
        records: A list of `Record`.
        limit: None keeps all, an integer limits `train`, a dict limits the
            splits that it names.
        default: A dict of the limits where `limit` names none.

    Returns:
        A list of `Record`, fixed first, then train, then test.

    Raises:
        ValueError: If a limit is not a whole number from 1 up, or names no split.
    """
    limits = counts(limit, default)
    kept = []
    for split in SPLITS:
        kept += [r for r in records if r.split == split][: limits.get(split)]
    return kept


def counts(limit, default=None):
    """Return how many scans of each split a limit allows.

    Args:
        limit: As in `limited`.
        default: As in `limited`.

    Returns:
        A dict of split to number; a split that is not limited is not in it.

    Raises:
        ValueError: As `limited`.
    """
    limits = limit if isinstance(limit, dict) else {"train": limit}
    unknown = set(limits) - {"train", "test"}
    if unknown:
        raise ValueError(f"limit may name train and test. Received: {sorted(unknown)}")
    named = {split: count for split, count in limits.items() if count is not None}
    for count in named.values():
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"a limit must be 1 or more. Received: {count!r}")
    return {**(default or {}), **named}


def split_by_seed(ids, fixed=None, test_share=1 / 6, seed=0):
    """Choose one fixed scan and deal the others to train and test.

    Args:
        ids: The subjects, in order.
        fixed: The id of the fixed scan; the first when None.
        test_share: Share of the others that goes to test, at least one.
        seed: Of the deal.

    Returns:
        A dict of id to split.

    Raises:
        ValueError: If there are fewer than three subjects, or `fixed` is none.
    """
    if len(ids) < 3:
        raise ValueError(f"a cohort needs three scans or more. Received: {len(ids)}")
    fixed = ids[0] if fixed is None else fixed
    if fixed not in ids:
        some = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
        raise ValueError(
            f"the fixed scan is not among the scans, {some}. Received: {fixed!r}"
        )
    others = [name for name in ids if name != fixed]
    count = max(1, round(len(others) * test_share))
    drawn = np.random.default_rng(seed).permutation(len(others))[:count]
    test = {others[i] for i in drawn}
    splits = {name: "test" if name in test else "train" for name in others}
    return {fixed: "fixed", **splits}


def read_table(path):
    """Read a table of tab-separated columns with a header line.

    Args:
        path: The file.

    Returns:
        A list of dicts, one a row, all values strings.
    """
    lines = pathlib.Path(path).read_text(encoding="utf-8-sig").splitlines()
    rows = [line.split("\t") for line in lines if line.strip()]
    return [dict(zip(rows[0], row, strict=False)) for row in rows[1:]]


def number(text):
    """Return the number a table cell holds, NaN for an empty or `n/a` one.

    Args:
        text: A string, or None.

    Returns:
        A float.
    """
    try:
        return float(text)
    except (TypeError, ValueError):
        return float("nan")
