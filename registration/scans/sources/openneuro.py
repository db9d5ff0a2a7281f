"""AOMIC-PIOP2 (OpenNeuro ds002790, CC0): heads at 1 mm with masks and label maps.

OpenNeuro publishes no sha256 for these files. What is fetched first is written
down in the cache, with its sha256, and every later use is checked against that.

Reference:
    Snoek et al., The Amsterdam Open MRI Collection, Scientific Data 2021.
"""

import os

from registration import settings
from registration.scans import download
from registration.scans.sources import record as records

BASE = "https://s3.amazonaws.com/openneuro.org/ds002790/"
TABLE = "participants.tsv"
ANATOMY = "derivatives/fmriprep/{0}/anat/{0}_{1}.nii.gz"
KINDS = ("desc-preproc_T1w", "desc-brain_mask", "desc-aparcaseg_dseg")
WRITTEN_DOWN = "sha256.txt"
MAX_BYTES = 100_000_000
COUNT = {"train": 125, "test": 25}

read = records.read


def find(request, shown=True):
    """Find the scans in the cache, or download what is missing there.

    Where the server lacks some, those that are here are taken and the others are
    named, as long as they are fewer than half and every split has one.

    Args:
        request: A `record.Request`; its `limit` counts.
        shown: Whether to draw a progress bar.

    Returns:
        A `record.Found`.

    Raises:
        ValueError: If a file is damaged and could not be replaced.
        OSError: If files could not be had.
    """
    chosen = records.limited(subjects(), request.limit, COUNT)
    names = [ANATOMY.format(record.id, kind) for record in chosen for kind in KINDS]
    try:
        count = _fetch(names, shown)
    except ConnectionError as error:
        here = [
            r for r in chosen if all(p.is_file() for p in (r.image, r.mask, r.labels))
        ]
        splits = {record.split for record in here}
        if len(here) < len(chosen) / 2 or splits != set(records.SPLITS):
            raise
        left_out = [(r.id, str(error)) for r in chosen if r not in here]
        return records.Found(here, left_out, "downloaded in part")
    why = f"{count} files downloaded" if count else "found in the cache"
    return records.Found(chosen, why=why)


def subjects():
    """Return a `record.Record` for each subject, fetching the table of them."""
    _fetch([TABLE], shown=False)
    place = _cache()
    rows = {row["participant_id"]: row for row in records.read_table(place / TABLE)}
    for name in rows:
        if not name.startswith("sub-") or not name[4:].isalnum():
            raise ValueError(f"{place / TABLE}: not a subject. Received: {name!r}")
    splits = records.split_by_seed(sorted(rows))
    return [
        records.Record(
            id=name,
            split=splits[name],
            image=place / ANATOMY.format(name, KINDS[0]),
            labels=place / ANATOMY.format(name, KINDS[2]),
            mask=place / ANATOMY.format(name, KINDS[1]),
            age=records.number(rows[name].get("age")),
            sex=rows[name].get("sex", ""),
        )
        for name in sorted(rows)
    ]


def label_names():
    """Return an empty dict: FreeSurfer's numbers come without their names."""
    return {}


def _cache():
    return download.cache_folder() / "openneuro" / "ds002790"


def _fetch(names, shown):
    """Fetch files and write down the sha256 of those that are here and new."""
    place, known = _cache() / WRITTEN_DOWN, {}
    if place.is_file():
        for line in place.read_text().splitlines():
            digest, _, name = line.partition("  ")
            known[name] = digest
    base = settings.value("REGISTRATION_OPENNEURO_URL") or BASE
    registry = {name: known.get(name) for name in names}
    title = "downloading OpenNeuro ds002790"
    try:
        return download.fetch(_cache(), base, registry, MAX_BYTES, names, shown, title)
    finally:
        new = [n for n in names if n not in known and (_cache() / n).is_file()]
        known |= {name: download.sha256(_cache() / name) for name in new}
        if new:
            _write_down(place, known)


def _write_down(place, known):
    """Write the list of sha256 whole or not at all."""
    part = place.with_name(download.part_name())
    try:
        part.write_text("".join(f"{known[name]}  {name}\n" for name in sorted(known)))
        os.replace(part, place)
    finally:
        part.unlink(missing_ok=True)
