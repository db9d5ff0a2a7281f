"""Read and write NIfTI scans, and refuse the ones that cannot be trusted."""

import os
import pathlib
import tempfile

import nibabel
import numpy as np

from registration.scans import nifti_header
from registration.scans import scan as scan_type

SAME_GRID_VOXELS = 0.05


def load(path, nonfinite="raise", max_bytes=None):
    """Read a scan as float32 with its axes turned to right, anterior, superior.

    Any orientation, voxel size and real voxel type is read; slope and intercept
    are applied, one volume in a 4D file is squeezed, metres and microns become
    millimetres. An oblique scan keeps its rotation in the affine: axes are only
    permuted and flipped, no voxel is interpolated.

    Args:
        path: A `.nii` or `.nii.gz` file.
        nonfinite: `"raise"` refuses voxels that are NaN or infinite, `"zero"`
            sets them to zero.
        max_bytes: The most memory that reading may take. Half of what is
            available now when None.

    Returns:
        A `scan.Scan`, named after the file: `image` float32 as stored, slope and
        intercept applied, and in `stored` how the file had it.

    Raises:
        ValueError: If the file cannot be trusted; the message names it and why.

    Reference:
        https://nifti.nimh.nih.gov/nifti-1
    """
    if nonfinite not in ("raise", "zero"):
        raise ValueError(f"nonfinite must be 'raise' or 'zero'. Received: {nonfinite}")
    scan = _read(path, nonfinite, max_bytes)
    low, high = scan.image.min(), scan.image.max()
    if low == high:
        raise ValueError(f"{path}: every voxel has the same value. Received: {low}")
    return scan


def load_labels(path, like, max_bytes=None):
    """Read a label map or mask that lies on the grid of the scan `like`.

    Args:
        path: A `.nii` or `.nii.gz` file of whole numbers from zero up.
        like: The `Scan` it belongs to.
        max_bytes: As in `load`.

    Returns:
        Integer array of the shape of `like.image`, in the smallest of uint8,
        uint16 and int32 that holds it.

    Raises:
        ValueError: If the file cannot be trusted, lies on another grid, holds
            fractions or negative numbers, or nothing but zeros.
    """
    scan = _read(path, "raise", max_bytes)
    check_same_grid(path, scan, like)
    labels, top = scan.image, scan.image.max()
    if labels.min() < 0:
        raise ValueError(f"{path}: a label is negative. Received: {labels.min():g}")
    if top > 2**24:
        raise ValueError(f"{path}: a label is above 2**24. Received: {top:g}")
    if top == 0:
        raise ValueError(f"{path}: no voxel is labelled. Received: only zeros")
    kind = "uint8" if top < 2**8 else "uint16" if top < 2**16 else "int32"
    whole = labels.astype(kind)
    if not np.array_equal(whole, labels):
        fraction = labels[whole != labels][0]
        raise ValueError(f"{path}: labels are not whole. Received: {fraction:g}")
    return whole


def check_same_grid(path, scan, like):
    """Raise unless `scan` has the shape and, to 1/20 voxel, the place of `like`.

    Args:
        path: The file that `scan` was read from, for the message.
        scan: A `Scan`.
        like: The `Scan` to compare it with.

    Raises:
        ValueError: If the two grids differ.
    """
    if scan.image.shape != like.image.shape:
        raise ValueError(
            f"{path}: its grid is not that of its scan, {like.image.shape}. "
            f"Received: {scan.image.shape}"
        )
    gap_mm = scan.grid.gap_mm(like.grid)
    if gap_mm > SAME_GRID_VOXELS * like.grid.spacing.min():
        raise ValueError(
            f"{path}: its affine is not that of its scan. "
            f"Received: a corner {gap_mm:.3g} mm away"
        )


def save(path, data, affine, description="", dtype=None):
    """Write a volume as NIfTI with its affine, millimetres and a description.

    The file appears whole or not at all.

    Args:
        path: Where to; must end in `.nii` or `.nii.gz`.
        data: Array `(i, j, k)`; a fourth axis of three holds a displacement.
        affine: `(4, 4)` from voxels to RAS millimetres.
        description: At most 79 ASCII characters.
        dtype: Voxel type in the file. That of `data` when None; booleans become
            uint8, float64 becomes float32, int64 becomes int32.

    Raises:
        ValueError: If the arguments would make a file that `load` refuses.
    """
    path, data = pathlib.Path(path), np.asarray(data)
    affine = np.asarray(affine, "float64")
    nifti_header.check_name(path)
    if data.ndim not in (3, 4) or 0 in data.shape:
        raise ValueError(f"{path}: data must be 3D or 4D. Received: {data.shape}")
    if affine.shape != (4, 4):
        raise ValueError(f"{path}: affine must be (4, 4). Received: {affine.shape}")
    nifti_header.check_affine(path, affine)
    if not np.isfinite(data).all():
        count = np.count_nonzero(~np.isfinite(data))
        raise ValueError(f"{path}: voxels must be finite. Received: {count} others")
    if len(description) > 79 or not description.isascii():
        raise ValueError(
            f"{path}: a description has at most 79 ASCII characters. "
            f"Received: {description!r}"
        )
    smaller = {"bool": "uint8", "float64": "float32", "int64": "int32"}
    kind = np.dtype(dtype or smaller.get(data.dtype.name, data.dtype))
    image = nibabel.Nifti1Image(data.astype(kind), affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description.encode("ascii")
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    suffix = ".nii.gz" if path.name.endswith(".gz") else ".nii"
    handle, name = tempfile.mkstemp(suffix, ".writing-", path.parent)
    os.close(handle)
    try:
        nibabel.save(image, name)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        pathlib.Path(name).unlink(missing_ok=True)
        raise


def _read(path, nonfinite, max_bytes):
    """Read any trusted volume; see `load`."""
    path = pathlib.Path(path)
    header, stored = nifti_header.read(path, max_bytes)
    slope, intercept = nifti_header.scaling(path, header)
    data = stored
    # What overflows float32 is counted below, with the voxels that are not finite.
    scaled = (slope, intercept) != (1.0, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        if scaled:
            exact = np.dtype("float32" if stored.dtype.itemsize <= 2 else "float64")
            data = stored.astype(exact) * exact.type(slope) + exact.type(intercept)
        data = data.astype("float32", copy=False)
    if stored.dtype.itemsize > 2 or scaled:
        bad = ~np.isfinite(data)
        count = np.count_nonzero(bad)
        if count and nonfinite == "raise":
            raise ValueError(
                f"{path}: voxels are NaN or infinite in float32; nonfinite='zero' "
                f"sets them to zero. Received: {count} of {data.size}"
            )
        data = np.where(bad, np.float32(0), data) if count else data
    affine = nifti_header.affine(path, header)
    turn = nibabel.orientations.io_orientation(affine)
    undo = nibabel.orientations.inv_ornt_aff(turn, data.shape)
    turned = np.ascontiguousarray(nibabel.orientations.apply_orientation(data, turn))
    axes = "".join(nibabel.orientations.ornt2axcodes(turn))
    stored = scan_type.Stored(affine, axes, stored.dtype)
    name = path.name.removesuffix(".gz").removesuffix(".nii")
    return scan_type.Scan(turned, affine @ undo, name=name, stored=stored)
