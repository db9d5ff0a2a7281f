"""Train the networks of the drawn digits: `python models/train_digits.py`.

`digits_affine` and, for three weights of the smoothness, `digits_loose`, `digits_even`
and `digits_stiff`: two digits of one class, any class, MNIST's training images, turned,
shifted and stretched a little at random, since a hand draws where it likes. The
deformable ones see the moving digit as the affine one has left it. The page that
registers while a reader draws runs them.
"""

import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np

from helpers import augmentation, backend, losses, metrics, networks, training
from helpers.backend import keras, ops
from registration import models
from registration.scans import mnist

SEED = 2026
BATCH = 32
SHAPE = (32, 32)
AFFINE = {"shape": SHAPE, "stages": [[1, 3]], "filters": [16, 32, 32], "hidden": 64}
DENSE = {
    "shape": SHAPE,
    "encoder": [16, 32, 32],
    "decoder": [[32], [32], [16], [16]],
    "squarings": 5,
}
WEIGHTS = {"digits_loose": 0.01, "digits_even": 0.1, "digits_stiff": 1.0}
STEPS = {"affine": 4000, "dense": 3000}
TEST_PAIRS = 1000
# Of a drawn digit from one in the middle of its frame.
DEGREES, SHIFT, STRAIN = (0, 25), (0, 0.15), 0.1


class Digits:
    """Pairs of one class, drawn step by step, or all test pairs."""

    def __init__(self, split):
        data = mnist.load()
        self.images, labels = data[split], data[f"{split}_labels"]
        self.classes = [np.flatnonzero(labels == digit) for digit in range(10)]

    def pairs(self, seed, count):
        """Return `count` pairs as a batch, moving and fixed disturbed at random."""
        rng = np.random.default_rng([SEED, seed])
        some = [self.classes[digit] for digit in rng.integers(10, size=count)]
        batch = {}
        for name in ("moving", "fixed"):
            chosen = [rng.choice(indices) for indices in some]
            affine = augmentation.random_affines(rng, count, 2, DEGREES, SHIFT, STRAIN)
            moved = augmentation.apply(self.images[chosen], affine)
            batch[name] = ops.convert_to_numpy(moved)
        return batch


def affine_loss(batch, outputs):
    """Return 1 - NCC, a number a pair."""
    return losses.ncc_loss(batch["fixed"], outputs["moved"])


def dense_loss(weight):
    """Return the loss with a weight of the smoothness."""

    def loss(batch, outputs):
        similarity = losses.ncc_loss(batch["fixed"], outputs["moved"])
        return similarity + weight * losses.smoothness(outputs["velocity"])

    return loss


def contract(weight=None):
    """Return what is stored beside the weights."""
    stored = {
        "data": "mnist",
        "split": "train",
        "seed": SEED,
        "steps": STEPS["affine" if weight is None else "dense"],
        "script": "models/train_digits.py",
    }
    stored |= {} if weight is None else {"smoothness": weight}
    return {"voxel_mm": 1.0, "expects": "either", "training": stored}


def train(name, network, batch, loss, steps):
    """Train a network and say how it went."""
    started = time.monotonic()
    history = training.fit(
        networks.registration(network), batch, loss, steps=steps,
        learning_rate=2e-3, progress=False,
    )["loss"]  # fmt: skip
    minutes = (time.monotonic() - started) / 60
    print(f"{name}: {steps} steps of {BATCH} pairs, {minutes:.1f} minutes", flush=True)
    for part in np.array_split(history, 10):
        print(f"mean loss {part.mean():.4f}")


def measure(name, network, batch):
    """Print the similarity of test pairs before and after, and the folds."""
    found = network.predict([batch["moving"], batch["fixed"]], BATCH, verbose=0)
    moved = networks.registration(network).predict(
        [batch["moving"], batch["fixed"]], BATCH, verbose=0
    )["moved"]
    before = metrics.ncc(batch["fixed"], batch["moving"]).mean()
    after = metrics.ncc(batch["fixed"], moved).mean()
    print(
        f"{name}: NCC of {len(moved)} test pairs {before:.3f} before, {after:.3f} after"
    )
    if "velocity" in found:
        folded = metrics.folding(found["transform"])["folded_percent"].mean()
        print(f"{name}: {folded:.3f} % of the pixels folded")
    return moved


def main():
    """Train, store and measure all four."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the steps")
    parser.add_argument("--out", type=pathlib.Path, default=models.FOLDER)
    options = parser.parse_args()
    steps = {kind: max(1, round(options.share * n)) for kind, n in STEPS.items()}
    print(f"device: {backend.device_name()}; seed {SEED}")
    digits, test = Digits("train"), Digits("test").pairs(0, TEST_PAIRS)
    keras.utils.set_random_seed(SEED)
    affine = networks.affine_cascade(**AFFINE)
    train(
        "digits_affine", affine, lambda step: digits.pairs(step, BATCH), affine_loss,
        steps["affine"],
    )  # fmt: skip
    models.store(
        affine, "digits_affine", "affine_cascade", AFFINE, contract(), options.out
    )
    near = test | {"moving": measure("digits_affine", affine, test)}
    whole = networks.registration(affine)

    def aligned(step):
        batch = digits.pairs(step, BATCH)
        moved = whole.predict_on_batch([batch["moving"], batch["fixed"]])["moved"]
        return batch | {"moving": moved}

    for name, weight in WEIGHTS.items():
        keras.utils.set_random_seed(SEED)
        network = networks.dense_network(**DENSE)
        train(name, network, aligned, dense_loss(weight), steps["dense"])
        stored = contract(weight)
        models.store(network, name, "dense_network", DENSE, stored, options.out)
        measure(name, network, near)


if __name__ == "__main__":
    main()
