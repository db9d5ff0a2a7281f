"""Ways in which a pair of heads, or what registration finds, can be spoiled.

Each takes a `numpy.random.Generator` and a pair of `scan.Scan`s with masks and labels,
and returns another pair; how much is spoiled is drawn as well, from hardly to wholly.
The labels stay those of the head, wherever its image is cut or changed, so that they
tell the truth about the place.
"""

import dataclasses

import numpy as np
from scipy import ndimage

from helpers import augmentation
from registration import transform
from registration.scans import grid as grids


def none(rng, moving, fixed):
    """Leave a pair as it is."""
    return moving, fixed


def skull_one_side(rng, moving, fixed):
    """Take one whole head for a brain, the other is cut out."""
    return _with_head(moving), fixed


def skull_both(rng, moving, fixed):
    """Take both whole heads for brains."""
    return _with_head(moving), _with_head(fixed)


def contrast(rng, moving, fixed):
    """Give the moving head the look of another scanner or another contrast."""
    image = moving.image / max(moving.image.max(), 1e-6)
    look = augmentation.random_look(rng, image, 1.0)
    if rng.random() < 0.5:
        # Dark where it was bright, as fluid and white matter in a T2-weighted scan.
        look = np.where(image > 0.02, (1 - look) ** rng.uniform(0.5, 2), 0)
    return _image(moving, look), fixed


def noise(rng, moving, fixed):
    """Add the noise of a magnitude image to both."""
    level = np.exp(rng.uniform(np.log(0.03), np.log(0.6)))
    return tuple(_noisy(rng, scan, level) for scan in (moving, fixed))


def blur(rng, moving, fixed):
    """Blur the moving head."""
    return _image(moving, ndimage.gaussian_filter(moving.image, rng.uniform(0.5, 4))), (
        fixed
    )


def thick(rng, moving, fixed):
    """Make the slices of the moving head thick along one axis."""
    axis, factor = rng.integers(3), int(rng.integers(2, 9))
    image, size = np.moveaxis(moving.image, axis, 0), moving.image.shape[axis]
    starts = np.arange(0, size, factor)
    slabs = np.add.reduceat(image, starts) / np.diff([*starts, size])[:, None, None]
    middles = starts + (np.diff([*starts, size]) - 1) / 2
    place = np.interp(np.arange(size), middles, np.arange(len(starts)))
    low = np.clip(np.floor(place).astype(int), 0, len(starts) - 2)
    share = (place - low)[:, None, None]
    image = slabs[low] * (1 - share) + slabs[low + 1] * share
    return _image(moving, np.moveaxis(image, 0, axis)), fixed


def drift(rng, moving, fixed):
    """Let the brightness of the moving head change slowly and strongly."""
    coarse = rng.uniform(-1, 1, (3, 3, 3)) * rng.uniform(0.3, 1.5)
    zoom = np.array(moving.image.shape) / 3
    field = ndimage.zoom(coarse, zoom, order=1, grid_mode=True, mode="nearest")
    return _image(moving, moving.image * np.exp(field)), fixed


def cropped(rng, moving, fixed):
    """Cut a slab off the moving head, up to two thirds of the brain."""
    return _cut(rng, moving, rng.uniform(0.05, 0.65)), fixed


def half(rng, moving, fixed):
    """Take away half of the moving brain, as a wrong mask or a great lesion does."""
    return _cut(rng, moving, 0.5, rng.integers(3)), fixed


def mirrored(rng, moving, fixed):
    """Mirror the moving head, left for right; its header does not say so."""
    return _turned(moving, np.diag([-1.0, 1, 1])), fixed


def axes(rng, moving, fixed):
    """Turn the moving head by right angles, as a wrong header does."""
    order = rng.permutation(3)
    turn = np.eye(3)[order] * rng.choice([-1.0, 1], 3)[:, None]
    if np.linalg.det(turn) < 0:
        turn[rng.integers(3)] *= -1
    return _turned(moving, turn), fixed


def turned(rng, moving, fixed):
    """Turn the moving head by up to 90 degrees about any axis."""
    axis = rng.normal(size=3)
    turn = axis / np.linalg.norm(axis) * np.radians(rng.uniform(10, 90))
    skew = np.cross(np.eye(3), turn)
    values, vectors = np.linalg.eig(skew)
    return _turned(moving, (vectors * np.exp(values) @ np.linalg.inv(vectors)).real), (
        fixed
    )


def size(rng, moving, fixed):
    """Stretch the moving head by a wrong voxel size, along one axis or all."""
    factor = np.exp(rng.choice([-1, 1]) * rng.uniform(0.1, 0.6))
    along = np.ones(3) if rng.random() < 0.5 else np.eye(3)[rng.integers(3)]
    return _turned(moving, np.diag(factor**along)), fixed


def phantom(rng, moving, fixed):
    """Put smooth blobs in the place of the moving brain."""
    cloud = ndimage.gaussian_filter(
        rng.standard_normal(moving.image.shape, dtype="float32"), rng.uniform(1, 6)
    )
    image = np.clip(0.5 + 0.2 * cloud / cloud.std(), 0, 1) * moving.mask
    return dataclasses.replace(moving, image=image.astype("float32")), fixed


KINDS = {
    made.__name__: made
    for made in (
        none, skull_one_side, skull_both, contrast, noise, blur, thick, drift, cropped,
        half, mirrored, axes, turned, size, phantom,
    )
}  # fmt: skip


def misplaced(rng, found, fixed):
    """Turn and shift what was found, by nothing or by up to 30 mm and 40 degrees.

    Args:
        rng: `numpy.random.Generator`.
        found: `transform.Transform`.
        fixed: `scan.Scan` with a mask.

    Returns:
        `transform.Transform`.
    """
    strength = rng.random() ** 2
    turn = augmentation.random_affines(rng, 1, 3, (0, 40 * strength), (0, 0))[0]
    middle = np.argwhere(fixed.brain()).mean(axis=0)
    middle = transform.Transform([fixed.affine]).points(middle)
    matrix = np.eye(4)
    matrix[:3, :3] = turn[:, :3]
    shift = rng.normal(size=3)
    shift *= 30 * strength * rng.random() / np.linalg.norm(shift)
    matrix[:3, 3] = middle - matrix[:3, :3] @ middle + shift
    return found @ transform.Transform([matrix])


def bent(rng, found, fixed):
    """Add a random smooth field of 1 to 20 mm to what was found.

    Args:
        rng: `numpy.random.Generator`.
        found: `transform.Transform`.
        fixed: `scan.Scan` with a mask.

    Returns:
        `transform.Transform`.
    """
    coarse = grids.Grid(
        [n // 4 for n in fixed.image.shape], fixed.affine @ np.diag([4, 4, 4, 1])
    )
    field = rng.standard_normal((*coarse.shape, 3), dtype="float32")
    width = rng.uniform(1, 4)
    field = ndimage.gaussian_filter(field, (width, width, width, 0))
    longest = np.linalg.norm(field, axis=-1).max()
    field *= np.exp(rng.uniform(np.log(1), np.log(20))) / longest
    return found @ transform.Transform([transform.Field(coarse, field)])


SPOILED = {made.__name__: made for made in (misplaced, bent)}


def _image(scan, image):
    return dataclasses.replace(scan, image=np.asarray(image, "float32"))


def _with_head(scan):
    return dataclasses.replace(scan, mask=scan.image > 0.05 * scan.image.max())


def _noisy(rng, scan, level):
    parts = level * rng.standard_normal((2, *scan.image.shape), dtype="float32")
    top = max(scan.image.max(), 1e-6)
    return _image(scan, top * np.hypot(scan.image / top + parts[0], parts[1]))


def _cut(rng, scan, share, axis=None):
    """Set everything beyond a plane to zero, and take it out of the mask."""
    axis = rng.integers(3) if axis is None else axis
    rows = np.flatnonzero(scan.mask.any(axis=tuple({0, 1, 2} - {int(axis)})))
    keep, count = np.zeros(scan.image.shape[axis], bool), round(len(rows) * share)
    if rng.random() < 0.5:
        keep[rows[0] + count :] = True
    else:
        keep[: rows[-1] + 1 - count] = True
    keep = np.expand_dims(keep, [a for a in range(3) if a != axis])
    return dataclasses.replace(scan, image=scan.image * keep, mask=scan.mask & keep)


def _turned(scan, linear):
    """Let the header place the head elsewhere: turned about its middle."""
    matrix, middle = np.eye(4), scan.grid.centre
    matrix[:3, :3] = linear
    matrix[:3, 3] = middle - linear @ middle
    return dataclasses.replace(scan, affine=matrix @ scan.affine)
