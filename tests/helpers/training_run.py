"""A small training run, and the same killed halfway: `test_training.py` uses both.

python -m tests.helpers.training_run FOLDER
"""

import os
import pathlib
import signal
import sys

import keras
import numpy as np
from keras import ops

from helpers import training

ROOT = pathlib.Path(__file__).resolve().parents[2]
WEIGHTS = np.float32([[1], [-2], [3]])


def network():
    """Return the network that every run trains: two dense layers."""
    inputs = keras.Input((3,), name="moving")
    hidden = keras.layers.Dense(8, activation="tanh")(inputs)
    return keras.Model([inputs], keras.layers.Dense(1)(hidden), name="dense")


def pairs(step):
    """Return four inputs and what should come out, for a step."""
    moving = np.random.default_rng(step).random((4, 3), "float32")
    return {"moving": moving, "target": moving @ WEIGHTS}


def loss(batch, outputs):
    """Return the squared error of each sample."""
    return ops.square(batch["target"] - outputs)[:, 0]


def fit(steps, epochs, change=None, on_pairs=None, progress=False, **options):
    """Train from a fixed seed; return the losses and the weights."""
    keras.utils.set_random_seed(0)
    trained = network()

    def draw(step):
        if on_pairs is not None:
            on_pairs(step)
        batch = pairs(step)
        return batch if change is None else change(batch, step)

    options = {"learning_rate": 0.05, "progress": progress} | options
    history = training.fit(trained, draw, loss, steps, epochs, **options)
    return history["loss"], trained.get_weights()


def kill_at(step):
    """Return a callback that ends this process when pairs for `step` are drawn."""

    def callback(drawn):
        if drawn == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return callback


if __name__ == "__main__":
    # 12 steps in 4 epochs: two epochs are saved, the third is under way.
    fit(12, 4, checkpoint=sys.argv[1], on_pairs=kill_at(8))
