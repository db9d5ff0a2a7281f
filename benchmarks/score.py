"""Score a registration: one code for every method, affine or dense.

A registration is known here by its points alone: for every voxel of the fixed
scan's own grid, the RAS position in the moving scan from which it is fetched.

The overlap is that of `helpers.metrics`, to which a test holds it. It is written in
NumPy again because that module starts Keras' backend, whose memory would count as
that of every peer measured here.
"""

import collections.abc
import dataclasses

import numpy as np
from scipy import ndimage

from benchmarks import scans

MINIMUM_VOXELS = 200


@dataclasses.dataclass
class Registration:
    """What a method returns for a pair of scans.

    Attributes:
        points: Float array `(*fixed.shape, 3)`, RAS mm in the moving scan.
        seconds: Wall-clock seconds from two arrays to the transform.
        cpu_seconds: Processor seconds of all threads.
        peak_mb: Largest resident memory of the process in MiB.
        affine: Array `(4, 4)` from fixed to moving RAS mm; the linear part
            where the method has one, else None.
        inverse: Function from RAS points `(n, 3)` of the moving scan to those of
            the fixed scan, or None where the method gives no inverse.
        threads: Number of threads that the method was given.
    """

    points: np.ndarray
    seconds: float
    cpu_seconds: float
    peak_mb: float
    affine: np.ndarray | None = None
    inverse: collections.abc.Callable | None = None
    threads: int = 1


def linear(matrix, fixed, seconds=0.0, cpu_seconds=0.0, peak_mb=float("nan")):
    """Return the registration that a world matrix is.

    Args:
        matrix: Array `(4, 4)` from RAS mm of the fixed scan to the moving scan's.
        fixed: `scans.Scan`.
        seconds: Wall-clock seconds that it took.
        cpu_seconds: Processor seconds that it took.
        peak_mb: Largest resident memory meanwhile.

    Returns:
        A `Registration` with the matrix and its inverse.
    """
    back = np.linalg.inv(matrix)
    return Registration(
        scans.transform_points(matrix, scans.world_grid(fixed)).astype("float32"),
        seconds,
        cpu_seconds,
        peak_mb,
        matrix,
        lambda points: scans.transform_points(back, points),
    )


def fetch(volume, affine, points, mode):
    """Read a volume at RAS points; whatever lies outside of it is zero.

    Args:
        volume: Array `(*shape)`.
        affine: Array `(4, 4)` from its voxels to RAS mm.
        points: Array `(..., 3)` in RAS mm.
        mode: `"nearest"` or `"linear"`. Linear interpolation falls to zero
            within one voxel of the border.

    Returns:
        Array `(...)` of the volume's type.

    Raises:
        ValueError: If `mode` is neither.
    """
    if mode not in ("nearest", "linear"):
        raise ValueError(f"mode must be nearest or linear. Received: {mode!r}")
    voxels = scans.transform_points(np.linalg.inv(affine), points)
    if mode == "linear":
        return ndimage.map_coordinates(
            volume, np.moveaxis(voxels, -1, 0), order=1, mode="grid-constant"
        )
    index = np.floor(voxels + 0.5).astype("int64")
    inside = np.all((index >= 0) & (index < volume.shape), axis=-1)
    values = np.zeros(points.shape[:-1], volume.dtype)
    values[inside] = volume[tuple(index[inside].T)]
    return values


def scored_labels(labels, minimum=MINIMUM_VOXELS):
    """Return the labels, zero left out, that have at least `minimum` voxels.

    Raises:
        ValueError: If there is none.
    """
    values, counts = np.unique(labels, return_counts=True)
    scored = values[(values > 0) & (counts >= minimum)]
    if not scored.size:
        raise ValueError(
            f"a label with {minimum} voxels is needed. "
            f"Received: {counts[values > 0].max(initial=0)} at most"
        )
    return scored


def dice(fixed_labels, moved_labels, labels):
    """Return the Dice overlap of each label in `labels`, a float array `(n,)`."""
    size = int(max(fixed_labels.max(), moved_labels.max(), max(labels))) + 1
    both = np.bincount(fixed_labels[fixed_labels == moved_labels], minlength=size)
    fixed = np.bincount(fixed_labels.ravel(), minlength=size)
    moved = np.bincount(moved_labels.ravel(), minlength=size)
    return (2 * both / np.maximum(fixed + moved, 1))[labels]


def ncc(fixed, moved):
    """Return Pearson's correlation of two images over the whole grid, in -1 to 1."""
    return float(np.corrcoef(fixed.ravel(), moved.ravel())[0, 1])


def jacobian_determinant(points, affine):
    """Return how much the transform stretches volume at each voxel.

    Central differences, one-sided at the border.

    Args:
        points: Array `(*shape, 3)` in mm, one for each voxel.
        affine: Array `(4, 4)` from those voxels to mm.

    Returns:
        Float array `(*shape)`; 1 is unchanged, 0 or less is folded.
    """
    columns = [np.gradient(points, axis=axis) for axis in range(3)]
    return np.linalg.det(np.stack(columns, axis=-1)) / np.linalg.det(affine[:3, :3])


def score(moving, fixed, registration):
    """Measure a registration on the fixed scan's own grid.

    The labels and the image are fetched once, straight from the moving scan.

    Args:
        moving: `scans.Scan` with labels.
        fixed: `scans.Scan` with labels.
        registration: `Registration` of the two.

    Returns:
        Dictionary of floats: `dice` is the mean over the labels with 200 voxels
        or more in the fixed scan, `brain_dice` that of `labels > 0`, `ncc` the
        correlation of the images over the fixed grid; `folding` is the percent
        of the brain's voxels with a determinant of 0 or less and `folding_grid`
        that of the whole grid's, `log_jacobian_sd` the deviation of the
        logarithm over the brain's unfolded voxels; `inverse_mm` the mean
        distance there and back over the brain, NaN without an inverse;
        `tre_mm` the mean distance of the landmarks from where they truly are, NaN
        where they are not known.

    Raises:
        ValueError: If the points do not lie on the fixed scan's grid.
    """
    points = np.asarray(registration.points)
    if points.shape != (*fixed.shape, 3):
        raise ValueError(
            f"points must have the shape {(*fixed.shape, 3)}. Received: {points.shape}"
        )
    brain = fixed.mask
    moved_labels = fetch(moving.labels, moving.affine, points, "nearest")
    moved_image = fetch(moving.image, moving.affine, points, "linear")
    overlap = dice(fixed.labels, moved_labels, scored_labels(fixed.labels))
    whole = dice(brain.astype("uint8"), (moved_labels > 0).astype("uint8"), [1])
    determinant = jacobian_determinant(points, fixed.affine)
    unfolded = determinant[brain & (determinant > 0)]
    return {
        "dice": float(overlap.mean()),
        "brain_dice": float(whole[0]),
        "ncc": ncc(fixed.image, moved_image),
        "folding": 100 * float(np.mean(determinant[brain] <= 0)),
        "folding_grid": 100 * float(np.mean(determinant <= 0)),
        "log_jacobian_sd": float(np.log(unfolded).std()) if unfolded.size else np.nan,
        "inverse_mm": _there_and_back(fixed, points, registration.inverse),
        "tre_mm": _landmark_error(moving, fixed, points),
    }


def _there_and_back(fixed, points, inverse):
    if inverse is None:
        return float("nan")
    start = scans.world_grid(fixed)[fixed.mask]
    back = inverse(points[fixed.mask])
    return float(np.linalg.norm(back - start, axis=-1).mean())


def _landmark_error(moving, fixed, points):
    if moving.landmarks is None or fixed.landmarks is None:
        return float("nan")
    found = np.stack(
        [
            fetch(points[..., axis], fixed.affine, fixed.landmarks, "linear")
            for axis in range(3)
        ],
        axis=-1,
    )
    return float(np.linalg.norm(found - moving.landmarks, axis=-1).mean())


def motion_undone_mm(fixed, points_before, points_after, motion):
    """Return how far two transforms differ once an added motion is undone.

    Args:
        fixed: `scans.Scan` with labels.
        points_before: Points found for the scan as it was `(*fixed.shape, 3)`.
        points_after: Points found for the moved scan, same shape.
        motion: Array `(4, 4)`, the motion given to the moving scan.

    Returns:
        Mean distance in mm over the fixed scan's brain.
    """
    brain = fixed.mask
    undone = scans.transform_points(np.linalg.inv(motion), points_after[brain])
    return float(np.linalg.norm(undone - points_before[brain], axis=-1).mean())
