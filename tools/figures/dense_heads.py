"""Draw images/dense_heads.png, the opening picture of notebook 06."""

import dataclasses
from pathlib import Path

import numpy as np

from registration import affine, dense, models, prepare, show, transform
from registration.scans import cohort, intensity
from registration.scans import grid as grids

IMAGES = Path(__file__).resolve().parents[2] / "images"


def brain(scan):
    """Return a scan with its intensities in [0, 1] and without its skull."""
    return dataclasses.replace(scan, image=intensity.scaled(scan.image)).stripped()


def main():
    """Register the test heads by the stored networks and draw their means."""
    scans = cohort.load("ixi", voxel_mm=2.0, limit={"train": 1}, progress=False)
    fixed = brain(scans.fixed.scan(0))
    stored = map(models.load, ("affine_t1", "voxelmorph_diffeomorphic"))
    affine_model, model = stored
    middle = intensity.barycentre(fixed.image, fixed.affine)
    box = grids.box(middle, model.shape, model.voxel_mm)
    goal = prepare.resample(fixed.image, fixed.affine, np.eye(4), box)
    means = np.zeros((2, *scans.shape), "float32")
    for index in range(len(scans.test)):
        moving = brain(scans.test.scan(index))
        start = affine.register(moving, fixed, affine_model, steps=12)
        image = prepare.resample(moving.image, moving.affine, start.affine, box)
        velocity = model.network.predict_on_batch([image, goal])["velocity"]
        field = dense.field(velocity, box, model.squarings)
        found = start @ transform.Transform([field])
        for mean, one in zip(means, (start, found), strict=True):
            mean += one.apply(moving, scans.grid).image / len(scans.test)
    picture = show.planes(
        mean_of_25_affine=means[0],
        mean_of_25_VoxelMorph=means[1],
        the_fixed_head=fixed.image,
        voxel_mm=scans.voxel_mm,
        height=2.6,
        alt="Mean of 25 heads after an affine and after VoxelMorph, and the fixed head",
    )
    picture.save(IMAGES / "dense_heads.png")


if __name__ == "__main__":
    main()
