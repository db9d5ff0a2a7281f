"""What a source hands to the cohort: which files belong to which subject."""

import pathlib
import typing

import numpy as np


class Record(typing.NamedTuple):
    """One subject of a cohort; `labels` and `mask` are None where there is none."""

    id: str
    split: str
    image: pathlib.Path
    labels: pathlib.Path | None = None
    mask: pathlib.Path | None = None
    age: float = float("nan")
    sex: str = ""


SPLITS = ("fixed", "train", "test")


def limited(records, limit):
    """Keep the first scans of each split.

    Args:
        records: A list of `Record`.
        limit: None keeps all, an integer limits `train`, a dict limits the
            splits that it names.

    Returns:
        A list of `Record`, fixed first, then train, then test.

    Raises:
        ValueError: If a limit is not a whole number from 1 up, or names no split.
    """
    limits = {"train": limit} if not isinstance(limit, dict) else dict(limit)
    unknown = set(limits) - {"train", "test"}
    if unknown:
        raise ValueError(f"limit may name train and test. Received: {sorted(unknown)}")
    kept = []
    for split in SPLITS:
        count = limits.get(split)
        if count is not None and (not isinstance(count, int) or count < 1):
            raise ValueError(f"a limit must be 1 or more. Received: {count!r}")
        kept += [r for r in records if r.split == split][:count]
    return kept


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
        raise ValueError(f"the fixed scan is not among the scans. Received: {fixed!r}")
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
