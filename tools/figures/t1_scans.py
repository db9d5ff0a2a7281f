"""Draw images/t1_scans.jpeg, the opening picture of notebook 03."""

from pathlib import Path

import nibabel
import numpy as np

from registration import show, transform
from registration.scans import cohort

IMAGES = Path(__file__).resolve().parents[2] / "images"


def main():
    """Average the heads as they lie, and with their brains centred and scaled."""
    scans = cohort.load("ixi")
    fixed = scans.fixed.scan(0)
    target = place_and_size(fixed.mask, scans.affine)
    unaligned, aligned = np.zeros((2, *scans.shape))
    for index in range(len(scans.train)):
        scan = scans.train.scan(index)
        centre, size = place_and_size(scan.mask, scans.affine)
        world = np.diag([*(size / target[1]), 1.0])
        world[:3, 3] = centre - world[:3, :3] @ target[0]
        moved = transform.Transform([world]).apply(scan, scans.grid)
        unaligned += scan.image / len(scans.train)
        aligned += moved.image / len(scans.train)
    alt = "The fixed head, the average of unaligned heads, and of roughly aligned ones"
    volumes = {"fixed": fixed.image, "unaligned": unaligned, "aligned": aligned}
    draw(volumes, fixed.mask, alt)


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
        both = np.concatenate([volume[x].T, volume[:, :, z].T], axis=1)
        ax.imshow(both, origin="lower", cmap="gray", vmax=np.quantile(volume, 0.995))
        ax.set_axis_off()
        ax.set_title(titles[name], fontsize=10)
    picture.save(IMAGES / "t1_scans.jpeg")


if __name__ == "__main__":
    main()
