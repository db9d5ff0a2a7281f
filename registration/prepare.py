"""Bring two scans onto one grid, ready for a network; NumPy and SciPy alone."""

import concurrent.futures
import os
import typing

import numpy as np
from scipy import ndimage

from registration import transform
from registration.scans import grid as grids
from registration.scans import intensity

RIM_MM = 4.0
SLAB = 8


class Pair(typing.NamedTuple):
    """Two scans on one grid, ready for a network.

    Attributes:
        moving: Float32 array `(1, *shape, 1)` in [0, 1].
        fixed: Float32 array of the same shape.
        grid: `grid.Grid` on which both lie.
        start: `transform.Transform` through which the moving scan was fetched.
    """

    moving: np.ndarray
    fixed: np.ndarray
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
        near = dilated(
            resample(mask, fixed.affine, np.eye(4), grid),
            1 + 2 * max(1, round(RIM_MM / voxel_mm)),
        )
        aligned = aligned * (near > 0.5)
    return Pair(aligned, target, grid, start)


def dilated(image, window):
    """Return the largest value in a cube around each voxel.

    Args:
        image: Float array `(1, *shape, 1)`.
        window: Odd edge of the cube in voxels.

    Returns:
        Array of the same shape and type.
    """
    return ndimage.maximum_filter(image, (1, *[window] * 3, 1), mode="nearest")


def resample(image, affine, matrix, grid):
    """Fetch a volume through a world matrix on a grid of voxels at least as large.

    As `transform.Transform.apply`, on all cores, since a network waits.

    Args:
        image: Float32 array `(i, j, k)`.
        affine: Its `(4, 4)` affine to RAS mm.
        matrix: `(4, 4)`, RAS mm of the grid → RAS mm of the volume.
        grid: `grid.Grid` of cubic voxels.

    Returns:
        Float32 array `(1, *grid.shape, 1)`; zero outside the volume.
    """
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    factor = max(1, int(np.round(grid.spacing[0] / sizes.min() - 0.01)))
    to_voxels = np.linalg.inv(affine) @ matrix @ grid.subdivided((factor,) * 3).affine
    out = np.zeros(grid.shape, "float32")
    box = _reached(image, to_voxels, factor, grid.shape)

    def fill(rows):
        """Read a slab on the finer grid and average its blocks."""
        place = (rows, *box[1:])
        offset = to_voxels[:3] @ [*(factor * part.start for part in place), 1]
        shape = [factor * (part.stop - part.start) for part in place]
        values = ndimage.affine_transform(
            image, to_voxels[:3, :3], offset, shape, output="float32", order=1,
            mode="grid-constant", prefilter=False,
        )  # fmt: skip
        out[place] = grids.block_mean(values, (factor,) * 3)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, _slabs(box[0])))
    return out[None, ..., None]


def _reached(image, to_voxels, factor, shape):
    """Return the part of a grid, as slices, beyond which an image reads zero."""
    filled = [
        np.flatnonzero(image.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)
    ]
    if not len(filled[0]):
        return (slice(0, 0),) * 3
    ends = np.array([[rows[0] - 1, rows[-1] + 1] for rows in filled], "float64")
    corners = np.stack(np.meshgrid(*ends, [1.0], indexing="ij"), -1).reshape(-1, 4)
    voxels = (corners @ np.linalg.inv(to_voxels).T)[:, :3] / factor
    first = np.clip(np.floor(voxels.min(axis=0)).astype(int) - 1, 0, shape)
    last = np.clip(np.ceil(voxels.max(axis=0)).astype(int) + 2, first, shape)
    return tuple(map(slice, first.tolist(), last.tolist()))


def _slabs(rows):
    """Cut a slice into pieces that are small enough for every core to have some."""
    starts = range(rows.start, rows.stop, SLAB)
    return [slice(start, min(start + SLAB, rows.stop)) for start in starts]
