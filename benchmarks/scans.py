"""Load scans and label maps in RAS order, each on its own grid."""

import dataclasses
import os
import pathlib

import nibabel
import numpy as np
import pooch

CACHE = "registration-notebooks"


@dataclasses.dataclass(frozen=True)
class Scan:
    """A scan as it was stored: nothing resampled, nothing rescaled.

    Attributes:
        name: Name of the person or file.
        image: Float32 array `(*shape)`, intensities as stored.
        affine: Array `(4, 4)` from voxels to RAS millimetres.
        labels: Integer array `(*shape)`, or None where there are none.
        landmarks: Array `(n, 3)` in RAS mm, the same places in every scan, or None
            where they are not known.
    """

    name: str
    image: np.ndarray
    affine: np.ndarray
    labels: np.ndarray | None = None
    landmarks: np.ndarray | None = None

    @property
    def mask(self):
        """Return the intracranial mask, `labels > 0`, as booleans `(*shape)`."""
        if self.labels is None:
            raise ValueError(f"a scan with labels is needed. Received: {self.name}")
        return self.labels > 0

    @property
    def shape(self):
        """Return the number of voxels along each axis."""
        return self.image.shape


def world_grid(scan):
    """Return the RAS position of every voxel, `(*shape, 3)` float32 in mm."""
    voxels = np.stack(np.meshgrid(*map(np.arange, scan.shape), indexing="ij"), axis=-1)
    return transform_points(scan.affine, voxels).astype("float32")


def transform_points(affine, points):
    """Apply a `(4, 4)` affine to points `(..., 3)`; returns float64 `(..., 3)`."""
    return points @ affine[:3, :3].T + affine[:3, 3]


def read(path, labels_path=None, keep_skull=False, name=None):
    """Read one scan, turned to the nearest RAS order of its axes.

    Args:
        path: NIfTI file of the scan.
        labels_path: NIfTI file of its labels on the same grid, or None.
        keep_skull: Return the scan as stored; otherwise it is multiplied by
            `labels > 0`.
        name: Name of the scan; the file's own name if None.

    Returns:
        A `Scan`.

    Raises:
        ValueError: If the skull is to be removed and there are no labels, or
            the labels lie on another grid.
    """
    path = pathlib.Path(path)
    stored = nibabel.as_closest_canonical(nibabel.load(path))
    image = np.nan_to_num(stored.get_fdata(dtype="float32"))
    labels = None
    if labels_path is not None:
        label_map = nibabel.as_closest_canonical(nibabel.load(labels_path))
        labels = np.rint(label_map.get_fdata(dtype="float32")).astype("int32")
        if labels.shape != image.shape or not np.allclose(
            label_map.affine, stored.affine, atol=1e-3
        ):
            raise ValueError(
                "a scan and its labels must lie on one grid. "
                f"Received: {path} and {labels_path}"
            )
    if not keep_skull:
        if labels is None:
            raise ValueError(
                f"labels are needed to remove the skull. Received: {path} without"
            )
        image = image * (labels > 0)
    name = name or path.name.removesuffix(".gz").removesuffix(".nii")
    return Scan(name, image, stored.affine, labels)


def cohort_folder():
    """Return the folder of the `ixi` cohort, the one `helpers.data` keeps it in."""
    root = os.environ.get("REGISTRATION_DATA") or pooch.os_cache(CACHE)
    return pathlib.Path(root).expanduser() / "ixi"


def cohort_scan(participant, keep_skull=False):
    """Read one scan of the `ixi` cohort, fetched first where it is not there yet.

    `helpers.data` is imported for the fetching alone: it starts Keras' backend,
    whose memory and threads would count as those of every method measured here.

    Args:
        participant: Name as in the list of participants.
        keep_skull: As in `read`.

    Returns:
        A `Scan`.
    """
    image = cohort_folder() / "Nifti" / "T1" / f"{participant}_T1.nii.gz"
    labels = cohort_folder() / "DLMUSE" / f"{participant}_T1_DLMUSE.nii.gz"
    if not (image.exists() and labels.exists()):
        from registration.scans.sources import ixi

        ixi.fetch([record for record in ixi.subjects() if record.id == participant])
    return read(image, labels, keep_skull, participant)


def find_labels(scan_path, labels_folder):
    """Return the one file `NAME_*.nii.gz` that holds the labels of `NAME.nii.gz`.

    Raises:
        ValueError: If there is none, or more than one.
    """
    scan_path = pathlib.Path(scan_path)
    name = scan_path.name.removesuffix(".gz").removesuffix(".nii")
    found = sorted(
        path
        for path in pathlib.Path(labels_folder).glob(f"{name}_*.nii*")
        if path.resolve() != scan_path.resolve()
    )
    if len(found) != 1:
        raise ValueError(
            f"one label file {name}_*.nii.gz is needed in {labels_folder}. "
            f"Received: {len(found)} files"
        )
    return found[0]


def move(scan, motion):
    """Turn and shift a scan by a rigid world motion, through its header alone.

    The voxels stay as they are, so nothing is interpolated and nothing leaves
    the field of view: what changes is where the scan says that it lies.

    Args:
        scan: The `Scan` to move.
        motion: Array `(4, 4)`, from RAS mm to RAS mm.

    Returns:
        A `Scan` with the affine `motion @ scan.affine`.
    """
    return dataclasses.replace(scan, affine=motion @ scan.affine)
