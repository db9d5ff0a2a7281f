"""Find the displacement of every voxel between two scans."""

import functools

from helpers import backend, refinement, transforms
from helpers.backend import ops
from registration import prepare, transform

POLISHING = 3


def register(moving, fixed, model, start, steps=0, smooth=0.2, use_mask=False):
    """Find the deformation between two scans, starting from their affine.

    Args:
        moving: `scan.Scan`.
        fixed: `scan.Scan`, without its skull unless `use_mask`.
        model: `models.Model` such as `models.load("dense_t1")`.
        start: `transform.Transform`, as `affine.register` finds it.
        steps: Steps of refinement after the network; see `refinement.velocity`.
        smooth: Weight of the smoothness in the refinement; more than the network was
            trained with, since a few steps on one pair fold more easily.
        use_mask: Whether to cut both brains out by the fixed scan's mask: for scans
            that keep their skulls.

    Returns:
        `transform.Transform`: a field on a box around the fixed brain, then `start`.

    Raises:
        ValueError: If a scan has no two intensities to tell apart, the mask is
            missing, or the start is no affine.
    """
    pair = prepare.around_brain(
        moving, fixed, start, model.shape, model.voxel_mm, use_mask
    )
    velocity = model.network.predict_on_batch([pair.moving, pair.fixed])["velocity"]
    if steps:
        velocity = refinement.velocity(
            pair.moving,
            pair.fixed,
            velocity,
            smooth=smooth,
            steps=steps,
            squarings=model.squarings,
        )
    return start @ transform.Transform([field(velocity, pair.grid, model.squarings)])


def field(velocity, grid, squarings):
    """Integrate a velocity there and back.

    On a grid the flow there and the flow back miss each other by a part of a voxel;
    a few fixed-point iterations, as in `transforms.invert_displacement`, take most of
    it away.

    Args:
        velocity: Float tensor `(1, *grid, 3)` in voxels of its grid, which is the
            box's or coarser by a whole factor; with no squarings the displacement.
        grid: `grid.Grid` of the box.
        squarings: Of `transforms.integrate_velocity`, as the network has them.

    Returns:
        `transform.Field`; of a displacement the way back is not known.
    """
    velocity = ops.convert_to_tensor(velocity)
    integrate = _integrate(grid.shape[0] // velocity.shape[1], squarings)
    there = integrate(velocity)
    back = _polish(there, integrate(-velocity)) if squarings else None
    return transform.Field(grid, _in_mm(there, grid), _in_mm(back, grid))


def _in_mm(displacement, grid):
    """Turn a displacement in voxels of a grid into one in RAS mm."""
    if displacement is None:
        return None
    vectors = ops.convert_to_numpy(displacement)[0]
    return (vectors @ grid.affine[:3, :3].T).astype("float32")


@functools.cache
def _integrate(factor, squarings):
    def integrate(velocity):
        displacement = transforms.integrate_velocity(velocity, squarings)
        return transforms.upsample_displacement(displacement, factor)

    return backend.traced(integrate)


def polished(displacement, inverse):
    """Bring the flow back nearer to the inverse of the flow there.

    Args:
        displacement: Float tensor `(1, *shape, 3)` in voxels.
        inverse: Float tensor of the same shape, nearly its inverse.

    Returns:
        Float tensor of the same shape.
    """
    for _ in range(POLISHING):
        inverse = -transforms.warp(displacement, inverse, fill="edge")
    return inverse


_polish = backend.traced(polished)
