"""Score a registration: one code for every method, affine or dense.

What a method returns is a `transform.Transform`; it is applied once, on the fixed
scan's own grid. Nothing here starts Keras, whose memory and threads would count as
those of every peer.
"""

import dataclasses

import numpy as np

from helpers import metrics
from registration import transform

COST = ("seconds", "cpu_seconds", "peak_mb", "threads")


@dataclasses.dataclass
class Registration:
    """What a method returns for a pair of scans.

    Attributes:
        transform: `transform.Transform` from the fixed scan to the moving one.
        seconds: Wall-clock seconds from two arrays to the transform.
        cpu_seconds: Processor seconds of all threads.
        peak_mb: Largest resident memory of the process in MiB.
        threads: Number of threads that the method was given.
    """

    transform: transform.Transform
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = float("nan")
    threads: int = 1

    def cost(self):
        """Return what it took, a dict of all attributes but the transform."""
        return {name: vars(self)[name] for name in COST}


def score(moving, fixed, found):
    """Measure a transform on the fixed scan's own grid.

    Args:
        moving: `scan.Scan` with labels.
        fixed: `scan.Scan` with labels.
        found: `transform.Transform` between the two.

    Returns:
        Dictionary of floats: `dice` is the mean over the labels with 200 voxels
        or more in the fixed scan, `brain_dice` that of the masks, `ncc` the
        correlation of the images over the fixed grid; `folding` is the percent
        of the brain's voxels with a determinant of 0 or less and `folding_grid`
        that of the whole grid's, `log_jacobian_sd` the deviation of the
        logarithm over the brain's unfolded voxels; `inverse_mm` the mean
        distance there and back over the brain, NaN where there is no way back;
        `tre_mm` the mean distance of the landmarks from where they truly are, NaN
        where they are not known.

    Raises:
        ValueError: If a scan has no labels, or none in the fixed scan is large enough.
    """
    for scan in (moving, fixed):
        if scan.labels is None:
            raise ValueError(f"a scan with labels is needed. Received: {scan.name}")
    brain, start = fixed.brain(), fixed.grid.points()
    moved = found.apply(dataclasses.replace(moving, landmarks=None), fixed.grid)
    points = found.points(start)
    determinant = metrics.jacobian_determinant(points, fixed.affine)
    unfolded = determinant[brain & (determinant > 0)]
    images = (image[None, ..., None] for image in (fixed.image, moved.image))
    return {
        "dice": metrics.mean_dice(fixed.labels, moved.labels),
        "brain_dice": metrics.dice(brain, moved.mask)[1],
        "ncc": float(metrics.ncc(*images)[0]),
        "folding": 100 * float(np.mean(determinant[brain] <= 0)),
        "folding_grid": 100 * float(np.mean(determinant <= 0)),
        "log_jacobian_sd": float(np.log(unfolded).std()) if unfolded.size else np.nan,
        "inverse_mm": _way_back(found, start[brain], points[brain]),
        "tre_mm": _landmark_error(moving, fixed, found),
    }


def _way_back(found, start, points):
    try:
        back = found.inverse().points(points)
    except ValueError:
        return float("nan")
    return float(metrics.tre(start, back).mean())


def _landmark_error(moving, fixed, found):
    if moving.landmarks is None or fixed.landmarks is None:
        return float("nan")
    return float(metrics.tre(moving.landmarks, found.points(fixed.landmarks)).mean())


def motion_undone_mm(fixed, before, after, motion):
    """Return how far two transforms differ once an added motion is undone.

    Args:
        fixed: `scan.Scan` with a mask.
        before: `transform.Transform` found for the scan as it was.
        after: The one found for the moved scan.
        motion: Array `(4, 4)`, the motion given to the moving scan.

    Returns:
        Mean distance in mm over the fixed scan's brain.
    """
    brain = fixed.grid.points()[fixed.brain()]
    undone = transform.Transform([motion]).inverse() @ after
    return float(metrics.tre(before.points(brain), undone.points(brain)).mean())
