"""Draw images/affine_heads.jpeg, the opening picture of notebook 04."""

from pathlib import Path

import numpy as np

from registration import affine, models, show
from registration.scans import cohort

IMAGES = Path(__file__).resolve().parents[2] / "images"


def main():
    """Register the test heads by the stored network and draw their means."""
    scans = cohort.load("ixi", voxel_mm=2.0, skull=False, limit=1, progress=False)
    model, fixed = models.load("affine_t1"), scans.fixed.scan(0)
    before, after = np.zeros((2, *scans.shape), "float32")
    for index in range(len(scans.test)):
        moving = scans.test.scan(index)
        found = affine.register(moving, fixed, model)
        before += moving.image / len(scans.test)
        after += found.apply(moving, scans.grid).image / len(scans.test)
    picture = show.planes(
        mean_of_25_before=before,
        mean_of_25_after=after,
        the_fixed_head=fixed.image,
        voxel_mm=scans.voxel_mm,
        height=2.6,
        alt="The mean of 25 heads before and after registration, and the fixed head",
    )
    picture.save(IMAGES / "affine_heads.jpeg")


if __name__ == "__main__":
    main()
