"""The scans of the skull benchmark: heads and brains at 4 mm, labels at 2 mm."""

import numpy as np
from keras import ops
from scipy import ndimage

from helpers import affines, augmentation, backend, metrics, sampling
from helpers import transforms as field_algebra
from registration.scans import cohort

INPUTS = ("skull", "stripped")


class Heads:
    """A cohort with its skulls and without, and one affine for every scan.

    Attributes:
        scans: The `splits.Cohort` at 2 mm, with skulls.
        fixed: Dict of an input to the fixed image `(1, *shape, 1)` at 4 mm.
        train: Dict of an input to the images of the training split.
        test: The same of the test split.
        mask: Float array `(1, *shape, 1)`, 1 in the fixed brain at 4 mm.
        affines: Dict of a split to the affines `(n, 3, 4)` that the stored network
            finds for its brains: the dense networks start from them.
    """

    def __init__(self, source, limit=None):
        self.scans = cohort.load(source, 2.0, True, limit, progress=False)
        splits = {
            name: getattr(self.scans, name) for name in ("fixed", "train", "test")
        }
        both = {name: _both(split) for name, split in splits.items()}
        self.fixed, self.train, self.test = both.values()
        self.shape = self.fixed["skull"].shape[1:-1]
        share = shrink(self.scans.fixed.masks(0)[..., None].astype("float32"))
        self.mask = (share > 0.5).astype("float32")
        network = models.load("affine_t1")
        self.affines = {
            name: answers(network, both[name]["stripped"], self.fixed["stripped"])
            for name in ("train", "test")
        }

    def aligned(self, split, kind):
        """Return the images of a split, moved by their affines."""
        return move(getattr(self, split)[kind], self.affines[split])

    def masked(self, index, mask):
        """Return a test scan at 4 mm, cut out by any mask at 2 mm."""
        return shrink(self.scans.test.images(index) * mask[None, ..., None])


def shrink(images, factor=2):
    """Average blocks of `factor` voxels along every axis."""
    batch, *shape, channels = images.shape
    sides = [part for side in shape for part in (side // factor, factor)]
    blocks = np.asarray(images).reshape(batch, *sides, channels)
    return blocks.mean(axis=(2, 4, 6), dtype="float32")


def _both(split):
    heads, brains = [], []
    for index in range(len(split)):
        image = split.images(index)
        heads.append(shrink(image))
        brains.append(shrink(image * split.masks(index)[..., None]))
    return {"skull": np.concatenate(heads), "stripped": np.concatenate(brains)}


def answers(network, moving, fixed, name="transform"):
    """Return what a network gives for many moving images and one fixed one."""
    found = []
    for start in range(0, len(moving), 5):
        some = moving[start : start + 5]
        inputs = [some, np.repeat(fixed, len(some), axis=0)]
        found.append(ops.convert_to_numpy(network(inputs, training=False)[name]))
    return np.concatenate(found)


def move(images, affine):
    """Return images moved by their affines, five at a time."""
    parts = [
        ops.convert_to_numpy(augmentation.apply(images[i : i + 5], affine[i : i + 5]))
        for i in range(0, len(images), 5)
    ]
    return np.concatenate(parts)


def resized(mask, millimetres, voxel_mm):
    """Return a mask grown by a distance, or shrunk where it is negative.

    Args:
        mask: Bool array `(*shape)`.
        millimetres: How far its surface moves outwards.
        voxel_mm: Edge of a voxel.

    Returns:
        Bool array `(*shape)`.
    """
    if millimetres >= 0:
        return ndimage.distance_transform_edt(~mask, voxel_mm) <= millimetres
    return ndimage.distance_transform_edt(mask, voxel_mm) > -millimetres


@backend.compiled
def _fetch(labels, affine, displacement):
    fine = field_algebra.upsample_displacement(displacement, 2)
    whole = field_algebra.compose_affine(affine, fine)
    return field_algebra.warp(labels, whole, mode="nearest")


def score(heads, index, affine, displacement):
    """Judge one test scan by its anatomy alone.

    Args:
        heads: `Heads`.
        index: Number of the test scan.
        affine: Array `(3, 4)`, centred coordinates.
        displacement: Array `(*shape, 3)` in voxels of 4 mm, applied before it.

    Returns:
        Dict of `dice`, `brain_dice` and `tre_mm`, which is NaN where the true
        correspondence is not known.
    """
    fixed = heads.scans.fixed.labels(0)[0]
    labels = heads.scans.test.labels(index)[..., None]
    moved = _fetch(labels, affine[None].astype("float32"), displacement[None])
    moved = ops.convert_to_numpy(moved)[0, ..., 0]
    masks = [(array > 0).astype("uint8") for array in (fixed, moved)]
    return {
        "dice": metrics.mean_dice(fixed, moved),
        "brain_dice": metrics.dice(*masks)[1],
        "tre_mm": _landmark_error(heads, index, affine, displacement),
    }


def _landmark_error(heads, index, affine, displacement):
    scans = heads.scans
    if scans.source != "simulated":
        return float("nan")
    place = scans.shape, scans.affine
    coarse = np.diag([2.0, 2.0, 2.0, 1.0])
    coarse[:3, 3] = 0.5
    world = scans.affine @ coarse
    points = scans.fixed.truth(0).landmarks
    voxels = (points - world[:3, 3]) @ np.linalg.inv(world[:3, :3]).T
    voxels = voxels.astype("float32")
    offset = sampling.sample(displacement[None], voxels[None], fill="edge")
    displaced = voxels + ops.convert_to_numpy(offset)[0]
    displaced = displaced @ world[:3, :3].T + world[:3, 3]
    matrix = affines.to_world(affine, place)
    found = displaced @ matrix[:3, :3].T + matrix[:3, 3]
    return float(metrics.tre(scans.test.truth(index).landmarks, found).mean())
