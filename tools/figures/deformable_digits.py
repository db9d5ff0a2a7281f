"""Draw images/deformable_digits.png: test digits before and after every pixel moved.

The network and its training are those of notebook 02, in its quick profile.
"""

from pathlib import Path

import numpy as np

from helpers import losses, networks, training
from registration import show
from registration.scans import mnist

import keras  # isort: skip: helpers sets the switches of its backend

IMAGES = Path(__file__).resolve().parents[2] / "images"
ENCODER, DECODER = (16, 32, 32), ((32,), (32,), (16,), (16,))
COUNT, STEPS, BATCH, LAMBDA = 9, 600, 16, 0.1


def trained(images):
    """Train a network that gives a velocity, for any pair of `images`."""
    keras.utils.set_random_seed(0)
    network = networks.dense_network(images.shape[1:-1], ENCODER, DECODER)
    model = networks.registration(network)

    def pairs(step):
        drawn = np.random.default_rng((0, step)).integers(len(images), size=(2, BATCH))
        return {"moving": images[drawn[0]], "fixed": images[drawn[1]]}

    def loss(batch, outputs):
        similarity = losses.ncc_loss(batch["fixed"], outputs["moved"])
        return similarity + LAMBDA * losses.smoothness(outputs["velocity"])

    training.fit(model, pairs, loss, STEPS, learning_rate=3e-3, progress=False)
    return model


def main():
    """Draw moving digit, grid, moved and fixed digit in four rows."""
    digits = mnist.load(7)
    test = digits["test"][np.random.default_rng(0).permutation(len(digits["test"]))]
    moving, fixed = test[:COUNT], np.roll(test, 1, axis=0)[:COUNT]
    outputs = trained(digits["train"])([moving, fixed])
    moved, fields = np.asarray(outputs["moved"]), np.asarray(outputs["transform"])
    picture = show.figure(COUNT + 0.4, 4.1, "Digits, their grids, and what they become")
    axes = picture.subplots(4, COUNT)
    for column in range(COUNT):
        for line, images in zip((0, 2, 3), (moving, moved, fixed), strict=True):
            image = images[column, ..., 0]
            axes[line, column].imshow(image, cmap="gray", vmin=0, vmax=1)
        image = moving[column]
        show.grid(displacement=fields[column], image=image, ax=axes[1, column])
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
    names = ("moving", "grid", "moved", "fixed")
    for ax, name in zip(axes[:, 0], names, strict=True):
        ax.set_ylabel(name)
    (IMAGES / "deformable_digits.png").write_bytes(picture.encode()[1])


if __name__ == "__main__":
    main()
