"""Where a cohort comes from: find its subjects, fetch them, and say why these."""

import os
import typing

from registration.scans.sources import folder as own_folder
from registration.scans.sources import ixi, openneuro, records

SOURCES = ("auto", "ixi", "folder", "openneuro", "simulated")
SIMULATED_COUNT = {"train": 40, "test": 10}
OPENNEURO_COUNT = {"train": 125, "test": 25}


class Found(typing.NamedTuple):
    """The subjects of a source; `missing` lists those that could not be had."""

    name: str
    why: str
    records: list
    missing: list = []


def find(source, limit=None, folder=None, fixed=None, seed=0, shown=True):
    """Find the subjects of a source and make sure that their files are here.

    Args:
        source: `"ixi"`, `"folder"`, `"openneuro"`, `"simulated"` or `"auto"`; see
            `cohort.load`.
        limit: As in `records.limited`.
        folder: For `"folder"`, where to look; `REGISTRATION_FOLDER` when None.
        fixed: For `"folder"`, the id of the fixed scan.
        seed: Of the simulation, and of the deal of a folder's scans.
        shown: Whether to draw progress bars.

    Returns:
        A `Found`.

    Raises:
        ValueError: If there is no such source or folder.
        ConnectionError: If the files of the source asked for could not be had.
    """
    why = "asked for"
    if source == "auto" and os.environ.get("REGISTRATION_SOURCE"):
        source = os.environ["REGISTRATION_SOURCE"]
        why = "asked for by REGISTRATION_SOURCE"
    if source not in SOURCES:
        raise ValueError(f"source must be one of {SOURCES}. Received: {source!r}")
    if source == "auto":
        try:
            return _ixi(limit, shown)
        except (ConnectionError, ValueError) as error:
            return _simulated(limit, f"because the IXI scans cannot be had: {error}")
    if source == "ixi":
        return _ixi(limit, shown)
    if source == "openneuro":
        return _openneuro(limit, shown)
    if source == "simulated":
        return _simulated(limit, why)
    folder = folder or os.environ.get("REGISTRATION_FOLDER")
    if not folder:
        raise ValueError(
            "source 'folder' needs folder=... or REGISTRATION_FOLDER. Received: None"
        )
    chosen = own_folder.find(folder, fixed, seed)
    return Found("folder", why, records.limited(chosen, limit))


def _ixi(limit, shown):
    """Return the IXI scans from the cache, else downloaded."""
    chosen = records.limited(ixi.subjects(), limit)
    if ixi.is_cached(chosen):
        return Found("ixi", "found in the cache", chosen)
    count = ixi.fetch(chosen, shown)
    return Found("ixi", f"{count} files downloaded", chosen)


def _openneuro(limit, shown):
    """Return the OpenNeuro scans, without those that the server does not have."""
    limit = _counts(limit, OPENNEURO_COUNT)
    chosen = records.limited(openneuro.subjects(), limit)
    missing = []
    try:
        count = openneuro.fetch(chosen, shown)
        why = f"{count} files downloaded" if count else "found in the cache"
    except ConnectionError as error:
        here = [r for r in chosen if openneuro.is_here(r)]
        kept = {record.split for record in here}
        if len(here) < len(chosen) / 2 or kept != set(records.SPLITS):
            raise
        missing = [(r.id, str(error)) for r in chosen if r not in here]
        chosen, why = here, "downloaded in part"
    return Found("openneuro", why, chosen, missing)


def _simulated(limit, why):
    """Return as many simulated subjects as are asked for."""
    counts = {"fixed": 1, **_counts(limit, SIMULATED_COUNT)}
    names = [split for split in records.SPLITS for _ in range(counts[split])]
    chosen = [
        records.Record(f"sim-{number:03d}", split, None)
        for number, split in enumerate(names)
    ]
    return Found("simulated", why, records.limited(chosen, limit))


def _counts(limit, default):
    """Return how many scans to train and test on where `limit` leaves it open."""
    given = limit if isinstance(limit, dict) else {"train": limit}
    return {**default, **{k: v for k, v in given.items() if v is not None}}
