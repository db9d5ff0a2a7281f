"""Bring two scans onto one grid, ready for a network."""

import functools
import typing

import numpy as np
from keras import ops

from helpers import backend, sampling
from helpers.data import grids

RIM_MM = 4.0


class Pair(typing.NamedTuple):
    """Two scans on one grid, ready for a network.

    Attributes:
        moving: Float tensor `(1, *shape, 1)` in [0, 1].
        fixed: Float tensor of the same shape.
        grid: `grids.Grid` on which both lie.
        start: Array `(4, 4)`, fixed → moving RAS mm, through which the moving scan
            was fetched.
    """

    moving: typing.Any
    fixed: typing.Any
    grid: grids.Grid
    start: np.ndarray


def prepare(moving, fixed, shape, voxel_mm=4.0):
    """Bring two scans onto one grid around the fixed scan.

    The grid shares the centre of the fixed scan's own, and the moving scan is
    shifted so that the barycentres meet: wherever its header puts it, nothing of the
    moving head is cut off that the fixed one has.

    Args:
        moving: Pair (array `(i, j, k)`, `(4, 4)` affine to RAS mm).
        fixed: The same of the fixed scan.
        shape: Shape of the grid, as the network has it.
        voxel_mm: Edge of its voxels.

    Returns:
        `Pair`.

    Raises:
        ValueError: If a scan has no two intensities to tell apart.
    """
    images, centres = [], []
    for image, affine in (moving, fixed):
        images.append(scaled(image))
        centres.append(barycentre(images[-1], affine))
    start = np.eye(4)
    start[:3, 3] = centres[0] - centres[1]
    grid = box(grids.centre(fixed[1], fixed[0].shape), shape, voxel_mm)
    on_grid = [
        resample(images[0], moving[1], start, grid),
        resample(images[1], fixed[1], np.eye(4), grid),
    ]
    return Pair(*on_grid, grid, start)


def around_brain(moving, fixed, affine, shape, voxel_mm=2.0, fixed_mask=None):
    """Fetch two scans, aligned by an affine, on a box around the fixed brain.

    Args:
        moving: Pair (array `(i, j, k)`, `(4, 4)` affine to RAS mm).
        fixed: The same of the fixed scan.
        affine: Array `(4, 4)`, fixed → moving RAS mm.
        shape: Shape of the box, as the network has it; its centre is the brain's.
        voxel_mm: Edge of its voxels.
        fixed_mask: Array of the fixed scan's shape, its brain. It is cut out of the
            fixed scan, and with 4 mm around it out of the moving scan. `None` takes
            the scans as they are.

    Returns:
        `Pair`, whose `start` is the affine.

    Raises:
        ValueError: If a scan has no two intensities to tell apart.
    """
    target = scaled(fixed[0])
    if fixed_mask is not None:
        mask = np.asarray(fixed_mask, "float32")
        target = target * mask
    grid = box(barycentre(target, fixed[1]), shape, voxel_mm)
    target = resample(target, fixed[1], np.eye(4), grid)
    aligned = resample(scaled(moving[0]), moving[1], affine, grid)
    if fixed_mask is not None:
        near = ops.max_pool(
            resample(mask, fixed[1], np.eye(4), grid),
            1 + 2 * max(1, round(RIM_MM / voxel_mm)),
            1,
            padding="same",
        )
        aligned = aligned * ops.cast(near > 0.5, aligned.dtype)
    return Pair(aligned, target, grid, np.asarray(affine))


def box(middle, shape, voxel_mm):
    """Return the `grids.Grid` of a shape around a point in RAS mm."""
    matrix = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    matrix[:3, 3] = middle - voxel_mm * (np.asarray(shape) - 1) / 2
    return grids.Grid(tuple(shape), matrix, voxel_mm)


def scaled(image):
    """Scale intensities to [0, 1]; see `grids.intensity_range`."""
    dark, bright = grids.intensity_range(image)
    return np.clip((image - dark) / (bright - dark), 0, 1, dtype="float32")


def barycentre(image, affine):
    """Return the centre of mass in RAS mm, float64 `(3,)`."""
    mass = image.sum(dtype="float64")
    profiles = [image.sum(axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
    centre = [p @ np.arange(len(p), dtype="float64") / mass for p in profiles]
    return affine[:3, :3] @ centre + affine[:3, 3]


def resample(image, affine, transform, grid):
    """Fetch a scan through a world transform on a grid of voxels at least as large.

    Args:
        image: Array `(i, j, k)`.
        affine: Its `(4, 4)` affine to RAS mm.
        transform: `(4, 4)`, RAS mm of the grid → RAS mm of the scan.
        grid: `grids.Grid`.

    Returns:
        Float tensor `(1, *grid.shape, 1)`; zero outside the scan.
    """
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    factor = max(1, int(np.round(grid.voxel_mm / sizes.min() - 0.01)))
    fine = grids.subdivide(grid, (factor,) * 3)
    matrix = np.linalg.inv(affine) @ transform @ fine.affine
    return _fetching(grid.shape, factor)(
        ops.convert_to_tensor(image[None, ..., None]),
        ops.convert_to_tensor(matrix[:3].astype("float32")),
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
