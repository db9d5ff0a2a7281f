"""Heads made here, from the MNI152 template, with known maps between them."""

import dataclasses

import numpy as np

from registration.scans.sources import record as records
from registration.scans.sources.simulated import subject, template

COUNT = {"train": 40, "test": 10}


def find(request, shown=True):
    """Return as many subjects as are asked for; they are made when they are read.

    Args:
        request: A `record.Request`; its `limit` and `seed` count.
        shown: Not used: nothing is fetched.

    Returns:
        A `record.Found`.
    """
    counts = {"fixed": 1, **records.counts(request.limit, COUNT)}
    splits = [split for split in records.SPLITS for _ in range(counts[split])]
    chosen = [
        records.Record(f"sim-{number:03d}", split, None, seed=[request.seed, number])
        for number, split in enumerate(splits)
    ]
    return records.Found(chosen)


def read(record, skull=True, voxel_mm=2.0):
    """Make a subject, its image rounded to 8 bits as that of a real scan.

    Args:
        record: A `record.Record` with its seed.
        skull: False sets everything outside the brain to zero.
        voxel_mm: Edge of a voxel.

    Returns:
        A `scan.Scan` with labels and landmarks.
    """
    made = subject.subject(record.seed, subject.grid(voxel_mm), skull).scan
    image = np.rint(made.image * 255).astype("uint8") / np.float32(255)
    return dataclasses.replace(made, image=image, name=record.id)


def label_names():
    """Return the names of the labels, a dict of number to name."""
    return dict(template.LABEL_NAMES)
