"""AOMIC-PIOP2 (OpenNeuro ds002790, CC0): heads at 1 mm with masks and label maps.

OpenNeuro publishes no sha256 for these files. What is fetched first is written
down in the cache, with its sha256, and every later use is checked against that.

Reference:
    Snoek et al., The Amsterdam Open MRI Collection, Scientific Data 2021.
"""

import os

from registration.scans import download
from registration.scans.sources import records

BASE = "https://s3.amazonaws.com/openneuro.org/ds002790/"
TABLE = "participants.tsv"
ANATOMY = "derivatives/fmriprep/{0}/anat/{0}_{1}.nii.gz"
KINDS = ("desc-preproc_T1w", "desc-brain_mask", "desc-aparcaseg_dseg")
WRITTEN_DOWN = "sha256.txt"
TEST_SHARE = 1 / 6


def base():
    """Return the address that the files are fetched from.

    Returns:
        `REGISTRATION_OPENNEURO_URL` where that variable is set, else OpenNeuro's.
    """
    return os.environ.get("REGISTRATION_OPENNEURO_URL") or BASE


def cache():
    """Return the folder of the scans in the cache, a `pathlib.Path`."""
    return download.cache_folder() / "openneuro" / "ds002790"


def subjects():
    """Return a `records.Record` for each subject, fetching the table of them."""
    _fetch([TABLE], shown=False)
    rows = records.read_table(cache() / TABLE)
    ids = sorted(row["participant_id"] for row in rows)
    for name in ids:
        if not name.startswith("sub-") or not name[4:].isalnum():
            raise ValueError(f"{cache() / TABLE}: not a subject. Received: {name!r}")
    splits = records.split_by_seed(ids, test_share=TEST_SHARE)
    by_id = {row["participant_id"]: row for row in rows}
    return [
        records.Record(
            id=name,
            split=splits[name],
            image=cache() / ANATOMY.format(name, KINDS[0]),
            labels=cache() / ANATOMY.format(name, KINDS[2]),
            mask=cache() / ANATOMY.format(name, KINDS[1]),
            age=records.number(by_id[name].get("age")),
            sex=by_id[name].get("sex", ""),
        )
        for name in ids
    ]


def fetch(chosen, shown=True):
    """Download what is missing of the chosen records; see `download.fetch`."""
    names = [ANATOMY.format(record.id, kind) for record in chosen for kind in KINDS]
    return _fetch(names, shown)


def is_here(record):
    """Say whether the three files of a record are in the cache."""
    return all(path.is_file() for path in (record.image, record.mask, record.labels))


def _fetch(names, shown):
    """Fetch files and write down the sha256 of those that are new."""
    place = cache() / WRITTEN_DOWN
    known = {}
    if place.is_file():
        for line in place.read_text().splitlines():
            digest, _, name = line.partition("  ")
            known[name] = digest
    registry = {name: known.get(name) for name in names}
    count = download.fetch(
        cache(), base(), registry, names, shown, "downloading OpenNeuro ds002790"
    )
    new = [name for name in names if name not in known]
    if new:
        with place.open("a") as file:
            for name in new:
                file.write(f"{download.sha256(cache() / name)}  {name}\n")
    return count
