"""Temporary stand-in, never committed."""
import dataclasses
from registration.scans import nifti
from registration.scans.sources.records import Record, SPLITS, limited, number, read_table, split_by_seed  # noqa
def load(record):
    scan = nifti.load(record.image)
    labels = mask = None
    if record.labels is not None:
        labels = nifti.load_labels(record.labels, scan)
    if record.mask is not None:
        mask = nifti.load_labels(record.mask, scan) > 0
    return dataclasses.replace(scan, labels=labels, mask=mask, name=record.id)
