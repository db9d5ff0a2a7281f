"""A cohort of T1-weighted head scans on one common grid."""

import concurrent.futures
import os

import numpy as np

from helpers.data import grids, ixi, records, subjects
from helpers.data import progress as bars

WORKERS = 4
SOURCES = ("auto", "ixi", "folder", "openneuro", "simulated")


class Split:
    """The scans of one split, kept in 8 or 16 bits and converted on demand."""

    def __init__(self, name, loaded, grid, skull):
        """Hold the `loaded` subjects of the split `name` on `grid`."""
        self.name, self._subjects, self._grid, self._skull = name, loaded, grid, skull
        self.ids = [subject.record.id for subject in loaded]
        self.ages = np.array([subject.record.age for subject in loaded])
        self.sexes = [subject.record.sex for subject in loaded]
        stored = [subject.stored_affine for subject in loaded]
        self.affines = np.array(stored).reshape(-1, 4, 4)

    def __len__(self):
        """Return the number of scans."""
        return len(self._subjects)

    def __repr__(self):
        """Say what is inside."""
        return f"Split({self.name}: {len(self)} scans of {self._grid.shape})"

    def images(self, indices=slice(None)):
        """Return scans on the common grid, intensities in [0, 1].

        Args:
            indices: An integer, a slice, or a sequence of integers or booleans.

        Returns:
            float32 `(n, *shape, 1)`; an integer gives `n = 1`.
        """
        chosen = self._choose(indices)
        out = np.empty((len(chosen), *self._grid.shape, 1), "float32")
        for row, subject in zip(out, chosen, strict=True):
            top = np.float32(np.iinfo(subject.image.dtype).max)
            np.divide(subject.image, top, out=row[..., 0], dtype="float32")
        return out

    def labels(self, indices=slice(None)):
        """Return label maps on the common grid, by nearest neighbour.

        Args:
            indices: As in `images`.

        Returns:
            int32 `(n, *shape)`.

        Raises:
            ValueError: If a scan has no label map.
        """
        return self._gather(indices, "labels", "int32")

    def masks(self, indices=slice(None)):
        """Return brain masks on the common grid, by nearest neighbour.

        Args:
            indices: As in `images`.

        Returns:
            bool `(n, *shape)`.

        Raises:
            ValueError: If a scan has neither mask nor label map.
        """
        return self._gather(indices, "mask", bool)

    def native(self, index):
        """Read a scan again, on its own grid with its axes in RAS order.

        Args:
            index: One integer.

        Returns:
            A dict of `image`, float32 in [0, 1]; `labels` and `mask`, None where
            there is none; `affine`, `(4, 4)`, voxels to RAS millimetres.
        """
        subject = self._choose(int(index))[0]
        native = subjects.read(subject.record, self._skull)
        return {
            "image": native.image,
            "labels": native.labels,
            "mask": native.mask,
            "affine": native.affine,
        }

    def _choose(self, indices):
        """Return the subjects that an index, a slice or a list means."""
        if isinstance(indices, (int, np.integer)):
            if not -len(self) <= indices < len(self):
                raise IndexError(
                    f"{self.name} has {len(self)} scans. Received: {indices}"
                )
            indices = [indices]
        every = np.arange(len(self))
        chosen = every[indices if isinstance(indices, slice) else np.asarray(indices)]
        return [self._subjects[i] for i in np.atleast_1d(chosen)]

    def _gather(self, indices, field, kind):
        """Stack one field of the chosen subjects."""
        chosen = self._choose(indices)
        out = np.empty((len(chosen), *self._grid.shape), kind)
        for row, subject in zip(out, chosen, strict=True):
            values = getattr(subject, field)
            if values is None:
                raise ValueError(f"{subject.record.id} has no {field}. Received: None")
            row[...] = values
        return out


class Cohort:
    """A fixed scan, scans to train and scans to test, on one common grid."""

    def __init__(self, source, note, grid, loaded, skull, problems=()):
        """Deal the `loaded` subjects into their splits."""
        self.source, self.note, self.grid, self.skull = source, note, grid, skull
        self.shape, self.voxel_mm, self.affine = grid.shape, grid.voxel_mm, grid.affine
        self.problems = list(problems)
        for name in records.SPLITS:
            chosen = [s for s in loaded if s.record.split == name]
            setattr(self, name, Split(name, chosen, grid, skull))

    def __repr__(self):
        """Return the line that says which source was taken and why."""
        return self.note


def load(
    source="auto",
    voxel_mm=2.0,
    skull=True,
    limit=None,
    progress=True,
    strict=False,
    align="affines",
):
    """Load a cohort.

    Args:
        source: `"ixi"`, `"folder"`, `"openneuro"`, `"simulated"`, or `"auto"`.
        voxel_mm: Edge of a voxel of the common grid.
        skull: False sets everything outside the brain to zero.
        limit: The most scans to train on, or a dict with `train` and `test`.
        progress: Whether to draw a progress bar.
        strict: Whether one bad file stops everything.
        align: `"affines"` or `"centres"`; see `subjects.on_grid`.

    Returns:
        A `Cohort`.
    """
    if source == "auto":
        source = os.environ.get("REGISTRATION_SOURCE") or "auto"
    chosen = records.limited(ixi.subjects(), limit)
    why = "found in the cache" if ixi.is_cached(chosen) else "downloaded"
    ixi.fetch(chosen, progress)
    grid, loaded, problems = _load_all(chosen, voxel_mm, skull, progress, strict, align)
    note = f"T1 cohort: ixi, {why}"
    print(note)
    return Cohort("ixi", note, grid, loaded, skull, problems)


def _load_all(chosen, voxel_mm, skull, shown, strict, align):
    """Read all subjects; return the grid, those loaded, and what was refused."""
    fixed = next(record for record in chosen if record.split == "fixed")
    native = subjects.read(fixed, skull)
    grid = grids.around(native.affine, native.image.shape, voxel_mm)

    def load_one(record):
        return subjects.on_grid(record, subjects.read(record, skull), grid, align)

    loaded, problems = [], []
    bar = bars.bar(len(chosen), "loading scans", shown)
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        jobs = [pool.submit(load_one, record) for record in chosen]
        for record, job in zip(chosen, jobs, strict=True):
            try:
                loaded.append(job.result())
            except ValueError as error:
                if strict or record is fixed:
                    raise
                problems.append((record.id, str(error)))
            bar.update()
    bar.close()
    return grid, loaded, problems
