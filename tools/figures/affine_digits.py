"""Draw images/affine_digits.png: test digits before and after a network moved them.

The network and its training are those of notebook 01, in its quick profile.
"""

from pathlib import Path

import numpy as np

from helpers import layers, losses, networks, training
from registration import show
from registration.scans import mnist

import keras  # isort: skip: helpers sets the switches of its backend

IMAGES = Path(__file__).resolve().parents[2] / "images"
COUNT, STEPS, BATCH = 7, 1500, 32


def network(shape):
    """Build two networks that look one after the other, as notebook 01 does."""
    first, second = (
        networks.affine_network(shape, hidden=128, name=name)
        for name in ("first", "second")
    )
    moving, fixed = first.inputs
    rough = first([moving, fixed])
    rest = second([layers.SpatialTransformer()(moving, rough), fixed])
    affine = layers.ComposeAffines()(rough, rest)
    return networks.registration(keras.Model([moving, fixed], affine))


def trained(images, fixed):
    """Train on moving images drawn from `images` and return the model."""
    keras.utils.set_random_seed(0)
    model = network(fixed.shape[1:-1])

    def pairs(step):
        rng = np.random.default_rng((0, step))
        moving = images[rng.integers(len(images), size=BATCH)]
        return {"moving": moving, "fixed": np.repeat(fixed, BATCH, axis=0)}

    def loss(batch, outputs):
        return losses.ncc_loss(batch["fixed"], outputs["moved"])

    training.fit(model, pairs, loss, STEPS, learning_rate=5e-3, progress=False)
    return model


def main():
    """Draw the first test digits of two classes in three rows."""
    columns = []
    for digit in (7, 2):
        data = mnist.load(digit)
        fixed, moving = data["test"][:1], data["test"][1 : COUNT + 1]
        goal = np.repeat(fixed, COUNT, axis=0)
        moved = trained(data["train"], fixed)([moving, goal])["moved"]
        columns += zip(moving, goal, np.asarray(moved), strict=True)
    picture = show.figure(0.72 * len(columns) + 0.3, 2.3, "Digits before and after")
    axes = picture.subplots(3, len(columns))
    for column, cells in enumerate(columns):
        for ax, image in zip(axes[:, column], cells, strict=True):
            ax.imshow(image[..., 0], cmap="gray", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
    for ax, name in zip(axes[:, 0], ("moving", "fixed", "moved"), strict=True):
        ax.set_ylabel(name)
    (IMAGES / "affine_digits.png").write_bytes(picture.encode()[1])


if __name__ == "__main__":
    main()
