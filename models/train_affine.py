"""Train the stored affine network: `python models/train_affine.py`.

Any scan of the training split is registered to any other, at 4 mm. In half of the
batches the heads keep their skulls; the similarity is taken inside the fixed brain,
widened by 8 mm. The moving scan is turned by up to 60° and shifted by up to 20 mm.
Twelve training scans are kept aside to measure; the test split is not looked at.

Two parts: `--steps` on the global NCC, which carries far, then `--tune` on the local
NCC, which ends closer, where a third of the batches go to the cohort's fixed scan.
`--steps 0` skips the first part and goes on from the stored network.
"""

import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np

from helpers import (
    augmentation,
    backend,
    losses,
    metrics,
    networks,
    refinement,
    training,
    transforms,
)
from helpers.backend import keras, ops
from registration import models
from registration.scans import cohort

NAME = "affine_t1"
SEED = 2026
KEPT_ASIDE = 12
BATCH = 4
OPTIONS = {
    "stages": [[2, 2], [1, 2]],
    "filters": [16, 32, 48, 64],
    "hidden": 96,
    "scale": 0.1,
}
CONTRACT = {
    "voxel_mm": 4.0,
    "expects": "either",
    "training": {
        "cohort": "ixi",
        "split": "train",
        "scans": 125 - KEPT_ASIDE,
        "seed": SEED,
        "script": "models/train_affine.py",
    },
}


def make_pairs(heads, masks, seed, to_last=0.0):
    """Return the function from a step to its batch of augmented pairs.

    In a part `to_last` of the batches, the fixed scan is the last one, as it is; else
    the last one takes no part.
    """

    def pairs(step):
        rng = np.random.default_rng([*seed, step])
        with_skull = rng.random() < 0.5
        chosen = rng.choice(len(heads) - 1, 2 * BATCH, replace=False)
        last = to_last > 0 and rng.random() < to_last
        chosen[BATCH:] = -1 if last else chosen[BATCH:]
        images = heads[chosen].astype("float32") / 255
        mask = masks[chosen].astype("float32")
        images = images if with_skull else images * mask
        far = (0, 60) if rng.random() < 0.5 else (0, 20)
        moving = augmentation.random_affines(rng, BATCH, 3, far, (0, 0.15), 0.05)
        fixed = augmentation.random_affines(rng, BATCH, 3, (0, 15), (0, 0.1), 0.05)
        both = np.concatenate([images[BATCH:], mask[BATCH:]], axis=-1)
        both = both if last else np.asarray(augmentation.apply(both, fixed))
        return {
            "moving": np.asarray(augmentation.apply(images[:BATCH], moving)),
            "fixed": both[..., :1],
            "mask": both[..., 1:],
        }

    return pairs


def loss(batch, outputs, last=losses.ncc_loss):
    """Return `last` near the brain after the last pass; 1 - NCC after the others."""
    near = ops.max_pool(batch["mask"], 5, 1, padding="same")
    total = last(batch["fixed"], outputs["moved"], weights=near)
    small = {key: ops.average_pool(image, 4, 4) for key, image in batch.items()}
    shape = tuple(small["fixed"].shape[1:-1])
    for number in range(1, outputs["passes"].shape[1] - 1):
        displacement = transforms.affine_displacement(
            outputs["passes"][:, number], shape
        )
        moved = transforms.warp(small["moving"], displacement)
        weights = ops.cast(small["mask"] > 0, "float32")
        total = total + 0.3 * losses.ncc_loss(small["fixed"], moved, weights)
    return total


def main():
    """Train, store and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2640)
    parser.add_argument("--tune", type=int, default=3600)
    parser.add_argument("--checkpoint", type=pathlib.Path, default=None)
    parser.add_argument("--devices", type=int, default=1, help="share each batch")
    parser.add_argument("--out", type=pathlib.Path, default=models.FOLDER)
    options = parser.parse_args()
    keras.utils.set_random_seed(SEED)
    scans = cohort.load(voxel_mm=4.0, skull=True, progress=False)
    used = slice(0, 125 - KEPT_ASIDE)
    heads = [scans.train.images(used), scans.fixed.images(0)]
    heads = np.rint(np.concatenate(heads) * 255).astype("uint8")
    masks = [scans.train.masks(used), scans.fixed.masks(0)]
    masks = np.concatenate(masks)[..., None]
    built = {"shape": list(scans.shape), **OPTIONS}
    network = networks.affine_cascade(**built)
    if not options.steps:
        network = models.load(NAME).network
    print(f"device: {backend.device_name()}; source: {scans.source}; seed {SEED}")
    tuning = {"pairs": make_pairs(heads, masks, [SEED, 1], 1 / 3), "loss": local_loss}
    for name, steps, setup in (
        ("global", options.steps, {"pairs": make_pairs(heads, masks, [SEED])}),
        ("local", options.tune, tuning | {"learning_rate": 5e-4}),
    ):
        if steps:
            folder = options.checkpoint and options.checkpoint / name
            setup = {"loss": loss, "steps": steps, "devices": options.devices} | setup
            train(network, name, setup, folder)
    models.store(network, NAME, "affine_cascade", built, CONTRACT, options.out)
    measure(scans, models.load(NAME, options.out).network)


def local_loss(batch, outputs):
    """Return the same with 1 - local NCC in windows of 20 mm after the last pass."""
    return loss(batch, outputs, refinement.lncc5)


def train(network, name, setup, checkpoint):
    """Train one part, and print what it took and how the loss went."""
    started = time.monotonic()
    history = training.fit(
        networks.registration(network),
        epochs=12,
        checkpoint=checkpoint,
        progress=False,
        on_epoch=lambda epoch, _: print(f"part {epoch} of 12", flush=True),
        **setup,
    )["loss"]
    minutes = (time.monotonic() - started) / 60
    steps = setup["steps"]
    print(f"{name} NCC: {steps} steps of {BATCH} pairs, {minutes:.1f} minutes")
    for part in np.array_split(history, 12):
        print(f"mean loss {part.mean():.4f}")


def measure(scans, network):
    """Print the Dice of the scans kept aside after every pass."""
    kept = slice(-KEPT_ASIDE, None)
    heads = scans.train.images(kept)
    masks, labels = scans.train.masks(kept)[..., None], scans.train.labels(kept)
    target, target_labels = scans.fixed.images(0), scans.fixed.labels(0)[0]
    for title, moving, fixed in (
        ("stripped", heads * masks, target * scans.fixed.masks(0)[..., None]),
        ("with skull", heads, target),
    ):
        found = network.predict(
            [moving, np.repeat(fixed, len(moving), 0)], verbose=0, batch_size=4
        )
        for number in range(found["passes"].shape[1]):
            displacement = transforms.affine_displacement(
                found["passes"][:, number], scans.shape, 1.0
            )
            moved = transforms.warp(labels[..., None], displacement, mode="nearest")
            moved = ops.convert_to_numpy(moved)[..., 0]
            dice = [metrics.mean_dice(target_labels, m, min_voxels=25) for m in moved]
            print(f"{title}, pass {number}: Dice at 4 mm {np.mean(dice):.3f}")


if __name__ == "__main__":
    main()
