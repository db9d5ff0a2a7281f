"""Networks that give a displacement for every voxel."""

from helpers import layers
from helpers.backend import keras
from helpers.networks import parts

ENCODER = (16, 32, 32, 32)
DECODER = ((32,), (32,), (32,), (32, 32), (16, 16))


def unet(shape, encoder=ENCODER, decoder=DECODER, force=0, name="unet"):
    """Build a U-Net that sees both images and gives features for every voxel.

    Going down, each convolution halves the grid. Going up, each tuple of `decoder`
    is one grid, coarsest first, and begins beside what the encoder had there. The
    default is the network of VoxelMorph; without its last tuple the features stay
    on the grid of half the resolution.

    Args:
        shape: The images' shape in voxels, 2D or 3D, divisible by
            `2 ** len(encoder)`.
        encoder: Channels of each convolution of stride 2.
        decoder: For every grid, the channels of its convolutions.
        force: Window in voxels of the local NCC whose force the network sees beside
            the images, see `local_ncc.force`; 0 for the images alone.
        name: Name of the model.

    Returns:
        `keras.Model` from `[moving, fixed]`, each `(batch, *shape, 1)`, to features
        `(batch, *shape / 2 ** (len(encoder) + 1 - len(decoder)), decoder[-1][-1])`.

    Raises:
        ValueError: If the shape cannot be halved so often, or `decoder` has more
            grids than there are.

    Reference:
        Balakrishnan et al., CVPR 2018. Notebook `02_deformable_2d_mnist` builds it.
    """
    if any(size % 2 ** len(encoder) for size in shape):
        raise ValueError(
            f"shape must be divisible by {2 ** len(encoder)}, 2 for each of the "
            f"{len(encoder)} widths of the encoder. Received: {tuple(shape)}"
        )
    if not 1 <= len(decoder) <= len(encoder) + 1 or not all(map(len, decoder)):
        raise ValueError(
            f"decoder must have 1 to {len(encoder) + 1} grids, each with a width. "
            f"Received: {decoder}"
        )
    images = parts.inputs(shape)
    shown = [*images, layers.LocalNCCForce(force)(*images)] if force else images
    features = keras.layers.Concatenate()(shown)
    seen = [features]
    for width in encoder:
        features = parts.convolution(features, width, strides=2)
        seen.append(features)
    for level, widths in enumerate(decoder):
        if level:
            features = parts.upsample(features)
            features = keras.layers.Concatenate()([features, seen[-1 - level]])
        for width in widths:
            features = parts.convolution(features, width)
    return parts.model(images, features, name)


def dense_network(
    shape, encoder=ENCODER, decoder=DECODER, squarings=7, force=0, name="dense_network"
):
    """Build a U-Net that gives a displacement for every voxel.

    With squarings, the U-Net's field is a stationary velocity, which is integrated
    on its own grid and then refined to the image's: the displacement is
    diffeomorphic, and the integral of the negative velocity is its inverse. With
    `squarings=0` the field is the displacement itself.

    The field starts near zero, so the first displacement does nearly nothing.

    Args:
        shape: The images' shape in voxels, 2D or 3D; see `unet`.
        encoder: See `unet`.
        decoder: See `unet`; one grid less gives the field at half the resolution.
        squarings: Of `transforms.integrate_velocity`.
        force: See `unet`.
        name: Name of the model.

    Returns:
        `keras.Model` from `[moving, fixed]`, each `(batch, *shape, 1)`, to a dict:
        `transform`, the displacement `(batch, *shape, ndim)` in voxels, and
        `velocity`, the field `(batch, *its grid, ndim)` in voxels of its grid.

    Raises:
        ValueError: As `unet`.

    Reference:
        Balakrishnan et al., TMI 2019; Dalca et al., MICCAI 2018. Notebooks
        `02_deformable_2d_mnist` and `06_voxelmorph_3d_t1` train it.
    """
    images = parts.inputs(shape)
    features = unet(shape, encoder, decoder, force)(images)
    velocity = _velocity(features, len(shape))
    displacement = layers.VelocityIntegration(squarings)(velocity)
    factor = 2 ** (len(encoder) + 1 - len(decoder))
    displacement = layers.UpsampleDisplacement(factor)(displacement)
    outputs = {"transform": displacement, "velocity": velocity}
    return parts.model(images, outputs, name)


def dense_cascade(
    shape,
    encoder=ENCODER,
    decoder=DECODER,
    squarings=5,
    force=0,
    looks=1,
    name="dense_cascade",
):
    """Build a network that looks twice or more, coarse to fine, for one velocity.

    The first look is at the images shrunk by two, by a U-Net without the coarsest
    grid. The second is at the moving image as the first has moved it, beside the
    fixed one, by a U-Net without the finest grid, which may look again at what it has
    moved. All give a velocity at half the resolution; their sum is integrated, so that
    the result is one stationary velocity, as of `dense_network`.

    Args:
        shape: The images' shape in voxels, 2D or 3D; see `unet`.
        encoder: See `unet`.
        decoder: See `unet`, one grid more than `encoder` has widths.
        squarings: Of `transforms.integrate_velocity`.
        force: See `unet`.
        looks: How often the second U-Net looks, with the same weights.
        name: Name of the model.

    Returns:
        `keras.Model`, as `dense_network`, with the velocity at half the resolution.

    Raises:
        ValueError: As `unet`.

    Reference:
        Mok and Chung, MICCAI 2020 (coarse to fine). Notebook `08_beyond_voxelmorph`
        trains it.
    """
    images = parts.inputs(shape)
    small = [parts.shrink(image, 2) for image in images]
    half = tuple(size // 2 for size in shape)
    coarse = unet(half, encoder[:-1], decoder[1:], force, "coarse")(small)
    velocity = _velocity(coarse, len(shape), "coarse_velocity")
    displacement = _displacement(velocity, squarings)
    fine = unet(shape, encoder, decoder[:-1], force, "fine")
    last = _velocity_layer(len(shape))
    for _ in range(looks):
        moved = layers.SpatialTransformer()(images[0], displacement)
        velocity = velocity + last(fine([moved, images[1]]))
        displacement = _displacement(velocity, squarings)
    outputs = {"transform": displacement, "velocity": velocity}
    return parts.model(images, outputs, name)


def _displacement(velocity, squarings):
    """Integrate a velocity at half the resolution."""
    displacement = layers.VelocityIntegration(squarings)(velocity)
    return layers.UpsampleDisplacement(2)(displacement)


def _velocity(features, ndim, name="velocity"):
    """Turn features into a field that starts near zero."""
    return _velocity_layer(ndim, name)(features)


def _velocity_layer(ndim, name="velocity"):
    start = keras.initializers.RandomNormal(stddev=1e-5)
    return parts.convolution_layer(
        ndim, ndim, activation=None, kernel_initializer=start, name=name
    )
