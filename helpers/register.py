"""Register one scan to another: two arrays in, a transform between worlds out."""

import functools
import typing

import numpy as np
from keras import ops

from helpers import affines, backend, losses, refinement, sampling
from helpers.data import grids


class Pair(typing.NamedTuple):
    """Two scans on one grid, ready for a network.

    Attributes:
        moving: Float tensor `(1, *shape, 1)` in [0, 1].
        fixed: Float tensor of the same shape.
        grid: `grids.Grid` on which both lie.
        start: Array `(4, 4)`, fixed → moving RAS mm: the shift between the
            barycentres, with which the moving scan was brought onto the grid.
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
        dark, bright = grids.intensity_range(image)
        scaled = np.clip((image - dark) / (bright - dark), 0, 1, dtype="float32")
        images.append(scaled)
        centres.append(_barycentre(scaled, affine))
    start = np.eye(4)
    start[:3, 3] = centres[0] - centres[1]
    matrix = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    middle = grids.centre(fixed[1], fixed[0].shape)
    matrix[:3, 3] = middle - voxel_mm * (np.asarray(shape) - 1) / 2
    grid = grids.Grid(tuple(shape), matrix, voxel_mm)
    on_grid = [
        _resample(images[0], moving[1], start, grid),
        _resample(images[1], fixed[1], np.eye(4), grid),
    ]
    return Pair(*on_grid, grid, start)


def affine(moving, fixed, network, steps=0, learning_rate=0.01, fixed_mask=None):
    """Find the affine between two scans with a trained network.

    Args:
        moving: Pair (array `(i, j, k)`, `(4, 4)` affine to RAS mm).
        fixed: The same of the fixed scan.
        network: `keras.Model` such as `networks.load("affine_t1")`, at 4 mm.
        steps: Steps of refinement after the network, on the global NCC.
        learning_rate: Of the refinement.
        fixed_mask: Array of the fixed scan's shape, its brain: the refinement then
            looks there and 8 mm around only, for scans that keep their skulls.

    Returns:
        Float64 array `(4, 4)`: fixed RAS mm → moving RAS mm.

    Raises:
        ValueError: If a scan has no two intensities to tell apart.
    """
    pair = prepare(moving, fixed, network.inputs[0].shape[1:-1])
    found = network.predict_on_batch([pair.moving, pair.fixed])["transform"]
    if steps:
        weights = None
        if fixed_mask is not None:
            brain = np.asarray(fixed_mask, "float32")
            brain = _resample(brain, fixed[1], np.eye(4), pair.grid)
            weights = ops.max_pool(brain, 5, 1, padding="same")
        found = refinement.affine(
            pair.moving,
            pair.fixed,
            found,
            losses.ncc_loss,
            steps,
            learning_rate,
            weights=weights,
        )
    found = ops.convert_to_numpy(found)[0]
    place = pair.grid.shape, pair.grid.affine
    return pair.start @ affines.to_world(found, place)


def _barycentre(image, affine):
    mass = image.sum(dtype="float64")
    profiles = [image.sum(axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
    centre = [p @ np.arange(len(p), dtype="float64") / mass for p in profiles]
    return affine[:3, :3] @ centre + affine[:3, 3]


def _resample(image, affine, shift, grid):
    """Fetch a scan, shifted in the world, on a grid of voxels at least as large."""
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    factor = max(1, int(np.round(grid.voxel_mm / sizes.min() - 0.01)))
    fine = grids.subdivide(grid, (factor,) * 3)
    matrix = np.linalg.inv(affine) @ shift @ fine.affine
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
