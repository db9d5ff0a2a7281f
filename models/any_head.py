"""What a training head may look like: any scanner, any contrast, with errors of a mask.

Shared by the scripts that train the stored networks. Heads are float32 arrays
`(i, j, k)` in [0, 1], labels 8-bit arrays of the same shape, 0 outside the brain.
"""

import lzma
import pickle

import numpy as np
from scipy import ndimage

from helpers import augmentation
from registration import files


def kept(path, make):
    """Read what a script has put into a file of its own, or make it and write it.

    A training can so go on where there are no scans, and several need not prepare the
    same heads. The file is a pickle: read none that somebody else has made.

    Args:
        path: `pathlib.Path`, or None to make it anew.
        make: Function without arguments.

    Returns:
        What `make` returns.
    """
    if path is not None and path.exists():
        return pickle.loads(lzma.decompress(path.read_bytes()))
    made = make()
    if path is not None:
        with files.whole(path) as partial:
            partial.write_bytes(lzma.compress(pickle.dumps(made), preset=1))
    return made


def dressed(rng, image, labels, stripped):
    """Return a head as some scanner might show it, or the brain that a tool cuts out.

    A quarter are painted from their labels, so that no contrast is special; every one
    has a random look, and every fifth thick slices. Of those to be stripped, half are
    cut along a wrong outline.

    Args:
        rng: `numpy.random.Generator`.
        image: The head, at least a rim around its brain.
        labels: Its regions.
        stripped: Whether to cut the brain out.

    Returns:
        Float32 array of the same shape in [0, 1].
    """
    if rng.random() < 0.25:
        image = painted(rng, image, labels)
    image = augmentation.random_look(rng, thickened(rng, image), rng.random())
    if stripped:
        mask = labels > 0
        image = image * (worn(rng, mask) if rng.random() < 0.5 else mask)
    return np.clip(image * rng.uniform(0.85, 1.15), 0, 1).astype("float32")


def painted(rng, image, labels):
    """Return a head whose brain regions have random grays, a little noise in each."""
    grays = rng.uniform(0.1, 1.0, 256).astype("float32")
    brain = grays[labels] + 0.03 * rng.standard_normal(labels.shape, dtype="float32")
    return np.where(labels > 0, np.clip(brain, 0, 1), image).astype("float32")


def thickened(rng, image):
    """Return an image as from slices two or three voxels thick, every fifth."""
    if rng.random() > 0.2:
        return image
    axis, step = rng.integers(3), rng.integers(2, 4)
    thick = ndimage.uniform_filter1d(image, step, axis)
    index = np.arange(image.shape[axis]) // step * step
    return np.take(thick, index, axis=axis)


def cropped(rng, image, mask):
    """Cut the field of view off on some sides, as scanners do, brain and all."""
    kept = np.ones(image.shape, bool)
    for axis in range(3):
        for side in (0, 1):
            if rng.random() < (0.5 if (axis, side) == (2, 0) else 0.1):
                width = int(rng.uniform(0, 0.3) * image.shape[axis])
                along = np.moveaxis(kept, axis, 0)
                start = 0 if side == 0 else len(along) - width
                along[start : start + width] = False
    return image * kept, mask * kept


def worn(rng, mask):
    """Return a mask whose outline is wrong by up to some voxels, here in, there out."""
    soft = ndimage.gaussian_filter(mask.astype("float32"), 1.5)
    coarse = rng.normal(0, 0.25, (6, 6, 6)).astype("float32")
    factors = [size / 6 for size in mask.shape]
    wave = ndimage.zoom(coarse, factors, order=1, grid_mode=True, mode="nearest")
    return (soft > rng.uniform(0.2, 0.8) + wave) & (soft > 0.02)
