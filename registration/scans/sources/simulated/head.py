"""A model of what surrounds the brain: skull, scalp, face and neck.

Drawn by hand in the millimetres of the MNI152 template, with the proportions of an
average adult. It only has to look right and to be in the way: nothing outside the
brain has a ground truth.
"""

import functools
import typing

import numpy as np
from scipy import ndimage

STEP_MM = 2.0
LOW = np.array([-104.0, -140.0, -190.0])
HIGH = np.array([104.0, 140.0, 112.0])
SKULL_AND_SCALP_MM = 13.0

AIR, BONE, FLUID, MUSCLE, SKIN, MARROW, CORD, FAT = (
    0.02, 0.07, 0.16, 0.36, 0.46, 0.58, 0.66, 0.92,
)  # fmt: skip

# Centre and radii in mm; the face is their smooth union.
FACE = [
    ((0, 36, -50), (66, 54, 56)),
    ((0, 36, -94), (54, 50, 38)),
    ((0, 76, -116), (21, 15, 15)),
    ((0, 87, -85), (23, 11, 15)),
    ((0, 92, -46), (10, 15, 26)),
    ((0, 104, -58), (12, 12, 9)),
]
EARS = [((side * 80, -20, -36), (5, 15, 29)) for side in (-1, 1)]


class Head(typing.NamedTuple):
    """Volumes on one grid of the template's space.

    `cavity` is the distance in mm from the surface of the brain's cavity, positive
    outside; `face` the same from the surface of face and neck; `tissue` the
    intensities of what lies below the skull.
    """

    affine: np.ndarray
    cavity: np.ndarray
    face: np.ndarray
    tissue: np.ndarray


def build(brain, affine):
    """Draw the head around a brain.

    Args:
        brain: Boolean array `(i, j, k)`, the brain mask of the template.
        affine: `(4, 4)` of `brain`, axis-aligned voxels to RAS millimetres.

    Returns:
        A `Head`.
    """
    shape = np.round((HIGH - LOW) / STEP_MM).astype(int) + 1
    head_affine = np.diag([STEP_MM, STEP_MM, STEP_MM, 1.0])
    head_affine[:3, 3] = LOW
    back = np.linalg.inv(affine) @ head_affine
    inside = ndimage.affine_transform(
        brain.astype("float32"),
        np.diag(back[:3, :3]),
        back[:3, 3],
        tuple(shape),
        order=1,
    )
    # Below this height the brain stem has left the skull through its foramen.
    inside[:, :, : round((-58 - LOW[2]) / STEP_MM)] = 0
    cavity = distance(inside > 0.5)
    cavity = distance(distance(cavity < 12) < -12)
    cavity = ndimage.gaussian_filter(cavity, 2.0 / STEP_MM)
    drawing = _Drawing(shape)
    cavity = smooth_minimum(cavity, drawing.canal(), 4)
    face = drawing.union(FACE, blend=14)
    face = smooth_minimum(face, drawing.neck(), 16)
    for centre, radii in EARS:
        face = smooth_minimum(face, drawing.ellipsoid(centre, radii), 4)
    surface = smooth_minimum(face, cavity - SKULL_AND_SCALP_MM, 10)
    return Head(head_affine, cavity, face, drawing.tissue(surface))


def distance(inside):
    """Return the signed distance in mm to the border of a mask, negative inside."""
    outwards = ndimage.distance_transform_edt(~inside, STEP_MM)
    inwards = ndimage.distance_transform_edt(inside, STEP_MM)
    return (outwards - inwards).astype("float32")


def smooth_minimum(first, second, blend):
    """Return the smaller of two distances, rounded over `blend` mm."""
    share = np.clip(0.5 + (second - first) / (2 * blend), 0, 1)
    return second + (first - second) * share - blend * share * (1 - share)


class _Drawing:
    """Shapes on the grid of the head, painted one over the other."""

    def __init__(self, shape):
        axes = [
            LOW[i] + STEP_MM * np.arange(shape[i], dtype="float32") for i in range(3)
        ]
        self.x, self.y, self.z = np.meshgrid(*axes, indexing="ij", sparse=True)
        self.shape = tuple(shape)
        self._random = np.random.default_rng(0)

    def ellipsoid(self, centre, radii, tilt=0.0, box=(slice(None),) * 3):
        """Return about the distance to an ellipsoid; `tilt` leans it forward."""
        x = self.x[box[0]] - centre[0]
        y = self.y[:, box[1]] - centre[1]
        z = self.z[:, :, box[2]] - centre[2]
        cosine, sine = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
        y, z = cosine * y - sine * z, sine * y + cosine * z
        terms = (x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (z / radii[2]) ** 2
        length = np.sqrt(terms)
        steep = np.sqrt(
            (x / radii[0] ** 2) ** 2
            + (y / radii[1] ** 2) ** 2
            + (z / radii[2] ** 2) ** 2
        )
        return length * (length - 1) / np.maximum(steep, 1e-6)

    def union(self, shapes, blend):
        """Return the smooth union of ellipsoids."""
        parts = [self.ellipsoid(*shape) for shape in shapes]
        return functools.reduce(lambda a, b: smooth_minimum(a, b, blend), parts)

    def spine(self):
        """Return how far forward the spinal cord lies at each height, in mm."""
        return -44 + 8 * np.sin((self.z + 60) / 45)

    def canal(self):
        """Return the distance to the canal of the spinal cord, below the brain."""
        around = np.hypot(self.x, self.y - self.spine()) - 10
        return np.maximum(around, self.z + 50)

    def neck(self):
        """Return the distance to the neck, which widens downwards."""
        wide = 56 + np.maximum(0, -130 - self.z) * 0.8
        around = np.hypot(self.x / wide, (self.y - self.spine() - 18) / 66) - 1
        return np.maximum(around * 58, self.z + 45)

    def noise(self, sigma_mm):
        """Return smooth noise of unit variance, `sigma_mm` along each axis."""
        white = self._random.standard_normal(self.shape, dtype="float32")
        smooth = ndimage.gaussian_filter(white, np.array(sigma_mm) / STEP_MM)
        return smooth / smooth.std()

    def paint(self, canvas, gap, value):
        """Lay `value` over the canvas where the distance `gap` is negative."""
        share = np.clip(0.5 - gap / STEP_MM, 0, 1)
        canvas += (value - canvas) * share

    def place(self, canvas, centre, radii, value, grow=0.0, tilt=0.0):
        """Lay `value` where an ellipsoid grown by `grow` mm is."""
        reach = max(radii) if tilt else np.array(radii)
        reach = reach + grow + 2 * STEP_MM
        first = np.floor((np.array(centre) - reach - LOW) / STEP_MM).astype(int)
        last = np.ceil((np.array(centre) + reach - LOW) / STEP_MM).astype(int)
        box = tuple(map(slice, np.maximum(first, 0), np.maximum(last, 0) + 1))
        part = value[box] if np.ndim(value) else value
        self.paint(canvas[box], self.ellipsoid(centre, radii, tilt, box) - grow, part)

    def tissue(self, surface):
        """Return the intensities of face and neck below the skin at `surface`."""
        fibres, clumps = self.noise((2.5, 2.5, 7)), self.noise((4, 4, 4))
        fine = self.noise((1.5, 1.5, 1.5))
        canvas = MUSCLE + 0.08 * fibres + 0.06 * fine
        self.paint(canvas, 2.2 - np.abs(clumps) * 0.9 - np.abs(fibres), 0.8 * FAT)
        self.paint(canvas, 1.3 - np.minimum(-fibres, clumps + 1.0), 0.4 * MUSCLE)
        thick = 5 + 2 * clumps + 3 * (self.y < -60) * (self.z < -70)
        self.paint(canvas, -surface - thick, FAT - 0.08 * np.abs(fine))
        self.paint(canvas, -surface - 2.2, SKIN)
        self._bones(canvas, clumps, fine)
        self._airways(canvas, clumps, fine)
        for side in (-1, 1):
            self._eye(canvas, side, fine)
        return canvas.astype("float32")

    def _bones(self, canvas, clumps, fine):
        """Paint jaw, palate, spine and the canal of the cord."""
        jaw = np.abs(np.hypot(self.x / 44, (self.y - 12) / 66) - 1) * 50 - 6
        jaw = np.maximum(jaw, np.abs(self.z + 108 - 0.1 * self.y) - 13)
        jaw = np.maximum(jaw, 10 - self.y)
        ramus = [((side * 46, 10, -80), (5, 15, 30)) for side in (-1, 1)]
        jaw = np.minimum(jaw, self.union(ramus, 1))
        self.paint(canvas, jaw, BONE)
        self.paint(canvas, jaw + 3.5, MARROW + 0.08 * fine)
        teeth = np.abs(np.hypot(self.x / 27, (self.y - 48) / 32) - 1) * 28 - 4
        teeth = np.maximum(teeth, np.maximum(np.abs(self.z + 86) - 9, 48 - self.y))
        self.paint(canvas, teeth, BONE)
        cord = np.hypot(self.x, self.y - self.spine())
        body = np.hypot(self.x / 12, (self.y - self.spine() - 19) / 9) - 1
        body = np.maximum(body * 9, self.z + 66)
        disc = np.abs((self.z + 8) % 18 - 9) - 7
        self.paint(canvas, body - 1.5, BONE)
        self.paint(canvas, np.maximum(body, disc), MARROW + 0.05 * fine)
        arch = np.hypot(self.x / 14, (self.y - self.spine() + 16) / 12) - 1
        arch = np.maximum(
            arch * 12, np.maximum(np.abs((self.z + 8) % 18 - 9) - 4, self.z + 76)
        )
        self.paint(canvas, arch - 1.5, BONE)
        self.paint(canvas, arch + 1.5, MARROW)
        below = self.z + 50
        self.paint(canvas, np.maximum(cord - 9.5, below), FLUID)
        self.paint(canvas, np.maximum(cord - 5.5, below), CORD)
        self.place(canvas, (0, 6, -52), (11, 8, 19), BONE, tilt=30)
        self.place(canvas, (0, 6, -52), (9, 5, 16), MARROW + 0.15, tilt=30)

    def _airways(self, canvas, clumps, fine):
        """Paint nose, sinuses, mouth, throat and the air cells behind the ears."""
        shells = np.where(fine + 0.6 * clumps > 0.5, MUSCLE, AIR)
        lining = np.where(np.abs(self.x) < 1.5, 0.8 * MUSCLE, shells)
        self.place(canvas, (0, 64, -52), (15, 34, 21), lining)
        for side in (-1, 1):
            self.place(canvas, (side * 28, 54, -60), (14, 17, 17), AIR)
            self.place(canvas, (side * 9, 52, -34), (8, 22, 9), shells)
            cells = 0.6 * shells + BONE
            self.place(canvas, (side * 52, -26, -46), (13, 16, 20), cells)
            self.place(canvas, (side * 62, -16, -42), (16, 3, 3), AIR)
            carotid = np.hypot(self.x - side * 24, self.y - self.spine() - 24)
            self.paint(canvas, np.maximum(carotid - 3, self.z + 55), FAT)
        self.place(canvas, (0, 28, -37), (13, 11, 10), AIR)
        self.place(canvas, (0, 80, -20), (17, 4, 9), AIR)
        self.place(canvas, (0, 46, -76), (26, 36, 3), BONE)
        self.place(canvas, (0, 44, -98), (24, 33, 20), MUSCLE + 0.1 + 0.04 * fine)
        self.place(canvas, (0, 14, -66), (11, 7, 17), AIR)
        throat = np.hypot(self.x / 9, (self.y - self.spine() - 42) / 5.5) - 1
        self.paint(canvas, np.maximum(throat * 5.5, self.z + 72), AIR)

    def _eye(self, canvas, side, fine):
        """Paint one orbit: fat, muscles, nerve, globe and lens."""
        orbit = (side * 30, 52, -36), (19, 27, 17)
        self.place(canvas, *orbit, BONE, grow=2)
        self.place(canvas, *orbit, FAT - 0.05 * np.abs(fine))
        for across, up in ((0, 11), (0, -11), (12, 0), (-11, 0), (0, 0)):
            centre = (side * 26 + across, 48, -36 + up)
            radii = (2.5, 22, 2.5) if across == up == 0 else (3, 17, 3)
            self.place(canvas, centre, radii, MUSCLE + 0.08)
        globe = (side * 32, 68, -36), (12.5, 12.5, 12.5)
        self.place(canvas, *globe, MUSCLE, grow=1)
        self.place(canvas, *globe, FLUID, grow=-1)
        self.place(canvas, (side * 32, 76, -36), (5, 2.5, 5), MUSCLE)
