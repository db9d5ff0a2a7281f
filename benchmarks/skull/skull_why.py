"""Where the similarity of two heads gets its signal: the parts of its gradient."""

import numpy as np

from benchmarks.skull import skull_scans
from helpers import backend, losses
from helpers.backend import ops

LOSSES = {"ncc": losses.ncc_loss, "lncc": lambda a, b: losses.lncc_loss(a, b, 5)}
DARK = 0.05


def gradient_shares(heads, index, stage, loss):
    """Return how much of the gradient of a similarity lies outside of both brains.

    Args:
        heads: `skull_scans.Heads`.
        index: Number of the test scan, with its skull.
        stage: `"before"` or `"after"` its affine.
        loss: `"ncc"` or `"lncc"`.

    Returns:
        Dict of shares in [0, 1]: `image` of the gradient in the moved intensities,
        `displacement` of that in the displacement of every voxel, and `head`, the
        share of the two heads' voxels that lie there, which is what to expect if
        every voxel of a head had the same say.
    """
    images = {k: heads.test[k][index : index + 1] for k in skull_scans.INPUTS}
    if stage == "after":
        affine = heads.affines["test"][index : index + 1]
        images = {k: skull_scans.move(image, affine) for k, image in images.items()}
    moved, fixed = images["skull"], heads.fixed["skull"]
    outside = (heads.mask < 0.5) & (images["stripped"] < DARK)
    tissue = (fixed > DARK) | (moved > DARK)
    felt = image_gradient(LOSSES[loss], fixed, moved)
    pull = displacement_gradient(felt, moved)
    return {
        "image": float(np.abs(felt)[outside].sum() / np.abs(felt).sum()),
        "displacement": float(pull[outside[..., 0]].sum() / pull.sum()),
        "head": float((tissue & outside).sum() / tissue.sum()),
    }


def image_gradient(loss, fixed, moved):
    """Return the gradient of a loss in the moved image, `(1, *shape, 1)`."""
    _, gradient = backend.value_and_gradient(lambda image: loss(fixed, image))(moved)
    return ops.convert_to_numpy(gradient)


def displacement_gradient(felt, moved):
    """Return the length of the gradient in the displacement, `(1, *shape)`.

    A voxel that is fetched from elsewhere changes by the slope of the image there.
    """
    slope = np.stack(np.gradient(moved[0, ..., 0]), axis=-1)
    return np.abs(felt[..., 0]) * np.linalg.norm(slope, axis=-1)
