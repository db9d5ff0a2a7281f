"""Draw images/spatial_transformer.png, the opening picture of notebook 00."""

from pathlib import Path

import numpy as np

from helpers import affines, backend, losses, transforms
from registration import show
from registration.scans import mnist

IMAGES = Path(__file__).resolve().parents[2] / "images"
STOPS = (0, 4, 15, 40, 150)
MOVING, FIXED = 6, 0


def main():
    """Descend on six numbers and draw the grid and the moved digit on the way."""
    digits = mnist.load(7)["test"]
    moving, fixed = digits[MOVING : MOVING + 1], digits[FIXED : FIXED + 1]

    def mismatch(affine):
        moved = transforms.warp(moving, field(affine))
        return losses.mse(fixed, moved)

    def field(affine):
        return transforms.affine_displacement(affine, fixed.shape[1:-1])

    slope_of = backend.compiled(backend.value_and_gradient(mismatch))
    affine = affines.identity(2)
    picture = show.figure(11.2, 3.9, "A sampling grid learns to align two sevens")
    axes = picture.subplots(2, len(STOPS) + 1)
    for step in range(max(STOPS) + 1):
        if step in STOPS:
            top, low = axes[:, STOPS.index(step)]
            draw(top, low, moving, np.asarray(field(affine)), f"step {step}")
        affine = affine - 0.25 * slope_of(affine)[1]
    axes[0, -1].imshow(fixed[0, ..., 0], cmap="gray")
    axes[0, -1].set_title("fixed")
    axes[1, -1].set_axis_off()
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
    axes[0, 0].set_ylabel("grid on moving")
    axes[1, 0].set_ylabel("moved")
    (IMAGES / "spatial_transformer.png").write_bytes(picture.encode()[1])


def draw(top, low, moving, displacement, title):
    """Draw the grid on the moving digit, and below it what the grid fetches."""
    show.grid(displacement=displacement, image=moving, step=3, ax=top, title=title)
    top.set(xlim=(-9, 40), ylim=(40, -9), facecolor="0.85")
    moved = np.asarray(transforms.warp(moving, displacement))
    low.imshow(moved[0, ..., 0], cmap="gray", vmin=0, vmax=1)


if __name__ == "__main__":
    main()
