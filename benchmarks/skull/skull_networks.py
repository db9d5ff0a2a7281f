"""The networks of the skull benchmark: trained in four ways, affine and dense."""

import functools

import numpy as np

from benchmarks.skull import skull_scans
from helpers import affines, losses, networks, training, transforms
from helpers.backend import keras, ops

TRAINED = ("skull", "stripped", "mixture", "brain_loss")
SEED = 6
SMOOTH = 0.1
BATCH = {"affine": 4, "dense": 1}
STEPS = {"affine": 240, "dense": 240}


def make_pairs(heads, level, trained):
    """Return the function from a step to its batch of scans to the fixed one.

    Args:
        heads: `skull_scans.Heads`.
        level: `"affine"`, or `"dense"` for scans moved by their affines.
        trained: One of `TRAINED`. `brain_loss` sees whole heads, but its `weights`
            are zero outside the fixed brain; everywhere else they are one.

    Returns:
        Callable `step -> dict` of `moving`, `fixed` and `weights`.
    """
    if level == "dense":
        images = {k: heads.aligned("train", k) for k in skull_scans.INPUTS}
    else:
        images = heads.train
    shape = (BATCH[level], *heads.shape, 1)
    mask = heads.mask if trained == "brain_loss" else np.ones_like(heads.mask)
    weights = np.ascontiguousarray(np.broadcast_to(mask, shape))

    def pairs(step):
        rng = np.random.default_rng((SEED, step))
        chosen = rng.integers(len(images["skull"]), size=BATCH[level])
        kind = "stripped" if trained == "stripped" else "skull"
        if trained == "mixture":
            kind = rng.choice(skull_scans.INPUTS)
        fixed = np.ascontiguousarray(np.broadcast_to(heads.fixed[kind], shape))
        return {"moving": images[kind][chosen], "fixed": fixed, "weights": weights}

    return pairs


def affine_loss(batch, outputs):
    """Return 1 - NCC where the weights are, and a share of the first passes'."""
    total = losses.ncc_loss(batch["fixed"], outputs["moved"], batch["weights"])
    small = {name: ops.average_pool(image, 2, 2) for name, image in batch.items()}
    for number in range(1, outputs["passes"].shape[1] - 1):
        field = transforms.affine_displacement(
            outputs["passes"][:, number], small["fixed"].shape[1:-1]
        )
        moved = transforms.warp(small["moving"], field)
        total = total + 0.3 * losses.ncc_loss(small["fixed"], moved, small["weights"])
    return total


def dense_loss(batch, outputs):
    """Return the local dissimilarity and the smoothness.

    A window inside the brain counts the same against the smoothness whether the
    windows outside of it count or not.
    """
    weights = batch["weights"]
    similarity = losses.lncc_loss(batch["fixed"], outputs["moved"], 5, False, weights)
    similarity = similarity * ops.mean(weights, axis=(1, 2, 3, 4))
    return similarity + SMOOTH * losses.smoothness(outputs["velocity"])


def build(level, shape):
    """Return an untrained network, the same weights every time."""
    keras.utils.set_random_seed(SEED)
    if level == "affine":
        return networks.affine_cascade(shape, scale=0.1, stages=((2, 2), (1, 1)))
    return networks.dense_network(shape, squarings=5)


def trained_network(heads, level, trained, steps, folder):
    """Train a network, or load it where that was done before.

    Args:
        heads: `skull_scans.Heads`.
        level: `"affine"` or `"dense"`.
        trained: One of `TRAINED`.
        steps: Number of steps, a multiple of 5.
        folder: `pathlib.Path` for weights and checkpoints.

    Returns:
        `keras.Model`.
    """
    network = build(level, heads.shape)
    name = f"{heads.scans.source}_{level}_{trained}_{steps}"
    path = folder / f"{name}.weights.h5"
    if path.exists():
        network.load_weights(path)
        return network
    training.fit(
        networks.registration(network),
        make_pairs(heads, level, trained),
        {"affine": affine_loss, "dense": dense_loss}[level],
        steps,
        epochs=5,
        checkpoint=folder / name,
    )
    network.save_weights(path)
    return network


class Answers:
    """What the networks say about the test scans, computed when first asked for."""

    def __init__(self, heads, steps, folder):
        """Keep where to find the scans and the networks."""
        self.heads, self.steps, self.folder = heads, steps, folder
        self.network = functools.cache(self._network)
        self.transforms = functools.lru_cache(maxsize=3)(self._transforms)

    def _network(self, level, trained):
        return trained_network(
            self.heads, level, trained, self.steps[level], self.folder
        )

    def _transforms(self, level, trained, tested):
        """Return the affines `(n, 3, 4)` and displacements `(n, *shape, 3)`.

        `level` is `"affine"`; `"dense"`, from the affines that all dense networks
        start from; or `"chain"`, from those of the affine network trained in the
        same way. `trained` may be `"none"`: the centres of mass, no displacement.
        """
        heads, fixed = self.heads, self.heads.fixed[tested]
        images = heads.test[tested]
        affine = heads.affines["test"]
        if level != "dense" and trained == "none":
            offset = affines.barycentre(images) - affines.barycentre(fixed)
            affine = ops.convert_to_numpy(affines.translation(offset))
        elif level != "dense":
            network = self.network("affine", trained)
            affine = skull_scans.answers(network, images, fixed)
        if level == "affine" or trained == "none":
            return affine, np.zeros((len(images), *heads.shape, 3), "float32")
        network = self.network("dense", trained)
        moved = skull_scans.move(images, affine)
        return affine, skull_scans.answers(network, moved, fixed)
