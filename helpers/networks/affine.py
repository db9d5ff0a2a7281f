"""Networks that give an affine: one look, or passes from coarse to fine."""

from helpers import layers
from helpers.backend import keras
from helpers.networks import parts


def affine_network(
    shape,
    filters=(16, 32, 32, 32),
    hidden=64,
    kind="affine",
    parametrisation="exponential",
    identity_start=True,
    scale=1.0,
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
        scale: What the parameters are multiplied by; below 1 the affine answers
            more calmly to a change of the weights.
        name: Name of the model.

    Returns:
        `keras.Model` from `[moving, fixed]`, each `(batch, *shape, 1)`, to the
        affine `(batch, ndim, ndim + 1)` in centred coordinates.

    Reference:
        de Vos et al., DLMIA 2017; Chee and Wu, arXiv 1810.02583. Notebook
        `01_affine_2d_mnist` trains it.
    """
    moving, fixed = parts.inputs(shape)
    features = keras.layers.Concatenate()([moving, fixed])
    for width in filters:
        features = parts.convolution(features, width, strides=2)
    features = keras.layers.Flatten()(features)
    features = keras.layers.Dense(hidden, activation="relu")(features)
    ndim = len(shape)
    start = "zeros" if identity_start else "glorot_uniform"
    parameters = keras.layers.Dense(
        ndim * (ndim + 1), kernel_initializer=start, name="parameters"
    )(features)
    parameters = keras.layers.Rescaling(scale)(parameters)
    affine = layers.AffineFromParameters(ndim, kind, parametrisation)(parameters)
    return parts.model([moving, fixed], affine, name)


def affine_cascade(
    shape, spacing=1.0, stages=((2, 2), (1, 1)), barycentres=True, **options
):
    """Build a network that registers in passes, coarse to fine.

    A pass sees the moving image as the passes before it have moved it, beside the
    fixed one, and adds what is left to do. Passes of one stage share one network;
    transforms are composed, so that every pass reads the original image once. The
    networks see images of unit brightness, so that a scanner's scale cancels.

    Args:
        shape: The images' shape in voxels, divisible by every factor.
        spacing: Voxel size in mm, one number or one per axis.
        stages: Pairs (factor by which the images are shrunk, number of passes).
        barycentres: Start where the centres of mass meet, else at the identity.
        **options: Further arguments of `affine_network`.

    Returns:
        `keras.Model` from `[moving, fixed]`, each `(batch, *shape, 1)`, to a dict:
        `transform`, the affine `(batch, ndim, ndim + 1)` in centred coordinates,
        and `passes`, `(batch, 1 + passes, ndim, ndim + 1)`, the affine after the
        start and after each pass.

    Raises:
        ValueError: If the shape is not divisible by a factor.

    Reference:
        Mok and Chung, CVPR 2022 (coarse to fine); de Vos et al., MedIA 2019
        (stages). Notebook `04_affine_3d_t1` trains it.
    """
    moving, fixed = parts.inputs(shape)
    affine = layers.BarycentreAlignment(spacing, move=barycentres)(moving, fixed)
    passes = [affine]
    for number, (factor, count) in enumerate(stages, start=1):
        if any(size % factor for size in shape):
            raise ValueError(
                f"shape must be divisible by the factor {factor}. Received: {shape}"
            )
        small = [
            layers.UnitBrightness()(parts.shrink(image, factor))
            for image in (moving, fixed)
        ]
        network = affine_network(
            tuple(size // factor for size in shape), name=f"stage_{number}", **options
        )
        for _ in range(count):
            moved = layers.SpatialTransformer(spacing=spacing)(small[0], affine)
            affine = layers.ComposeAffines()(affine, network([moved, small[1]]))
            passes.append(affine)
    outputs = {"transform": affine, "passes": keras.ops.stack(passes, axis=1)}
    return parts.model([moving, fixed], outputs, "affine_cascade")
