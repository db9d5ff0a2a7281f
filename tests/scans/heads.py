"""Small smooth heads in files, named in many ways."""

import nibabel
import numpy as np

from registration.scans import cohort, nifti
from registration.scans import grid as grids
from registration.scans.sources import folder
from registration.scans.sources import record as records

SHAPE = (14, 18, 16)
ROTATED = nibabel.affines.from_matvec(
    nibabel.eulerangles.euler2mat(0.2, -0.1, 0.3) * 6.0, [-40.0, -50.0, -30.0]
)


def world(affine, shape):
    """Return the RAS position of every voxel, `(*shape, 3)`."""
    index = np.moveaxis(np.indices(shape), 0, -1)
    return nibabel.affines.apply_affine(affine, index)


def blob(shift_mm=(0, 0, 0), affine=ROTATED, shape=SHAPE):
    """Return a smooth head-like blob about a world position."""
    centre = grids.Grid(SHAPE, ROTATED).centre + shift_mm
    gap = (world(affine, shape) - centre) / (28, 36, 30)
    return np.exp(-((gap**2).sum(-1) ** 2)).astype("float32")


def turn_to(axes):
    """Return nibabel's orientation that turns a RAS image to other axes."""
    ends = (nibabel.orientations.axcodes2ornt(a) for a in ("RAS", axes))
    return nibabel.orientations.ornt_transform(*ends)


def save_subject(root, name, shift_mm, axes="RAS", derived=True, **labels):
    """Write one BIDS subject, raw and preprocessed, into `root`."""
    turn = turn_to(axes)
    image = nibabel.Nifti1Image((blob(shift_mm) * 1000).astype("int16"), ROTATED)
    raw = root / name / "anat"
    raw.mkdir(parents=True, exist_ok=True)
    nibabel.save(image.as_reoriented(turn), raw / f"{name}_T1w.nii.gz")
    nibabel.save(image, raw / f"{name}_FLAIR.nii.gz")
    if not derived:
        return
    anat = root / "derivatives" / "fmriprep" / name / "anat"
    anat.mkdir(parents=True, exist_ok=True)
    nibabel.save(image.as_reoriented(turn), anat / f"{name}_desc-preproc_T1w.nii.gz")
    mask = (blob(shift_mm) > 0.5).astype("uint8")
    for tail, factor in (("mask", 1), ("dseg", 1000), ("aparcaseg_dseg", 1035)):
        tail = {"mask": "desc-brain_mask", "dseg": "dseg"}.get(tail, f"desc-{tail}")
        kind = "uint8" if factor == 1 else "uint16"
        made = nibabel.Nifti1Image(mask.astype(kind) * factor, ROTATED)
        nibabel.save(made.as_reoriented(turn), anat / f"{name}_{tail}.nii.gz")
        space = tail.replace("desc", "space-MNI152NLin2009cAsym_desc", 1)
        nibabel.save(made, anat / f"{name}_{space}.nii.gz")
    nibabel.save(image, anat / f"{name}_space-MNI152_desc-preproc_T1w.nii.gz")


def save_plain(root, *names):
    """Write one small scan under each name; a mask's and a label's name too."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = any(word in name for word in ("mask", "seg", "label"))
        nifti.save(path, blob() > 0.5 if whole else blob(), ROTATED)


def load(root, **options):
    """Load a folder's cohort with large voxels, and without a bar."""
    options = {"voxel_mm": 4.0, "progress": False, **options}
    return cohort.load("folder", folder=root, **options)


def found_in(root, **options):
    """Return what the source finds in a folder, no file read."""
    return folder.find(records.Request(folder=root, **options))
