"""The IXI cohort: 151 real T1-weighted heads, one fixed, 125 to train, 25 to test.

Images: IXI (Hammersmith Hospital), CC BY-SA 3.0, brain-development.org/ixi-dataset.
Labels: DLMUSE, as stored with them by CBICA/NiChart_Project. The age, sex and split
of every scan are kept beside this file, so that the cohort is the same everywhere.
"""

import os
import pathlib

from registration.scans import download
from registration.scans.sources import records

HERE = pathlib.Path(__file__).parent
BASE = (
    "https://raw.githubusercontent.com/CBICA/NiChart_Project/"
    "494c25e00cbd3fea601f5f27970f2e2de876a8ac/test_data/processed/IXI/"
)


def base():
    """Return the address that the files are fetched from.

    Returns:
        `REGISTRATION_IXI_URL` where that variable is set, else the pinned commit.
    """
    return os.environ.get("REGISTRATION_IXI_URL") or BASE


def folder():
    """Return the folder of the scans in the cache, a `pathlib.Path`."""
    return download.cache_folder() / "ixi"


def registry():
    """Return the sha256 of every file, a dict of name to 64 digits."""
    lines = (HERE / "ixi_registry.txt").read_text().split("\n")
    return dict(line.split() for line in lines if line)


def subjects():
    """Return a `records.Record` for each of the 151 subjects."""
    return [
        records.Record(
            id=row["participant_id"],
            split=row["split"],
            image=folder() / image_name(row["participant_id"]),
            labels=folder() / label_name(row["participant_id"]),
            age=records.number(row["age"]),
            sex=row["sex"],
        )
        for row in records.read_table(HERE / "ixi_participants.tsv")
    ]


def label_names():
    """Return the names of the labels, a dict of number to name."""
    rows = records.read_table(HERE / "ixi_label_names.tsv")
    return {int(row["index"]): row["name"] for row in rows}


def image_name(subject):
    """Return the path of a scan below the folder."""
    return f"Nifti/T1/{subject}_T1.nii.gz"


def label_name(subject):
    """Return the path of a label map below the folder."""
    return f"DLMUSE/{subject}_T1_DLMUSE.nii.gz"


def file_names(chosen):
    """Return the paths below the folder of all files of the chosen records."""
    names = [(image_name(record.id), label_name(record.id)) for record in chosen]
    return [name for pair in names for name in pair]


def is_cached(chosen):
    """Say whether all files of the chosen records are in the cache and intact."""
    return not download.missing(folder(), registry(), file_names(chosen))


def fetch(chosen, shown=True):
    """Download what is missing of the chosen records; see `download.fetch`."""
    return download.fetch(
        folder(), base(), registry(), file_names(chosen), shown, "downloading IXI"
    )
