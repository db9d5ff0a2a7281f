"""Simulated T1-weighted heads whose exact correspondence is known.

The brain is that of the MNI152 template, bent by a smooth random map, posed by a
random affine one; the skull, scalp, face and neck around it bend and thicken on
their own, so that a skull tells little about the brain inside it.
"""

import typing

import nibabel
import numpy as np
from scipy import ndimage

from registration.scans import grid as grids
from registration.scans import intensity
from registration.scans import scan as scans
from registration.scans.sources.simulated import head, smooth_warp, template

WORK_MM = 2.0
# How bright tissues are where the contrast is not that of T1: in the brain by name,
# around it by what they would be in T1, from air to fat.
CONTRASTS = {
    "t1": None,
    "t2": {
        "brain": {"fluid": 0.95, "gray": 0.60, "white": 0.42, "detail": -0.3},
        "around": (0.02, 0.05, 0.95, 0.25, 0.35, 0.45, 0.50, 0.65),
    },
    "pd": {
        "brain": {"fluid": 0.70, "gray": 0.85, "white": 0.66, "detail": -0.2},
        "around": (0.02, 0.10, 0.70, 0.60, 0.65, 0.60, 0.70, 0.95),
    },
}
T1 = {"fluid": 0.15, "gray": 0.49, "white": 0.69, "detail": 0.45}
FIELD_OF_VIEW_MM = (180, 240, 240)
CENTRE_MM = (0.0, -4.0, -26.0)


class Truth(typing.NamedTuple):
    """The exact map between one subject and the template, both in RAS mm.

    `to_template(x) = affine (x + displacement(x))`, where the displacement is a
    field of cubic B-splines: a closed form at every point, on a grid or off it.
    Between two subjects: `moving.from_template(fixed.to_template(points))`.
    """

    affine: np.ndarray
    coefficients: np.ndarray

    def to_template(self, points):
        """Map points of the subject to the template.

        Args:
            points: `(n, 3)` in RAS millimetres.

        Returns:
            `(n, 3)` in RAS millimetres of the template.
        """
        points = np.asarray(points, "float64")
        bent = points + smooth_warp.evaluate(self.coefficients, points)
        return nibabel.affines.apply_affine(self.affine, bent)

    def from_template(self, points):
        """Map points of the template to the subject, the inverse to 1e-9 mm.

        Args:
            points: `(n, 3)` in RAS millimetres of the template.

        Returns:
            `(n, 3)` in RAS millimetres.
        """
        back = nibabel.affines.apply_affine(np.linalg.inv(self.affine), points)
        return smooth_warp.invert(self.coefficients, back)

    @property
    def landmarks(self):
        """Where the template's landmarks lie in this subject, `(n, 3)` in mm."""
        return self.from_template(template.landmarks())


class Subject(typing.NamedTuple):
    """One simulated head, and where its points truly lie in the template."""

    scan: scans.Scan
    truth: Truth


def grid(voxel_mm):
    """Return the grid that simulated heads are made on, 192 x 256 x 256 mm."""
    affine = np.eye(4)
    affine[:3, 3] = np.array(CENTRE_MM) - (np.array(FIELD_OF_VIEW_MM) - 1) / 2
    return grids.around(grids.Grid(FIELD_OF_VIEW_MM, affine), voxel_mm)


def truth(seed):
    """Return where the points of a subject truly lie in the template, unpainted.

    Args:
        seed: As of `subject`.

    Returns:
        A `Truth`.
    """
    return _draw(np.random.default_rng(seed))[0]


def subject(seed, where, skull=True, contrast="t1"):
    """Make one head.

    Args:
        seed: An integer, or a sequence of integers; the same seed gives the same
            anatomy at every voxel size.
        where: The `grid.Grid` to make it on.
        skull: False sets everything outside the brain to zero.
        contrast: `"t1"`, or what the same head looks like in another sequence:
            `"t2"`, where fluid is brightest and white matter darker than gray, or
            `"pd"`, where gray matter is brightest.

    Returns:
        A `Subject`: its `scan` has `image` float32 in [0, 1], `labels` uint8 (zero
        outside the brain, else see `template.LABEL_NAMES`) and `landmarks`.

    Raises:
        ValueError: If the contrast is unknown.
    """
    if contrast not in CONTRASTS:
        raise ValueError(
            f"contrast must be one of {', '.join(CONTRASTS)}. Received: {contrast!r}"
        )
    random = np.random.default_rng(seed)
    truth, outer, traits = _draw(random)
    factor = max(1, round(where.spacing[0] / WORK_MM))
    fine = where.subdivided((factor,) * 3)
    image = _render(truth, outer, traits, fine, CONTRASTS[contrast])
    image *= _bias(traits, _axes(fine))
    noise = random.standard_normal((2, *image.shape), dtype="float32")
    noise *= traits["noise"]
    image = np.hypot(image + noise[0], noise[1])
    image = intensity.scaled(image)
    labels = _labels(truth, where)
    if not skull:
        image *= (labels if factor == 1 else _labels(truth, fine)) > 0
    image = grids.block_mean(image, (factor,) * 3)
    scan = scans.Scan(image, where.affine, labels, landmarks=truth.landmarks)
    return Subject(scan, truth)


def _draw(random):
    """Draw a subject: the truth of its brain, the map of its head, its traits."""
    turn = np.radians(random.normal(0, (5, 3, 4)))
    shift = random.normal(0, (4, 6, 6))
    # The template is larger than most heads: subjects are mapped to it by growing.
    scale = np.exp(random.normal(0.07, 0.04) + random.normal(0, 0.025, 3))
    shear = random.normal(0, 0.015, 3)
    pose = _affine(turn, shift, scale, shear)
    bend = smooth_warp.gentle(
        smooth_warp.random_field(random, 3, 5.5, 38)
        + smooth_warp.random_field(random, 3, 1.0, 14)
    )
    outer_scale = np.exp(random.normal(0, 0.03, 3))
    outer_pose = pose @ _affine(
        (0, 0, 0), random.normal(0, 2, 3), outer_scale, (0, 0, 0)
    )
    outer_bend = bend + smooth_warp.random_field(random, 3, 3.0, 32)
    traits = {
        "skull": random.normal(7.0, 1.2) + smooth_warp.random_field(random, 1, 1.8, 24),
        "scalp": random.normal(5.0, 1.2) + smooth_warp.random_field(random, 1, 2.0, 30),
        "marrow": random.uniform(0.2, 0.6)
        + smooth_warp.random_field(random, 1, 0.2, 14),
        "gap": random.uniform(1.0, 3.0) + smooth_warp.random_field(random, 1, 0.8, 24),
        "fat": random.uniform(0.5, 0.8),
        "fluid": random.normal(0.15, 0.02),
        "gray": random.normal(0.49, 0.02),
        "white": random.normal(0.69, 0.02),
        "bias": smooth_warp.random_field(random, 1, 0.12, 60),
        "noise": random.uniform(0.005, 0.016),
    }
    return Truth(pose, bend), Truth(outer_pose, outer_bend), traits


def _affine(turn, shift, scale, shear):
    """Return a `(4, 4)` matrix about the middle of the brain."""
    cosines, sines = np.cos(turn), np.sin(turn)
    matrix = np.eye(4)
    for axis in range(3):
        i, j = [a for a in range(3) if a != axis]
        spin = np.eye(4)
        spin[[i, j], [i, j]] = cosines[axis]
        spin[i, j], spin[j, i] = -sines[axis], sines[axis]
        matrix = matrix @ spin
    stretch = np.diag([*scale, 1.0])
    stretch[[0, 0, 1], [1, 2, 2]] = shear
    matrix = matrix @ stretch
    middle = np.array([0.0, -18.0, 5.0])
    matrix[:3, 3] = middle + shift - matrix[:3, :3] @ middle
    return matrix


def _axes(where):
    """Return the coordinates of a grid along each axis, in RAS millimetres."""
    return [
        where.affine[i, 3] + where.affine[i, i] * np.arange(n)
        for i, n in enumerate(where.shape)
    ]


def _map(truth, axes):
    """Return where the voxels of a grid lie in the template, `(3, i, j, k)` in mm."""
    matrix = truth.affine[:3, :3]
    # affine (x + u) = affine x + (affine u), and both are cheap on a grid.
    out = smooth_warp.evaluate_on_axes(truth.coefficients @ matrix.T, axes)
    for row in range(3):
        terms = [matrix[row, i] * axes[i] for i in range(3)]
        terms[0] = terms[0] + truth.affine[row, 3]
        for term in np.meshgrid(*terms, indexing="ij", sparse=True):
            out[row] += term.astype("float32")
    return out


def _labels(truth, where):
    """Return the tissue labels of a subject on a grid."""
    parts = template.load()
    return _sample(parts.labels, parts.affine, _map(truth, _axes(where)), order=0)


def _sample(volume, affine, points, order=1, outside=0.0):
    """Read a volume at points `(3, ...)` given in RAS millimetres."""
    scale = np.diag(affine)[:3].astype("float32")
    offset = affine[:3, 3].astype("float32")
    ones = (1,) * (points.ndim - 1)
    index = (points - offset.reshape(3, *ones)) / scale.reshape(3, *ones)
    return ndimage.map_coordinates(
        volume, index, order=order, mode="constant", cval=outside, prefilter=False
    )


def _bias(traits, axes):
    """Return the smooth gain of the coil, weaker towards the neck."""
    field = smooth_warp.evaluate_on_axes(traits["bias"], axes)[0]
    fall = 0.35 / (1 + np.exp((axes[2] + 105) / 14))
    return np.exp(field) * (1 - fall).astype("float32")


def _looks(contrast):
    """Return the brightness of the brain's tissues, and a function for those around."""
    if contrast is None:
        return T1, lambda value: value
    known = (
        head.AIR, head.BONE, head.FLUID, head.MUSCLE, head.SKIN, head.MARROW,
        head.CORD, head.FAT,
    )  # fmt: skip
    return contrast["brain"], lambda value: np.interp(
        value, known, contrast["around"]
    ).astype("float32")


def _render(truth, outer, traits, fine, contrast=None):
    """Return the intensities of a head, before bias and noise."""
    bright, look = _looks(contrast)
    # A subject's tissues are off the mean by as much in every contrast.
    tissues = {
        name: traits[name] + (bright[name] - T1[name])
        for name in ("fluid", "gray", "white")
    }
    axes, edge = _axes(fine), fine.spacing[0]
    parts, around = template.load(), template.load().head
    inner, where = _map(truth, axes), _map(outer, axes)
    cavity = _sample(around.cavity, around.affine, inner, outside=99)
    face = _sample(around.face, around.affine, where, outside=99)

    def field(name):
        return smooth_warp.evaluate_on_axes(traits[name], axes)[0]

    def paint(canvas, gap, value, limit=1.0):
        canvas += (value - canvas) * (np.clip(0.5 - gap / edge, 0, 1) * limit)

    skull, scalp = np.maximum(field("skull"), 3), np.maximum(field("scalp"), 3)
    from_bone = cavity - np.maximum(field("gap"), 0.5) - skull
    surface = head.smooth_minimum(face, from_bone - scalp, 4)
    below = (face < edge) & ((from_bone > -skull - edge) | (where[2] < -56))
    tissue = np.full(fine.shape, look(head.AIR), "float32")
    tissue[below] = _sample(look(around.tissue), around.affine, where[:, below])
    layers = np.full(fine.shape, traits["fat"], "float32")
    layers = look(layers * (1 + 0.5 * (field("marrow") - 0.4)))
    paint(layers, -surface - 2.0, look(head.SKIN))
    paint(layers, from_bone - 1.5, look(head.MUSCLE))
    paint(layers, face, tissue)
    image = np.full(fine.shape, look(head.AIR), "float32")
    paint(image, surface, layers)
    in_skull = np.clip((where[2] + 66) / 4, 0, 1)
    bone = np.full(fine.shape, look(head.BONE), "float32")
    marrow = np.abs(from_bone + skull / 2) - 0.22 * skull
    paint(bone, marrow, look(np.clip(field("marrow"), head.BONE, 0.8)))
    paint(image, from_bone, bone, in_skull)
    paint(image, from_bone + skull, tissues["fluid"], in_skull)
    near = cavity < 6
    points = inner[:, near]
    share, gray, white, detail = (
        _sample(volume, parts.affine, points)
        for volume in (parts.mask, parts.gray, parts.white, parts.detail)
    )
    brain = tissues["fluid"] * (1 - gray - white) + bright["detail"] * detail
    brain += tissues["gray"] * gray + tissues["white"] * white
    image[near] += (brain - image[near]) * share
    return np.maximum(image, 0)
