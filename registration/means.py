"""What a mean of heads is made of: means of affines, of velocities and of intensities.

NumPy and SciPy alone. Notebook `11_a_mean_brain` builds the same for digits.
"""

import numpy as np
from scipy import linalg, ndimage

from registration import pieces, transform
from registration.scans import grid as grids

SETTLED, ITERATIONS = 1e-8, 60
HALVINGS, ORDERS = 8, 7
# Of the windows in which intensities are made alike, in mm.
WINDOW_MM = 10.0
# Below this spread, of intensities in [0, 1], a window is flat.
FLAT = 0.02
POLISHING = 3


def barycentre(matrices):
    """Return the place from which affines lead equally far in all directions.

    It is the matrix `M` for which the mean of `log(A M)` over all `A` is zero: the
    exponential barycentre of the group. It does not depend on the world from which
    the affines start, and the volumes that they make have the geometric mean 1.

    Args:
        matrices: Float array `(n, 4, 4)`: affines from one world to the worlds of the
            scans, in RAS mm.

    Returns:
        Float64 array `(4, 4)`, from the mean world to the one in which the affines
        start.

    Raises:
        ValueError: If one turns by half a circle, so that it has no logarithm, or they
            lie too far apart for a mean.

    Reference:
        Arsigny et al., SIAM J. Matrix Analysis 29 (2007); Pennec and Arsigny,
        Exponential barycenters, 2013.
    """
    matrices = np.asarray(matrices, "float64")
    mean = np.linalg.inv(matrices[0])
    for _ in range(ITERATIONS):
        step = logarithms(matrices @ mean).mean(axis=0)
        mean = mean @ linalg.expm(-step)
        if np.abs(step).max() < SETTLED:
            return mean
    raise ValueError(
        f"the affines have no mean: they lie too far apart. Received: "
        f"{len(matrices)} affines, whose mean still moves by {np.abs(step).max():.2g}"
    )


def logarithms(matrices):
    """Return the real logarithms of affines, by inverse scaling and squaring.

    As `scipy.linalg.logm`, of all at once.

    Args:
        matrices: Float array `(n, 4, 4)`.

    Returns:
        Float64 array `(n, 4, 4)`.

    Raises:
        ValueError: If one has none, as where it mirrors or turns by half a circle.

    Reference:
        Cheng et al., SIAM J. Matrix Analysis 22 (2001).
    """
    matrices = np.asarray(matrices, "float64")
    values = np.linalg.eigvals(matrices[:, :3, :3])
    none = (np.abs(values.imag) < 1e-6 * np.abs(values)) & (values.real <= 0)
    if none.any():
        first = matrices[none.any(axis=1).argmax()]
        raise ValueError(
            "an affine that mirrors, or turns by half a circle, has no logarithm. "
            f"Received: {np.round(first, 3).tolist()}"
        )
    root = matrices
    for _ in range(HALVINGS):
        root = _square_roots(root)
    rest = root - np.eye(4)
    power, total = rest, rest.copy()
    for order in range(2, ORDERS + 1):
        power = -power @ rest
        total += power / order
    return total * 2**HALVINGS


def _square_roots(matrices):
    """Return the principal square roots, by the iteration of Denman and Beavers."""
    root, other = matrices, np.broadcast_to(np.eye(4), matrices.shape)
    for _ in range(ITERATIONS):
        last = root
        root, other = (
            (root + np.linalg.inv(other)) / 2,
            (other + np.linalg.inv(root)) / 2,
        )
        if np.abs(root - last).max() < 1e-13 * np.abs(root).max():
            break
    return root


def coarser(grid, factor):
    """Return the grid of the same box with voxels so many times as large.

    Args:
        grid: `grid.Grid` whose sides are multiples of the factor.
        factor: Int.

    Returns:
        `grid.Grid`.
    """
    scale = np.diag([factor, factor, factor, 1.0])
    scale[:3, 3] = (factor - 1) / 2
    return grids.Grid(np.array(grid.shape) // factor, grid.affine @ scale)


def integrated(velocity, squarings):
    """Follow a stationary velocity for a unit of time, as `helpers.transforms` does.

    Args:
        velocity: Float array `(*shape, 3)` in voxels a unit of time.
        squarings: The flow is followed in `2 ** squarings` steps.

    Returns:
        Float32 array of the same shape, the displacement in voxels.
    """
    displacement = np.asarray(velocity, "float32") / 2.0**squarings
    for _ in range(squarings):
        displacement = displacement + _read(displacement, displacement)
    return displacement


def flow(velocity, grid, squarings, both=True):
    """Return the field of a velocity.

    Args:
        velocity: Float array `(*shape, 3)` in voxels of the grid.
        grid: `grid.Grid`.
        squarings: See `integrated`.
        both: Whether the way back is wanted too.

    Returns:
        `transform.Field`.
    """
    turn = grid.affine[:3, :3].T.astype("float32")
    there = integrated(velocity, squarings)
    if not both:
        return transform.Field(grid, there @ turn)
    back = integrated(-velocity, squarings)
    # On a grid the two flows miss each other by a part of a voxel.
    for _ in range(POLISHING):
        back = -_read(there, back)
    return transform.Field(grid, there @ turn, back @ turn)


def _read(field, displacement):
    """Read a field where a displacement points to; beyond the grid it goes on."""
    places = np.moveaxis(displacement, -1, 0) + np.indices(field.shape[:-1], "float32")
    parts = [
        ndimage.map_coordinates(field[..., axis], places, order=1, mode="nearest")
        for axis in range(field.shape[-1])
    ]
    return np.stack(parts, axis=-1)


def standardised(image, mask, spacing):
    """Make the intensities of a brain alike everywhere: local mean 0, deviation 1.

    Args:
        image: Float array `(i, j, k)`.
        mask: Bool array of the same shape, the brain.
        spacing: Edges of a voxel in mm, `(3,)`.

    Returns:
        Three float32 arrays of the same shape, zero outside the mask: the image
        without its local mean and deviation, and these two.
    """
    sigma, weight = WINDOW_MM / np.asarray(spacing), mask.astype("float32")
    image = image * weight

    def blurred(volume):
        return ndimage.gaussian_filter(volume, sigma, mode="constant", truncate=2.5)

    near = np.maximum(blurred(weight), 1e-6)
    mean = blurred(image) / near * weight
    variance = blurred((image - mean) ** 2 * weight) / near
    spread = np.maximum(np.sqrt(np.maximum(variance, 0)), FLAT) * weight
    even = np.divide(image - mean, spread, out=np.zeros_like(image), where=mask)
    return even, mean, spread


class Sums:
    """Sums over scans, of which a mean image and its brain are made.

    Every scan weighs the same everywhere: what is averaged is the image without its
    local mean and deviation, which are averaged by themselves.

    Args:
        shape: Of the volumes.
    """

    def __init__(self, shape):
        self.count = 0
        self.parts = np.zeros((4, *shape), "float32")

    def add(self, image, mask, spacing):
        """Add a scan on the common grid; see `standardised`."""
        self.count += 1
        self.parts[:3] += standardised(image, mask, spacing)
        self.parts[3] += mask

    def join(self, other):
        """Add the sums of other scans."""
        self.count += other.count
        self.parts += other.parts

    def mean(self):
        """Return the mean image, float32 in [0, 1], and its brain, a bool array."""
        inside = pieces.filled(pieces.largest(self.parts[3] > self.count / 2))
        even, mean, spread = self.parts[:3] / np.maximum(self.parts[3], 1)
        image = np.clip((even * spread + mean) * inside, 0, 1)
        return image.astype("float32"), inside


def sharpness(image, mask, spacing):
    """Return the mean squared gradient of a brain, of intensities from 0 to 1.

    Args:
        image: Float array `(i, j, k)`.
        mask: Bool array of the same shape; its border does not count.
        spacing: Edges of a voxel in mm, `(3,)`.

    Returns:
        float, per square centimetre, of the image scaled to deviation 1.
    """
    inner = ndimage.binary_erosion(mask, iterations=2)
    slopes = np.gradient(image / image[inner].std(), *spacing)
    return 100 * float(sum(slope[inner] ** 2 for slope in slopes).mean())


def entropy(image, mask, bins=64):
    """Return the entropy of a brain's intensities, in bits.

    Args:
        image: Float array `(i, j, k)` in [0, 1].
        mask: Bool array of the same shape.
        bins: Of the histogram, which spans the middle 99 percent.

    Returns:
        float; an image of few clear intensities has less than a blurred one.
    """
    values = image[mask]
    counts, _ = np.histogram(values, bins, np.quantile(values, [0.005, 0.995]))
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum())
