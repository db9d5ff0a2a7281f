"""Train VoxelMorph to its end: `python models/train_voxelmorph.py NAME`.

Three of them, all on the training scans of the cohort to its one fixed scan, at 2 mm,
on a box around its brain, each after the affine that the stored network finds and
refines: the original, which gives a displacement of every voxel and learns from the
local NCC or from mean squares, and the diffeomorphic one, which gives a velocity at
half the resolution. The test split is measured as the training goes on and decides
nothing: steps, rates and weights were fixed before.

Weight of the smoothness and window are near the best that `models/voxelmorph_knobs.py`
found on scans kept aside. The curve is written to `models/NAME.csv`: Dice of training
and of test scans, folds and spread of the Jacobian after so many steps.

`--prepared FILE` keeps what the affine network makes of the scans, so that three
trainings, or a machine that has a GPU and no scans, do without that part.
"""

import argparse
import concurrent.futures
import dataclasses
import functools
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np
import pandas

from helpers import backend, losses, metrics, networks, training
from helpers.backend import keras
from models import any_head
from registration import affine, dense, models, prepare, transform
from registration.scans import cohort, intensity
from registration.scans import grid as grids

SEED = 2026
AFFINE_STEPS = 12
RATE = 1e-3
PARTS = 12
TRAIN_MEASURED = 8
SMOOTH = {"lncc": 1.0, "mse": 0.01}
WINDOW = 5
UNET = {
    "shape": [80, 96, 80],
    "encoder": [16, 32, 32, 32],
    "decoder": [[32], [32], [32], [32, 32], [16, 16]],
}
# Name → options of the network, similarity, steps.
KINDS = {
    "voxelmorph_lncc": (UNET | {"squarings": 0}, "lncc", 3000),
    "voxelmorph_mse": (UNET | {"squarings": 0}, "mse", 3000),
    "voxelmorph_diffeomorphic": (
        UNET | {"squarings": 7, "decoder": UNET["decoder"][:-1]},
        "lncc",
        3600,
    ),
}


class Aligned:
    """Scans on a box around the brain of the fixed one, each after its affine."""

    def __init__(self, fixed, shape, voxel_mm=2.0):
        """Cut the box out of the fixed scan.

        Args:
            fixed: `scan.Scan` with mask and labels.
            shape: Of the box in voxels.
            voxel_mm: Edge of its voxels.
        """
        self.fixed = fixed
        brain = _brain(fixed)
        middle = intensity.barycentre(brain.image, fixed.affine)
        self.grid = grids.box(middle, tuple(shape), voxel_mm)
        self.target = self._on_box(brain, np.eye(4))
        self.images, self.starts, self.scans = [], [], []

    def add(self, scan, model):
        """Find a scan's affine and keep what it moves onto the box."""
        brain = _brain(scan)
        start = affine.register(brain, _brain(self.fixed), model, AFFINE_STEPS)
        self.images.append(self._on_box(brain, start.affine))
        self.starts.append(start)
        self.scans.append(dataclasses.replace(scan, mask=None, landmarks=None))

    def pair(self, index):
        """Return a batch of one: dict of the aligned scan and the fixed one."""
        chosen = {"moving": self.images[index], "fixed": self.target}
        return {
            name: image[None, ..., None].astype("float32") / 255
            for name, image in chosen.items()
        }

    def field(self, network, squarings, index):
        """Return what a network finds for a scan, a `transform.Field`."""
        pair = self.pair(index)
        found = network.predict_on_batch([pair["moving"], pair["fixed"]])["velocity"]
        return dense.field(found, self.grid, squarings)

    def score(self, field, index):
        """Return a dict of one scan: dice, folded_percent and log_jacobian_sd."""
        found = self.starts[index] @ transform.Transform([field])
        moved = found.apply(self.scans[index], self.fixed.grid)
        folds = metrics.folding(field.voxels()[None])
        return {
            "dice": metrics.mean_dice(self.fixed.labels, moved.labels),
            **{name: values[0] for name, values in folds.items()},
        }

    def _on_box(self, brain, matrix):
        """Return a scan on the box in 8 bits."""
        found = prepare.resample(brain.image, brain.affine, matrix, self.grid)
        return np.rint(np.asarray(found)[0, ..., 0] * 255).astype("uint8")


def _brain(scan):
    brain = scan.stripped()
    return dataclasses.replace(brain, image=intensity.scaled(brain.image))


def prepared(scans, shape, voxel_mm=2.0, splits=("train", "test")):
    """Align the scans of some splits with the fixed one.

    Args:
        scans: `cohort.Cohort` with skulls.
        shape: Of the box in voxels.
        voxel_mm: Edge of its voxels.
        splits: Names of the splits.

    Returns:
        `Aligned`, and a dict from the split to the range of its scans.
    """
    aligned, ranges = Aligned(scans.fixed.scan(0), shape, voxel_mm), {}
    model = models.load("affine_t1")
    for name in splits:
        split, first = getattr(scans, name), len(aligned.images)
        for index in range(len(split)):
            aligned.add(split.scan(index), model)
        ranges[name] = range(first, len(aligned.images))
    return aligned, ranges


def make_pairs(aligned, chosen, seed=SEED):
    """Return the function from a step to a pair: every scan once, then all anew."""

    def pairs(step):
        turn, place = divmod(step, len(chosen))
        order = np.random.default_rng([seed, turn]).permutation(len(chosen))
        return aligned.pair(chosen[order[place]])

    return pairs


def loss(similarity, smooth, window=WINDOW):
    """Return the loss of a batch: similarity and smoothness of the network's field."""
    compare = {
        "lncc": functools.partial(losses.lncc_loss, window=window, squared=True),
        "mse": losses.mse,
    }[similarity]

    def of_batch(batch, outputs):
        rough = losses.smoothness(outputs["velocity"])
        return compare(batch["fixed"], outputs["moved"]) + smooth * rough

    return of_batch


def measured(aligned, network, squarings, chosen):
    """Return the mean scores of some scans, see `Aligned.score`."""
    fields = [aligned.field(network, squarings, i) for i in chosen]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = list(pool.map(aligned.score, fields, chosen))
    return pandas.DataFrame(rows).mean()


def _prepared(shape):
    return prepared(cohort.load(voxel_mm=2.0, skull=True, progress=False), shape)


def main():
    """Train one of them, store it and its curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=KINDS)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--checkpoint", type=pathlib.Path, default=None)
    parser.add_argument("--prepared", type=pathlib.Path, default=None)
    parser.add_argument("--out", type=pathlib.Path, default=models.FOLDER)
    given = parser.parse_args()
    options, similarity, steps = KINDS[given.name]
    steps = given.steps or steps
    keras.utils.set_random_seed(SEED)
    aligned, ranges = any_head.kept(given.prepared, lambda: _prepared(options["shape"]))
    network = networks.dense_network(**options)
    curve_path, rows = given.out / f"{given.name}.csv", []
    if given.checkpoint is not None and (given.checkpoint / "state.json").exists():
        rows = pandas.read_csv(curve_path).to_dict("records")
    started = time.monotonic()

    def measure(epoch, _):
        sets = {"train": ranges["train"][:TRAIN_MEASURED], "test": ranges["test"]}
        for name, chosen in sets.items():
            found = measured(aligned, network, options["squarings"], chosen).to_dict()
            rows.append({"step": epoch * steps // PARTS, "split": name} | found)
        pandas.DataFrame(rows).to_csv(curve_path, index=False, float_format="%.5f")
        print(f"part {epoch} of {PARTS}: {rows[-2]} {rows[-1]}", flush=True)

    if not rows:
        measure(0, network)
    history = training.fit(
        networks.registration(network),
        make_pairs(aligned, ranges["train"]),
        loss(similarity, SMOOTH[similarity]),
        steps=steps,
        epochs=PARTS,
        learning_rate=RATE,
        progress=False,
        checkpoint=given.checkpoint,
        on_epoch=measure,
    )["loss"]
    minutes = (time.monotonic() - started) / 60
    trained_on = {"cohort": "ixi", "split": "train", "scans": len(ranges["train"])}
    contract = {
        "voxel_mm": 2.0,
        "expects": "brain",
        "training": trained_on
        | {"seed": SEED, "steps": steps, "script": "models/train_voxelmorph.py"},
    }
    models.store(network, given.name, "dense_network", options, contract, given.out)
    print(f"seed {SEED}, {steps} steps of one pair, {minutes:.1f} minutes")
    print(f"device: {backend.device_name()}")
    for part in np.array_split(history, 20):
        print(f"mean loss {part.mean():.4f}")


if __name__ == "__main__":
    main()
