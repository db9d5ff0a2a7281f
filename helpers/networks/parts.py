"""What the builders share."""

from helpers import backend, layers
from helpers.backend import keras


def registration(network, spacing=1.0):
    """Append a spatial transformer to a network that gives a transform.

    Args:
        network: `keras.Model` from `[moving, fixed]` to an affine or displacement.
        spacing: Voxel size in mm, one number or one per axis.

    Returns:
        `keras.Model` with the same inputs that gives a dict: `moved` and what the
        network gives, at least `transform`.
    """
    moving, fixed = network.inputs
    outputs = network([moving, fixed])
    outputs = outputs if isinstance(outputs, dict) else {"transform": outputs}
    moved = layers.SpatialTransformer(spacing=spacing)(moving, outputs["transform"])
    outputs = {**outputs, "moved": moved}
    return model([moving, fixed], outputs, "registration")


def model(inputs, outputs, name):
    """Build a model that predicts as fast as it trains; see `compile_whole_step`."""
    built = keras.Model(inputs, outputs, name=name)
    if backend.compile_whole_step() is False:
        built.jit_compile = False
    return built


def inputs(shape):
    """Return the inputs `[moving, fixed]`, each `(batch, *shape, 1)`."""
    return [keras.Input((*shape, 1), name=name) for name in ("moving", "fixed")]


def convolution(features, width, **options):
    """Apply a new convolution, see `convolution_layer`."""
    return convolution_layer(len(features.shape) - 2, width, **options)(features)


def convolution_layer(ndim, width, strides=1, activation="leaky_relu", **options):
    """Return a 2D or 3D convolution of 3 voxels an axis, padded with zeros."""
    kind = {2: keras.layers.Conv2D, 3: keras.layers.Conv3D}[ndim]
    return kind(width, 3, strides, padding="same", activation=activation, **options)


def shrink(image, factor):
    """Average blocks of `factor` voxels an axis; a spacing of 1 keeps its meaning."""
    if factor == 1:
        return image
    ndim = len(image.shape) - 2
    pooling = {2: keras.layers.AveragePooling2D, 3: keras.layers.AveragePooling3D}
    return pooling[ndim](factor)(image)


def upsample(features):
    """Repeat every voxel twice along every axis."""
    ndim = len(features.shape) - 2
    layer = {2: keras.layers.UpSampling2D, 3: keras.layers.UpSampling3D}[ndim]
    return layer(2)(features)
