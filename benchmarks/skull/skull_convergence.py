"""Train on heads and on brains, and judge both along the way, three seeds each.

How much of what a network gains does the skull take, and does more training give it
back? An affine and a dense network are trained on heads and on brains from three
seeds, and judged on the test scans after several numbers of steps of the same run,
whose rate falls along a cosine to zero at the last of them. Runs that the table
holds to their last step are skipped. `--levels affine` and `--levels dense` may run
side by side.
"""

import argparse
import pathlib
import sys
import time

import numpy as np
import pandas
from scipy import ndimage

from benchmarks import jobs, table
from benchmarks.skull import skull_networks, skull_scans
from helpers import affines, metrics, networks, training
from helpers.backend import keras, ops

KEYS = ("source", "level", "trained", "seed", "steps")
COLUMNS = (*KEYS, "scans", "start", "dice", "dice_sd", "brain_dice", "seconds")
BATCH = {"affine": 4, "dense": 1}
MEASURED = {
    "affine": (50, 100, 200, 400, 800),
    "dense": (50, 100, 200, 400, 800),
}
SEEDS = (0, 1, 2)
MARGIN = 8
# The velocity at half the resolution, as VoxelMorph has it.
DECODER = ((32,), (32,), (32,), (32, 32))
LOSSES = {"affine": skull_networks.affine_loss, "dense": skull_networks.dense_loss}


def main(argv=None):
    """Train what the table lacks; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--levels", help="some of affine,dense; both if left out")
    add("--seeds", type=int, default=len(SEEDS), help="only so many")
    add("--limit", type=int, help="only so many test scans, and 8 to train on")
    add("--share", type=float, default=1.0, help="of the steps, to try it")
    add("--results", type=pathlib.Path, default=jobs.RESULTS)
    add("--build", type=pathlib.Path, default=pathlib.Path("build/skull"))
    options = parser.parse_args(argv)
    levels = jobs.chosen(parser, "levels", options.levels, tuple(MEASURED))
    path = options.results / "skull_convergence_pairs.csv"
    images = prepared(options.build, options.limit)
    for level in levels:
        steps = [max(1, round(n * options.share)) for n in MEASURED[level]]
        run = Run(level, images, steps)
        for seed in SEEDS[: options.seeds]:
            for kind in skull_scans.INPUTS:
                last = table.key(("ixi", level, kind, seed, steps[-1]))
                if last not in table.finished(path, KEYS):
                    run.train(kind, seed, path)
    summarise(options.results)
    return 0


def prepared(folder, limit=None):
    """Return what training and judging need, kept in a folder for the next time.

    Args:
        folder: `pathlib.Path`.
        limit: Number of test scans, or None for all.

    Returns:
        Dict of arrays: `fixed_KIND`, `train_KIND`, `test_KIND` at 4 mm as they lie,
        `aligned_train_KIND` and `aligned_test_KIND` after their affines, all in
        8 bits; `affines` of the test scans; `labels` of the fixed and the test
        scans at 2 mm; `place`, the world of that grid.
    """
    path = folder / f"convergence_{limit or 'all'}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        heads = skull_scans.Heads("ixi", {"train": 8, "test": limit} if limit else None)
        scans, half = heads.scans, {}
        for kind in skull_scans.INPUTS:
            half[f"fixed_{kind}"] = heads.fixed[kind]
            for split in ("train", "test"):
                half[f"{split}_{kind}"] = getattr(heads, split)[kind]
                half[f"aligned_{split}_{kind}"] = heads.aligned(split, kind)
        labels = [scans.fixed.scan(0).labels]
        labels += [scans.test.scan(i).labels for i in range(len(scans.test))]
        np.savez_compressed(
            path,
            affines=heads.affines["test"],
            labels=np.stack(labels),
            place=scans.grid.affine,
            **{n: np.rint(255 * a).astype("uint8") for n, a in half.items()},
        )
    with np.load(path) as stored:
        images = dict(stored)
    for kind in skull_scans.INPUTS:
        images[f"aligned_fixed_{kind}"] = images[f"fixed_{kind}"]
    return images


class Run:
    """One network, compiled once and trained again from every seed."""

    def __init__(self, level, images, steps):
        """Compile the step.

        Args:
            level: `"affine"` or `"dense"`.
            images: See `prepared`.
            steps: After how many steps to judge; the last one ends the training.
        """
        self.level, self.images, self.steps = level, images, steps
        self.stem = "" if level == "affine" else "aligned_"
        self.shape = images[f"{self.stem}fixed_skull"].shape[1:-1]
        self.network = build(level, self.shape, 0)
        rate = keras.optimizers.schedules.CosineDecay(1e-3, steps[-1])
        registration = networks.registration(self.network)
        self.trainer = training.Trainer(registration, LOSSES[level])
        self.trainer.compile(keras.optimizers.Adam(rate), jit_compile=False)

    def train(self, kind, seed, path):
        """Train on heads or brains from a seed; add a row at each number of steps."""
        self.network.set_weights(build(self.level, self.shape, seed).get_weights())
        for variable in self.trainer.optimizer.variables:
            variable.assign(ops.zeros_like(variable))
        start, began, spent = self.start().mean(), time.monotonic(), 0.0
        for step in range(self.steps[-1]):
            self.trainer.reset_metrics()
            value = float(self.trainer.train_on_batch(self.batch(kind, seed, step)))
            if not np.isfinite(value):
                raise ValueError(f"the loss is not finite. Received: step {step}")
            if step + 1 in self.steps:
                spent += time.monotonic() - began
                dice, brain = self.scores(kind).T
                key = ("ixi", self.level, kind, seed, step + 1)
                row = dict(zip(KEYS, key, strict=True)) | {"scans": len(dice)}
                row |= {"start": start, "dice": dice.mean(), "dice_sd": dice.std()}
                row |= {"brain_dice": brain.mean(), "seconds": spent}
                table.append(path, row, COLUMNS)
                print(*key, f"Dice {dice.mean():.4f}, {spent:.0f} s", flush=True)
                began = time.monotonic()

    def batch(self, kind, seed, step):
        """Return the batch of a step; heads and brains see the same scans."""
        images, size = self.images[f"{self.stem}train_{kind}"], BATCH[self.level]
        chosen = np.random.default_rng((seed, step)).integers(len(images), size=size)
        fixed = np.repeat(self.images[f"{self.stem}fixed_{kind}"], size, axis=0)
        batch = {"moving": lit(images[chosen]), "fixed": lit(fixed)}
        batch["weights"] = np.ones_like(batch["fixed"])
        return {name: ops.convert_to_tensor(array) for name, array in batch.items()}

    def start(self):
        """Return the Dice before: as they lie, or after the affine all start from."""
        given = self.images["affines"]
        if self.level == "affine":
            given = np.tile(np.eye(3, 4), (len(given), 1, 1))
        return np.array(
            [overlap(self.images, i, one)[0] for i, one in enumerate(given)]
        )

    def scores(self, kind):
        """Return Dice and brain-mask Dice of every test scan, `(scans, 2)`."""
        names = (f"{self.stem}{name}_{kind}" for name in ("test", "fixed"))
        moving, fixed = (lit(self.images[name]) for name in names)
        found = skull_scans.answers(self.network, moving, fixed)
        if self.level == "affine":
            both = enumerate(found)
            return np.array([overlap(self.images, i, one) for i, one in both])
        given = enumerate(zip(self.images["affines"], found, strict=True))
        return np.array([overlap(self.images, i, *one) for i, one in given])


def lit(images):
    """Return images of 8 bits as float32 in [0, 1]."""
    return images.astype("float32") / 255


def build(level, shape, seed):
    """Return an untrained network of a seed."""
    keras.utils.set_random_seed(seed)
    if level == "affine":
        return networks.affine_cascade(shape, scale=0.1, stages=((2, 2), (1, 1)))
    return networks.dense_network(shape, decoder=DECODER, squarings=5)


def overlap(images, index, affine, displacement=None):
    """Return the Dice and the brain-mask Dice of a test scan, its labels moved once.

    Args:
        images: See `prepared`.
        index: Number of the test scan.
        affine: Array `(3, 4)`, centred coordinates.
        displacement: Array `(*shape, 3)` in voxels of 4 mm, applied before it.

    Returns:
        Tuple of two floats.
    """
    fixed, moving = images["labels"][0], images["labels"][index + 1]
    place = images["place"]
    world = affines.to_world(affine, (fixed.shape, place))
    there = (np.linalg.inv(place) @ world @ place).astype("float32")
    box = around(fixed > 0)
    points = np.stack(
        np.meshgrid(*(np.arange(s.start, s.stop) for s in box), indexing="ij"), -1
    )
    points = points.astype("float32")
    if displacement is not None:
        points += 2 * doubled(np.asarray(displacement, "float32"))[box]
    found = np.rint(points @ there[:3, :3].T + there[:3, 3]).astype(int)
    size = np.array(moving.shape)
    within = ((found >= 0) & (found < size)).all(axis=-1)
    moved = moving[tuple(np.moveaxis(np.clip(found, 0, size - 1), -1, 0))] * within
    fixed = fixed[box]
    return metrics.mean_dice(fixed, moved), metrics.dice(fixed > 0, moved > 0)[1]


def around(mask):
    """Return the box of a mask, `MARGIN` voxels wider on every side, as slices."""
    box = ndimage.find_objects(mask.astype("uint8"))[0]
    return tuple(
        slice(max(s.start - MARGIN, 0), min(s.stop + MARGIN, n))
        for s, n in zip(box, mask.shape, strict=True)
    )


def doubled(field):
    """Interpolate `(*shape, channels)` to half the voxel, linearly, edges kept."""
    for axis in range(field.ndim - 1):
        field = np.moveaxis(field, axis, 0)
        before = np.concatenate([field[:1], field[:-1]])
        after = np.concatenate([field[1:], field[-1:]])
        both = 0.75 * field + 0.25 * np.stack([before, after])
        shape = (2 * len(field), *field.shape[1:])
        field = np.moveaxis(np.moveaxis(both, 0, 1).reshape(shape), 0, axis)
    return field


def summarise(folder):
    """Write `skull_convergence.csv`: the cost of the skull at each number of steps.

    A seed's `share` is the part of the gain on brains that is lost on heads.
    """
    rows = pandas.read_csv(folder / "skull_convergence_pairs.csv")
    keys = ["source", "level", "steps", "seed"]
    both = rows.pivot_table(index=keys, columns="trained", values="dice")
    both["start"] = rows.groupby(keys)["start"].first()
    both = both.dropna()
    both["cost"] = both["stripped"] - both["skull"]
    both["share"] = both["cost"] / (both["stripped"] - both["start"])
    names = ["start", "skull", "stripped", "cost", "share"]
    made = table.means(both.reset_index(), keys[:-1], names).drop(columns="start_sd")
    made.insert(0, "seeds", both.groupby(keys[:-1]).size())
    made.round(4).reset_index().to_csv(folder / "skull_convergence.csv", index=False)


if __name__ == "__main__":
    sys.exit(main())
