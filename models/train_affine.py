"""Train the stored affine network: `python models/train_affine.py`.

Any scan of the training split is registered to any other, at 4 mm. In half of the
batches the heads keep their skulls; the similarity is taken inside the fixed brain,
widened by 8 mm. The moving scan is turned by up to 60° and shifted by up to 20 mm.
Twelve training scans are kept aside to measure; the test split is not looked at.
"""

import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from helpers import backend  # noqa: E402, I001  (starts Keras quietly)
from helpers import augmentation, losses, metrics, networks, training, transforms  # noqa: E402
from helpers.data import cohort  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import ops  # noqa: E402

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


def make_pairs(heads, masks):
    """Return the function from a step to its batch of augmented pairs."""

    def pairs(step):
        rng = np.random.default_rng([SEED, step])
        with_skull = rng.random() < 0.5
        chosen = rng.choice(len(heads), 2 * BATCH, replace=False)
        images = heads[chosen].astype("float32") / 255
        mask = masks[chosen].astype("float32")
        images = images if with_skull else images * mask
        far = (0, 60) if rng.random() < 0.5 else (0, 20)
        moving = augmentation.random_affines(rng, BATCH, 3, far, (0, 0.15), 0.05)
        fixed = augmentation.random_affines(rng, BATCH, 3, (0, 15), (0, 0.1), 0.05)
        both = np.concatenate([images[BATCH:], mask[BATCH:]], axis=-1)
        both = np.asarray(augmentation.apply(both, fixed))
        return {
            "moving": np.asarray(augmentation.apply(images[:BATCH], moving)),
            "fixed": both[..., :1],
            "mask": both[..., 1:],
        }

    return pairs


def loss(batch, outputs):
    """Return 1 - NCC near the brain after the last pass, and a part of each other's."""
    near = ops.max_pool(batch["mask"], 5, 1, padding="same")
    total = losses.ncc_loss(batch["fixed"], outputs["moved"], near)
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
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--checkpoint", type=pathlib.Path, default=None)
    options = parser.parse_args()
    keras.utils.set_random_seed(SEED)
    scans = cohort.load(voxel_mm=4.0, skull=True)
    heads = np.stack([np.rint(scans.train.images(i)[0] * 255) for i in range(125)])
    heads, masks = heads.astype("uint8"), scans.train.masks()[..., None]
    built = {"shape": list(scans.shape), **OPTIONS}
    network = networks.registration(networks.affine_cascade(**built))
    started = time.monotonic()
    history = training.fit(
        network,
        make_pairs(heads[:-KEPT_ASIDE], masks[:-KEPT_ASIDE]),
        loss,
        steps=options.steps,
        epochs=12,
        checkpoint=options.checkpoint,
    )["loss"]
    minutes = (time.monotonic() - started) / 60
    networks.store(network.get_layer("affine_cascade"), NAME, "affine_cascade", built)
    print(f"seed {SEED}, {options.steps} steps of {BATCH} pairs, {minutes:.1f} minutes")
    print(f"device: {backend.device_name()}; source: {scans.source}")
    for part in np.array_split(history, 12):
        print(f"mean loss {part.mean():.4f}")
    measure(scans, heads[-KEPT_ASIDE:], masks[-KEPT_ASIDE:])


def measure(scans, heads, masks):
    """Print the NCC and Dice of the scans kept aside after every pass."""
    network = networks.load(NAME)
    labels = scans.train.labels(slice(-KEPT_ASIDE, None))
    target, target_labels = scans.fixed.images(0), scans.fixed.labels(0)[0]
    for title, moving, fixed in (
        ("stripped", heads * masks, target * scans.fixed.masks(0)[..., None]),
        ("with skull", heads, target),
    ):
        moving = moving.astype("float32") / 255
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
