"""A cohort of T1-weighted head scans on one common grid."""

import concurrent.futures
import dataclasses

import numpy as np

from registration.scans import grid as grids
from registration.scans import progress as bars
from registration.scans import scan as scans
from registration.scans import sources
from registration.scans.sources import record as records
from registration.scans.sources.simulated import subject as simulated

WORKERS = 2
MOST_PRINTED = 5
LEAST_HEAD_INSIDE = 0.5
SAME_GRID_MM = 1e-6


def load(
    source="auto",
    voxel_mm=2.0,
    skull=True,
    limit=None,
    progress=True,
    folder=None,
    fixed=None,
    seed=0,
    strict=False,
    align="affines",
    brain=None,
):
    """Load head scans on one common grid, and say in one line which and why.

    The sources are

    - `"ixi"`: 151 real heads, 2 mm, with skull and label maps, from the cache or
      downloaded into it;
    - `"folder"`: a reader's own files; see `sources.folder`;
    - `"openneuro"`: real heads of 1 mm with masks and label maps, downloaded;
      about 20 MB a subject;
    - `"simulated"`: heads made here, with known transforms between them;
    - `"auto"`: `"folder"` where the argument names one, else what the variable
      `REGISTRATION_SOURCE` says, else `"folder"` where `REGISTRATION_FOLDER` names
      one, else `"ixi"`, else `"simulated"` where the scans cannot be had.

    The common grid is centred on that of the fixed scan, its axes are right,
    anterior, superior, and its sides are multiples of 16 voxels. Scans are brought
    onto it through their own affines. `REGISTRATION_DATA` names the cache folder.

    Args:
        source: One of the names above.
        voxel_mm: Edge of a voxel of the common grid.
        skull: False sets everything outside the brain to zero.
        limit: The most scans to train on, or a dict with `train` and `test`. None
            means all; of the simulated 40 and 10, of OpenNeuro's 125 and 25.
        progress: Whether to draw a progress bar.
        folder: For `"folder"` and `"auto"`, where to look; `REGISTRATION_FOLDER`
            when None.
        fixed: For `"folder"`, the id of the fixed scan; the first when None.
        seed: Of the simulation, and of the deal of a folder's scans.
        strict: True raises at the first bad file; False leaves that scan out and
            lists it in `problems`.
        align: `"affines"` trusts world coordinates; `"centres"` moves the centre of
            every scan to that of the grid.
        brain: Function of a `scan.Scan` that gives its mask, called for a scan that
            has neither mask nor labels, such as `registration.masks.find`.

    Returns:
        A `Cohort` with `fixed`, `train` and `test`.

    Raises:
        ValueError: If an argument or, with `strict`, a file cannot be used, or no
            scan is left to train or to test with.
        OSError: If the files of the source asked for could not be had.
    """
    if align not in ("affines", "centres"):
        raise ValueError(f"align must be 'affines' or 'centres'. Received: {align!r}")
    request = records.Request(limit, folder, fixed, seed)
    name, found = sources.find(source, request, progress)
    read = _reader(sources.SOURCES[name], skull, float(voxel_mm), brain)
    problems, chosen = [], list(found.records)
    may_replace = name == "folder" and fixed is None and not strict
    first = _read_fixed(chosen, read, may_replace, problems)
    grid = grids.around(first.grid, voxel_mm)

    def load_one(record):
        return _on_grid(record, read(record), grid, align)

    loaded = _load_all(chosen, load_one, progress, strict, problems)
    _check_splits(loaded, chosen, problems)
    # What could not be read comes before what was never a scan.
    problems += found.left_out
    made = Cohort(name, found.why, grid, loaded, skull, problems, read)
    print(made.note)
    for who, problem in problems[:MOST_PRINTED]:
        print(f"  left out {who}: {problem}")
    if len(problems) > MOST_PRINTED:
        print(f"  and {len(problems) - MOST_PRINTED} more, see `problems`")
    return made


def _reader(source, skull, voxel_mm, brain):
    """Return the function that reads a record, and finds its brain where need be."""

    def read(record):
        made = record.image is None
        if (
            brain is None
            or made
            or record.labels is not None
            or record.mask is not None
        ):
            return source.read(record, skull, voxel_mm)
        scan = source.read(record, True, voxel_mm)
        scan = dataclasses.replace(scan, mask=brain(scan))
        return scan if skull else scan.stripped()

    return read


def _read_fixed(chosen, read, may_replace, problems):
    """Read the fixed scan; a bad one gives way to the next where that is allowed."""
    while True:
        place = next(i for i, record in enumerate(chosen) if record.split == "fixed")
        try:
            return read(chosen[place])
        except ValueError as error:
            if not may_replace or len(chosen) < 4:
                raise
            problems.append((chosen.pop(place).id, str(error)))
            place = next(i for i, r in enumerate(chosen) if r.split == "train")
            chosen[place] = chosen[place]._replace(split="fixed")


def _load_all(chosen, load_one, shown, strict, problems):
    """Load every subject, two at a time, listing those that are refused."""
    loaded = []
    bar = bars.bar(len(chosen), "loading scans", shown)
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        jobs = [pool.submit(load_one, record) for record in chosen]
        for record, job in zip(chosen, jobs, strict=True):
            try:
                loaded.append(job.result())
            except ValueError as error:
                if strict or record.split == "fixed":
                    pool.shutdown(cancel_futures=True)
                    bar.close()
                    raise
                problems.append((record.id, str(error)))
            bar.update()
    bar.close()
    return loaded


def _check_splits(loaded, chosen, problems):
    """Raise where a split has lost all its scans."""
    for split in records.SPLITS:
        wanted = [record.id for record in chosen if record.split == split]
        if wanted and not any(one.record.split == split for one in loaded):
            reasons = dict(problems)
            raise ValueError(
                f"no scan is left to {split} with; mend the files, add scans, or deal "
                f"them by another seed. Received: {wanted[0]}: {reasons[wanted[0]]}"
            )


@dataclasses.dataclass(frozen=True, eq=False)
class _Subject:
    """A subject on the common grid, its image in 8 or 16 bits."""

    record: records.Record
    image: np.ndarray
    labels: np.ndarray | None
    mask: np.ndarray | None
    landmarks: np.ndarray | None


def _on_grid(record, scan, grid, align):
    """Bring a subject onto the common grid through its affine."""
    kind = (
        "uint8" if scan.stored is None or scan.stored.dtype.itemsize == 1 else "uint16"
    )
    if scan.stored is None and scan.grid.gap_mm(grid) < SAME_GRID_MM:
        image, labels, mask = scan.image, scan.labels, scan.mask
    else:
        image, labels, mask = _resampled(record, scan, grid, align)
    stored = np.rint(image * np.iinfo(kind).max).astype(kind)
    return _Subject(record, stored, labels, mask, scan.landmarks)


def _resampled(record, scan, grid, align):
    """Return image, labels and mask on the grid; most of the head must be there."""
    affine = scan.affine.copy()
    if align == "centres":
        affine[:3, 3] += grid.centre - scan.grid.centre
    image = grids.resample(scan.image, affine, grid)
    volume = abs(np.linalg.det(affine[:3, :3])) / grid.spacing[0] ** 3
    before = scan.image.sum(dtype="float64") * volume
    share = image.sum(dtype="float64") / before if before else 1.0
    if share < LEAST_HEAD_INSIDE:
        raise ValueError(
            f"{record.image}: its world coordinates put most of the head outside the "
            "grid of the fixed scan; align='centres' moves it there. "
            f"Received: {share:.0%} inside"
        )
    labels = mask = None
    if scan.labels is not None:
        labels = grids.resample_labels(scan.labels, affine, grid)
    if record.mask is not None or (scan.mask is not None and scan.labels is None):
        mask = grids.resample_labels(scan.mask.astype("uint8"), affine, grid) > 0
    return image, labels, labels > 0 if mask is None and labels is not None else mask


class Split:
    """The scans of one split, kept in 8 or 16 bits and converted on demand.

    Attributes:
        name: `"fixed"`, `"train"` or `"test"`.
        ids: Of the subjects, a list.
        ages: In years, float array; NaN where one is not known.
        sexes: A list of texts.
    """

    def __init__(self, name, loaded, grid, read):
        """Hold the `loaded` subjects of the split `name` on `grid`."""
        self.name, self._subjects, self._grid, self._read = name, loaded, grid, read
        self.ids = [subject.record.id for subject in loaded]
        self.ages = np.array([subject.record.age for subject in loaded])
        self.sexes = [subject.record.sex for subject in loaded]

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

    def has(self, part):
        """Say whether every scan has labels, or a mask.

        Args:
            part: `"labels"` or `"mask"`.

        Returns:
            bool.
        """
        return all(getattr(subject, part) is not None for subject in self._subjects)

    def scan(self, index):
        """Return one scan on the common grid, with all that is known of it.

        Args:
            index: One integer.

        Returns:
            A `scan.Scan`, intensities in [0, 1].
        """
        subject = self._choose(int(index))[0]
        return scans.Scan(
            self.images(int(index))[0, ..., 0],
            self._grid.affine,
            subject.labels,
            subject.mask,
            subject.landmarks,
            subject.record.id,
        )

    def native(self, index):
        """Read a scan again, on its own grid with its axes in RAS order.

        Args:
            index: One integer.

        Returns:
            A `scan.Scan`, intensities in [0, 1]; `stored` says how the file had it,
            None for a simulated one.
        """
        return self._read(self._choose(int(index))[0].record)

    def truth(self, index):
        """Return the exact map between a simulated subject and the template.

        Args:
            index: One integer.

        Returns:
            A `simulated.subject.Truth`. The true place in one subject of a point of
            another is `moving.from_template(fixed.to_template(points))`, RAS mm.

        Raises:
            ValueError: If the subject is not simulated.
        """
        record = self._choose(int(index))[0].record
        if record.seed is None:
            raise ValueError(
                "the true map is known for simulated subjects only. "
                f"Received: {record.id}"
            )
        return simulated.truth(record.seed)

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

    def _gather(self, indices, part, kind):
        """Stack one part of the chosen subjects."""
        chosen = self._choose(indices)
        out = np.empty((len(chosen), *self._grid.shape), kind)
        for row, subject in zip(out, chosen, strict=True):
            values = getattr(subject, part)
            if values is None:
                raise ValueError(
                    f"{subject.record.id} has no {part}; put a file "
                    f"NAME_{part}.nii.gz beside it. Received: None"
                )
            row[...] = values
        return out


class Cohort:
    """A fixed scan, scans to train and scans to test, on one common grid.

    Attributes:
        source: Name of the source.
        skull: Whether the scans have their skulls.
        grid: The common `grid.Grid`; `shape`, `voxel_mm` and `affine` are its own.
        fixed: `Split` of one scan.
        train: `Split`.
        test: `Split`.
        problems: A list of `(name, reason)` of what was left out.
        note: The line that says which source was taken and why.
    """

    def __init__(self, source, why, grid, loaded, skull, problems, read):
        """Deal the `loaded` subjects into their splits."""
        self.source, self.skull, self.grid = source, skull, grid
        self.shape, self.affine = grid.shape, grid.affine
        self.voxel_mm = float(grid.spacing[0])
        self.problems = list(problems)
        self.fixed, self.train, self.test = (
            Split(name, [s for s in loaded if s.record.split == name], grid, read)
            for name in records.SPLITS
        )
        sides = " x ".join(map(str, grid.shape))
        self.note = (
            f"T1 cohort: {source} ({why}), {len(self.fixed)} fixed, {len(self.train)} "
            f"train, {len(self.test)} test, {sides} voxels of {self.voxel_mm:g} mm, "
            f"{'with skull' if skull else 'without skull'}"
            + (f", {len(self.problems)} left out" if self.problems else "")
        )

    def __repr__(self):
        """Return the line that says which source was taken and why."""
        return self.note

    def label_names(self):
        """Return the names of the labels, a dict of number to name."""
        return sources.SOURCES[self.source].label_names()
