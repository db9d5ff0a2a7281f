"""Make the pairs that the page `try` offers: heads, brains and digits drawn by code.

python -m tools.demo_pairs FOLDER
"""

import numpy as np
from scipy import ndimage

from registration.scans import grid as grids
from registration.scans import nifti
from registration.scans.sources.simulated import subject

SEED = 2026
VOXEL_MM = 2.0
# Corners of the strokes of two twos, in a square from -1 to 1, y upwards.
DIGITS = [
    [(-0.55, 0.5), (-0.3, 0.85), (0.25, 0.88), (0.52, 0.5), (0.3, 0.1),
     (-0.55, -0.8), (0.6, -0.8)],
    [(-0.62, 0.42), (-0.36, 0.8), (0.2, 0.92), (0.58, 0.6), (0.36, 0.14),
     (-0.5, -0.7), (0.62, -0.88)],
]  # fmt: skip
DIGIT_MM, STROKE_MM, DEPTH_MM = 68.0, 25.0, 46.0


def heads(folder):
    """Write two simulated heads with their skulls."""
    for number, name in enumerate(("moving", "fixed")):
        made = subject.subject([SEED, number], subject.grid(VOXEL_MM)).scan
        save(folder / f"head_{name}.nii.gz", made.image, made.affine)


def brains(folder):
    """Write two simulated brains; the moving one lies otherwise in its file."""
    for number, name in enumerate(("moving", "fixed"), start=2):
        where = subject.grid(VOXEL_MM)
        made = subject.subject([SEED, number], where, skull=False).scan
        image, affine = made.image, made.affine
        if name == "moving":
            # Stored from left to right, from top to bottom, front first.
            image = image.transpose(1, 0, 2)[::-1, :, ::-1]
            affine = affine @ _stored(made.image.shape)
        save(folder / f"brain_{name}.nii.gz", image, affine)


def digits(folder):
    """Write two solid digits, about as large as a brain."""
    grid = grids.box(np.zeros(3), (88, 64, 104), VOXEL_MM)
    for number, name in enumerate(("moving", "fixed")):
        random = np.random.default_rng([SEED, number])
        image = solid(DIGITS[number], grid, random)
        save(folder / f"digit_{name}.nii.gz", image, grid.affine)


def solid(strokes, grid, random):
    """Draw a digit as a solid with layers, as a brain has them.

    Args:
        strokes: List of corners `(x, y)` in the square from -1 to 1.
        grid: `grid.Grid`, whose x and z the digit is drawn in.
        random: A NumPy random generator.

    Returns:
        Float32 array of the grid's shape in [0, 1].
    """
    points = grid.points()
    corners = DIGIT_MM * np.array(strokes)
    plane = points[..., (0, 2)]
    away = np.full(grid.shape, np.inf, "float32")
    for start, end in zip(corners, corners[1:], strict=False):
        line = end - start
        share = np.clip((plane - start) @ line / (line @ line), 0, 1)
        nearest = np.linalg.norm(plane - start - share[..., None] * line, axis=-1)
        away = np.minimum(away, nearest)
    depth = np.hypot(away / STROKE_MM, points[..., 1] / DEPTH_MM)
    layers = 0.55 + 0.35 * (depth < 0.6) + 0.1 * np.cos(points[..., 1] / 5)
    layers = layers + 0.02 * random.standard_normal(grid.shape)
    return ndimage.gaussian_filter(layers, 0.6) * (depth < 1)


def save(path, image, affine):
    """Write an image in [0, 1] as a byte a voxel."""
    data = np.rint(np.clip(image, 0, 1) * 255).astype("uint8")
    nifti.save(path, data, affine)


def _stored(shape):
    """Return the matrix from voxels as `brains` stores them to those of the head."""
    _, j, k = shape
    matrix = np.zeros((4, 4))
    matrix[1, 0], matrix[0, 1], matrix[2, 2], matrix[3, 3] = -1, 1, -1, 1
    matrix[1, 3], matrix[2, 3] = j - 1, k - 1
    return matrix


def write(folder):
    """Write the three pairs.

    Args:
        folder: `pathlib.Path` of where to; made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for make in (heads, brains, digits):
        make(folder)
