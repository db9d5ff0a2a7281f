"""What registration finds: one type that moves scans, labels and points.

A transform maps a point of the *fixed* world to the point of the *moving* world from
which it is fetched, both in RAS millimetres. It is a chain of parts, each a matrix or
a `Field`; a chain is followed from point to point, so that whatever it moves is
interpolated once. NumPy and SciPy alone: applying a transform starts no Keras.
"""

import concurrent.futures
import dataclasses
import os

import nibabel
import numpy as np
from scipy import ndimage

from registration.scans import grid as grids
from registration.scans import scan as scans

ITERATIONS = 50
SETTLED_VOXELS = 1e-3
# Each core holds a slab; more than four would take more memory than they save time.
CORES = min(4, os.cpu_count() or 1)
ROWS_AT_ONCE = 2**18


@dataclasses.dataclass(frozen=True, eq=False)
class Field:
    """A displacement of the world, known on a grid.

    Between voxels it is interpolated linearly; beyond the grid it goes on with the
    value at its edge.

    Attributes:
        grid: `grid.Grid`.
        displacement: Float32 array `(*shape, 3)` in RAS mm, to be added to a point.
        back: The same of the way back, or None where it is not known; then it is
            found by iteration.
    """

    grid: grids.Grid
    displacement: np.ndarray
    back: np.ndarray | None = None

    def __post_init__(self):
        """Check that there is a vector for every voxel."""
        for name in ("displacement", "back"):
            array = getattr(self, name)
            if array is not None and array.shape != (*self.grid.shape, 3):
                raise ValueError(
                    f"{name} must be {(*self.grid.shape, 3)}, a vector a voxel. "
                    f"Received: {array.shape}"
                )

    @classmethod
    def from_voxels(cls, grid, displacement):
        """Take over what a network or `helpers.transforms` gives; undoes `voxels`.

        Args:
            grid: `grid.Grid`.
            displacement: Float array or tensor `(*shape, 3)` in voxels of the grid.

        Returns:
            `Field`.
        """
        vectors = np.asarray(displacement) @ grid.affine[:3, :3].T
        return cls(grid, vectors.astype("float32"))

    def points(self, points):
        """Displace points `(..., 3)` in RAS mm."""
        voxels = _voxels(self.grid.affine, points)
        moved = [
            ndimage.map_coordinates(
                self.displacement[..., axis], voxels, order=1, mode="nearest"
            )
            for axis in range(3)
        ]
        return points + np.stack(moved, axis=-1)

    def voxels(self):
        """Return the displacement in voxels of the grid, float32 `(*shape, 3)`."""
        turn = np.linalg.inv(self.grid.affine[:3, :3]).T
        return (self.displacement @ turn).astype("float32")

    def inverse(self):
        """Return the `Field` of the way back.

        Raises:
            ValueError: If it has to be found, and the field folds or is too steep.

        Reference:
            Chen et al., Medical Physics 35 (2008), for the iteration.
        """
        back = _found_back(self) if self.back is None else self.back
        return Field(self.grid, back, self.displacement)

    def faded(self, rim_mm=24.0):
        """Return the field on a larger grid, on whose rim it fades to nothing.

        Beyond its grid a `Field` goes on with the value at its edge and ITK with none;
        where there is none at the edge, all read the same.

        Args:
            rim_mm: How wide the rim is.

        Returns:
            `Field`; on the grid of this one it has the same displacement.
        """
        widths = np.ceil(rim_mm / self.grid.spacing).astype(int)
        shift = np.eye(4)
        shift[:3, 3] = -widths
        shape = np.array(self.grid.shape) + 2 * widths
        grid = grids.Grid(shape, self.grid.affine @ shift)
        weight = np.ones(grid.shape, "float32")
        for axis, (size, width) in enumerate(zip(self.grid.shape, widths, strict=True)):
            along = np.arange(-width, size + width)
            beyond = np.maximum(0, np.maximum(-along, along - size + 1))
            others = [other for other in range(3) if other != axis]
            side = np.expand_dims(1 - beyond / width, others)
            weight = weight * side.astype("float32")
        pad = [(width, width) for width in widths] + [(0, 0)]
        there = np.pad(self.displacement, pad, mode="edge") * weight[..., None]
        if self.back is None:
            return Field(grid, there)
        back = np.pad(self.back, pad, mode="edge") * weight[..., None]
        return Field(grid, there, _mended(Field(grid, there), back, weight < 1))


@dataclasses.dataclass(frozen=True, eq=False)
class Transform:
    """From points of the fixed world to those of the moving world, RAS mm.

    Attributes:
        parts: Tuple of float64 arrays `(4, 4)` and `Field`s, in the order in which a
            point passes them. Empty for the transform that moves nothing.
    """

    parts: tuple = ()

    def __post_init__(self):
        """Keep matrices as float64, and join those that follow each other."""
        joined = []
        for part in self.parts:
            if not isinstance(part, Field):
                part = np.asarray(part, "float64")
                if part.shape != (4, 4) or not np.isfinite(part).all():
                    raise ValueError(
                        "a part must be a Field or a finite (4, 4) matrix. "
                        f"Received: {part!r}"
                    )
                if joined and not isinstance(joined[-1], Field):
                    part = part @ joined.pop()
            joined.append(part)
        object.__setattr__(self, "parts", tuple(joined))

    @classmethod
    def from_centred(cls, affine, grid):
        """Take over the affine that a network finds between two images of one grid.

        Args:
            affine: Array or tensor `(3, 4)` in centred coordinates, see
                `helpers.affines`.
            grid: `grid.Grid` of both images.

        Returns:
            `Transform`.
        """
        # Whoever applies a transform has no need of helpers.
        from helpers import world

        return cls([world.to_world(affine, (grid.shape, grid.affine))])

    def __matmul__(self, inner):
        """Return the transform that applies `inner` first, then this one."""
        return Transform((*inner.parts, *self.parts))

    @property
    def is_affine(self):
        """Whether there is no field in it."""
        return not self.fields

    @property
    def fields(self):
        """The `Field`s among the parts, a list."""
        return [part for part in self.parts if isinstance(part, Field)]

    @property
    def affine(self):
        """The matrices alone, multiplied: float64 `(4, 4)`."""
        matrix = np.eye(4)
        for part in self.parts:
            matrix = matrix if isinstance(part, Field) else part @ matrix
        return matrix

    def points(self, points):
        """Carry points of the fixed scan to the moving one.

        Args:
            points: Float array `(..., 3)` in RAS mm.

        Returns:
            Array like `points`.

        Raises:
            ValueError: If the points are not of three coordinates.
        """
        points = np.asarray(points)
        if points.shape[-1:] != (3,):
            raise ValueError(f"points must be (..., 3). Received: {points.shape}")
        kind = points.dtype if points.dtype.kind == "f" else np.dtype("float64")
        for part in self.parts:
            if isinstance(part, Field):
                points = part.points(points)
            else:
                points = nibabel.affines.apply_affine(part, points)
        return points.astype(kind)

    def displacement(self, grid):
        """Return by how much every voxel of a grid is displaced in the world.

        Args:
            grid: `grid.Grid` of the fixed world.

        Returns:
            Float32 array `(*grid.shape, 3)` in RAS mm.
        """
        found = np.empty((*grid.shape, 3), "float32")

        def fill(rows):
            """Follow the points of a slab."""
            moved = self._places(np.eye(4), grid, rows, relative=True)
            found[rows] = np.moveaxis(moved, 0, -1)

        with concurrent.futures.ThreadPoolExecutor(CORES) as pool:
            list(pool.map(fill, _slabs(grid, (1, 1, 1))))
        return found

    def inverse(self):
        """Return the transform from the moving world to the fixed one.

        Raises:
            ValueError: If a matrix is singular, or as `Field.inverse`.
        """
        parts = []
        for part in reversed(self.parts):
            if isinstance(part, Field):
                parts.append(part.inverse())
                continue
            if abs(np.linalg.det(part[:3, :3])) < 1e-9:
                raise ValueError(f"a singular matrix has no inverse. Received: {part}")
            parts.append(np.linalg.inv(part))
        return Transform(parts)

    def apply(self, scan, grid):
        """Bring a moving scan onto a grid of the fixed world, in one interpolation.

        The image is read linearly, labels and mask by nearest neighbour, landmarks
        through the inverse; whatever lies outside the scan is zero. Where the grid is
        coarser than the scan, the image is read on a finer one and averaged.

        Args:
            scan: The moving `scan.Scan`.
            grid: `grid.Grid`, mostly the fixed scan's.

        Returns:
            A `scan.Scan` on the grid.
        """
        factors = grids.block_factors(scan.affine, grid)
        parts = {"image": np.empty(grid.shape, "float32")}
        for name in ("labels", "mask"):
            if getattr(scan, name) is not None:
                parts[name] = np.empty(grid.shape, getattr(scan, name).dtype)

        def fill(rows):
            """Fetch a slab; slabs share nothing, so every core may take one."""
            voxels = self._places(scan.affine, grid, rows)
            if len(parts) > 1:
                place = _nearest(voxels, scan.image.shape)
            for name in set(parts) - {"image"}:
                parts[name][rows] = _taken(getattr(scan, name), *place)
            if max(factors) > 1:
                fine = slice(rows.start * factors[0], rows.stop * factors[0])
                voxels = self._places(scan.affine, grid.subdivided(factors), fine)
            read = _interpolated(scan.image, voxels)
            parts["image"][rows] = grids.block_mean(read, factors)

        with concurrent.futures.ThreadPoolExecutor(CORES) as pool:
            list(pool.map(fill, _slabs(grid, factors)))
        if scan.landmarks is not None:
            parts["landmarks"] = self.inverse().points(scan.landmarks)
        return scans.Scan(affine=grid.affine, name=scan.name, **parts)

    def _places(self, affine, grid, rows, relative=False):
        """Return where a grid's voxels are read in a volume, float64 `(3, ...)`.

        A field whose axes are the grid's is read axis by axis: much less to fetch.
        With `relative`, less where the voxels themselves lie.
        """
        matrix, bent = np.linalg.inv(affine) @ self.affine, 0.0
        still = np.eye(4) * relative
        if not self.is_affine:
            field = self.parts[0]
            along = isinstance(field, Field) and _along(field.grid, grid)
            if len(self.fields) > 1 or not along:
                here = grid.points(rows).astype("float64" if relative else "float32")
                places = _voxels(affine, self.points(here))
                return places - np.moveaxis(here, -1, 0) if relative else places
            vectors = _read_along(field, along, rows)
            bent = np.stack(
                [sum(float(w) * part for w, part in zip(line, vectors, strict=True))
                 for line in matrix[:3, :3]]
            )  # fmt: skip
        matrix = (matrix - still) @ grid.affine
        axes = [np.arange(size) for size in grid.shape]
        axes[0] = axes[0][rows]
        ramps = np.ix_(*axes)
        return bent + np.stack(
            [sum(w * ramp for w, ramp in zip(line, ramps, strict=False)) + line[3]
             for line in matrix[:3]]
        )  # fmt: skip


def _along(inner, grid):
    """Return a grid's places on each axis of another one, None where they are turned.

    Beyond the other one they stay at its edge.
    """
    matrix = np.linalg.inv(inner.affine) @ grid.affine
    steps, offset = np.diag(matrix)[:3], matrix[:3, 3]
    if np.abs(matrix[:3, :3] - np.diag(steps)).max() * max(grid.shape) > 1e-3:
        return None
    return [
        np.clip(step * np.arange(size) + start, 0, last - 1)
        for step, size, start, last in zip(
            steps, grid.shape, offset, inner.shape, strict=True
        )
    ]


def _read_along(field, along, rows):
    """Interpolate a field on a slab, an axis after the other: float32 `(3, ...)`.

    No matrix products: their library starts threads, and every slab has one already.
    """
    first = along[0][rows]
    near = slice(int(first.min()), int(first.max()) + 2)
    data = np.moveaxis(field.displacement[near], -1, 0)
    for axis, places in enumerate((first - near.start, *along[1:]), start=1):
        data = _between(data, places, axis)
    return data


def _between(data, places, axis):
    """Interpolate an array linearly at places along one of its axes."""
    last = data.shape[axis] - 1
    low = np.clip(np.floor(places).astype(int), 0, max(0, last - 1))
    weight = np.expand_dims(places - low, tuple(range(1, data.ndim - axis)))
    here = np.take(data, low, axis)
    step = np.take(data, np.minimum(low + 1, last), axis)
    step -= here
    step *= weight.astype("float32")
    step += here
    return step


def fetch(volume, affine, points, mode="nearest"):
    """Read a volume at points of the world; whatever lies outside of it is zero.

    Args:
        volume: Array `(i, j, k)`.
        affine: `(4, 4)`, its voxels to RAS mm.
        points: Array `(..., 3)` in RAS mm.
        mode: `"nearest"`, or `"linear"`, which falls to zero within one voxel of the
            border.

    Returns:
        Array `(...)` of the volume's type.

    Raises:
        ValueError: If `mode` is neither.
    """
    if mode not in ("nearest", "linear"):
        raise ValueError(f"mode must be nearest or linear. Received: {mode!r}")
    voxels = _voxels(affine, points)
    if mode == "linear":
        return _interpolated(volume, voxels)
    return _taken(volume, *_nearest(voxels, volume.shape))


def _interpolated(volume, voxels):
    return ndimage.map_coordinates(volume, voxels, order=1, mode="grid-constant")


def _nearest(voxels, shape):
    """Return the flat index of the nearest voxel of each position, and which exist."""
    index = np.floor(voxels + 0.5).astype("int64")
    size = np.reshape(shape, (3, *[1] * (index.ndim - 1)))
    inside = np.all((index >= 0) & (index < size), axis=0)
    return np.ravel_multi_index(tuple(index), shape, mode="clip"), inside


def _taken(volume, flat, inside):
    """Read voxels by their flat index, zero where there are none."""
    return np.where(inside, volume.reshape(-1)[flat], volume.dtype.type(0))


def _voxels(affine, points):
    """Return where RAS points lie in a volume, float64 `(3, ...)` in voxels."""
    voxels = nibabel.affines.apply_affine(np.linalg.inv(affine), points)
    return np.moveaxis(voxels, -1, 0)


def _slabs(grid, factors):
    """Cut a grid into slices along its first axis that are small enough to hold."""
    row = int(np.prod(grid.shape[1:])) * int(np.prod(factors))
    step = max(1, ROWS_AT_ONCE // row)
    for start in range(0, grid.shape[0], step):
        yield slice(start, min(start + step, grid.shape[0]))


def _mended(field, back, rim, steps=6):
    """Follow a field's way back anew where it meets the rim on which it was faded."""
    points = field.grid.points()
    meets = rim | fetch(rim, field.grid.affine, points + back)
    here = points[meets].astype("float64")
    there = here + back[meets]
    for _ in range(steps):
        there = here + there - field.points(there)
    back[meets] = (there - here).astype("float32")
    return back


def _found_back(field):
    """Solve `back(y) = -displacement(y + back(y))` by fixed-point iteration."""
    start = field.grid.points().astype("float64")
    back, least = -field.displacement.astype("float64"), field.grid.spacing.min()
    for _ in range(ITERATIONS):
        there = start + back
        new = there - field.points(there)
        gap = np.abs(new - back).max() / least
        back = new
        if gap < SETTLED_VOXELS:
            return back.astype("float32")
    raise ValueError(
        "the field has no inverse that can be found: it folds, or is steeper than a "
        f"voxel a voxel. Received: {gap:.2g} voxels left after {ITERATIONS} iterations"
    )
