"""Random transforms and looks, to vary what a network sees and what it can take."""

import numpy as np
from scipy import ndimage

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
    linear = backend.keras.ops.convert_to_numpy(linear)
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


def random_look(rng, image, strength=1.0):
    """Give an image the look of another scanner.

    Its intensities pass a random curve, brightness drifts slowly across the volume,
    fine detail is blurred, and noise as of a magnitude image is added.

    Args:
        rng: `numpy.random.Generator`.
        image: Float array `(*shape)` in [0, 1].
        strength: How far from what it was, 0 to 1.

    Returns:
        Float32 array of the same shape in [0, 1]; what was zero all around stays dark.
    """
    curve = _random_curve(rng, strength)
    look = np.interp(image, np.linspace(0, 1, len(curve)), curve).astype("float32")
    look *= _drift(rng, image.shape, 0.3 * strength)
    if rng.random() < 0.5 * strength:
        look = ndimage.gaussian_filter(look, rng.uniform(0, 0.9 * strength))
    level = 0.06 * strength * rng.random() ** 2
    noise = level * rng.standard_normal((2, *image.shape), dtype="float32")
    look = np.hypot(look + noise[0], noise[1])
    return np.clip(look / max(np.quantile(look[::3, ::3], 0.998), 1e-6), 0, 1)


def _random_curve(rng, strength, knots=6):
    """Draw a curve from 0 to 1 that rises, or with the strength also falls."""
    gamma = np.linspace(0, 1, knots) ** np.exp(strength * rng.uniform(-0.7, 0.7))
    bent = gamma + strength * rng.uniform(-0.15, 0.15, knots)
    if rng.random() < 0.25 * strength:
        bent = rng.uniform(0.1, 1, knots)
    bent[0] = 0.0
    return np.clip(bent, 0, None) / max(bent.max(), 0.2)


def _drift(rng, shape, amount):
    """Draw a factor for every voxel that changes slowly, float32 `shape`."""
    coarse = rng.uniform(-amount, amount, [4] * len(shape)).astype("float32")
    factors = [size / 4 for size in shape]
    field = ndimage.zoom(coarse, factors, order=1, grid_mode=True, mode="nearest")
    return np.exp(field)
