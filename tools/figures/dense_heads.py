"""Draw images/dense_heads.png, the opening picture of notebook 06."""

from pathlib import Path

import numpy as np

from registration import affine, dense, models, show
from registration.scans import cohort

IMAGES = Path(__file__).resolve().parents[2] / "images"


def main():
    """Register the test heads by the stored networks and draw their means."""
    scans = cohort.load("ixi", voxel_mm=2.0, skull=False, limit=1, progress=False)
    fixed, stored = scans.fixed.scan(0), map(models.load, ("affine_t1", "dense_t1"))
    affine_model, dense_model = stored
    means = np.zeros((2, *scans.shape), "float32")
    for index in range(len(scans.test)):
        moving = scans.test.scan(index)
        start = affine.register(moving, fixed, affine_model, steps=12)
        found = dense.register(moving, fixed, dense_model, start)
        for mean, transform in zip(means, (start, found), strict=True):
            mean += transform.apply(moving, scans.grid).image / len(scans.test)
    picture = show.planes(
        mean_of_25_affine=means[0],
        mean_of_25_dense=means[1],
        the_fixed_head=fixed.image,
        voxel_mm=scans.voxel_mm,
        height=2.6,
        alt="Mean of 25 heads after an affine and after a field, and the fixed head",
    )
    picture.save(IMAGES / "dense_heads.png")


if __name__ == "__main__":
    main()
