"""NIfTI files that a careful reader must refuse, and the words it must use."""

import gzip
import struct

import numpy as np

SHAPE = (6, 7, 8)
HEADER_1 = struct.Struct(
    "<i10s18sihcB8h3f4h8f3fhcB4f2i80s24s2h3f3f4f4f4f16s4s"
)  # fmt: skip
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def voxels(kind="<i2", shape=SHAPE):
    """Return stored voxels, no two of them alike, in Fortran order."""
    return np.arange(np.prod(shape)).reshape(shape, order="F").astype(kind)


def header(
    dim=None, code=4, bits=16, pixdim=(1, 2, 2, 2, 1, 1, 1, 1), offset=352.0,
    slope=0.0, inter=0.0, units=2, qform=0, sform=1, quatern=(0, 0, 0),
    srow=AFFINE, magic=b"n+1\0", size=348,
):  # fmt: skip
    """Return a NIfTI-1 header of 348 bytes and the four of its empty extension."""
    dim = (3, *SHAPE, 1, 1, 1, 1) if dim is None else dim
    srow = np.asarray(srow, "float64")[:3].ravel()
    return (
        HEADER_1.pack(
            size, b"", b"", 0, 0, b"r", 0, *dim, 0, 0, 0, 0, code, bits, 0, *pixdim,
            offset, slope, inter, 0, b"\0", units, 0, 0, 0, 0, 0, 0, b"", b"",
            qform, sform, *quatern, 0, 0, 0, *srow, b"", magic,
        )
        + bytes(4)
    )  # fmt: skip


def whole(data=None, **fields):
    """Return the bytes of a file with this header and these voxels."""
    return header(**fields) + (voxels() if data is None else data).tobytes(order="F")


def with_value(value, kind="<f4", code=16, bits=32, count=1):
    """Return a file whose first voxels have a given value."""
    flat = voxels(kind).ravel(order="F")
    flat[:count] = value
    return header(code=code, bits=bits) + flat.tobytes()


def bomb():
    """Return a gzip that unpacks to far more than its header promises."""
    return gzip.compress(whole() + bytes(3 * 2**20))


def broken_checksum():
    """Return a gzip whose last bytes, the checksum of its content, are wrong."""
    packed = bytearray(gzip.compress(whole()))
    packed[-6] ^= 0xFF
    return bytes(packed)


def nifti_2(**changes):
    """Return the bytes of a NIfTI-2 file made by nibabel."""
    import nibabel

    image = nibabel.Nifti2Image(voxels(), AFFINE)
    image.header.set_xyzt_units("mm")
    raw = bytearray(image.to_bytes())
    for place, value in changes.values():
        raw[place : place + len(value)] = value
    return bytes(raw)


NAN = float("nan")
INF = float("inf")
FLAT = np.diag([2.0, 2.0, 0.0, 1.0])
TWIN = np.array([[2.0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
GOOD = whole()
PACKED = gzip.compress(GOOD)

# What is wrong, the name of the file, its bytes, and a piece of the message.
REFUSED = [
    ("an empty file", "a.nii", b"", "not NIfTI"),
    ("an empty packed file", "a.nii.gz", gzip.compress(b""), "not NIfTI"),
    ("plain text", "a.nii", b"not an image at all\n" * 40, "not NIfTI"),
    ("packed text", "a.nii.gz", gzip.compress(b"words " * 200), "not NIfTI"),
    ("a PNG", "a.nii", b"\x89PNG\r\n\x1a\n" + bytes(600), "not NIfTI"),
    ("a pickle", "a.nii", b"\x80\x04\x95" + bytes(600), "not NIfTI"),
    ("a web page", "a.nii.gz", b"<!DOCTYPE html>" + b" " * 600, "not NIfTI"),
    ("another name", "a.mgz", GOOD, "must end in .nii or .nii.gz"),
    ("half a header", "a.nii", GOOD[:200], "not NIfTI"),
    ("an Analyze header", "a.nii", whole(magic=bytes(4)), "perhaps Analyze"),
    ("a header alone", "a.nii", whole(magic=b"ni1\0"), ".hdr/.img pair"),
    ("a wrong magic", "a.nii", whole(magic=b"n+9\0"), "not NIfTI"),
    ("a NIfTI-2 wrong magic", "a.nii", nifti_2(a=(4, b"nope")), "not NIfTI"),
    ("no voxels", "a.nii", GOOD[:352], "truncated"),
    ("half the voxels", "a.nii", GOOD[:600], "truncated"),
    ("one byte short", "a.nii", GOOD[:-1], "truncated"),
    ("half a gzip", "a.nii.gz", PACKED[: len(PACKED) // 2], "gzip is truncated"),
    ("a gzip without its end", "a.nii.gz", PACKED[:-8], "gzip is truncated"),
    ("a gzip header alone", "a.nii.gz", PACKED[:10], "truncated"),
    ("zeros in a gzip", "a.nii.gz", PACKED[:60] + bytes(99), "gzip is corrupt"),
    ("a wrong checksum", "a.nii.gz", broken_checksum(), "gzip is corrupt"),
    ("a gzip bomb", "a.nii.gz", bomb(), "unpacks to more than"),
    ("short but packed", "a.nii.gz", gzip.compress(GOOD[:500]), "truncated"),
    ("two volumes", "a.nii", whole(dim=(4, *SHAPE, 2, 1, 1, 1)), "than one volume"),
    ("a vector image", "a.nii", whole(dim=(5, *SHAPE, 1, 3, 1, 1)), "than one volume"),
    ("2D", "a.nii", whole(dim=(2, 6, 7, 1, 1, 1, 1, 1)), "a slice, not a volume"),
    ("one slice", "a.nii", whole(dim=(3, 6, 7, 1, 1, 1, 1, 1)), "a slice, not"),
    ("one axis", "a.nii", whole(dim=(1, 6, 1, 1, 1, 1, 1, 1)), "a slice, not"),
    ("no axes", "a.nii", whole(dim=(0, *SHAPE, 1, 1, 1, 1)), "1 to 7 axes"),
    ("nine axes", "a.nii", whole(dim=(9, *SHAPE, 1, 1, 1, 1)), "1 to 7 axes"),
    ("an empty axis", "a.nii", whole(dim=(3, 6, 0, 8, 1, 1, 1, 1)), "axis is empty"),
    ("a negative axis", "a.nii", whole(dim=(3, 6, -7, 8, 1, 1, 1, 1)), "axis is empty"),
    ("an empty fourth axis", "a.nii", whole(dim=(4, *SHAPE, 0, 1, 1, 1)), "is empty"),
    ("constant", "a.nii", whole(np.full(SHAPE, 7, "<i2")), "every voxel has the same"),
    ("all zero", "a.nii", whole(np.zeros(SHAPE, "<i2")), "every voxel has the same"),
    ("one NaN", "a.nii", with_value(NAN), "Received: 1 of 336"),
    ("five NaN", "a.nii", with_value(NAN, count=5), "Received: 5 of 336"),
    ("infinity", "a.nii", with_value(-INF), "Received: 1 of 336"),
    ("float64 infinity", "a.nii", with_value(INF, "<f8", 64, 64), "Received: 1 of"),
    ("over float32", "a.nii", with_value(1e300, "<f8", 64, 64), "Received: 1 of"),
    ("a zero affine", "a.nii", whole(srow=np.zeros((4, 4))), "affine is zero"),
    ("a flat affine", "a.nii", whole(srow=FLAT), "affine is singular"),
    ("two axes alike", "a.nii", whole(srow=TWIN), "affine is singular"),
    ("NaN in the affine", "a.nii", whole(srow=AFFINE * NAN), "affine is not finite"),
    ("a huge voxel", "a.nii", whole(srow=AFFINE * 500), "0.01 to 100 mm"),
    ("a tiny voxel", "a.nii", whole(srow=AFFINE * 1e-4), "0.01 to 100 mm"),
    ("pixel size zero", "a.nii", whole(pixdim=(1, 2, 0, 2, 1, 1, 1, 1)), "pixel size"),
    ("pixel size NaN", "a.nii", whole(pixdim=(1, 2, NAN, 2, 1, 1, 1, 1)), "pixel size"),
    ("a bad quaternion", "a.nii", whole(sform=0, qform=1, quatern=(2, 2, 2)), "affine"),
    ("an unknown unit", "a.nii", whole(units=5), "unit of length"),
    ("complex64", "a.nii", whole(code=32, bits=64), "Received: complex"),
    ("complex128", "a.nii", whole(code=1792, bits=128), "Received: complex"),
    ("RGB", "a.nii", whole(code=128, bits=24), "Received: RGB"),
    ("RGBA", "a.nii", whole(code=2304, bits=32), "Received: RGBA"),
    ("bits", "a.nii", whole(code=1, bits=1), "Received: bits"),
    ("float128", "a.nii", whole(code=1536, bits=128), "Received: float128"),
    ("no voxel type", "a.nii", whole(code=0), "unknown voxel type"),
    ("a new voxel type", "a.nii", whole(code=999), "unknown voxel type"),
    ("wrong bits", "a.nii", whole(bits=8), "do not fit its type"),
    ("NaN as offset", "a.nii", whole(offset=NAN), "cannot start at this byte"),
    ("a negative offset", "a.nii", whole(offset=-9.0), "cannot start at this byte"),
    ("a far offset", "a.nii", whole(offset=1e9), "truncated"),
    ("an infinite slope", "a.nii", whole(slope=INF), "slope and intercept"),
    ("an infinite intercept", "a.nii", whole(slope=1.0, inter=INF), "slope and inter"),
    ("a slope over float32", "a.nii", whole(slope=-3e38), "NaN or infinite"),
    ("NaN as intercept", "a.nii", whole(slope=1.0, inter=NAN), "slope and intercept"),
    ("a terabyte", "a.nii", whole(dim=(3, 9999, 9999, 9999, 1, 1, 1, 1)), "memory"),
    (
        "a packed terabyte", "a.nii.gz",
        gzip.compress(whole(dim=(3, 30000, 30000, 30000, 1, 1, 1, 1))), "memory",
    ),
]  # fmt: skip
