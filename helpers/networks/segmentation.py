"""Networks that say of every voxel what it is."""

from helpers.backend import keras, ops
from helpers.networks import parts

WIDTHS = (16, 24, 32, 32, 48)


def brain_network(shape, widths=WIDTHS, name="brain_network"):
    """Build a U-Net that says of every voxel of a head how surely it is brain.

    The finest features lie on the grid of half the resolution; of each of its voxels
    the network names the eight (in 2D four) of the full grid, so that a large head
    costs little.

    Args:
        shape: The image's shape in voxels, 2D or 3D, divisible by
            `2 ** len(widths)`.
        widths: Channels of each grid, the finest first.
        name: Name of the model.

    Returns:
        `keras.Model` from `(batch, *shape, 1)` to the evidence for brain, the same
        shape: above 0 where brain is likelier, its sigmoid the probability.

    Raises:
        ValueError: If the shape cannot be halved so often.

    Reference:
        Ronneberger et al., MICCAI 2015 (U-Net); Shi et al., CVPR 2016 (the last
        step, sub-voxel shuffling).
    """
    if any(size % 2 ** len(widths) for size in shape):
        raise ValueError(
            f"shape must be divisible by {2 ** len(widths)}, 2 for each of the "
            f"{len(widths)} widths. Received: {tuple(shape)}"
        )
    ndim = len(shape)
    image = keras.Input((*shape, 1), name="image")
    features, seen = image, []
    for width in widths:
        features = _normalised(parts.convolution(features, width, strides=2))
        features = parts.convolution(features, width)
        seen.append(features)
    for width, beside in zip(widths[-2::-1], seen[-2::-1], strict=True):
        features = parts.upsample(features)
        features = keras.layers.Concatenate()([features, beside])
        features = _normalised(parts.convolution(features, width))
    features = parts.convolution(features, widths[0])
    pieces = parts.convolution(features, 2**ndim, activation=None, name="pieces")
    return parts.model(image, _shuffle(pieces, ndim), name)


def _normalised(features):
    """Give every channel of an image mean 0 and deviation 1: any contrast will do."""
    return keras.layers.GroupNormalization(groups=-1, epsilon=1e-3)(features)


def _shuffle(pieces, ndim):
    """Lay the channels of every voxel out as a block of two voxels an axis."""
    shape = pieces.shape[1:-1]
    blocks = ops.reshape(pieces, (-1, *shape, *[2] * ndim))
    order = [axis + offset for axis in range(1, ndim + 1) for offset in (0, ndim)]
    blocks = ops.transpose(blocks, (0, *order))
    return ops.reshape(blocks, (-1, *(2 * size for size in shape), 1))
