"""Bring two scans onto one grid, ready for a network."""

import functools
import typing

import numpy as np

from helpers import backend, sampling
from helpers.backend import ops
from registration import transform
from registration.scans import grid as grids
from registration.scans import intensity

RIM_MM = 4.0


class Pair(typing.NamedTuple):
    """Two scans on one grid, ready for a network.

    Attributes:
        moving: Float tensor `(1, *shape, 1)` in [0, 1].
        fixed: Float tensor of the same shape.
        grid: `grid.Grid` on which both lie.
        start: `transform.Transform` through which the moving scan was fetched.
    """

    moving: typing.Any
    fixed: typing.Any
    grid: grids.Grid
    start: transform.Transform


def from_barycentres(moving, fixed, shape, voxel_mm):
    """Bring two scans onto one grid around the fixed scan.

    The grid shares the centre of the fixed scan's own, and the moving scan is
    shifted so that the barycentres meet: wherever its header puts it, nothing of the
    moving head is cut off that the fixed one has.

    Args:
        moving: `scan.Scan`.
        fixed: `scan.Scan`.
        shape: Shape of the grid, as the network has it.
        voxel_mm: Edge of its voxels.

    Returns:
        `Pair`.

    Raises:
        ValueError: If a scan has no two intensities to tell apart.
    """
    images = [intensity.scaled(scan.image) for scan in (moving, fixed)]
    centres = [
        intensity.barycentre(image, scan.affine)
        for image, scan in zip(images, (moving, fixed), strict=True)
    ]
    shift = np.eye(4)
    shift[:3, 3] = centres[0] - centres[1]
    grid = grids.box(fixed.grid.centre, shape, voxel_mm)
    on_grid = [
        resample(images[0], moving.affine, shift, grid),
        resample(images[1], fixed.affine, np.eye(4), grid),
    ]
    return Pair(*on_grid, grid, transform.Transform([shift]))


def around_brain(moving, fixed, start, shape, voxel_mm, use_mask=False):
    """Fetch two scans, aligned by an affine, on a box around the fixed brain.

    Args:
        moving: `scan.Scan`.
        fixed: `scan.Scan`.
        start: `transform.Transform` between them, an affine.
        shape: Shape of the box, as the network has it; its centre is the brain's.
        voxel_mm: Edge of its voxels.
        use_mask: Whether to cut the fixed scan's mask out of the fixed scan, and with
            4 mm around it out of the moving one: for scans that keep their skulls.

    Returns:
        `Pair`, whose `start` is the affine.

    Raises:
        ValueError: If a scan has no two intensities to tell apart, the mask is
            missing, or the start is no affine.
    """
    if not start.is_affine:
        raise ValueError(
            f"start must be an affine. Received: {len(start.fields)} fields in it"
        )
    target = intensity.scaled(fixed.image)
    if use_mask:
        mask = fixed.brain().astype("float32")
        target = target * mask
    grid = grids.box(intensity.barycentre(target, fixed.affine), shape, voxel_mm)
    target = resample(target, fixed.affine, np.eye(4), grid)
    image = intensity.scaled(moving.image)
    aligned = resample(image, moving.affine, start.affine, grid)
    if use_mask:
        near = ops.max_pool(
            resample(mask, fixed.affine, np.eye(4), grid),
            1 + 2 * max(1, round(RIM_MM / voxel_mm)),
            1,
            padding="same",
        )
        aligned = aligned * ops.cast(near > 0.5, aligned.dtype)
    return Pair(aligned, target, grid, start)


def resample(image, affine, matrix, grid):
    """Fetch a volume through a world matrix on a grid of voxels at least as large.

    As `transform.Transform.apply`, in one compiled program, since a network waits.

    Args:
        image: Float32 array `(i, j, k)`.
        affine: Its `(4, 4)` affine to RAS mm.
        matrix: `(4, 4)`, RAS mm of the grid → RAS mm of the volume.
        grid: `grid.Grid` of cubic voxels.

    Returns:
        Float tensor `(1, *grid.shape, 1)`; zero outside the volume.
    """
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    factor = max(1, int(np.round(grid.spacing[0] / sizes.min() - 0.01)))
    fine = grid.subdivided((factor,) * 3)
    to_voxels = np.linalg.inv(affine) @ matrix @ fine.affine
    return _fetching(grid.shape, factor)(
        ops.convert_to_tensor(image[None, ..., None]),
        ops.convert_to_tensor(to_voxels[:3].astype("float32")),
    )


@functools.cache
def _fetching(shape, factor):
    """Compile: read a scan on a fine grid and average its blocks."""
    fine = tuple(size * factor for size in shape)
    blocks = tuple(n for size in shape for n in (size, factor))

    def fetch(image, matrix):
        voxels = ops.convert_to_tensor(sampling.identity_grid(fine))
        points = ops.matmul(voxels, ops.transpose(matrix[:, :3])) + matrix[:, 3]
        values = ops.reshape(sampling.sample(image, points[None])[0, ..., 0], blocks)
        return ops.mean(values, axis=(1, 3, 5))[None, ..., None]

    return backend.compiled(fetch)
