"""Train the stored dense network: `python models/train_dense.py`.

A third of the steps register a scan of the training split to the cohort's fixed one,
the others to any other of that split, at 2 mm, on a box around the brain of the fixed
one. The affine between two scans is chained from those that the stored affine network
finds to the cohort's fixed scan. In a quarter of the steps the moving scan keeps 4 mm
of what surrounds its brain, as it does where only the fixed scan has a mask; half of
the pairs are mirrored. Twelve training scans are kept aside to measure; the test split
is not looked at.
"""

import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import dataclasses

import numpy as np
from scipy import ndimage

from helpers import backend, losses, metrics, networks, training
from helpers.backend import keras
from registration import affine, dense, models, prepare, transform
from registration.scans import cohort, intensity
from registration.scans import grid as grids

NAME = "dense_t1"
SEED = 2026
KEPT_ASIDE = 12
SMOOTH = 0.1
RATE = 1e-3
OPTIONS = {
    "shape": [80, 96, 80],
    "encoder": [16, 32, 32, 32],
    "decoder": [[32], [32], [32], [32, 16], [16, 16]],
    "squarings": 5,
}
CONTRACT = {
    "voxel_mm": 2.0,
    "expects": "brain",
    "training": {
        "cohort": "ixi",
        "split": "train",
        "scans": 125 - KEPT_ASIDE,
        "seed": SEED,
        "script": "models/train_dense.py",
    },
}


class Boxes:
    """The training scans, and last the fixed one, on boxes around their brains."""

    def __init__(self, scans, shape):
        """Cut the boxes out, and find the affine of each scan to the fixed one."""
        model, fixed = models.load("affine_t1"), scans.fixed.scan(0)
        self.brains, self.rims, self.grids, self.affines = [], [], [], []
        for scan in (*(scans.train.scan(i) for i in range(len(scans.train))), fixed):
            scan = dataclasses.replace(scan, image=intensity.scaled(scan.image))
            brain = scan.stripped()
            near = scan.image * ndimage.binary_dilation(scan.mask, iterations=2)
            middle = intensity.barycentre(brain.image, scan.affine)
            grid = grids.box(middle, shape, CONTRACT["voxel_mm"])
            self.brains.append(_kept(brain.image, scan.affine, grid))
            self.rims.append(_kept(near, scan.affine, grid))
            self.grids.append(grid)
            self.affines.append(affine.register(brain, fixed.stripped(), model, 20))
        self.affines[-1] = transform.Transform()

    def start(self, moving, fixed):
        """Return the affine between two scans, through the cohort's fixed one."""
        return self.affines[moving] @ self.affines[fixed].inverse()

    def pair(self, moving, fixed, with_rim=False):
        """Return a moving scan, aligned by its affine, and a fixed one."""
        image = (self.rims if with_rim else self.brains)[moving]
        image = image.astype("float32") / 255
        place, grid = self.grids[moving].affine, self.grids[fixed]
        matrix = self.start(moving, fixed).affine
        aligned = prepare.resample(image, place, matrix, grid)
        target = self.brains[fixed][None, ..., None].astype("float32") / 255
        return np.asarray(aligned), target


def _kept(image, place, grid):
    """Return an image on a grid in 8 bits."""
    found = np.asarray(prepare.resample(image, place, np.eye(4), grid))
    return np.rint(found[0, ..., 0] * 255).astype("uint8")


def make_pairs(boxes, count):
    """Return the function from a step to its pair of the first `count` scans."""

    def pairs(step):
        rng = np.random.default_rng([SEED, step])
        moving, fixed = rng.choice(count, 2, replace=False)
        if rng.random() < 1 / 3:
            fixed = len(boxes.grids) - 1
        both = boxes.pair(moving, fixed, with_rim=rng.random() < 0.25)
        if rng.random() < 0.5:
            both = [np.ascontiguousarray(image[:, ::-1]) for image in both]
        return dict(zip(("moving", "fixed"), both, strict=True))

    return pairs


def loss(batch, outputs):
    """Return 1 - local NCC in windows of 5 voxels, and the smoothness."""
    similarity = losses.lncc_loss(batch["fixed"], outputs["moved"], window=5)
    return similarity + SMOOTH * losses.smoothness(outputs["velocity"])


def main():
    """Train, store and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--checkpoint", type=pathlib.Path, default=None)
    parser.add_argument("--devices", type=int, default=1, help="a pair for each")
    parser.add_argument("--out", type=pathlib.Path, default=models.FOLDER)
    options = parser.parse_args()
    keras.utils.set_random_seed(SEED)
    scans = cohort.load(voxel_mm=2.0, skull=True, progress=False)
    boxes = Boxes(scans, OPTIONS["shape"])
    network = networks.dense_cascade(**OPTIONS)
    started, devices = time.monotonic(), options.devices
    pairs = make_pairs(boxes, len(scans.train) - KEPT_ASIDE)
    history = training.fit(
        networks.registration(network),
        training.stacked(pairs, devices),
        loss,
        steps=options.steps,
        epochs=20,
        learning_rate=RATE,
        progress=False,
        checkpoint=options.checkpoint,
        on_epoch=lambda epoch, _: print(f"part {epoch} of 20", flush=True),
        devices=devices,
    )["loss"]
    minutes = (time.monotonic() - started) / 60
    models.store(network, NAME, "dense_cascade", OPTIONS, CONTRACT, options.out)
    size = f"{devices} pair{'s' * (devices > 1)}"
    print(f"seed {SEED}, {options.steps} steps of {size}, {minutes:.1f} minutes")
    print(f"device: {backend.device_name()}; source: {scans.source}")
    for part in np.array_split(history, 20):
        print(f"mean loss {part.mean():.4f}")
    measure(scans, boxes, models.load(NAME, options.out).network)


def measure(scans, boxes, network):
    """Print the Dice and the folds of the scans kept aside, to the fixed and around."""
    kept = range(len(scans.train) - KEPT_ASIDE, len(scans.train))
    last = len(scans.train)
    around = [(i, int(j)) for i, j in zip(kept, np.roll(kept, -1), strict=True)]
    for title, chosen in (("to fixed", [(i, last) for i in kept]), ("any", around)):
        scores = []
        for moving, fixed in chosen:
            velocity = network.predict_on_batch(list(boxes.pair(moving, fixed)))
            grid, squarings = boxes.grids[fixed], OPTIONS["squarings"]
            field = dense.field(velocity["velocity"], grid, squarings)
            found = boxes.start(moving, fixed) @ transform.Transform([field])
            goal = scans.fixed.scan(0) if fixed == last else scans.train.scan(fixed)
            moved = found.apply(scans.train.scan(moving), scans.grid)
            folds = metrics.folding(field.voxels()[None])["folded_percent"][0]
            scores.append((metrics.mean_dice(goal.labels, moved.labels), folds))
        dice, folds = np.mean(scores, axis=0)
        print(f"{title}: Dice {dice:.3f}, folded voxels {folds:.4f} %")


if __name__ == "__main__":
    main()
