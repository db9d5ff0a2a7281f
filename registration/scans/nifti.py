"""Read and write NIfTI scans, and refuse the ones that cannot be trusted.

A file is read as a stream: its header is checked before any voxel is unpacked, its
memory is known before it is taken, and no more is read than the header promises.
"""

import gzip
import os
import pathlib
import stat
import tempfile
import zlib

import nibabel
import numpy as np
import psutil

from registration.scans import packed
from registration.scans import scan as scans

SAME_GRID_VOXELS = 0.05
HEADER_BYTES = 540
SPARE_BYTES = 2**20
CHUNK_BYTES = 2**20
# A byte of deflate unpacks to no more than 1032.
MOST_UNPACKED = 1032
REAL = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4",
    1024: "i8", 1280: "u8",
}  # fmt: skip
UNREAL = {1: "bits", 32: "complex", 128: "RGB", 1536: "float128", 1792: "complex",
          2048: "complex", 2304: "RGBA"}  # fmt: skip
MILLIMETRES = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}


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
    _check_same_grid(path, scan, like)
    labels, top = scan.image, scan.image.max()
    if labels.min() < 0:
        raise ValueError(f"{path}: a label is negative. Received: {labels.min():g}")
    if top > 2**24:
        raise ValueError(f"{path}: a label is above 2**24. Received: {top:g}")
    if top == 0:
        raise ValueError(f"{path}: no voxel is labelled. Received: only zeros")
    kind = "uint8" if top < 2**8 else "uint16" if top < 2**16 else "int32"
    whole = labels.astype(kind)
    wrong = whole != labels
    if wrong.any():
        fraction = labels.flat[wrong.argmax()]
        raise ValueError(f"{path}: labels are not whole. Received: {fraction:g}")
    return whole


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
    _check_name(path)
    if data.ndim not in (3, 4) or 0 in data.shape:
        raise ValueError(f"{path}: data must be 3D or 4D. Received: {data.shape}")
    if affine.shape != (4, 4):
        raise ValueError(f"{path}: affine must be (4, 4). Received: {affine.shape}")
    _check_affine(path, affine)
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
        packed.save(image, name)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        pathlib.Path(name).unlink(missing_ok=True)
        raise


def _read(path, nonfinite, max_bytes):
    """Read any trusted volume; see `load`."""
    path = pathlib.Path(path)
    _check_name(path)
    try:
        with _open(path) as file:
            header, kind, data = _read_stream(path, file, nonfinite, max_bytes)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read. Received: {error}") from error
    except MemoryError as error:
        raise ValueError(
            f"{path}: reading it takes more memory than this process may have. "
            f"Received: {error}"
        ) from error
    affine = _affine(path, header)
    turn = nibabel.orientations.io_orientation(affine)
    undo = nibabel.orientations.inv_ornt_aff(turn, data.shape)
    turned = np.ascontiguousarray(nibabel.orientations.apply_orientation(data, turn))
    axes = "".join(nibabel.orientations.ornt2axcodes(turn))
    stored = scans.Stored(affine, axes, kind)
    name = path.name.removesuffix(".gz").removesuffix(".nii")
    return scans.Scan(turned, affine @ undo, name=name, stored=stored)


def _open(path):
    """Open a regular file; to open a FIFO would wait for somebody to write to it."""
    flags = getattr(os, "O_NONBLOCK", 0)
    file = open(path, "rb", opener=lambda name, mode: os.open(name, mode | flags))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError("it is not a regular file")
    return file


def _read_stream(path, file, nonfinite, max_bytes):
    """Return header, stored type and float32 voxels with slope and intercept."""
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    stream = _Unpacked(path, file) if packed else file
    start = stream.read(HEADER_BYTES)
    header = _parse(path, start)
    shape, kind = _check(path, header)
    slope, intercept = _scaling(path, header)
    scaled = (slope, intercept) != (1.0, 0.0)
    exact = np.dtype("float64" if scaled and kind.itemsize > 2 else "float32")
    _check_memory(path, shape, kind, exact, max_bytes)
    voxels = int(np.prod(shape))
    first = max(int(header["vox_offset"]), header.single_vox_offset)
    size = os.fstat(file.fileno()).st_size * (MOST_UNPACKED if packed else 1)
    if first + voxels * kind.itemsize > size:
        raise ValueError(
            f"{path}: truncated, the header promises {voxels * kind.itemsize} bytes "
            f"from byte {first} on. Received: a file that holds at most {size} bytes"
        )
    stored = np.empty(voxels * kind.itemsize, "uint8")
    there = _fill(memoryview(stored), start, first, stream)
    if there < stored.size:
        raise ValueError(
            f"{path}: truncated, the header promises {stored.size} bytes from byte "
            f"{first} on. Received: {there}"
        )
    if packed:
        stream.check_end(first + stored.size)
    stored = stored.view(kind).reshape(shape, order="F")
    # What overflows float32 is counted below, with the voxels that are not finite.
    with np.errstate(over="ignore", invalid="ignore"):
        data = stored.astype(exact, copy=False)
        del stored
        if scaled:
            data *= exact.type(slope)
            data += exact.type(intercept)
        data = data.astype("float32", copy=False)
    if kind.itemsize > 2 or scaled:
        _check_finite(path, data, nonfinite)
    return header, kind, data


def _fill(buffer, start, first, stream):
    """Fill a buffer with what stands from byte `first` on; return how much it was.

    `start` holds the bytes that were read already.
    """
    at_hand = start[first : first + len(buffer)]
    buffer[: len(at_hand)] = at_hand
    gap = first - len(start)
    while gap > 0:
        skipped = len(stream.read(min(gap, CHUNK_BYTES)))
        if not skipped:
            return 0
        gap -= skipped
    done = len(at_hand)
    while done < len(buffer):
        count = stream.readinto(buffer[done : done + CHUNK_BYTES])
        if not count:
            break
        done += count
    return done


class _Unpacked:
    """The content of a gzip, unpacked a piece at a time."""

    def __init__(self, path, file):
        self._path, self._file = path, gzip.GzipFile(fileobj=file)

    def read(self, size):
        """Return at most `size` bytes, none at the end."""
        return self._try(self._file.read, size)

    def readinto(self, buffer):
        """Fill a buffer; return how many bytes there were."""
        return self._try(self._file.readinto, buffer)

    def check_end(self, promised):
        """Unpack the rest, which verifies the checksum; there is little of it."""
        spare = 0
        while piece := self.read(CHUNK_BYTES):
            spare += len(piece)
            if spare > SPARE_BYTES:
                raise ValueError(
                    f"{self._path}: it unpacks to more than its header promises, "
                    f"{promised} bytes. Received: over {promised + SPARE_BYTES}"
                )

    def _try(self, do, argument):
        """Call; name the file where its gzip is broken."""
        try:
            return do(argument)
        except EOFError as error:
            raise ValueError(
                f"{self._path}: the gzip is truncated. Received: {error}"
            ) from error
        except (zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(
                f"{self._path}: the gzip is corrupt. Received: {error}"
            ) from error


def _check_memory(path, shape, kind, exact, max_bytes):
    """Raise where reading would take more memory than is allowed.

    The stored voxels are converted to `exact`, scaled in place, rounded to float32,
    marked where they are not finite, and copied once: as their axes turn, or to
    integers that are compared with them.
    """
    steps = (kind.itemsize + exact.itemsize, exact.itemsize + 4, 4 + 4 + 1)
    needed = int(np.prod(shape, dtype=object)) * max(steps)
    allowed = psutil.virtual_memory().available // 2 if max_bytes is None else max_bytes
    if needed > allowed:
        raise ValueError(
            f"{path}: reading it would take {needed / 2**20:,.0f} MiB of memory, more "
            f"than the {allowed / 2**20:,.0f} MiB allowed. Received: shape {shape}"
        )


def _check_finite(path, data, nonfinite):
    """Raise where voxels are not finite, or set them to zero in place."""
    bad = np.isfinite(data)
    np.logical_not(bad, out=bad)
    count = np.count_nonzero(bad)
    if count and nonfinite == "raise":
        raise ValueError(
            f"{path}: voxels are NaN or infinite in float32; nonfinite='zero' "
            f"sets them to zero. Received: {count} of {data.size}"
        )
    np.copyto(data, 0, where=bad)


def _check_same_grid(path, scan, like):
    """Raise unless `scan` has the shape and, to 1/20 voxel, the place of `like`."""
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


def _check_name(path):
    """Raise unless the file's name says that it is NIfTI."""
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise ValueError(
            f"{path}: the name must end in .nii or .nii.gz. Received: {path.name!r}"
        )


def _parse(path, start):
    """Return the NIfTI-1 or NIfTI-2 header of either byte order."""
    sizes = [int.from_bytes(start[:4], order) for order in ("little", "big")]
    family = {
        348: (nibabel.Nifti1Header, b"n+1\0", slice(344, 348)),
        540: (nibabel.Nifti2Header, b"n+2\0", slice(4, 8)),
    }
    for size, order in zip(sizes, "<>", strict=True):
        if size not in family or len(start) < size:
            continue
        kind, magic, where = family[size]
        if start[where] == magic:
            return kind(start[:size], endianness=order, check=False)
        if start[where] in (b"ni1\0", b"ni2\0"):
            raise ValueError(
                f"{path}: the header of a .hdr/.img pair; convert it to one file. "
                f"Received: magic {start[where]!r}"
            )
        if size == 348:
            raise ValueError(
                f"{path}: not NIfTI, perhaps Analyze. Received: magic {start[where]!r}"
            )
    raise ValueError(f"{path}: not NIfTI. Received: it begins with {start[:8]!r}")


def _check(path, header):
    """Return shape `(i, j, k)` and stored type of a header that can be trusted."""
    dimensions = [int(n) for n in header["dim"]]
    count = dimensions[0]
    if not 1 <= count <= 7:
        raise ValueError(f"{path}: it must have 1 to 7 axes. Received: {count}")
    shape = tuple(dimensions[1 : count + 1])
    if min(shape) < 1:
        raise ValueError(f"{path}: an axis is empty. Received: shape {shape}")
    if int(np.prod(shape[3:], dtype=object)) > 1:
        raise ValueError(f"{path}: more than one volume. Received: shape {shape}")
    if len(shape) < 3 or min(shape[:3]) < 2:
        raise ValueError(f"{path}: a slice, not a volume. Received: shape {shape}")
    code = int(header["datatype"])
    if code in UNREAL:
        raise ValueError(
            f"{path}: voxels must be real numbers of at most 64 bits. "
            f"Received: {UNREAL[code]}"
        )
    if code not in REAL:
        raise ValueError(f"{path}: an unknown voxel type. Received: code {code}")
    kind = np.dtype(header.endianness + REAL[code])
    if int(header["bitpix"]) != 8 * kind.itemsize:
        raise ValueError(
            f"{path}: bits a voxel do not fit its type, {kind.itemsize * 8}. "
            f"Received: {int(header['bitpix'])}"
        )
    offset = float(header["vox_offset"])
    if not 0 <= offset <= 2**31 or offset != int(offset):
        raise ValueError(
            f"{path}: voxels cannot start at this byte. Received: {offset:g}"
        )
    return shape[:3], kind


def _scaling(path, header):
    """Return slope and intercept; a slope of zero or NaN means none."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or np.isnan(slope):
        return 1.0, 0.0
    if not np.isfinite([slope, intercept]).all():
        raise ValueError(
            f"{path}: slope and intercept must be finite. "
            f"Received: {slope:g} and {intercept:g}"
        )
    return slope, intercept


def _affine(path, header):
    """Return the affine from stored voxels to RAS millimetres.

    The sform where it is set, else the qform, else the pixel size alone.
    """
    sizes = np.abs(np.array(header["pixdim"][1:4], "float64"))
    if not np.isfinite(sizes).all() or (sizes == 0).any():
        raise ValueError(
            f"{path}: a pixel size is zero or not finite. Received: {sizes.tolist()}"
        )
    header = header.copy()
    header["pixdim"][1:4] = sizes
    try:
        matrix = np.array(header.get_best_affine(), "float64")
    except Exception as error:
        raise ValueError(f"{path}: no affine can be made. Received: {error}") from error
    unit = int(header["xyzt_units"]) & 7
    if unit not in MILLIMETRES:
        raise ValueError(f"{path}: the unit of length is unknown. Received: {unit}")
    matrix[:3] *= MILLIMETRES[unit]
    _check_affine(path, matrix)
    return matrix


def _check_affine(path, matrix):
    """Raise unless a matrix maps voxels one to one and at a believable size."""
    if not np.isfinite(matrix).all():
        raise ValueError(
            f"{path}: the affine is not finite. Received: {matrix.tolist()}"
        )
    if not matrix[:3, :3].any():
        raise ValueError(f"{path}: the affine is zero. Received: {matrix.tolist()}")
    sizes = np.linalg.norm(matrix[:3, :3], axis=0)
    volume = abs(np.linalg.det(matrix[:3, :3] / np.where(sizes, sizes, 1.0)))
    if volume < 1e-3:
        raise ValueError(f"{path}: the affine is singular. Received: {matrix.tolist()}")
    if sizes.min() < 0.01 or sizes.max() > 100:
        raise ValueError(
            f"{path}: voxels must measure 0.01 to 100 mm. Received: {sizes.tolist()}"
        )
