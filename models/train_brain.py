"""Train the stored network that finds the brain: `python models/train_brain.py`.

Heads of the training split at 2 mm, turned, scaled, shifted, given the look of other
scanners, cut off at a random height or side, resampled as from thick slices. A third
are stripped of their skulls: their own outline is then the answer. In a fifth the brain
is painted from its label map, every region in a random gray, so that no contrast is
special. Twelve training scans are kept aside to measure; the test split is not looked
at.
"""

import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np

from helpers import augmentation, backend, losses, metrics, networks, training
from helpers.backend import keras, ops
from models import any_head
from registration import models
from registration.scans import cohort

NAME = "brain"
SEED = 2026
RATE = 2e-3
KEPT_ASIDE = 12
OPTIONS = {"shape": [96, 128, 128], "widths": [16, 24, 32, 32, 48]}
CONTRACT = {
    "voxel_mm": 2.0,
    "expects": "either",
    "training": {
        "cohort": "ixi",
        "split": "train",
        "scans": 125 - KEPT_ASIDE,
        "seed": SEED,
        "script": "models/train_brain.py",
    },
}


class Heads:
    """Training heads in 8 bits, their masks and labels."""

    def __init__(self, split):
        count = len(split) - KEPT_ASIDE
        images = [split.images(index)[0, ..., 0] for index in range(count)]
        self.images = [np.rint(255 * image).astype("uint8") for image in images]
        self.labels = [split.labels(i)[0].astype("uint8") for i in range(count)]

    def example(self, step):
        """Return one head, as some scanner might show it, and its brain."""
        rng = np.random.default_rng([SEED, step])
        index = rng.integers(len(self.images))
        image = self.images[index].astype("float32") / 255
        labels = self.labels[index]
        if rng.random() < 0.2:
            image = any_head.painted(rng, image, labels)
        mask = (labels > 0).astype("float32")
        if rng.random() < 1 / 3:
            image = image * mask
        both = np.stack([image, mask], axis=-1)[None]
        if rng.random() < 0.5:
            both = np.ascontiguousarray(both[:, ::-1])
        affine = augmentation.random_affines(rng, 1, 3, (0, 30), (0, 0.25), 0.08)
        both = np.asarray(augmentation.apply(both, affine))[0]
        image = any_head.thickened(rng, both[..., 0])
        image = augmentation.random_look(rng, image, strength=rng.random())
        image, mask = any_head.cropped(rng, image, both[..., 1])
        return {"image": image[None, ..., None], "mask": mask[None, ..., None]}


def loss(batch, evidence):
    """Return 1 - soft Dice, and the cross-entropy, which tells every voxel."""
    mask = batch["mask"]
    # log(1 + exp(-|x|)) + max(x, 0) - x * mask: no exponential of a large number.
    entropy = ops.log1p(ops.exp(-ops.abs(evidence))) + ops.relu(evidence)
    entropy = ops.mean(entropy - evidence * mask, axis=(1, 2, 3, 4))
    return losses.dice_loss(mask, ops.sigmoid(evidence)) + entropy


def measure(network, scans):
    """Print the Dice of the masks of the scans kept aside, with and without skull."""
    for title in ("with skull", "stripped"):
        dice = []
        for index in range(len(scans.train) - KEPT_ASIDE, len(scans.train)):
            image, mask = scans.train.images(index), scans.train.masks(index)[0]
            image = image if title == "with skull" else image * mask[..., None]
            found = network.predict_on_batch(image)[0, ..., 0]
            masks = [(one > 0).astype("uint8") for one in (mask, found)]
            dice.append(metrics.dice(*masks)[1])
        print(f"{title}: mask Dice {np.mean(dice):.4f}, worst {np.min(dice):.4f}")


def main():
    """Train, store and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4500)
    parser.add_argument("--checkpoint", type=pathlib.Path, default=None)
    parser.add_argument("--out", type=pathlib.Path, default=models.FOLDER)
    options = parser.parse_args()
    keras.utils.set_random_seed(SEED)
    scans = cohort.load("ixi", voxel_mm=2.0, skull=True, progress=False)
    heads = Heads(scans.train)
    network = networks.brain_network(**OPTIONS)
    print(f"device: {backend.device_name()}; source: {scans.source}; seed {SEED}")
    started = time.monotonic()
    history = training.fit(
        network,
        heads.example,
        loss,
        steps=options.steps,
        epochs=30,
        learning_rate=RATE,
        progress=False,
        checkpoint=options.checkpoint,
        on_epoch=lambda epoch, _: print(f"part {epoch} of 30", flush=True),
    )["loss"]
    minutes = (time.monotonic() - started) / 60
    print(f"{options.steps} steps of one head, {minutes:.1f} minutes")
    for part in np.array_split(history, 30):
        print(f"mean loss {part.mean():.4f}")
    models.store(network, NAME, "brain_network", OPTIONS, CONTRACT, options.out)
    measure(network, scans)


if __name__ == "__main__":
    main()
