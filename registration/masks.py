"""Find the brain in a head scan that has no mask."""

import contextlib
import dataclasses
import functools
import io
import threading

import nibabel
import numpy as np

from registration import affine as affine_stage
from registration import models
from registration.scans import cohort
from registration.scans import scan as scans

METHODS = ("atlas", "bet", "median_otsu")
HEAD_MM = 170
# A cohort reads several scans at a time, and a Keras network takes one caller.
_ONE_AT_A_TIME = threading.Lock()


def find(scan):
    """Find the brain in a scan by the mask of a head that comes with one.

    What `cohort.load(brain=masks.find)` calls for a scan that has neither mask nor
    labels.

    Args:
        scan: `scan.Scan` of a head with its skull.

    Returns:
        Bool array of the image's shape.

    Raises:
        ValueError: If the scan has no two intensities to tell apart.
    """
    with _ONE_AT_A_TIME:
        return brain_mask(scan.image, scan.affine, atlas=_head_with_mask())


@functools.cache
def _head_with_mask():
    """Read the fixed head of IXI; where it cannot be had, simulate one."""
    few = {"limit": {"train": 1, "test": 1}, "progress": False}
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            return cohort.load("ixi", **few).fixed.native(0)
        except ConnectionError:
            return cohort.load("simulated", **few).fixed.native(0)


def brain_mask(image, affine, method="atlas", atlas=None):
    """Find the brain in a T1-weighted head scan.

    Args:
        image: Array `(i, j, k)`, axes to Right, Anterior, Superior, voxels nearly
            cubic.
        affine: Its `(4, 4)` affine to RAS mm.
        method: `"atlas"`, the mask of another head carried over by the stored
            affine network; `"bet"`, the Brain Extraction Tool in Python
            (`pip install -r requirements/stripping.txt`); `"median_otsu"`, DIPY's
            threshold, made for diffusion scans. These two see the upper 170 mm of
            the head only, since a neck misleads them.
        atlas: For `"atlas"`, the `scan.Scan` of a head with its skull and a mask.

    Returns:
        Bool array `(i, j, k)`.

    Raises:
        ImportError: If the method's package is missing; it says which.
        ValueError: If the method is unknown, or an atlas is missing.

    Reference:
        Smith, Human Brain Mapping 17 (2002), for BET. `benchmarks/skull/skull.py`
        measures the methods.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}. Received: {method!r}")
    if (atlas is None) == (method == "atlas"):
        raise ValueError(
            "an atlas goes with method='atlas' and with no "
            f"other. Received: {method!r} {'without' if atlas is None else 'with'} one"
        )
    image = np.asarray(image, "float32")
    if method == "atlas":
        return _by_atlas(image, np.asarray(affine), atlas)
    tool = {"bet": _bet, "median_otsu": _median_otsu}[method]
    lowest = _below_the_head(image, affine)
    mask = np.zeros(image.shape, bool)
    mask[..., lowest:] = tool(image[..., lowest:], affine)
    return mask


def _below_the_head(image, affine):
    """Return the first slice within 170 mm of the top of the head."""
    head = image > 0.1 * np.percentile(image, 99)
    top = np.flatnonzero(head.mean(axis=(0, 1)) > 0.01).max(initial=0)
    return max(0, top + 1 - round(HEAD_MM / np.linalg.norm(affine[:3, 2])))


def _bet(image, affine):
    try:
        import brainextractor
    except ImportError as error:
        raise ImportError(
            "method='bet' needs the package brainextractor: "
            "pip install -r requirements/stripping.txt"
        ) from error
    scan = nibabel.Nifti1Image(image, affine)
    with contextlib.redirect_stdout(io.StringIO()):
        extractor = brainextractor.BrainExtractor(img=scan)
        extractor.run()
        extractor.compute_mask()
    return np.asarray(extractor.mask) > 0


def _median_otsu(image, affine):
    from dipy.segment import mask

    return np.asarray(mask.median_otsu(image, median_radius=2, numpass=1)[1]) > 0


def _by_atlas(image, affine, atlas, steps=20):
    """Register the atlas' head to the scan, and carry its mask over."""
    scan = scans.Scan(image, affine)
    model = models.load("affine_t1")
    found = affine_stage.register(scan, atlas, model, steps, use_mask=True)
    mask = dataclasses.replace(atlas, image=atlas.brain().astype("float32"))
    return found.inverse().apply(mask, scan.grid).image > 0.5
