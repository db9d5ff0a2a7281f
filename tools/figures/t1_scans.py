"""Draw images/t1_scans.jpeg, the opening picture of notebook 02."""

from pathlib import Path

import nibabel
import numpy as np

from helpers import affines, transforms
from registration import show
from registration.scans import cohort

IMAGES = Path(__file__).resolve().parents[2] / "images"


def main():
    """Average the heads as they lie, and with their brains centred and scaled."""
    scans = cohort.load("ixi")
    fixed, fixed_mask = scans.fixed.images(0), scans.fixed.masks(0)[0]
    target = place_and_size(fixed_mask, scans.affine)
    unaligned, aligned = np.zeros(fixed.shape), np.zeros(fixed.shape)
    for place in range(len(scans.train)):
        image = scans.train.images(place)
        centre, size = place_and_size(scans.train.masks(place)[0], scans.affine)
        world = np.diag([*(size / target[1]), 1.0])
        world[:3, 3] = centre - world[:3, :3] @ target[0]
        affine = affines.from_world(world, (scans.shape, scans.affine))
        affine = affine[None].astype("float32")
        displacement = transforms.affine_displacement(affine, scans.shape)
        unaligned += image / len(scans.train)
        aligned += np.asarray(transforms.warp(image, displacement)) / len(scans.train)
    alt = "The fixed head, the average of unaligned heads, and of roughly aligned ones"
    draw({"fixed": fixed, "unaligned": unaligned, "aligned": aligned}, fixed_mask, alt)


def place_and_size(mask, affine):
    """Return centre and spread of a mask along right, anterior, superior, in mm."""
    where = nibabel.affines.apply_affine(affine, np.argwhere(mask))
    return where.mean(axis=0), where.std(axis=0)


def draw(volumes, mask, alt):
    """Draw a sagittal and an axial plane of each volume side by side."""
    x, _, z = np.argwhere(mask).mean(axis=0).round().astype(int)
    picture = show.figure(10.4, 2.3, alt)
    axes = picture.subplots(1, len(volumes))
    titles = {
        "fixed": "one head",
        "unaligned": "125 heads, averaged as they lie",
        "aligned": "the same, centred and scaled",
    }
    for ax, (name, volume) in zip(axes, volumes.items(), strict=True):
        volume = volume[0, ..., 0]
        both = np.concatenate([volume[x].T, volume[:, :, z].T], axis=1)
        ax.imshow(both, origin="lower", cmap="gray", vmax=np.quantile(volume, 0.995))
        ax.set_axis_off()
        ax.set_title(titles[name], fontsize=10)
    (IMAGES / "t1_scans.jpeg").write_bytes(picture.encode()[1])


if __name__ == "__main__":
    main()
