"""The MNI152 brain at 1 mm, which every simulated head is made from."""

import functools
import typing

import nibabel
import numpy as np
from scipy import ndimage

from registration.scans.sources.simulated import head

LANDMARK_STEP_MM = 16.0
LABEL_NAMES = {
    1: "Fluid",
    2: "GrayMatter_L",
    3: "GrayMatter_R",
    4: "WhiteMatter_L",
    5: "WhiteMatter_R",
}


class Template(typing.NamedTuple):
    """The MNI152 brain at 1 mm, and the head drawn around it."""

    affine: np.ndarray
    gray: np.ndarray
    white: np.ndarray
    detail: np.ndarray
    mask: np.ndarray
    labels: np.ndarray
    head: head.Head


@functools.cache
def landmarks():
    """Return points spread through the template's brain.

    Returns:
        `(n, 3)` in RAS millimetres of the template: a lattice, left and right
        alike, at least 3 mm below the brain's surface.
    """
    parts = load()
    deep = ndimage.binary_erosion(parts.mask > 0.5, iterations=3)
    found = nibabel.affines.apply_affine(parts.affine, np.argwhere(deep))
    on_lattice = (np.mod(found - LANDMARK_STEP_MM / 2, LANDMARK_STEP_MM) == 0).all(
        axis=1
    )
    return found[on_lattice]


@functools.cache
def load():
    """Return the `Template`, made from the maps that nilearn ships."""
    from nilearn import datasets

    def read(loader):
        image = loader(resolution=1)
        return image.get_fdata(dtype="float32"), image.affine

    t1, affine = read(datasets.load_mni152_template)
    gray, _ = read(datasets.load_mni152_gm_template)
    white, _ = read(datasets.load_mni152_wm_template)
    mask = ndimage.binary_fill_holes(read(datasets.load_mni152_brain_mask)[0] > 0)
    fluid = np.clip(1 - gray - white, 0, 1)
    squares = np.stack([fluid, gray, white]) ** 2 * mask
    shares = squares / np.maximum(squares.sum(axis=0), 1e-6)
    across = affine[0, 0] * np.arange(t1.shape[0]) + affine[0, 3]
    side = (across > 0).astype("uint8")[:, None, None]
    kind = shares.argmax(axis=0)
    labels = np.where(kind == 0, 1, 2 * kind + side) * mask
    smooth = ndimage.gaussian_filter(t1, 2.5) / np.maximum(
        ndimage.gaussian_filter(mask.astype("float32"), 2.5), 0.2
    )
    detail = (t1 - smooth) * mask
    return Template(
        affine, *shares[1:], detail, mask.astype("float32"), labels.astype("uint8"),
        head.build(mask, affine),
    )  # fmt: skip
