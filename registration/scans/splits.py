"""The scans of a cohort and its splits, kept small and converted on demand."""

import numpy as np

from registration.scans import subjects
from registration.scans.sources import ixi, records
from registration.scans.sources.simulated import template


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
        if subject.truth is not None:
            native = subjects.native_of_simulated(subject)
        else:
            native = subjects.read(subject.record, self._skull)
        from registration.scans import scan as s
        return s.Scan(native.image, native.affine, native.labels, native.mask,
            None if subject.truth is None else subject.truth.landmarks, subject.record.id,
            s.Stored(native.stored_affine, "PSR", None))

    def scan(self, index):
        subject = self._choose(int(index))[0]
        from registration.scans import scan as s
        labels = None if subject.labels is None else self.labels(index)[0]
        mask = None if subject.mask is None else self.masks(index)[0]
        return s.Scan(self.images(index)[0, ..., 0], self._grid.affine, labels, mask,
            None if subject.truth is None else subject.truth.landmarks, subject.record.id)

    def truth(self, index):
        """Return the exact map between a simulated subject and the template.

        Args:
            index: One integer.

        Returns:
            A `simulate.Truth`. The true place in one subject of a point of another
            is `moving.from_template(fixed.to_template(points))`, RAS millimetres.

        Raises:
            ValueError: If the subject is not simulated.
        """
        subject = self._choose(int(index))[0]
        if subject.truth is None:
            raise ValueError(
                "the true map is known for simulated subjects only. "
                f"Received: {subject.record.id}"
            )
        return subject.truth

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

    def __init__(self, source, why, grid, loaded, skull, problems=()):
        """Deal the `loaded` subjects into their splits."""
        self.source, self.skull = source, skull
        self.shape, self.voxel_mm, self.affine = (
            grid.shape,
            float(grid.spacing[0]),
            grid.affine,
        )
        self.problems = list(problems)
        self.grid = grid
        for name in records.SPLITS:
            chosen = [s for s in loaded if s.record.split == name]
            setattr(self, name, Split(name, chosen, grid, skull))
        sides = " x ".join(map(str, grid.shape))
        self.note = (
            f"T1 cohort: {source} ({why}), {len(self.fixed)} fixed, {len(self.train)} "
            f"train, {len(self.test)} test, {sides} voxels of {self.voxel_mm:g} mm, "
            f"{'with skull' if skull else 'without skull'}"
            + (f", {len(self.problems)} scans left out" if self.problems else "")
        )

    def __repr__(self):
        """Return the line that says which source was taken and why."""
        return self.note

    def label_names(self):
        """Return the names of the labels, a dict of number to name."""
        known = {"ixi": ixi.label_names(), "simulated": template.LABEL_NAMES}
        return dict(known.get(self.source, {}))
