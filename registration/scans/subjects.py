"""One subject: read from its files, scaled, and brought onto the common grid."""

import typing

import numpy as np

from registration.scans import grid as grids
from registration.scans import intensity, nifti
from registration.scans.sources import records
from registration.scans.sources.simulated import subject as simulate

LEAST_HEAD_INSIDE = 0.5


class Native(typing.NamedTuple):
    """A subject on its own grid; `labels` and `mask` are None where there is none."""

    image: np.ndarray
    labels: np.ndarray | None
    mask: np.ndarray | None
    affine: np.ndarray
    stored_affine: np.ndarray
    bits: int


class Subject(typing.NamedTuple):
    """A subject on the common grid, its image in 8 or 16 bits.

    `truth` is the `simulate.Truth` of a simulated one.
    """

    record: records.Record
    image: np.ndarray
    labels: np.ndarray | None
    own_mask: np.ndarray | None
    stored_affine: np.ndarray
    truth: typing.Any = None

    @property
    def mask(self):
        """Return the brain mask: the subject's own, else where there is a label."""
        if self.own_mask is not None:
            return self.own_mask
        return None if self.labels is None else self.labels > 0


def read(record, skull=True, brain=None):
    """Read a subject from its files, intensities scaled to [0, 1].

    Args:
        record: A `records.Record`.
        skull: False sets everything outside the brain mask to zero.

    Returns:
        A `Native`.

    Raises:
        ValueError: If a file cannot be trusted, or a mask is wanted and missing.
    """
    scan = nifti.load(record.image)
    labels = mask = None
    if record.labels is not None:
        labels = nifti.load_labels(record.labels, scan)
    if record.mask is not None:
        mask = nifti.load_labels(record.mask, scan) > 0
    elif labels is not None:
        mask = labels > 0
    image = intensity.scaled(scan.image)
    if mask is None and brain is not None:
        import dataclasses
        mask = brain(dataclasses.replace(scan, image=image))
    if not skull:
        if mask is None:
            raise ValueError(
                f"{record.image}: without a brain mask or labels its skull cannot be "
                "removed. Received: skull=False"
            )
        image *= mask
    bits = 8 if scan.stored.dtype.itemsize == 1 else 16
    return Native(image, labels, mask, scan.affine, scan.stored.affine, bits)


def on_grid(record, native, grid, align="affines", brain=None):
    """Bring a subject onto the common grid through its affine.

    Args:
        record: The `records.Record` of the subject.
        native: What `read` returned for it.
        grid: The `grids.Grid`.
        align: `"affines"` takes world coordinates as they are; `"centres"` first
            moves the centre of the scan's grid to the centre of the common one.

    Returns:
        A `Subject`.

    Raises:
        ValueError: If most of the head would fall outside the grid.
    """
    affine = native.affine.copy()
    if align == "centres":
        affine[:3, 3] += grid.centre
        affine[:3, 3] -= grids.Grid(native.image.shape, native.affine).centre
    image = grids.resample(native.image, affine, grid)
    volume = abs(np.linalg.det(affine[:3, :3])) / grid.spacing[0] ** 3
    before = native.image.sum(dtype="float64") * volume
    share = image.sum(dtype="float64") / before if before else 1.0
    if share < LEAST_HEAD_INSIDE:
        raise ValueError(
            f"{record.image}: its world coordinates put most of the head outside the "
            "grid of the fixed scan; align='centres' moves it there. "
            f"Received: {share:.0%} inside"
        )
    labels = own_mask = None
    if native.labels is not None:
        labels = grids.resample_labels(native.labels, affine, grid)
    if native.mask is not None and native.labels is None or record.mask is not None:
        own_mask = grids.resample_labels(native.mask.astype("uint8"), affine, grid) > 0
    return Subject(
        record, quantise(image, native.bits), labels, own_mask, native.stored_affine
    )


def simulated(record, seed, grid, skull=True):
    """Make a simulated subject on the common grid.

    Args:
        record: Its `records.Record`; the id ends in its number.
        seed: Of the cohort.
        grid: The `grids.Grid`.
        skull: False sets everything outside the brain to zero.

    Returns:
        A `Subject` with its `truth`.
    """
    number = int(record.id.rsplit("-", 1)[1])
    made = simulate.subject([seed, number], grid, skull)
    image = quantise(made.scan.image, 8)
    return Subject(record, image, made.scan.labels, None, grid.affine, made.truth)


def native_of_simulated(subject):
    """Return a simulated subject as `read` would: its own grid is the common one."""
    top = np.float32(np.iinfo(subject.image.dtype).max)
    affine = subject.stored_affine
    return Native(subject.image / top, subject.labels, subject.mask, affine, affine, 8)


def quantise(image, bits):
    """Round intensities in [0, 1] to 8 or 16 bits.

    Args:
        image: Float array.
        bits: 8 or 16.

    Returns:
        uint8 or uint16 array, where the largest value means 1.
    """
    kind = np.dtype(f"uint{bits}")
    return np.rint(image * np.iinfo(kind).max).astype(kind)
