"""Where voxels lie: one type for a grid, and how volumes are brought onto one."""

import dataclasses

import nibabel
import numpy as np
from scipy import ndimage

BLOCK_MM = 64.0
MULTIPLE = 16


@dataclasses.dataclass(frozen=True, eq=False)
class Grid:
    """The voxels of a volume in the world.

    Attributes:
        shape: Number of voxels along each axis, `(i, j, k)`.
        affine: Float64 array `(4, 4)`, voxel indices to RAS millimetres.
    """

    shape: tuple
    affine: np.ndarray

    def __post_init__(self):
        """Keep plain integers and a float64 matrix."""
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        object.__setattr__(self, "affine", np.asarray(self.affine, "float64"))

    @property
    def spacing(self):
        """Edges of a voxel in mm, float64 `(3,)`."""
        return nibabel.affines.voxel_sizes(self.affine)

    @property
    def shear(self):
        """How far its axes are from right angles: the largest cosine of two of them."""
        sides = self.affine[:3, :3] / self.spacing
        return float(np.abs(sides.T @ sides - np.eye(3)).max())

    @property
    def centre(self):
        """Where the middle of the volume lies, float64 `(3,)` in RAS mm."""
        middle = (np.asarray(self.shape) - 1) / 2
        return nibabel.affines.apply_affine(self.affine, middle)

    def points(self, rows=slice(None)):
        """List where the voxels lie.

        Args:
            rows: Which of them along the first axis, a slice.

        Returns:
            Float32 array `(*shape, 3)` in RAS mm.
        """
        axes = [np.arange(self.shape[0])[rows], *map(np.arange, self.shape[1:])]
        voxels = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        return nibabel.affines.apply_affine(self.affine, voxels).astype("float32")

    def subdivided(self, factors):
        """Cut every voxel into blocks; the grid spans the same box.

        Args:
            factors: How many pieces along each axis, three integers.

        Returns:
            A `Grid`.
        """
        factors = np.asarray(factors)
        scale = np.diag([*(1.0 / factors), 1.0])
        scale[:3, 3] = (1.0 / factors - 1.0) / 2
        return Grid(np.asarray(self.shape) * factors, self.affine @ scale)

    def gap_mm(self, other):
        """Return how far the corners of two grids of one shape lie apart.

        Args:
            other: A `Grid`.

        Returns:
            The largest distance of two corners in mm; infinite where the shapes
            differ.
        """
        if self.shape != other.shape:
            return float("inf")
        corners = np.indices((2, 2, 2)).reshape(3, -1).T * (np.array(self.shape) - 1)
        here = nibabel.affines.apply_affine(self.affine, corners)
        there = nibabel.affines.apply_affine(other.affine, corners)
        return float(np.linalg.norm(here - there, axis=1).max())


def box(middle, shape, voxel_mm):
    """Return a grid of cubic voxels along right, anterior, superior.

    Args:
        middle: Its centre, `(3,)` in RAS mm.
        shape: `(i, j, k)` in voxels.
        voxel_mm: Edge of a voxel.

    Returns:
        A `Grid`.
    """
    matrix = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    matrix[:3, 3] = middle - voxel_mm * (np.asarray(shape) - 1) / 2
    return Grid(shape, matrix)


def around(inner, voxel_mm):
    """Return a box centred on another grid and no smaller than it.

    Every side is a multiple of 16 voxels, so that a network may halve it four
    times, and of 64 mm, so that the grids of 1, 2 and 4 mm span the same box and
    an affine found on one holds on the others.

    Args:
        inner: The `Grid` to enclose, in any orientation.
        voxel_mm: Edge of a voxel of the new grid.

    Returns:
        A `Grid`.

    Raises:
        ValueError: If `voxel_mm` is not between 0.5 and 16.
    """
    if not 0.5 <= voxel_mm <= 16:
        raise ValueError(f"voxel_mm must lie in 0.5 to 16. Received: {voxel_mm}")
    same_box = (BLOCK_MM / voxel_mm) % MULTIPLE == 0
    step = BLOCK_MM if same_box else MULTIPLE * voxel_mm
    size = np.abs(inner.affine[:3, :3]) @ np.asarray(inner.shape)
    sides = np.maximum(1, np.ceil(np.round(size / step, 3))) * step
    return box(inner.centre, np.round(sides / voxel_mm).astype(int), voxel_mm)


def resample(data, affine, grid):
    """Interpolate a volume linearly on a grid; outside the volume reads zero.

    Where the grid is coarser than the volume, a finer grid in the same box is
    interpolated and its blocks are averaged, so that detail too fine for the
    grid is averaged out instead of turning into false detail.

    Args:
        data: Float array `(i, j, k)`.
        affine: `(4, 4)` of `data`, voxels to RAS millimetres.
        grid: The `Grid` to fill.

    Returns:
        float32 array of shape `grid.shape`.
    """
    factors = block_factors(affine, grid)
    out = _pull(data, affine, grid.subdivided(factors), "float32", order=1)
    return block_mean(out, factors)


def block_factors(affine, grid):
    """Return into how many pieces a grid's voxels are cut to catch a volume's detail.

    Args:
        affine: `(4, 4)` of the volume that is read.
        grid: The `Grid` to fill.

    Returns:
        Integer array `(3,)`, at least 1.
    """
    sizes = nibabel.affines.voxel_sizes(affine)
    turn = np.abs(affine[:3, :3] / sizes).argmax(axis=1)
    return np.maximum(1, np.round(grid.spacing / sizes[turn] - 0.01).astype(int))


def block_mean(data, factors):
    """Average blocks of voxels.

    Args:
        data: Float array `(i, j, k, ...)` whose sides are multiples of the factors.
        factors: The sides of a block, one integer an axis.

    Returns:
        Array with every side divided by its factor.
    """
    for axis, factor in enumerate(factors):
        if factor > 1:
            blocks = (*data.shape[:axis], -1, factor, *data.shape[axis + 1 :])
            data = data.reshape(blocks).mean(axis=axis + 1)
    return data


def resample_labels(labels, affine, grid):
    """Take for each voxel of a grid the nearest voxel of a label map.

    Args:
        labels: Integer array `(i, j, k)`.
        affine: `(4, 4)` of `labels`.
        grid: The `Grid` to fill.

    Returns:
        Array of shape `grid.shape` and the type of `labels`; zero outside.
    """
    return _pull(labels, affine, grid, labels.dtype, order=0)


def _pull(data, affine, grid, kind, order):
    """Read `data` at the voxel centres of `grid`; outside it reads zero."""
    matrix = np.linalg.inv(affine) @ grid.affine
    linear, offset = matrix[:3, :3], matrix[:3, 3]
    if np.allclose(linear, np.diag(np.diag(linear)), atol=1e-6):
        along = _linear_along if order else _nearest_along
        for axis, count in enumerate(grid.shape):
            positions = linear[axis, axis] * np.arange(count) + offset[axis]
            data = along(data, axis, positions)
        return data.astype(kind, copy=False)
    return ndimage.affine_transform(
        data, linear, offset, grid.shape, output=kind, order=order,
        mode="grid-constant", cval=0, prefilter=False,
    )  # fmt: skip


def _linear_along(data, axis, positions):
    """Interpolate linearly along one axis: three of these are three times faster."""
    first = np.floor(positions).astype(int)
    share = (positions - first).astype("float32")
    out = 0.0
    for index, weight in ((first, 1 - share), (first + 1, share)):
        inside = (index >= 0) & (index < data.shape[axis])
        weight = np.expand_dims(
            np.where(inside, weight, np.float32(0)), [a for a in range(3) if a != axis]
        )
        out = out + data.take(index, axis, mode="clip") * weight
    return out


def _nearest_along(data, axis, positions):
    """Take the nearest voxel along one axis."""
    index = np.floor(positions + 0.5).astype(int)
    inside = (index >= 0) & (index < data.shape[axis])
    shape = [-1 if a == axis else 1 for a in range(3)]
    return data.take(index, axis, mode="clip") * inside.reshape(shape)
