"""Read a user's files, and say what to do about those that cannot be used."""

import contextlib
import csv
import dataclasses
import pathlib

import numpy as np

from registration import pieces
from registration.mendable import InputError
from registration.scans import nifti
from registration.transform import fetch

# What nifti says of a file, and what its owner can do about it.
ADVICE = {
    "No such file": "Check the name.",
    "not a regular file": "Name a .nii or .nii.gz file.",
    "Is a directory": "Name a .nii or .nii.gz file.",
    "must end in .nii": "Convert the scan to NIfTI first, for example by dcm2niix.",
    "not NIfTI": "Convert the scan to NIfTI first, for example by dcm2niix.",
    "more than one volume": "Take one volume out of it first; `python -m registration "
    "apply` moves a series.",
    "NaN or infinite": "Set them to zero first.",
    "truncated": "Fetch or write the file again.",
    "corrupt": "Fetch or write the file again.",
    "its grid is not that of its scan": "Bring it onto the scan's grid first.",
    "its affine is not that of its scan": "Bring it onto the scan's grid first.",
    "labels are not whole": "Round them, or give the file as an image.",
    "no voxel is labelled": "Give a file with voxels above zero, or leave it out.",
    "every voxel has the same value": "Name a file with a head in it.",
}
BRAIN_ML = (300.0, 2300.0)
ZERO_BORDER = 0.75


@contextlib.contextmanager
def advised():
    """Add to what `scans.nifti` complains about what can be done."""
    try:
        yield
    except ValueError as error:
        text, mark, received = str(error).rpartition("Received:")
        for sign, advice in ADVICE.items():
            if sign in str(error) and advice not in text:
                raise InputError(f"{text}{advice} {mark}{received}") from error
        raise InputError(str(error)) from error


def scan(path, mask=None):
    """Read a scan, with its mask where it is given.

    Args:
        path: A `.nii` or `.nii.gz` file.
        mask: Such a file on the same grid, above zero in the brain, or None.

    Returns:
        `scan.Scan`.

    Raises:
        ValueError: If a file cannot be used; it names the file and says what to do.
    """
    with advised():
        found = nifti.load(path)
        if mask is None:
            return found
        inside = nifti.load_labels(mask, found) > 0
    some = found.image[inside]
    if some.min() == some.max():
        raise InputError(
            f"{mask}: the scan is the same everywhere in this mask; give the mask "
            f"that belongs to {path}. Received: {some.min():g} only"
        )
    return dataclasses.replace(found, mask=inside)


def labels(path, like):
    """Read a label map on the grid of a scan.

    Args:
        path: A `.nii` or `.nii.gz` file of whole numbers.
        like: Its `scan.Scan`.

    Returns:
        Integer array of the shape of `like.image`.

    Raises:
        ValueError: If the file cannot be used; it names the file and says what to do.
    """
    with advised():
        return nifti.load_labels(path, like)


def stripped_mask(scan):
    """Return the brain of a scan whose skull was removed, or None for a whole head.

    Such a scan is exactly zero around the brain: nearly all of its border is, and what
    is not zero is no larger than a brain.

    Args:
        scan: `scan.Scan`.

    Returns:
        Bool array of the image's shape, or None.
    """
    sides = [np.moveaxis(scan.image, axis, 0)[[0, -1]].ravel() for axis in range(3)]
    if np.mean(np.concatenate(sides) == 0) < ZERO_BORDER:
        return None
    brain = pieces.filled(scan.image != 0)
    return brain if BRAIN_ML[0] <= volume_ml(brain, scan) <= BRAIN_ML[1] else None


def volume_ml(mask, scan):
    """Return how many millilitres a mask on a scan's grid holds."""
    return float(np.count_nonzero(mask) * np.prod(scan.grid.spacing) / 1000)


@dataclasses.dataclass(frozen=True)
class Points:
    """A table of points.

    Attributes:
        heads: Names of its columns, among them x, y and z.
        rows: Lists of texts, one a point.
        places: Float64 array `(n, 3)` in RAS mm.
    """

    heads: list
    rows: list
    places: np.ndarray

    def moved(self, places):
        """Return the table with other places."""
        columns = [self.heads.index(axis) for axis in "xyz"]
        rows = [list(row) for row in self.rows]
        for row, place in zip(rows, places, strict=True):
            for column, value in zip(columns, place, strict=True):
                row[column] = f"{value:.4f}"
        return Points(self.heads, rows, np.asarray(places))

    def save(self, path):
        """Write the table as CSV."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([self.heads, *self.rows])


def points(path, within=None):
    """Read points in RAS millimetres from a CSV file.

    Args:
        path: A `.csv` file whose first line names its columns, among them x, y and z;
            or three numbers a line. Other columns are kept as they are.
        within: The `scan.Scan` in which they must lie, or None.

    Returns:
        `Points`.

    Raises:
        ValueError: If the file cannot be used; it names the line and says what to do.
    """
    path = pathlib.Path(path)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file) if any(map(str.strip, line))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path}: cannot be read as CSV; give a text file with the columns x, y "
            f"and z. Received: {error}"
        ) from error
    heads = [text.strip().lower() for text in lines[0]] if lines else []
    if len(heads) == 3 and all(map(_is_number, heads)):
        heads = ["x", "y", "z"]
    else:
        lines = lines[1:]
    if any(heads.count(axis) != 1 for axis in "xyz"):
        raise InputError(
            f"{path}: the first line must name the columns x, y and z (RAS mm). "
            f"Received: {heads}"
        )
    if not lines:
        raise InputError(f"{path}: it has no point; add one a line. Received: 0")
    columns = [heads.index(axis) for axis in "xyz"]
    places = []
    for number, line in enumerate(lines, start=1):
        try:
            place = [float(line[column]) for column in columns]
            good = len(line) == len(heads) and np.isfinite(place).all()
        except (ValueError, IndexError):
            good = False
        if not good:
            raise InputError(
                f"{path}: point {number} must be {len(heads)} cells, x, y and z finite "
                f"numbers. Received: {line}"
            )
        places.append(place)
    places = np.array(places)
    if within is not None:
        _check_within(path, places, within)
    return Points(heads, lines, places)


def _check_within(path, places, scan):
    inside = fetch(np.ones(scan.image.shape, bool), scan.affine, places)
    if not inside.all():
        first = int(np.argmin(inside))
        raise InputError(
            f"{path}: point {first + 1} lies outside the moving scan; points are in "
            f"RAS mm of its world, not in voxels or LPS. Received: "
            f"{places[first].tolist()}"
        )


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
