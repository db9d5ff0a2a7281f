"""Functional builders of the networks: moving and fixed in, transform out."""

import keras

from helpers import layers


def affine_network(
    shape,
    filters=(16, 32, 32, 32),
    hidden=64,
    kind="affine",
    parametrisation="exponential",
    identity_start=True,
    name="affine_network",
):
    """Build a CNN that sees a moving and a fixed image and gives an affine.

    Convolutions of stride 2, a hidden layer, then as many numbers as the affine
    has. The last layer starts at zero, so the first affine is the identity.

    Args:
        shape: The images' shape in voxels, 2D or 3D.
        filters: Channels of each convolution; each halves the image.
        hidden: Units of the hidden layer.
        kind: `"affine"` or `"rigid"`.
        parametrisation: See `affines.from_parameters`.
        identity_start: `False` starts the last layer at random instead, to see
            what that costs.
        name: Name of the model.

    Returns:
        `keras.Model` from `[moving, fixed]`, each `(batch, *shape, 1)`, to the
        affine `(batch, ndim, ndim + 1)` in centred coordinates.

    Reference:
        de Vos et al., DLMIA 2017; Chee and Wu, arXiv 1810.02583. Notebook
        `01_affine_2d_mnist` trains it.
    """
    moving, fixed = _inputs(shape)
    features = keras.layers.Concatenate()([moving, fixed])
    for width in filters:
        features = _convolution(features, width, strides=2)
    features = keras.layers.Flatten()(features)
    features = keras.layers.Dense(hidden, activation="relu")(features)
    ndim = len(shape)
    start = "zeros" if identity_start else "glorot_uniform"
    parameters = keras.layers.Dense(
        ndim * (ndim + 1), kernel_initializer=start, name="parameters"
    )(features)
    affine = layers.AffineFromParameters(ndim, kind, parametrisation)(parameters)
    return keras.Model([moving, fixed], affine, name=name)


def registration(network, spacing=1.0):
    """Append a spatial transformer to a network that gives a transform.

    Args:
        network: `keras.Model` from `[moving, fixed]` to an affine or displacement.
        spacing: Voxel size in mm, one number or one per axis.

    Returns:
        `keras.Model` with the same inputs that gives the dict `transform`, `moved`.
    """
    moving, fixed = network.inputs
    transform = network([moving, fixed])
    moved = layers.SpatialTransformer(spacing=spacing)(moving, transform)
    return keras.Model(
        [moving, fixed], {"transform": transform, "moved": moved}, name="registration"
    )


def _inputs(shape):
    return [keras.Input((*shape, 1), name=name) for name in ("moving", "fixed")]


def _convolution(features, width, strides=1, activation="leaky_relu"):
    ndim = len(features.shape) - 2
    convolution = {2: keras.layers.Conv2D, 3: keras.layers.Conv3D}[ndim]
    return convolution(width, 3, strides, padding="same", activation=activation)(
        features
    )
