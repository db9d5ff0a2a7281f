"""Train an affine network on so many virtual devices, and print the losses as JSON.

python -m tests.helpers.devices_run COUNT
"""

import json
import os
import sys

if __name__ == "__main__":
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import numpy as np

from helpers import losses, networks, training
from helpers.backend import keras

SHAPE, BATCH, STEPS = (16, 16), 4, 8


def pairs(step):
    """Return a batch of bumps, and each of them elsewhere."""
    rng = np.random.default_rng(step)
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    middles = rng.uniform(5, 10, (2, BATCH, 1, 1, 2))
    bumps = np.exp(-(((grid - middles) / 3) ** 2).sum(-1, keepdims=True))
    return dict(zip(("moving", "fixed"), bumps.astype("float32"), strict=True))


def loss(batch, outputs):
    """Return 1 - NCC."""
    return losses.ncc_loss(batch["fixed"], outputs["moved"])


def run(devices, **options):
    """Train from a fixed seed; return the losses and an answer afterwards."""
    keras.utils.set_random_seed(0)
    network = networks.registration(networks.affine_network(SHAPE))
    history = training.fit(
        network, pairs, loss, STEPS, progress=False, devices=devices, **options
    )["loss"]
    batch = pairs(0)
    answer = network.predict_on_batch([batch["moving"], batch["fixed"]])
    return [*map(float, history)], float(np.asarray(answer["moved"]).mean())


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]))))
