"""Apply stored transforms: everything that `python -m registration apply` does."""

import dataclasses
import functools
import pathlib
import re

import nibabel
import numpy as np
import psutil

from registration import files, inputs, itk, mendable, outputs, pair
from registration import transform as transforms
from registration.mendable import InputError
from registration.scans import grid as grids
from registration.scans import nifti, packed
from registration.scans import scan as scans

KINDS = ("image", "labels", "points")
ROWS_AT_ONCE = 2**20


def apply(
    image, chain, reference, out, *, kind="image", inverse=False, force=False, tell=None
):
    """Carry a file through stored transforms, in one interpolation.

    Args:
        image: A `.nii` or `.nii.gz` file, also a series of volumes; for points a
            `.csv` file in RAS mm.
        chain: Paths of transforms, in the order in which a point of the reference
            passes them: with two transforms A to B and B to C, those of a scan C that
            is brought onto A, first the one found with A as fixed scan. The order of
            `antsApplyTransforms -t`. `"[FILE,1]"` inverts one of them.
        reference: The scan on whose grid the result lies; not needed for points.
        out: The file to write.
        kind: `"image"`, read linearly; `"labels"`, by nearest neighbour; `"points"`
            of the image's world, carried to the reference's.
        inverse: Whether to go through the whole chain the other way.
        force: Whether the file may be replaced.
        tell: As in `pair.pair`.

    Raises:
        ValueError: If a file cannot be used or written; it says what to do. Nothing
            is written then.
    """
    if kind not in KINDS:
        raise InputError(f"kind must be one of {KINDS}. Received: {kind!r}")
    tell = tell or (lambda text: None)
    out = pathlib.Path(out)
    _check_out(out, kind, force, [image, reference, *map(_plain, chain)])
    if kind == "points":
        table = inputs.points(image)
    else:
        if reference is None:
            raise InputError(
                "a reference is needed: --reference, the scan on whose grid the "
                "result shall lie. Received: none"
            )
        onto = inputs.scan(reference)
        moving = _series(image) if _is_series(image, kind) else _volume(image, kind)
    # Points go against the transform, so that the other way needs no inverse.
    found = read_chain(chain, inverse and kind != "points")
    tell("applying\n")
    with files.whole(out) as partial:
        if kind == "points":
            carry = (
                found.points if inverse else functools.partial(pair.points_back, found)
            )
            table.moved(carry(table.places)).save(partial)
        elif isinstance(moving, scans.Scan):
            moved = found.apply(moving, onto.grid)
            data = moved.image if kind == "image" else moved.labels
            _check_overlap(image, data)
            grid = outputs.stored_grid(onto)
            nifti.save(partial, outputs.as_stored(data, onto), grid.affine)
        else:
            _save_series(partial, image, moving, found, onto)


def read_chain(chain, inverse=False):
    """Read transforms and join them.

    Args:
        chain: Paths, as in `apply`.
        inverse: Whether to go through all of it the other way.

    Returns:
        `transform.Transform`.

    Raises:
        ValueError: If a file is damaged, or has no inverse.
    """
    parts = []
    with mendable.inputs():
        for path in chain:
            found = itk.read(_plain(path))
            parts += (found.inverse() if _is_inverted(path) else found).parts
        found = transforms.Transform(parts)
        return found.inverse() if inverse else found


def _bracket(path):
    return re.fullmatch(r"\[(.+),\s*([01])\]", str(path))


def _plain(path):
    """Return the file of an entry of the chain."""
    found = _bracket(path)
    return pathlib.Path(found.group(1) if found else path)


def _is_inverted(path):
    found = _bracket(path)
    return bool(found) and found.group(2) == "1"


def _check_out(out, kind, force, read):
    """Raise unless the result may be written."""
    endings = (".csv",) if kind == "points" else (".nii", ".nii.gz")
    if not out.name.endswith(endings):
        raise InputError(
            f"{out}: --out must end in {' or '.join(endings)}. Received: {out.name!r}"
        )
    if out.is_dir():
        raise InputError(
            f"{out}: a folder has this name; choose another --out. Received: a folder"
        )
    if not out.parent.is_dir():
        raise InputError(
            f"{out}: its folder does not exist; make it first. Received: {out.parent}"
        )
    outputs.refuse_inputs([out], read)
    if out.exists() and not force:
        raise InputError(
            f"{out}: the file is there already; choose another --out, or replace it "
            f"with --force. Received: {out.name!r}"
        )


def _is_series(path, kind):
    """Return whether a file holds more than one volume."""
    if kind != "image":
        return False
    try:
        shape = nibabel.load(path).shape
    except (OSError, ValueError, nibabel.filebasedimages.ImageFileError):
        return False  # `_volume` says what is wrong with it.
    return len(shape) == 4 and shape[3] > 1


def _volume(path, kind):
    """Read an image or a label map as a scan."""
    found = inputs.scan(path)
    if kind == "labels":
        found = dataclasses.replace(found, labels=inputs.labels(path, found))
    return found


def _series(path):
    """Open a series; its volumes are read one at a time."""
    stored = nibabel.load(path)
    if stored.get_data_dtype().kind not in "iuf":
        raise InputError(
            f"{path}: voxels must be real numbers; convert the file. "
            f"Received: {stored.get_data_dtype()}"
        )
    return stored


def _save_series(partial, path, stored, found, onto):
    """Move every volume of a series, the places of a slab being found once."""
    count = stored.shape[3]
    # A 4D array for the result, its copy in stored order, and one volume read.
    needed = 8 * count * int(np.prod(onto.image.shape)) + 8 * int(np.prod(stored.shape))
    allowed = psutil.virtual_memory().available // 2
    if needed > allowed:
        raise InputError(
            f"{path}: moving it would take {needed / 2**20:,.0f} MiB of memory, more "
            f"than the {allowed / 2**20:,.0f} MiB allowed; split the series or take a "
            f"coarser reference. Received: {count} volumes"
        )
    try:
        volumes = stored.get_fdata(dtype="float32")
    except (OSError, EOFError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read; fetch or write the file again. Received: {error}"
        ) from error
    if not np.isfinite(volumes).all():
        bad = np.count_nonzero(~np.isfinite(volumes))
        raise InputError(
            f"{path}: voxels are NaN or infinite. Set them to zero first. "
            f"Received: {bad} of {volumes.size}"
        )
    grid = onto.grid
    factors = grids.block_factors(stored.affine, grid)
    moved = np.empty((*grid.shape, count), "float32")
    step = max(1, ROWS_AT_ONCE // int(np.prod(grid.shape[1:]) * np.prod(factors)))
    for start in range(0, grid.shape[0], step):
        stop = min(start + step, grid.shape[0])
        fine = slice(start * factors[0], stop * factors[0])
        points = found.points(grid.subdivided(factors).points(fine))
        for number in range(count):
            volume = volumes[..., number]
            read = transforms.fetch(volume, stored.affine, points, "linear")
            moved[start:stop, ..., number] = grids.block_mean(read, factors)
    _check_overlap(path, moved)
    target = outputs.stored_grid(onto)
    image = nibabel.Nifti1Image(outputs.as_stored(moved, onto), target.affine)
    image.set_sform(target.affine, code="scanner")
    image.set_qform(target.affine, code="scanner")
    image.header.set_zooms(
        (*image.header.get_zooms()[:3], stored.header.get_zooms()[3])
    )
    image.header.set_xyzt_units("mm", stored.header.get_xyzt_units()[1])
    packed.save(image, partial)


def _check_overlap(path, data):
    if not data.any():
        raise InputError(
            f"{path}: nothing of it lies on the reference; check the order of the "
            "transforms, and whether --inverse is needed. Received: only zeros"
        )
