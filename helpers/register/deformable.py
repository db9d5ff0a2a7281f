"""Find the displacement of every voxel between two scans."""

import functools
import typing

import numpy as np
from keras import ops

from helpers import backend, refinement, sampling, transforms
from helpers.data import grids
from helpers.register import preparation

SQUARINGS = 5


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

    def displacement(self, direction=1.0):
        """Integrate the velocity.

        Args:
            direction: 1, or -1 for the inverse of the displacement.

        Returns:
            Float tensor `(1, *grid.shape, 3)` in voxels of the box.
        """
        factor = self.grid.shape[0] // self.velocity.shape[1]
        return _integrate(factor)(ops.convert_to_tensor(self.velocity) * direction)

    def points(self, fixed):
        """Carry RAS points of the fixed scan to the moving one.

        Beyond the box the displacement goes on with the value at its edge.

        Args:
            fixed: Array `(..., 3)` in mm.

        Returns:
            Float32 array `(..., 3)` in mm: displaced first, then the affine.
        """
        matrix = self.affine @ self.grid.affine
        return self._displaced(fixed, np.linalg.inv(self.grid.affine), matrix, 1.0)

    def inverse(self, moving):
        """Carry RAS points of the moving scan to the fixed one.

        Args:
            moving: Array `(..., 3)` in mm.

        Returns:
            Float32 array `(..., 3)` in mm.
        """
        into_box = np.linalg.inv(self.affine @ self.grid.affine)
        return self._displaced(moving, into_box, self.grid.affine, -1.0)

    def _displaced(self, points, into_box, out_of_box, direction):
        points = np.asarray(points)
        flat = points.reshape(1, -1, 3) @ into_box[:3, :3].T + into_box[:3, 3]
        flat = ops.convert_to_tensor(flat.astype("float32"))
        field = self.displacement(direction)
        moved = ops.convert_to_numpy(flat + sampling.sample(field, flat, fill="edge"))
        moved = moved[0] @ out_of_box[:3, :3].T + out_of_box[:3, 3]
        return moved.reshape(points.shape).astype("float32")


@functools.cache
def _integrate(factor):
    def integrate(velocity):
        displacement = transforms.integrate_velocity(velocity, SQUARINGS)
        return transforms.resize_displacement(displacement, factor)

    return backend.compiled(integrate)


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
