"""What the tests of registration share: simulated heads and known transforms."""

import dataclasses

import nibabel
import numpy as np

from registration import check, finding, transform
from registration.scans import grid as grids
from registration.scans import intensity
from registration.scans.sources.simulated import subject as simulated


def head(seed, voxel_mm=4.0, skull=False):
    """Return a simulated head as a `scan.Scan`."""
    return simulated.subject(seed, simulated.grid(voxel_mm), skull).scan


def brain_points(scan, count=400):
    """Return points of a head less than 35 mm from its barycentre."""
    inside = nibabel.affines.apply_affine(scan.affine, np.argwhere(scan.image > 0.2))
    middle = intensity.barycentre(scan.image, scan.affine)
    inside = inside[np.linalg.norm(inside - middle, axis=1) < 35]
    return np.random.default_rng(0).permutation(inside)[:count]


def turned(degrees, shift=(0.0, 0.0, 0.0)):
    """Return the world matrix that turns about the z axis, then shifts by mm."""
    angle, matrix = np.radians(degrees), np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = shift
    return matrix


def bump(grid, vector):
    """Return a smooth field in mm: `vector` in the middle of a grid, 0 at its edge."""
    axes = [np.linspace(0, np.pi, size) for size in grid.shape]
    weight = np.prod(np.meshgrid(*map(np.sin, axes), indexing="ij"), axis=0)
    return transform.Field(grid, (weight[..., None] * vector).astype("float32"))


def moved(scan, matrix):
    """Return a head as a header places it that turns its world."""
    return dataclasses.replace(scan, affine=matrix @ scan.affine)


def oblique(shape=(9, 11, 8), spacing=(2.0, 1.5, 3.0), degrees=20.0):
    """Return a turned grid of voxels that are not cubic."""
    matrix = turned(degrees, (-8.0, 5.0, -11.0)) @ np.diag([*spacing, 1.0])
    return grids.Grid(shape, matrix)


def answered(moving, fixed, kind, refine, start, stages, attempt=finding.FIRST):
    """Answer as `finding.find`, at once: turned by 4 degrees, shifted, and bent."""
    with stages("affine"):
        found = transform.Transform([turned(4.0, (2.0, -1.0, 3.0))])
    if kind == "dense":
        bent = bump(fixed.grid, [2, 1, -2])
        found = found @ transform.Transform([bent])
    masks = tuple(s.image > 0.25 * s.image.max() for s in (moving, fixed))
    how = {"moving": "found by us", "fixed": "given"}
    return finding.Found(found, masks, how, 0.4, {}, "test")


def verdict(level="good"):
    """Return a `check.judge` that has one answer."""
    reasons = [] if level == "good" else ["The deformation folds."]
    return lambda measured, kind: check.Verdict(level, 0.1, 1.5, reasons, measured)


def replace_networks(monkeypatch, level="good"):
    """Let `answered` stand for the networks, and one verdict for the check."""
    monkeypatch.setattr(finding, "find", answered)
    monkeypatch.setattr(check, "judge", verdict(level))
