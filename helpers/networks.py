"""Functional builders of the networks: moving and fixed in, transform out."""

import hashlib
import json
import pathlib

import keras

from helpers import backend, layers

MODELS = pathlib.Path(__file__).resolve().parents[1] / "models"


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
    parameters = keras.layers.Rescaling(scale)(parameters)
    affine = layers.AffineFromParameters(ndim, kind, parametrisation)(parameters)
    return _model([moving, fixed], affine, name)


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
        (stages). Notebook `03_affine_3d_t1` trains it.
    """
    moving, fixed = _inputs(shape)
    affine = layers.BarycentreAlignment(spacing, move=barycentres)(moving, fixed)
    passes = [affine]
    for number, (factor, count) in enumerate(stages, start=1):
        if any(size % factor for size in shape):
            raise ValueError(
                f"shape must be divisible by the factor {factor}. Received: {shape}"
            )
        small = [
            layers.UnitBrightness()(_shrink(image, factor)) for image in (moving, fixed)
        ]
        network = affine_network(
            tuple(size // factor for size in shape), name=f"stage_{number}", **options
        )
        for _ in range(count):
            moved = layers.SpatialTransformer(spacing=spacing)(small[0], affine)
            affine = layers.ComposeAffines()(affine, network([moved, small[1]]))
            passes.append(affine)
    outputs = {"transform": affine, "passes": keras.ops.stack(passes, axis=1)}
    return _model([moving, fixed], outputs, "affine_cascade")


def _shrink(image, factor):
    """Average blocks of `factor` voxels an axis; a spacing of 1 keeps its meaning."""
    if factor == 1:
        return image
    ndim = len(image.shape) - 2
    pooling = {2: keras.layers.AveragePooling2D, 3: keras.layers.AveragePooling3D}
    return pooling[ndim](factor)(image)


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
    return _model([moving, fixed], outputs, "registration")


def load(name):
    """Build a stored network and load its trained weights.

    Args:
        name: Name of a file `models/<name>.json`, for example `"affine_t1"`; the
            card `models/<name>.md` says what it was trained on and how good it is.

    Returns:
        `keras.Model`, as its builder describes it.

    Raises:
        ValueError: If there is no such model, or its weights are not the ones
            whose sha256 was stored.
    """
    path = MODELS / f"{name}.json"
    if not path.exists():
        names = sorted(p.stem for p in MODELS.glob("*.json"))
        raise ValueError(f"name must be one of {names}. Received: {name!r}")
    stored = json.loads(path.read_text())
    weights = path.with_name(stored["weights"])
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    if found != stored["sha256"]:
        raise ValueError(
            f"{weights} is damaged or was changed; fetch it again. Its sha256 should "
            f"be {stored['sha256']}. Received: {found}"
        )
    network = {"affine_cascade": affine_cascade}[stored["builder"]](**stored["options"])
    network.load_weights(weights)
    return network


def store(network, name, builder, options):
    """Write a trained network where `load` finds it.

    Args:
        network: `keras.Model`, as `builder` makes it from `options`.
        name: Name of the model.
        builder: Name of the function of this module that builds it.
        options: Dict of the builder's arguments, as JSON can hold them.
    """
    MODELS.mkdir(exist_ok=True)
    weights = MODELS / f"{name}.weights.h5"
    network.save_weights(weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    stored = {"builder": builder, "options": options}
    stored |= {"weights": weights.name, "sha256": digest}
    (MODELS / f"{name}.json").write_text(json.dumps(stored, indent=2) + "\n")


def _model(inputs, outputs, name):
    """Build a model that predicts as fast as it trains; see `compile_whole_step`."""
    model = keras.Model(inputs, outputs, name=name)
    if backend.compile_whole_step() is False:
        model.jit_compile = False
    return model


def _inputs(shape):
    return [keras.Input((*shape, 1), name=name) for name in ("moving", "fixed")]


def _convolution(features, width, strides=1, activation="leaky_relu"):
    ndim = len(features.shape) - 2
    convolution = {2: keras.layers.Conv2D, 3: keras.layers.Conv3D}[ndim]
    return convolution(width, 3, strides, padding="same", activation=activation)(
        features
    )
