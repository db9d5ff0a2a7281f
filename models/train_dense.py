"""Train the stored dense network: `python models/train_dense.py`.

Any scan of the training split is registered to any other, at 2 mm, on a box around
the brain of the fixed one. The affine between two scans is chained from those that
the stored affine network finds to the cohort's fixed scan. In a quarter of the steps
the moving scan keeps 4 mm of what surrounds its brain, as it does where only the
fixed scan has a mask. Twelve training scans are kept aside to measure; the test
split is not looked at.
"""

import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from helpers import backend  # noqa: E402, I001  (starts Keras quietly)
from helpers import losses, metrics, networks, register, training  # noqa: E402
from helpers.data import cohort, grids  # noqa: E402
from helpers.register import preparation  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
from scipy import ndimage  # noqa: E402

NAME = "dense_t1"
SEED = 2026
KEPT_ASIDE = 12
SMOOTH = 0.1
OPTIONS = {"shape": [80, 96, 80], "squarings": 5}


class Boxes:
    """The scans of the training split, each on a box around its own brain."""

    def __init__(self, scans, shape):
        """Cut the boxes out, and find the affine of each scan to the fixed one."""
        network = networks.load("affine_t1")
        fixed = scans.fixed.images(0)[0, ..., 0] * scans.fixed.masks(0)[0]
        self.brains, self.rims, self.grids, self.affines = [], [], [], []
        for index in range(len(scans.train)):
            mask = scans.train.masks(index)[0]
            head = preparation.scaled(scans.train.images(index)[0, ..., 0])
            place = scans.affine
            grid = grids.Grid(
                tuple(shape),
                _box(preparation.barycentre(head * mask, place), shape),
                2.0,
            )
            rim = ndimage.binary_dilation(mask, iterations=2)
            for kept, region in ((self.brains, mask), (self.rims, rim)):
                image = preparation.resample(head * region, place, np.eye(4), grid)
                kept.append(np.rint(np.asarray(image)[0] * 255).astype("uint8"))
            self.grids.append(grid)
            self.affines.append(
                register.affine((head * mask, place), (fixed, place), network, 20)
            )

    def pair(self, moving, fixed, with_rim=False):
        """Return a moving scan, aligned by its affine, and a fixed one."""
        affine = self.affines[moving] @ np.linalg.inv(self.affines[fixed])
        image = (self.rims if with_rim else self.brains)[moving][..., 0] / np.float32(
            255
        )
        grid = self.grids[fixed]
        aligned = preparation.resample(image, self.grids[moving].affine, affine, grid)
        target = self.brains[fixed][None].astype("float32") / 255
        return np.asarray(aligned), target


def _box(middle, shape):
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    matrix[:3, 3] = middle - (np.asarray(shape) - 1)
    return matrix


def make_pairs(boxes, count):
    """Return the function from a step to its pair; half of the pairs are mirrored."""

    def pairs(step):
        rng = np.random.default_rng([SEED, step])
        chosen = rng.choice(count, 2, replace=False)
        both = boxes.pair(*chosen, with_rim=rng.random() < 0.25)
        if rng.random() < 0.5:
            both = [np.ascontiguousarray(image[:, ::-1]) for image in both]
        return dict(zip(("moving", "fixed"), both, strict=True))

    return pairs


def loss(batch, outputs):
    """Return 1 - local NCC in windows of 5 voxels, and the smoothness."""
    similarity = losses.lncc_loss(batch["fixed"], outputs["moved"], window=5)
    return similarity + SMOOTH * losses.smoothness(outputs["velocity"])
