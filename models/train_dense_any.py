"""Train the dense network for any head: `python models/train_dense_any.py`.

It goes on from `dense_t1`, with the force and a further look, which do nothing at
first. Any scan of the training split is registered to any other of it, at 2 mm, on a
box around the brain of the fixed one; every fourth step to the cohort's fixed scan.
What the network sees is dressed as from another scanner, each scan by itself
(`models/any_head.py`); what it is judged by is how well the scans as they are lie on
each other. So the contrast tells it nothing, and the loss needs no labels. The affine
that it starts from is the refined one, often with an error added. Twelve training scans
are kept aside to measure; the test split, and heads of other scanners, are not looked
at.
"""

import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np
from scipy import ndimage

from helpers import (
    augmentation,
    backend,
    losses,
    metrics,
    networks,
    sampling,
    training,
    transforms,
)
from helpers.backend import keras
from models import any_head
from registration import affine, models, prepare, transform
from registration.scans import cohort, intensity
from registration.scans import grid as grids

NAME = "dense_any"
START = "dense_t1"
SEED = 2026
KEPT_ASIDE = 12
VOXEL_MM = 2.0
RIM = 4
SMOOTH = 0.2
RATE = 5e-4
AHEAD = 2
OPTIONS = {
    "shape": [80, 96, 80],
    "encoder": [16, 32, 32, 32],
    "decoder": [[32], [32], [32], [32, 16], [16, 16]],
    "squarings": 5,
    "force": 5,
    "looks": 2,
}


class Boxes:
    """The training scans, and last the fixed one, on boxes around their brains.

    Attributes:
        images: 8-bit arrays of the box's shape: the brain and 8 mm around it.
        labels: 8-bit arrays, the regions.
        grids: `grid.Grid` of each box.
        affines: `transform.Transform` of each scan, to the cohort's fixed one.
    """

    def __init__(self, scans, shape):
        """Cut the boxes out, and find the affine of each scan to the fixed one."""
        model, fixed = models.load("affine_t1"), scans.fixed.scan(0)
        self.images, self.labels, self.grids, self.affines = [], [], [], []
        for scan in (*(scans.train.scan(i) for i in range(len(scans.train))), fixed):
            brain = scan.stripped()
            near = ndimage.binary_dilation(scan.mask, iterations=RIM)
            white = intensity.window(brain.image)[1]
            image = np.clip(scan.image * near / white, 0, 1).astype("float32")
            middle = intensity.barycentre(intensity.scaled(brain.image), scan.affine)
            grid = grids.box(middle, shape, VOXEL_MM)
            self.images.append(_on_box(image, scan.affine, grid))
            self.labels.append(_labels_on_box(scan, grid))
            self.grids.append(grid)
            self.affines.append(affine.register(brain, fixed.stripped(), model, 12))
        self.affines[-1] = transform.Transform()

    def start(self, moving, fixed):
        """Return the affine between two scans, through the cohort's fixed one."""
        return self.affines[moving] @ self.affines[fixed].inverse()

    def fetch(self, moving, fixed, error):
        """Return a moving scan's image and labels on the box of a fixed one.

        Args:
            moving: Index of the moving scan.
            fixed: Index of the fixed scan.
            error: `(4, 4)`, voxels of the box to voxels of the box, made first.

        Returns:
            Float32 array in [0, 1] and 8-bit array of the box's shape.
        """
        to_moving = np.linalg.inv(self.grids[moving].affine)
        matrix = to_moving @ self.start(moving, fixed).affine
        matrix = (matrix @ self.grids[fixed].affine @ error).astype("float32")
        image, labels = _fetched(
            self.images[moving][None, ..., None],
            self.labels[moving][None, ..., None],
            matrix[None],
        )
        both = (keras.ops.convert_to_numpy(array) for array in (image, labels))
        return tuple(array[0, ..., 0] for array in both)


@backend.compiled
def _fetched(image, labels, matrix):
    grid = keras.ops.convert_to_tensor(sampling.identity_grid(image.shape[1:-1]))
    matrix = keras.ops.convert_to_tensor(matrix)
    turn = keras.ops.transpose(matrix[:, :3, :3], (0, 2, 1))[:, None, None]
    points = keras.ops.matmul(grid[None], turn) + matrix[:, None, None, None, :3, 3]
    image = keras.ops.cast(image, "float32") / 255
    labels = keras.ops.cast(labels, "float32")
    near = sampling.sample(labels, points, "nearest")
    return sampling.sample(image, points), keras.ops.cast(near, "uint8")


def _on_box(image, place, grid):
    """Return an image on a grid in 8 bits."""
    found = prepare.resample(image, place, np.eye(4), grid)
    return np.rint(np.asarray(found)[0, ..., 0] * 255).astype("uint8")


def _labels_on_box(scan, grid):
    """Return a scan's labels on a grid in 8 bits."""
    return transform.Transform().apply(scan, grid).labels.astype("uint8")


def wrong_affine(rng, shape):
    """Return a small affine about the middle of a box, voxels to voxels, or none."""
    matrix = np.eye(4)
    if rng.random() < 0.7:
        half = max(shape) / 2
        found = augmentation.random_affines(rng, 1, 3, (0, 5), (0, 0.08), 0.02)[0]
        middle = (np.array(shape) - 1) / 2
        linear, shift = found[:, :3], half * found[:, 3]
        matrix[:3, :3] = linear
        matrix[:3, 3] = middle + shift - linear @ middle
    return matrix


def make_pairs(boxes, count):
    """Return the function from a step to its pair of the first `count` scans."""

    def pairs(step):
        rng = np.random.default_rng([SEED, step])
        moving, fixed = rng.choice(count, 2, replace=False)
        if rng.random() < 0.25:
            fixed = len(boxes.grids) - 1
        error = wrong_affine(rng, boxes.grids[fixed].shape)
        both = [
            boxes.fetch(moving, fixed, error),
            (boxes.images[fixed].astype("float32") / 255, boxes.labels[fixed]),
        ]
        if rng.random() < 0.5:
            both = [[np.ascontiguousarray(x[::-1]) for x in pair] for pair in both]
        batch = {}
        for name, (image, labels) in zip(("moving", "fixed"), both, strict=True):
            batch[name] = any_head.dressed(rng, image, labels, stripped=True)
            batch[f"plain_{name}"] = image * (labels > 0)
        return {name: image[None, ..., None] for name, image in batch.items()}

    return pairs


def go_on_from(start, network):
    """Give a network the weights of one that sees fewer channels; the new ones count 0.

    Args:
        start: `keras.Model`, of the same layers.
        network: `keras.Model`, what it sees more stands behind what both see.
    """
    for old, new in zip(start.weights, network.weights, strict=True):
        value = np.zeros(new.shape, "float32")
        seen = tuple(slice(size) for size in old.shape)
        value[seen] = keras.ops.convert_to_numpy(old)
        new.assign(value)


def loss(batch, outputs):
    """Return 1 - local NCC of the scans as they are, and the smoothness."""
    moved = transforms.warp(batch["plain_moving"], outputs["transform"])
    similarity = losses.lncc_loss(batch["plain_fixed"], moved, window=5)
    return similarity + SMOOTH * losses.smoothness(outputs["velocity"])


def main():
    """Train, store and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--checkpoint", type=pathlib.Path, default=None)
    parser.add_argument("--prepared", type=pathlib.Path, default=None)
    parser.add_argument("--out", type=pathlib.Path, default=models.FOLDER)
    options = parser.parse_args()
    keras.utils.set_random_seed(SEED)
    boxes = any_head.kept(options.prepared, prepared)
    network = networks.dense_cascade(**OPTIONS)
    go_on_from(models.load(START).network, network)
    count = len(boxes.grids) - 1 - KEPT_ASIDE
    started = time.monotonic()
    history = training.fit(
        network,
        make_pairs(boxes, count),
        loss,
        steps=options.steps,
        epochs=10,
        learning_rate=RATE,
        progress=False,
        checkpoint=options.checkpoint,
        on_epoch=lambda epoch, _: print(f"part {epoch} of 10", flush=True),
        ahead=AHEAD,
    )["loss"]
    minutes = (time.monotonic() - started) / 60
    trained = {"cohort": "ixi", "split": "train", "scans": count, "seed": SEED}
    trained |= {"steps": len(history), "script": "models/train_dense_any.py"}
    contract = {"voxel_mm": VOXEL_MM, "expects": "brain", "training": trained}
    models.store(network, NAME, "dense_cascade", OPTIONS, contract, options.out)
    print(f"seed {SEED}, {len(history)} steps of one pair, {minutes:.1f} minutes")
    print(f"device: {backend.device_name()}")
    for part in np.array_split(history, 20):
        print(f"mean loss {part.mean():.4f}")
    measure(boxes, network)


def prepared():
    """Return the scans of the cohort on their boxes."""
    scans = cohort.load(voxel_mm=VOXEL_MM, skull=True, progress=False)
    return Boxes(scans, tuple(OPTIONS["shape"]))


def measure(boxes, network):
    """Print the Dice on the box of the scans kept aside, to the fixed and around."""
    last = len(boxes.grids) - 1
    kept = range(last - KEPT_ASIDE, last)
    around = [(i, int(j)) for i, j in zip(kept, np.roll(kept, -1), strict=True)]
    for title, chosen in (("to fixed", [(i, last) for i in kept]), ("any", around)):
        scores = []
        for moving, fixed in chosen:
            image, labels = boxes.fetch(moving, fixed, np.eye(4))
            pair = [
                image * (labels > 0),
                boxes.images[fixed] / 255 * (boxes.labels[fixed] > 0),
            ]
            pair = [plain.astype("float32")[None, ..., None] for plain in pair]
            found = network.predict_on_batch(pair)
            field = np.asarray(found["transform"])
            before = labels[None, ..., None].astype("float32")
            moved = transforms.warp(before, field, mode="nearest")
            dice = [
                metrics.mean_dice(boxes.labels[fixed], x.astype("uint8")[0, ..., 0])
                for x in (before, keras.ops.convert_to_numpy(moved))
            ]
            scores.append((*dice, metrics.folding(field)["folded_percent"][0]))
        before, after, folds = np.mean(scores, axis=0)
        print(f"{title}: Dice {before:.3f}, {after:.3f}, folded voxels {folds:.4f} %")


if __name__ == "__main__":
    main()
