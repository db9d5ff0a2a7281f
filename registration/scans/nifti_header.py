"""Check a NIfTI file from its header on, before its voxels are trusted."""

import zlib

import nibabel
import numpy as np
import psutil

HEADER_BYTES = 540
SPARE_BYTES = 2**20
REAL = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4",
    1024: "i8", 1280: "u8",
}  # fmt: skip
UNREAL = {1: "bits", 32: "complex", 128: "RGB", 1536: "float128", 1792: "complex",
          2048: "complex", 2304: "RGBA"}  # fmt: skip
MILLIMETRES = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}


def check_name(path):
    """Raise unless the file's name says that it is NIfTI.

    Args:
        path: A `pathlib.Path`.

    Raises:
        ValueError: If the name ends in neither `.nii` nor `.nii.gz`.
    """
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise ValueError(
            f"{path}: the name must end in .nii or .nii.gz. Received: {path.name!r}"
        )


def read(path, max_bytes=None):
    """Read header and stored voxels, the header checked before any voxel.

    Args:
        path: A `pathlib.Path` of a `.nii` or `.nii.gz` file.
        max_bytes: The most memory to take; half of what is available when None.

    Returns:
        The nibabel header, and the voxels as stored, `(i, j, k)`.

    Raises:
        ValueError: If the file is not NIfTI, damaged, not one real 3D volume, or
            too large.
    """
    check_name(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read. Received: {error}") from error
    packed = raw[:2] == b"\x1f\x8b"
    start = _inflate(path, raw, HEADER_BYTES, whole=False) if packed else raw
    header = _parse(path, start[:HEADER_BYTES])
    shape, kind = _check(path, header)
    voxels = int(np.prod(shape, dtype=object))
    # Stored voxels, the decompressed file, a float32 copy and its turned copy.
    needed = voxels * (2 * kind.itemsize + 8)
    allowed = psutil.virtual_memory().available // 2 if max_bytes is None else max_bytes
    if needed > allowed:
        raise ValueError(
            f"{path}: reading it would take {needed / 2**20:,.0f} MiB of memory, more "
            f"than the {allowed / 2**20:,.0f} MiB allowed. Received: shape {shape}"
        )
    offset = max(int(header["vox_offset"]), header.single_vox_offset)
    end = offset + voxels * kind.itemsize
    if packed:
        raw = _inflate(path, raw, end + SPARE_BYTES, whole=True)
    if len(raw) < end:
        raise ValueError(
            f"{path}: truncated, the header promises {end} bytes. Received: {len(raw)}"
        )
    stored = np.frombuffer(raw, kind, voxels, offset).reshape(shape, order="F")
    return header, stored


def scaling(path, header):
    """Return slope and intercept; a slope of zero or NaN means none.

    Args:
        path: The file, for the message.
        header: Its nibabel header.

    Returns:
        Two floats.

    Raises:
        ValueError: If the slope is infinite, or the intercept not finite.
    """
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or np.isnan(slope):
        return 1.0, 0.0
    if not np.isfinite([slope, intercept]).all():
        raise ValueError(
            f"{path}: slope and intercept must be finite. "
            f"Received: {slope:g} and {intercept:g}"
        )
    return slope, intercept


def affine(path, header):
    """Return the affine from stored voxels to RAS millimetres.

    The sform where it is set, else the qform, else the pixel size alone.

    Args:
        path: The file, for the message.
        header: Its nibabel header.

    Returns:
        `(4, 4)` float64.

    Raises:
        ValueError: If the affine or the pixel size cannot be trusted.
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
    check_affine(path, matrix)
    return matrix


def check_affine(path, matrix):
    """Raise unless a matrix maps voxels one to one and at a believable size.

    Args:
        path: The file, for the message.
        matrix: `(4, 4)`.

    Raises:
        ValueError: If it is not finite, zero, singular, or its voxels are under
            0.01 mm or over 100 mm.
    """
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


def _inflate(path, raw, limit, whole):
    """Decompress up to `limit` bytes of gzip; with `whole`, require its end."""
    parts, size = [], 0
    while True:
        stream = zlib.decompressobj(wbits=31)
        try:
            parts.append(stream.decompress(raw, limit - size))
        except zlib.error as error:
            raise ValueError(
                f"{path}: the gzip is corrupt. Received: {error}"
            ) from error
        size += len(parts[-1])
        if not whole and (size >= limit or not stream.eof):
            break
        if not stream.eof:
            if size >= limit:
                raise ValueError(
                    f"{path}: it unpacks to more than its header promises. "
                    f"Received: over {limit} bytes"
                )
            raise ValueError(
                f"{path}: the gzip is truncated. Received: {len(raw)} bytes"
            )
        raw = stream.unused_data
        if raw[:2] != b"\x1f\x8b":
            break
    return parts[0] if len(parts) == 1 else b"".join(parts)


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
