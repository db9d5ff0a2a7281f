"""Draw images/affine_heads.jpeg, the opening picture of notebook 03."""

from pathlib import Path

import numpy as np

from helpers import transforms
from registration import show
from registration.scans import cohort

IMAGES = Path(__file__).resolve().parents[2] / "images"


def main():
    """Register the test heads by the stored network and draw their means."""
    scans = cohort.load("ixi", voxel_mm=2.0, skull=False, limit=1, progress=False)
    network = models.load("affine_t1")
    fixed = scans.fixed.images(0)
    before, after = np.zeros((2, *scans.shape), "float32")
    for index in range(len(scans.test)):
        moving = scans.test.images(index)
        pair = [shrink(moving), shrink(fixed)]
        affine = network.predict_on_batch(pair)["transform"]
        field = transforms.affine_displacement(affine, scans.shape)
        before += moving[0, ..., 0] / len(scans.test)
        after += np.asarray(transforms.warp(moving, field))[0, ..., 0] / len(scans.test)
    picture = show.planes(
        mean_of_25_before=before,
        mean_of_25_after=after,
        the_fixed_head=fixed,
        voxel_mm=scans.voxel_mm,
        height=2.6,
        alt="The mean of 25 heads before and after registration, and the fixed head",
    )
    kind, data = picture.encode()
    (IMAGES / f"affine_heads.{kind.split('/')[1]}").write_bytes(data)


def shrink(images):
    """Average blocks of 2 × 2 × 2 voxels."""
    batch, *shape, channels = images.shape
    sides = [part for side in shape for part in (side // 2, 2)]
    return images.reshape(batch, *sides, channels).mean(axis=(2, 4, 6))


if __name__ == "__main__":
    main()
