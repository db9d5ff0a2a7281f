"""Draw images/dense_heads.jpeg, the opening picture of notebook 05."""

from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage

from helpers import networks
from registration import register, show
from registration.scans import cohort

IMAGES = Path(__file__).resolve().parents[2] / "images"


def main():
    """Register the test heads by the stored networks and draw their means."""
    scans = cohort.load("ixi", voxel_mm=2.0, skull=False, limit=1, progress=False)
    affine_network, dense_network = map(networks.load, ("affine_t1", "dense_t1"))
    fixed = scans.fixed.images(0)[0, ..., 0]
    voxels = np.moveaxis(np.indices(scans.shape), 0, -1)
    world = nibabel.affines.apply_affine(scans.affine, voxels)
    to_voxels = np.linalg.inv(scans.affine)
    means = np.zeros((2, *scans.shape), "float32")
    for index in range(len(scans.test)):
        moving = scans.test.images(index)[0, ..., 0]
        pair = (moving, scans.affine), (fixed, scans.affine)
        matrix = register.affine(*pair, affine_network, steps=12)
        found = register.dense(*pair, dense_network, matrix)
        linear = nibabel.affines.apply_affine(matrix, world)
        for mean, points in zip(means, (linear, found.points(world)), strict=True):
            places = np.moveaxis(nibabel.affines.apply_affine(to_voxels, points), -1, 0)
            mean += ndimage.map_coordinates(moving, places, order=1) / len(scans.test)
    picture = show.planes(
        mean_of_25_affine=means[0],
        mean_of_25_dense=means[1],
        the_fixed_head=fixed,
        voxel_mm=scans.voxel_mm,
        height=2.6,
        alt="Mean of 25 heads after an affine and after a field, and the fixed head",
    )
    kind, data = picture.encode()
    (IMAGES / f"dense_heads.{kind.split('/')[1]}").write_bytes(data)


if __name__ == "__main__":
    main()
