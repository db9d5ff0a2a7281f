"""Where a voxel of a RAS volume lies in a picture: planes, letters, millimetres.

The axes of a volume run to the subject's Right, Anterior and Superior. Superior, or
anterior, is up in a picture; the subject's left, or posterior, is on its left.
Millimetres count from the centre of the grid unless its place in the world is given.
"""

import dataclasses

import numpy as np

AXES = "xyz"
ENDS = ("LR", "PA", "IS")


@dataclasses.dataclass(frozen=True)
class Plane:
    """Say how one plane of a volume is seen.

    Attributes:
        name: What it is called.
        axis: Axis of the volume that it cuts.
        across: Axis that runs from left to right in its picture.
        up: Axis that runs from the bottom to the top.
    """

    name: str
    axis: int
    across: int
    up: int

    @property
    def letters(self):
        """Return the letters at the left, the right and the top of the picture."""
        return (*ENDS[self.across], ENDS[self.up][1])


PLANES = (
    Plane("sagittal", axis=0, across=1, up=2),
    Plane("coronal", axis=1, across=0, up=2),
    Plane("axial", axis=2, across=0, up=1),
)


def spacing(voxel_mm):
    """Return the three voxel sizes.

    Args:
        voxel_mm: Voxel size in millimetres, one number or three.

    Returns:
        Float array of three.

    Raises:
        ValueError: If they are not one or three positive numbers.
    """
    sizes = np.asarray(voxel_mm, "float32")
    if sizes.shape not in ((), (1,), (3,)) or not (sizes > 0).all():
        raise ValueError(
            f"voxel_mm should be one or three positive numbers. Received: {voxel_mm!r}"
        )
    return np.broadcast_to(sizes, (3,))


def to_mm(index, size, step):
    """Return the millimetres of voxel centres along an axis of `size` voxels."""
    return (index + 0.5 - size / 2) * step


def to_index(millimetres, size, step):
    """Return the index of the voxel at `millimetres`, or of the nearest one."""
    return int(np.clip(round(millimetres / step + size / 2 - 0.5), 0, size - 1))


def index_at(plane, at, shape, steps):
    """Return the voxel at which `plane` cuts.

    Args:
        plane: One of `PLANES`.
        at: Millimetres of a point, three numbers.
        shape: Of the volume.
        steps: Three voxel sizes.
    """
    return to_index(at[plane.axis], shape[plane.axis], steps[plane.axis])


def position(plane, millimetres):
    """Return the text that says where `plane` cuts."""
    return f"{AXES[plane.axis]} = {round(float(millimetres))} mm".replace("-", "−")


def cut(volume, plane, index):
    """Return a slice as an image: superior, or anterior, in the first row."""
    return np.take(volume, index, axis=plane.axis).T[::-1]


def extent(plane, shape, steps, centre=(0, 0, 0)):
    """Return the millimetres of the left, right, bottom and top edge of a picture."""
    half = np.array(shape) * steps / 2
    low, high = centre - half, centre + half
    return low[plane.across], high[plane.across], low[plane.up], high[plane.up]


def view(volume, plane, index, steps):
    """Return a slice with square pixels, so that a page shows it undistorted.

    Args:
        volume: `(x, y, z)`.
        plane: One of `PLANES`.
        index: Voxel along the plane's axis.
        steps: Three voxel sizes; a pixel is as large as the smallest, in all planes.

    Returns:
        The slice, its pixels repeated where a voxel is longer.
    """
    image = cut(volume, plane, index)
    rows, columns = view_shape(plane, volume.shape, steps)
    if (rows, columns) == image.shape:
        return image
    return image[_nearest(rows, image.shape[0])][:, _nearest(columns, image.shape[1])]


def view_shape(plane, shape, steps):
    """Return the `(height, width)` of what `view` gives for a volume of `shape`."""
    sides = np.array(shape) * steps / min(steps)
    return round(float(sides[plane.up])), round(float(sides[plane.across]))


def _nearest(count, size):
    """Return which of `size` voxels each of `count` pixels on the same length shows."""
    return ((np.arange(count) + 0.5) * size / count).astype(int)
