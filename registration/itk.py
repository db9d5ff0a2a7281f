"""Transforms as the files of ITK, which ANTs, SimpleITK, Slicer and ITK-SNAP read.

ITK maps points of the fixed image to points of the moving image, as we do, but in
LPS: the first two world axes point the other way. A composite transform applies what
stands *last* in its file first.

| file | holds |
| --- | --- |
| `.h5` | a composite: affines and displacement fields in a chain |
| `.tfm`, `.txt` | affines as text |
| `.mat` | one affine, as ANTs writes it (read only) |
| `.nii`, `.nii.gz` | a displacement in mm for every voxel, with vector intent |
"""

import pathlib

import h5py
import nibabel
import numpy as np
from scipy import io

from registration import files, transform
from registration.mendable import InputError
from registration.scans import grid as grids
from registration.scans import packed

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
AFFINE = "AffineTransform_double_3_3"
FIELD = "DisplacementFieldTransform_double_3_3"
COMPOSITE = "CompositeTransform_double_3_3"
MATRICES = (
    "AffineTransform",
    "MatrixOffsetTransformBase",
    "ScaleSkewVersor3DTransform",
)
HEADER = "#Insight Transform File V1.0"
PARAMETERS = ("TransformParameters", "TranformParameters")
FIXED = ("TransformFixedParameters", "TranformFixedParameters")
VECTOR = 1007
RIGHT_ANGLES = 1e-4
# A displacement image is rounded to such parts of a millimetre, a power of two.
STEPS_PER_MM = np.float32(4096)


def save(path, found, grid=None):
    """Write a transform.

    Args:
        path: Ends in `.h5`, in `.tfm` or `.txt` for an affine, or in `.nii` or
            `.nii.gz` for one displacement that holds the whole chain.
        found: `transform.Transform`.
        grid: For a displacement, the `grid.Grid` of its voxels, mostly the fixed
            scan's. Where it is sheared, the displacement is written on a grid with
            right angles around it.

    Raises:
        ValueError: If the ending is unknown, the transform does not fit it, or the
            folder cannot be written.
    """
    path = pathlib.Path(path)
    kind = _kind(path)
    if kind == "matlab":
        raise InputError(
            f"{path}: .mat is read only; write .tfm. Received: {path.name}"
        )
    if kind == "text" and not found.is_affine:
        raise InputError(
            f"{path}: an affine fits in text, a field does not; write .h5. "
            f"Received: {len(found.fields)} fields"
        )
    if (kind == "nifti") != (grid is not None):
        raise InputError(
            f"{path}: a grid goes with a displacement, .nii or .nii.gz, and with "
            f"nothing else. Received: grid {'given' if grid is not None else 'missing'}"
        )
    with files.whole(path) as partial:
        if kind == "text":
            partial.write_text(_text(found.affine))
        elif kind == "nifti":
            packed.save(_image(found, grid), partial)
        else:
            _write_h5(partial, found)


def read(path):
    """Read a transform that we, ANTs or SimpleITK wrote.

    Args:
        path: One of the files above.

    Returns:
        `transform.Transform` from the fixed world to the moving world, RAS mm.

    Raises:
        ValueError: If the file cannot be read, or holds what is neither affine nor
            displacement field.
    """
    path = pathlib.Path(path)
    kind = _kind(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file. Received: {str(path)!r}")
    reader = {
        "h5": _read_h5,
        "text": _read_text,
        "matlab": _read_matlab,
        "nifti": _read_image,
    }[kind]
    try:
        return reader(path)
    except (OSError, KeyError, TypeError, IndexError) as error:
        raise InputError(
            f"{path}: not a transform of ITK. Received: {error}"
        ) from error


def _kind(path):
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return "nifti"
    kinds = {".h5": "h5", ".hdf5": "h5", ".tfm": "text", ".txt": "text"}
    kinds[".mat"] = "matlab"
    if path.suffix.lower() not in kinds:
        raise InputError(
            f"{path}: the name must end in .h5, .tfm, .txt, .mat, .nii or .nii.gz. "
            f"Received: {path.name!r}"
        )
    return kinds[path.suffix.lower()]


def _numbers(matrix):
    """Return ITK's twelve parameters of a RAS matrix, about the origin."""
    lps = LPS @ matrix @ LPS
    return np.concatenate([lps[:3, :3].ravel(), lps[:3, 3]])


def _matrix(path, name, parameters, centre):
    """Return the RAS matrix of `A (x - c) + t + c` in LPS."""
    kind = name.split("_")[0]
    parameters, centre = (np.ravel(a).astype("float64") for a in (parameters, centre))
    if kind == "TranslationTransform":
        lps = np.eye(4)
        lps[:3, 3] = parameters
        return LPS @ lps @ LPS
    if kind == "IdentityTransform":
        return np.eye(4)
    if kind not in MATRICES or len(parameters) != 12 or len(centre) != 3:
        raise InputError(
            f"{path}: only affines and displacement fields are understood; convert it, "
            f"for example by SimpleITK's AffineTransform. Received: {name}"
        )
    lps = np.eye(4)
    lps[:3, :3] = parameters[:9].reshape(3, 3)
    lps[:3, 3] = parameters[9:] + centre - lps[:3, :3] @ centre
    return LPS @ lps @ LPS


def _text(matrix):
    numbers = " ".join(repr(float(value)) for value in _numbers(matrix))
    return (
        f"{HEADER}\n#Transform 0\nTransform: {AFFINE}\nParameters: {numbers}\n"
        "FixedParameters: 0 0 0\n"
    )


def _read_text(path):
    lines = path.read_text(errors="replace").splitlines()
    if not lines or not lines[0].startswith("#Insight Transform File"):
        raise InputError(
            f"{path}: its first line should be {HEADER!r}. "
            f"Received: {lines[0][:40] if lines else 'an empty file'!r}"
        )
    records = []
    for line in lines:
        key, _, value = line.partition(":")
        if key == "Transform":
            records.append({"Parameters": "", "FixedParameters": ""})
        if key in ("Transform", "Parameters", "FixedParameters") and records:
            records[-1][key] = value.strip()
    chain = [r for r in records if not r["Transform"].startswith("CompositeTransform")]
    if not chain:
        raise InputError(f"{path}: no transform is in it. Received: {len(lines)} lines")
    try:
        parts = [
            _matrix(
                path,
                record["Transform"],
                [float(x) for x in record["Parameters"].split()],
                [float(x) for x in record["FixedParameters"].split()],
            )
            for record in chain
        ]
    except ValueError as error:
        raise InputError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error
    return transform.Transform(reversed(parts))


def _read_matlab(path):
    try:
        stored = io.loadmat(path)
    except (io.matlab.MatReadError, NotImplementedError, ValueError) as error:
        raise InputError(f"{path}: not a .mat of ITK. Received: {error}") from error
    names = [name for name in stored if name[0] != "_" and name != "fixed"]
    if len(names) != 1 or "fixed" not in stored:
        raise InputError(f"{path}: one affine is needed. Received: {sorted(stored)}")
    return transform.Transform(
        [_matrix(path, names[0], stored[names[0]], stored["fixed"])]
    )


def _write_h5(path, found):
    """Write a composite; compressed, since a field is large and smooth."""
    with h5py.File(path, "w") as file:
        for name, text in (
            ("ITKVersion", "5.3.0"),
            ("HDFVersion", h5py.version.hdf5_version),
        ):
            file[name] = [text.encode()]
        group = file.create_group("TransformGroup")
        _write_part(group, 0, COMPOSITE)
        for number, part in enumerate(reversed(found.parts or (np.eye(4),)), start=1):
            if isinstance(part, transform.Field):
                _write_part(group, number, FIELD, _vectors(part), _frame(part.grid))
            else:
                _write_part(group, number, AFFINE, _numbers(part), np.zeros(3))


def _write_part(group, number, name, parameters=None, fixed=None):
    part = group.create_group(str(number))
    part["TransformType"] = [name.encode()]
    if parameters is not None:
        options = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        options = options if len(parameters) > 100 else {}
        part.create_dataset(PARAMETERS[0], data=parameters, dtype="f8", **options)
        part.create_dataset(FIXED[0], data=fixed, dtype="f8")


def _vectors(field):
    """Return a field's vectors in LPS, the first axis of the grid running fastest."""
    lps = field.displacement * np.float32([-1, -1, 1])
    return np.moveaxis(lps, -1, 0).ravel(order="F")


def _frame(grid):
    """Return size, origin, spacing and direction of a grid in LPS, 18 numbers."""
    lps, spacing = LPS @ grid.affine, grid.spacing
    direction = lps[:3, :3] / spacing
    if grid.shear > RIGHT_ANGLES:
        raise InputError(
            "ITK needs a field on a grid with right angles. Received: the grid's "
            f"directions {direction.tolist()}"
        )
    return np.concatenate([grid.shape, lps[:3, 3], spacing, direction.ravel()])


def _field(numbers, vectors):
    """Return the `transform.Field` of what `_frame` and `_vectors` give."""
    shape = tuple(int(size) for size in numbers[:3])
    lps = np.eye(4)
    lps[:3, :3] = np.reshape(numbers[9:18], (3, 3)) * numbers[6:9]
    lps[:3, 3] = numbers[3:6]
    displacement = np.moveaxis(np.reshape(vectors, (3, *shape), order="F"), 0, -1)
    displacement = (displacement * np.float64([-1, -1, 1])).astype("float32")
    return transform.Field(grids.Grid(shape, LPS @ lps), displacement)


def _read_h5(path):
    with h5py.File(path, "r") as file:
        group = file["TransformGroup"]
        parts = []
        for number in sorted(group, key=int):
            part = group[number]
            name = part["TransformType"][0].decode()
            if name.startswith("CompositeTransform"):
                continue
            values, fixed = (
                next(
                    (group[number][key][()] for key in keys if key in group[number]), []
                )
                for keys in (PARAMETERS, FIXED)
            )
            if name.startswith("DisplacementFieldTransform"):
                parts.append(_field(fixed, values))
            else:
                parts.append(_matrix(path, name, values, fixed))
    return transform.Transform(reversed(parts))


def _image(found, grid):
    """Return the NIfTI image of the whole displacement of a chain on a grid."""
    grid = _right_angled(grid)
    vectors = found.displacement(grid) * np.float32([-1, -1, 1])
    # Digits that mean nothing do not shrink when packed.
    np.round(vectors * STEPS_PER_MM, out=vectors)
    vectors /= STEPS_PER_MM
    image = nibabel.Nifti1Image(vectors[..., None, :], grid.affine)
    image.header.set_intent(VECTOR)
    image.header.set_xyzt_units("mm")
    image.set_sform(grid.affine, code="scanner")
    image.set_qform(grid.affine, code="scanner")
    return image


def _right_angled(grid):
    """Return a grid, or one with right angles around it: ITK knows no shear."""
    if grid.shear <= RIGHT_ANGLES:
        return grid
    steps = grid.spacing
    left, _, right = np.linalg.svd(grid.affine[:3, :3] / steps)
    turn = left @ right
    ends = np.indices((2, 2, 2)).reshape(3, -1).T * (np.array(grid.shape) - 1)
    corners = nibabel.affines.apply_affine(grid.affine, ends) @ turn
    low, high = corners.min(axis=0), corners.max(axis=0)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * steps, turn @ low
    return grids.Grid(1 + np.ceil((high - low) / steps).astype(int), affine)


def _read_image(path):
    image = nibabel.load(path)
    if image.ndim != 5 or image.shape[3:] != (1, 3):
        raise InputError(
            f"{path}: a displacement has the shape (i, j, k, 1, 3). "
            f"Received: {image.shape}"
        )
    vectors = image.get_fdata(dtype="float32")[..., 0, :] * np.float32([-1, -1, 1])
    if not np.isfinite(vectors).all():
        count = np.count_nonzero(~np.isfinite(vectors))
        raise InputError(f"{path}: vectors must be finite. Received: {count} others")
    grid = grids.Grid(image.shape[:3], image.affine)
    return transform.Transform([transform.Field(grid, vectors)])
