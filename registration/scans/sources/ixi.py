"""The IXI cohort: 151 real T1-weighted heads, one fixed, 125 to train, 25 to test.

Images: IXI (Hammersmith Hospital), CC BY-SA 3.0, brain-development.org/ixi-dataset.
Labels: DLMUSE, as stored with them by CBICA/NiChart_Project. The age, sex and split
of every scan are kept beside this file, so that the cohort is the same everywhere.
"""

import pathlib

from registration import settings
from registration.scans import download
from registration.scans.sources import record as records

HERE = pathlib.Path(__file__).parent
BASE = (
    "https://raw.githubusercontent.com/CBICA/NiChart_Project/"
    "494c25e00cbd3fea601f5f27970f2e2de876a8ac/test_data/processed/IXI/"
)
MAX_BYTES = 4_000_000
IMAGE, LABELS = "Nifti/T1/{}_T1.nii.gz", "DLMUSE/{}_T1_DLMUSE.nii.gz"

read = records.read


def find(request, shown=True):
    """Find the scans in the cache, or download what is missing there.

    Args:
        request: A `record.Request`; its `limit` counts.
        shown: Whether to draw a progress bar.

    Returns:
        A `record.Found`.

    Raises:
        ValueError: If a file is damaged and could not be replaced.
        OSError: If files could not be had.
    """
    chosen = records.limited(subjects(), request.limit)
    count = fetch(chosen, shown)
    why = f"{count} files downloaded" if count else "found in the cache"
    return records.Found(chosen, why=why)


def subjects():
    """Return a `record.Record` for each of the 151 subjects, here or not."""
    place = folder()
    return [
        records.Record(
            id=row["participant_id"],
            split=row["split"],
            image=place / IMAGE.format(row["participant_id"]),
            labels=place / LABELS.format(row["participant_id"]),
            age=records.number(row["age"]),
            sex=row["sex"],
        )
        for row in records.read_table(HERE / "ixi_participants.tsv")
    ]


def fetch(chosen, shown=True):
    """Download what is missing of some records; see `download.fetch`."""
    names = [
        pattern.format(record.id) for record in chosen for pattern in (IMAGE, LABELS)
    ]
    base = settings.value("REGISTRATION_IXI_URL") or BASE
    return download.fetch(
        folder(), base, registry(), MAX_BYTES, names, shown, "downloading IXI"
    )


def folder():
    """Return the folder of the scans in the cache, a `pathlib.Path`."""
    return download.cache_folder() / "ixi"


def registry():
    """Return the sha256 of every file, a dict of name to 64 digits."""
    lines = (HERE / "ixi_registry.txt").read_text().split("\n")
    return dict(line.split() for line in lines if line)


def label_names():
    """Return the names of the labels, a dict of number to name."""
    rows = records.read_table(HERE / "ixi_label_names.tsv")
    return {int(row["index"]): row["name"] for row in rows}
