"""Find the brain in a head scan that has no mask."""

import contextlib
import dataclasses
import io

import nibabel
import numpy as np

from registration import pieces, prepare, runtime
from registration.scans import grid as grids
from registration.scans import intensity
from registration.scans import scan as scans

METHODS = ("atlas", "network", "bet", "median_otsu")
HEAD_MM = 170
LEAST_LITRES = 0.2


def find(scan):
    """Find the brain in a scan by the stored network `brain`.

    What `cohort.load(brain=masks.find)` calls for a scan that has neither mask nor
    labels.

    Args:
        scan: `scan.Scan` of a head, with its skull or without.

    Returns:
        Bool array of the image's shape.

    Raises:
        ValueError: If the scan has no two intensities to tell apart, or what looks
            like a brain in it is smaller than any brain.
    """
    return brain_mask(scan.image, scan.affine, "network")


def brain_mask(image, affine, method="atlas", atlas=None):
    """Find the brain in a T1-weighted head scan.

    Args:
        image: Array `(i, j, k)`, axes to Right, Anterior, Superior, voxels nearly
            cubic.
        affine: Its `(4, 4)` affine to RAS mm.
        method: `"atlas"`, the mask of another head carried over by the stored
            affine network; `"network"`, our own, which takes heads with skull and
            without (`models/brain.md`); `"bet"`, the Brain Extraction Tool in Python
            (`pip install -r requirements/stripping.txt`); `"median_otsu"`, DIPY's
            threshold, made for diffusion scans. The last two see the upper 170 mm of
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
    if method == "network":
        return _by_network(scans.Scan(image, np.asarray(affine)))
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


def _by_network(scan):
    """Ask the network at 2 mm, and read its evidence on the scan's own grid.

    Along an axis on which the scan is longer than the network's box, as with a long
    neck, the box ends where the scan ends on the side of the head's top.
    """
    model = runtime.load("brain")
    extent = np.array(scan.grid.shape) * scan.grid.spacing
    room = np.array(model.shape) * model.voxel_mm
    up = np.array([0, 0, 1])
    centre = scan.grid.centre + up * np.maximum(extent - room, 0) / 2
    grid = grids.box(centre, model.shape, model.voxel_mm)
    image = intensity.scaled(scan.image)
    seen = prepare.resample(image, scan.affine, np.eye(4), grid)
    evidence = runtime.evidence(seen, model)[0, ..., 0]
    # Half-sure at the border, so that a finer grid has a smooth outline.
    sure = (1 / (1 + np.exp(-np.clip(evidence, -9, 9)))).astype("float32")
    found = pieces.largest(grids.resample(sure, grid.affine, scan.grid) > 0.5)
    litres = np.count_nonzero(found) * np.prod(scan.grid.spacing) / 1e6
    if litres < LEAST_LITRES:
        raise ValueError(
            "no brain is found in the scan; give a mask. Received: an image of shape "
            f"{scan.image.shape}, whose most brain-like piece has {litres:.3f} litres"
        )
    return pieces.filled(found)


def _by_atlas(image, affine, atlas, steps=20):
    """Register the atlas' head to the scan, and carry its mask over."""
    # Keras starts with this import; the network of `find` does without.
    from registration import affine as affine_stage
    from registration import models

    scan = scans.Scan(image, affine)
    model = models.load("affine_t1")
    found = affine_stage.register(scan, atlas, model, steps, use_mask=True)
    mask = dataclasses.replace(atlas, image=atlas.brain().astype("float32"))
    return found.inverse().apply(mask, scan.grid).image > 0.5
