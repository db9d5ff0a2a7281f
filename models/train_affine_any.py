"""Train the affine network for any head: `python models/train_affine_any.py`.

It goes on from `affine_t1`, with a pass more. Any scan of the training split is
registered to any other of it, at 4 mm; every fourth batch to the cohort's fixed scan.
What the network sees is dressed as from another scanner, each scan by itself
(`models/any_head.py`): mostly brains that a tool has cut out, some heads, cut off at
some side, at times only one of the two with its skull. What it is judged by is how well
the brains as they are lie on each other. Twelve training scans are kept aside to
measure; the test split, and heads of other scanners, are not looked at.
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
from models import any_head
from registration import models
from registration.scans import cohort

NAME = "affine_any"
START = "affine_t1"
SEED = 2026
KEPT_ASIDE = 12
BATCH = 4
RATE = 5e-4
AHEAD = 8
STAGES = [[2, 2], [1, 3]]


def make_pairs(heads, labels):
    """Return the function from a step to its batch; the last head is the fixed one.

    Args:
        heads: 8-bit array `(n, i, j, k)`.
        labels: 8-bit array of the same shape.

    Returns:
        Function from a step to a dict of float32 arrays.
    """

    def seen(rng, index, stripped):
        """Return what the network sees of a head, its brain and its mask."""
        image, regions = heads[index].astype("float32") / 255, labels[index]
        brain = image * (regions > 0)
        shown = any_head.dressed(rng, image, regions, stripped)
        if rng.random() < (0.2 if stripped else 0.6):
            shown, _ = any_head.cropped(rng, shown, shown)
        return np.stack([shown, brain, regions > 0], axis=-1).astype("float32")

    def pairs(step):
        rng = np.random.default_rng([SEED, step])
        stripped = np.repeat(rng.random((1, BATCH)) < 0.65, 2, axis=0)
        stripped ^= rng.random((2, BATCH)) < 0.05
        chosen = rng.choice(len(heads) - 1, 2 * BATCH, replace=False).reshape(2, BATCH)
        to_last = rng.random() < 0.25
        chosen[1] = -1 if to_last else chosen[1]
        both = [
            np.stack([seen(rng, i, bare) for i, bare in zip(*each, strict=True)])
            for each in zip(chosen, stripped, strict=True)
        ]
        far = (0, 60) if rng.random() < 0.4 else (0, 20)
        turn = augmentation.random_affines(rng, BATCH, 3, far, (0, 0.2), 0.06)
        other = augmentation.random_affines(rng, BATCH, 3, (0, 15), (0, 0.15), 0.06)
        moving = ops.convert_to_numpy(augmentation.apply(both[0], turn))
        fixed = both[1]
        if not to_last:
            fixed = ops.convert_to_numpy(augmentation.apply(fixed, other))
        return {
            "moving": moving[..., :1],
            "plain_moving": moving[..., 1:2],
            "fixed": fixed[..., :1],
            "plain_fixed": fixed[..., 1:2],
            "mask": fixed[..., 2:],
        }

    return pairs


def loss(batch, outputs):
    """Return 1 - local NCC of the brains after the last pass, 1 - NCC after others."""
    near = ops.max_pool(batch["mask"], 5, 1, padding="same")
    fixed, total = batch["plain_fixed"], 0.0
    shape, passes = tuple(fixed.shape[1:-1]), outputs["passes"]
    for number in range(1, passes.shape[1]):
        last = number == passes.shape[1] - 1
        displacement = transforms.affine_displacement(passes[:, number], shape)
        moved = transforms.warp(batch["plain_moving"], displacement)
        if last:
            total = total + refinement.lncc5(fixed, moved, weights=near)
        else:
            total = total + 0.2 * losses.ncc_loss(fixed, moved, near)
    return total


def main():
    """Train, store and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--checkpoint", type=pathlib.Path, default=None)
    parser.add_argument("--prepared", type=pathlib.Path, default=None)
    parser.add_argument("--out", type=pathlib.Path, default=models.FOLDER)
    options = parser.parse_args()
    keras.utils.set_random_seed(SEED)
    heads, labels = any_head.kept(options.prepared, prepared)
    start = models.load(START)
    built = start.options | {"stages": STAGES}
    network = networks.affine_cascade(**built)
    network.set_weights(start.network.get_weights())
    count = len(heads) - 1 - KEPT_ASIDE
    used = [*range(count), -1]
    started = time.monotonic()
    history = training.fit(
        network,
        make_pairs(heads[used], labels[used]),
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
    trained |= {"steps": len(history), "script": "models/train_affine_any.py"}
    contract = {"voxel_mm": 4.0, "expects": "either", "training": trained}
    models.store(network, NAME, "affine_cascade", built, contract, options.out)
    print(f"seed {SEED}, {len(history)} steps of {BATCH} pairs, {minutes:.1f} minutes")
    print(f"device: {backend.device_name()}")
    for part in np.array_split(history, 20):
        print(f"mean loss {part.mean():.4f}")
    measure(network, heads, labels)


def prepared():
    """Return the training heads and the fixed one at 4 mm, and their labels."""
    scans = cohort.load(voxel_mm=4.0, skull=True, progress=False)
    parts = (scans.train, scans.fixed)
    every = [slice(0, len(part)) for part in parts]
    images = [p.images(chosen) for p, chosen in zip(parts, every, strict=True)]
    labels = [p.labels(chosen) for p, chosen in zip(parts, every, strict=True)]
    heads = np.rint(np.concatenate(images)[..., 0] * 255).astype("uint8")
    return heads, np.concatenate(labels).astype("uint8")


def measure(network, heads, labels):
    """Print the Dice of the scans kept aside after every pass, to the fixed one."""
    kept = slice(-1 - KEPT_ASIDE, -1)
    images = heads[..., None].astype("float32") / 255
    masks, target = labels[..., None] > 0, labels[-1]
    for title, moving, fixed in (
        ("stripped", (images * masks)[kept], (images * masks)[-1:]),
        ("with skull", images[kept], images[-1:]),
    ):
        found = network.predict(
            [moving, np.repeat(fixed, len(moving), 0)], verbose=0, batch_size=4
        )
        for number in range(found["passes"].shape[1]):
            displacement = transforms.affine_displacement(
                found["passes"][:, number], target.shape
            )
            moved = transforms.warp(
                labels[kept][..., None].astype("float32"), displacement, mode="nearest"
            )
            moved = ops.convert_to_numpy(moved)[..., 0].astype("uint8")
            dice = [metrics.mean_dice(target, m, min_voxels=25) for m in moved]
            print(f"{title}, pass {number}: Dice at 4 mm {np.mean(dice):.3f}")


if __name__ == "__main__":
    main()
