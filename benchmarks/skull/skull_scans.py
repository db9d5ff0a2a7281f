"""The scans of the skull benchmark: heads and brains at 4 mm, labels at 2 mm."""

import dataclasses

import numpy as np
from scipy import ndimage

from helpers import affines, augmentation, metrics
from helpers.backend import ops
from registration import models, transform
from registration.scans import cohort, grid

INPUTS = ("skull", "stripped")
# From voxels of 4 mm to those of 2 mm, of which each holds eight.
COARSE = np.array([[2, 0, 0, 0.5], [0, 2, 0, 0.5], [0, 0, 2, 0.5], [0, 0, 0, 1]])


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
        network = models.load("affine_t1").network
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


def shrink(images):
    """Bring images `(batch, *shape, channels)` of 2 mm to 4 mm."""
    return grid.block_mean(images, (1, 2, 2, 2))


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


def transform_of(heads, affine, displacement):
    """Return what a network found on the grid of 4 mm as a transform of the world.

    Args:
        heads: `Heads`.
        affine: Array `(3, 4)`, centred coordinates.
        displacement: Array `(*shape, 3)` in voxels of 4 mm, applied before it.

    Returns:
        `transform.Transform`, fixed to moving.
    """
    place = heads.scans.grid
    coarse = grid.Grid(heads.shape, place.affine @ COARSE)
    vectors = displacement @ coarse.affine[:3, :3].T
    world = affines.to_world(affine, (place.shape, place.affine))
    field = transform.Field(coarse, vectors.astype("float32"))
    return transform.Transform([field, world])


def score(heads, index, found):
    """Judge one test scan by its anatomy alone.

    Args:
        heads: `Heads`.
        index: Number of the test scan.
        found: `transform.Transform` of the fixed scan to it.

    Returns:
        Dict of `dice`, `brain_dice` and `tre_mm`, which is NaN where the true
        correspondence is not known.
    """
    fixed, moving = heads.scans.fixed.scan(0), heads.scans.test.scan(index)
    without = dataclasses.replace(moving, landmarks=None)
    moved = found.apply(without, fixed.grid)
    tre_mm = float("nan")
    if fixed.landmarks is not None:
        there = found.points(fixed.landmarks)
        tre_mm = float(metrics.tre(moving.landmarks, there).mean())
    return {
        "dice": metrics.mean_dice(fixed.labels, moved.labels),
        "brain_dice": metrics.dice(fixed.labels > 0, moved.labels > 0)[1],
        "tre_mm": tre_mm,
    }
