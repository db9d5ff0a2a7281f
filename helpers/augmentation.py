"""Random transforms, to vary what a network sees and to test what it can take."""

import numpy as np

from helpers import affines, backend, transforms


def random_affines(rng, batch, ndim, degrees, shift, strain=0.0):
    """Draw affines: a rotation about a random axis, a shift and a small strain.

    Args:
        rng: `numpy.random.Generator`.
        batch: Number of affines.
        ndim: Number of spatial axes, 2 or 3.
        degrees: Pair (least, most) rotation angle, drawn evenly.
        shift: Pair (least, most) length of the shift in half sides of the volume,
            drawn evenly, its direction at random.
        strain: Standard deviation of the nine (in 2D four) entries added to the
            generator, which change size and shear.

    Returns:
        Float32 array `(batch, ndim, ndim + 1)` in centred coordinates.

    Raises:
        ValueError: If `ndim` is neither 2 nor 3.
    """
    if ndim not in (2, 3):
        raise ValueError(f"ndim must be 2 or 3. Received: {ndim}")
    axis = _directions(rng, batch, 3) if ndim == 3 else np.ones((batch, 1))
    turn = axis * np.radians(rng.uniform(*degrees, (batch, 1)))
    generator = rng.normal(0, strain, (batch, ndim, ndim)) + _antisymmetric(turn)
    offset = _directions(rng, batch, ndim) * rng.uniform(*shift, (batch, 1))
    linear = affines.exponential(generator.astype("float32"))
    return np.concatenate([linear, offset[..., None]], -1).astype("float32")


def _directions(rng, batch, ndim):
    vectors = rng.normal(size=(batch, ndim))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _antisymmetric(turn):
    if turn.shape[1] == 1:
        zero = np.zeros_like(turn[:, 0])
        return np.array([[zero, -turn[:, 0]], [turn[:, 0], zero]]).transpose(2, 0, 1)
    return np.cross(np.eye(3)[None], turn[:, None])


@backend.compiled
def apply(images, affine):
    """Warp a batch of images, each by its own affine, in one compiled program.

    Args:
        images: Float tensor `(batch, *shape, channels)` with cubic voxels.
        affine: Float tensor `(batch, ndim, ndim + 1)` in centred coordinates.

    Returns:
        Float tensor like `images`; outside reads zero.
    """
    shape = tuple(images.shape[1:-1])
    return transforms.warp(images, transforms.affine_displacement(affine, shape))
