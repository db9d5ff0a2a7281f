"""Find the displacement of every voxel between two scans."""

import functools
import typing

import numpy as np
from keras import ops

from helpers import backend, refinement, sampling, transforms
from helpers.data import grids
from helpers.register import preparation

SQUARINGS = 5
POLISHING = 3


class Deformation(typing.NamedTuple):
    """A velocity on a box around the fixed brain, and the affine that follows it.

    Attributes:
        grid: `grids.Grid`, the box; its voxels are those of the displacement.
        affine: Array `(4, 4)`, fixed → moving RAS mm.
        velocity: Float tensor `(1, *grid, 3)` in voxels of its grid, which is the
            box's or coarser by a whole factor.
    """

    grid: grids.Grid
    affine: np.ndarray
    velocity: typing.Any

    def displacement(self):
        """Integrate the velocity.

        Returns:
            Float tensor `(1, *grid.shape, 3)` in voxels of the box.
        """
        factor = self.grid.shape[0] // self.velocity.shape[1]
        return _integrate(factor)(ops.convert_to_tensor(self.velocity))

    def inverse_displacement(self):
        """Integrate the negative velocity, and polish what interpolation left over.

        On a grid the flow there and the flow back miss each other by a part of a
        voxel; a few fixed-point iterations, as in `transforms.invert_displacement`,
        take most of it away.

        Returns:
            Float tensor `(1, *grid.shape, 3)` in voxels of the box.
        """
        factor = self.grid.shape[0] // self.velocity.shape[1]
        inverse = _integrate(factor)(-ops.convert_to_tensor(self.velocity))
        return _polish(self.displacement(), inverse)

    def points(self, fixed):
        """Carry RAS points of the fixed scan to the moving one.

        Beyond the box the displacement goes on with the value at its edge.

        Args:
            fixed: Array `(..., 3)` in mm.

        Returns:
            Float32 array `(..., 3)` in mm: displaced first, then the affine.
        """
        matrix = self.affine @ self.grid.affine
        into_box = np.linalg.inv(self.grid.affine)
        return _carry(fixed, into_box, self.displacement(), matrix)

    def inverse(self, moving):
        """Carry RAS points of the moving scan to the fixed one.

        Args:
            moving: Array `(..., 3)` in mm.

        Returns:
            Float32 array `(..., 3)` in mm.
        """
        into_box = np.linalg.inv(self.affine @ self.grid.affine)
        field = self.inverse_displacement()
        return _carry(moving, into_box, field, self.grid.affine)


def _carry(points, into_box, field, out_of_box):
    """Take points into the box, displace them, and take them out."""
    points = np.asarray(points)
    flat = points.reshape(1, -1, 3) @ into_box[:3, :3].T + into_box[:3, 3]
    flat = ops.convert_to_tensor(flat.astype("float32"))
    moved = ops.convert_to_numpy(flat + sampling.sample(field, flat, fill="edge"))
    moved = moved[0] @ out_of_box[:3, :3].T + out_of_box[:3, 3]
    return moved.reshape(points.shape).astype("float32")


@functools.cache
def _integrate(factor):
    def integrate(velocity):
        displacement = transforms.integrate_velocity(velocity, SQUARINGS)
        return transforms.resize_displacement(displacement, factor)

    return backend.traced(integrate)


@backend.traced
def _polish(displacement, inverse):
    for _ in range(POLISHING):
        inverse = -transforms.warp(displacement, inverse, fill="edge")
    return inverse


def dense(moving, fixed, network, affine, steps=0, fixed_mask=None, smooth=0.2):
    """Find the deformation between two scans, starting from their affine.

    Args:
        moving: Pair (array `(i, j, k)`, `(4, 4)` affine to RAS mm).
        fixed: The same of the fixed scan, without its skull unless `fixed_mask` is
            given.
        network: `keras.Model` such as `networks.load("dense_t1")`, at 2 mm.
        affine: Array `(4, 4)`, fixed → moving RAS mm, as `register.affine` finds it.
        steps: Steps of refinement after the network; see `refinement.velocity`.
        fixed_mask: Array of the fixed scan's shape, its brain: for scans that keep
            their skulls.
        smooth: Weight of the smoothness in the refinement; more than the network was
            trained with, since a few steps on one pair fold more easily.

    Returns:
        `Deformation`.

    Raises:
        ValueError: If a scan has no two intensities to tell apart.
    """
    shape = network.inputs[0].shape[1:-1]
    pair = preparation.around_brain(moving, fixed, affine, shape, 2.0, fixed_mask)
    velocity = network.predict_on_batch([pair.moving, pair.fixed])["velocity"]
    if steps:
        velocity = refinement.velocity(
            pair.moving,
            pair.fixed,
            velocity,
            smooth=smooth,
            steps=steps,
            squarings=SQUARINGS,
        )
    return Deformation(pair.grid, pair.start, velocity)
