"""Centred coordinates and the world: how an affine becomes a matrix in millimetres.

NumPy alone, so that whoever has an affine by other means than Keras, can use it; see
`affines`, which offers the same functions.
"""

import numpy as np


def voxel_to_centred(shape, spacing=1.0, half_side=None):
    """Return the matrix from voxel indices to centred coordinates.

    Args:
        shape: The grid's shape in voxels.
        spacing: Voxel size in mm, one number or one per axis.
        half_side: Length in mm that becomes 1; half the longest side if `None`.

    Returns:
        Float64 array `(ndim + 1, ndim + 1)`.

    Raises:
        ValueError: If a spacing is not positive or of the wrong number.
    """
    shape = np.asarray(shape, "float64")
    spacing = np.asarray(spacing, "float64")
    if spacing.shape not in ((), shape.shape) or not (spacing > 0).all():
        raise ValueError(
            f"spacing must be positive, one number or one per axis. Received: {spacing}"
        )
    if half_side is None:
        half_side = np.max(shape * spacing) / 2
    scale = np.broadcast_to(spacing / half_side, shape.shape)
    matrix = np.diag(np.append(scale, 1.0))
    matrix[:-1, -1] = -scale * (shape - 1) / 2
    return matrix


def to_world(affine, fixed, moving=None):
    """Convert one affine to a matrix between world coordinates.

    Args:
        affine: Array `(ndim, ndim + 1)` in centred coordinates.
        fixed: Pair (shape, 4 × 4 voxel-to-world matrix in mm) of the fixed scan.
        moving: The same of the moving scan; `None` if it shares the fixed grid.

    Returns:
        Float64 array `(ndim + 1, ndim + 1)`: fixed world → moving world, mm.
    """
    fixed_world, moving_world = _centred_to_world(fixed, moving)
    last = np.eye(fixed_world.shape[0])[-1:]
    square = np.concatenate([np.asarray(affine, "float64"), last])
    return moving_world @ square @ np.linalg.inv(fixed_world)


def from_world(matrix, fixed, moving=None):
    """Convert a matrix between world coordinates to an affine: undo `to_world`.

    Args:
        matrix: Array `(ndim + 1, ndim + 1)`: fixed world → moving world, mm.
        fixed: Pair (shape, voxel-to-world matrix in mm) of the fixed scan.
        moving: The same of the moving scan; `None` if it shares the fixed grid.

    Returns:
        Float64 array `(ndim, ndim + 1)` in centred coordinates.
    """
    fixed_world, moving_world = _centred_to_world(fixed, moving)
    return (np.linalg.inv(moving_world) @ np.asarray(matrix) @ fixed_world)[:-1]


def _centred_to_world(fixed, moving):
    half_side = None
    matrices = []
    for shape, world in (fixed, moving or fixed):
        world = np.asarray(world, "float64")
        spacing = np.linalg.norm(world[:-1, :-1], axis=0)
        if half_side is None:
            half_side = np.max(np.asarray(shape) * spacing) / 2
        centred = voxel_to_centred(shape, spacing, half_side)
        matrices.append(world @ np.linalg.inv(centred))
    return matrices
