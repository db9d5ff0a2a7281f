"""Keras layers around the functions of `transforms` and `affines`."""

import keras

from helpers import affines, sampling, transforms


@keras.saving.register_keras_serializable("registration")
class SpatialTransformer(keras.layers.Layer):
    """Apply an affine or a displacement to the moving image.

    Args:
        mode: `"linear"`, or `"nearest"` for label maps.
        fill: What is read outside the image: `"zero"` or the `"edge"` voxel.
        spacing: Voxel size in mm, one number or one per axis; matters to an
            affine on voxels that are not cubes.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        image `(batch, *shape, channels)`; transform either an affine
        `(batch, ndim, ndim + 1)` in centred coordinates or a displacement
        `(batch, *shape, ndim)` in voxels.

    Output shape:
        `(batch, *shape, channels)`.

    Raises:
        ValueError: If `mode` or `fill` is unknown, or the transform is neither.

    Reference:
        Jaderberg et al., Spatial Transformer Networks, NeurIPS 2015. Notebook
        `00_spatial_transformer` builds it.
    """

    def __init__(self, mode="linear", fill="zero", spacing=1.0, **kwargs):
        super().__init__(**kwargs)
        if mode not in sampling.MODES or fill not in sampling.FILLS:
            raise ValueError(
                f"mode must be one of {sampling.MODES} and fill one of "
                f"{sampling.FILLS}. Received: {mode!r} and {fill!r}"
            )
        self.mode, self.fill = mode, fill
        self.spacing = _plain(spacing)

    def call(self, image, transform):
        """Return the moved image."""
        displacement = as_displacement(transform, image.shape[1:-1], self.spacing)
        return transforms.warp(image, displacement, self.mode, self.fill)

    def compute_output_shape(self, image_shape, transform_shape):
        """Return the moved image's shape: the transform's grid, the image's rest."""
        grid = image_shape[1:-1] if len(transform_shape) == 3 else transform_shape[1:-1]
        return (image_shape[0], *grid, image_shape[-1])

    def get_config(self):
        """Return the arguments that make this layer again."""
        own = {"mode": self.mode, "fill": self.fill, "spacing": self.spacing}
        return {**super().get_config(), **own}


def as_displacement(transform, shape, spacing=1.0):
    """Return a displacement, whether given one or an affine.

    Args:
        transform: Affine `(batch, ndim, ndim + 1)` or displacement
            `(batch, *shape, ndim)`; their ranks tell them apart.
        shape: The fixed grid's shape in voxels.
        spacing: Voxel size in mm, one number or one per axis.

    Returns:
        Float tensor `(batch, *shape, ndim)` in voxels.

    Raises:
        ValueError: If the transform is neither.
    """
    shape = tuple(shape)
    if len(transform.shape) == 3:
        return transforms.affine_displacement(transform, shape, spacing)
    if len(transform.shape) == len(shape) + 2 and transform.shape[-1] == len(shape):
        return transform
    raise ValueError(
        f"a {len(shape)}D image needs an affine (batch, {len(shape)}, "
        f"{len(shape) + 1}) or a displacement (batch, *shape, {len(shape)}). "
        f"Received: shape {tuple(transform.shape)}"
    )


@keras.saving.register_keras_serializable("registration")
class AffineDisplacement(keras.layers.Layer):
    """Write an affine as a displacement on a grid.

    Args:
        shape: The fixed grid's shape in voxels.
        spacing: Voxel size in mm, one number or one per axis.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        Affine `(batch, ndim, ndim + 1)` in centred coordinates.

    Output shape:
        Displacement `(batch, *shape, ndim)` in voxels.
    """

    def __init__(self, shape, spacing=1.0, **kwargs):
        super().__init__(**kwargs)
        self.shape, self.spacing = tuple(shape), _plain(spacing)

    def call(self, affine):
        """Return the displacement."""
        return transforms.affine_displacement(affine, self.shape, self.spacing)

    def get_config(self):
        """Return the arguments that make this layer again."""
        own = {"shape": self.shape, "spacing": self.spacing}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("registration")
class AffineFromParameters(keras.layers.Layer):
    """Turn a network's numbers into an affine; see `affines.from_parameters`.

    Args:
        ndim: Number of spatial axes.
        kind: `"affine"` or `"rigid"`.
        parametrisation: `"exponential"` or `"direct"`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        `(batch, ndim * (ndim + 1))`.

    Output shape:
        `(batch, ndim, ndim + 1)`.
    """

    def __init__(self, ndim, kind="affine", parametrisation="exponential", **kwargs):
        super().__init__(**kwargs)
        self.ndim, self.kind, self.parametrisation = ndim, kind, parametrisation

    def call(self, parameters):
        """Return the affine."""
        return affines.from_parameters(
            parameters, self.ndim, self.kind, self.parametrisation
        )

    def get_config(self):
        """Return the arguments that make this layer again."""
        names = "ndim", "kind", "parametrisation"
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("registration")
class BarycentreAlignment(keras.layers.Layer):
    """Shift the moving image so that the centres of its and the fixed mass meet.

    Args:
        spacing: Voxel size in mm, one number or one per axis.
        move: `False` gives the identity instead, to see what the start is worth.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        moving and fixed `(batch, *shape, channels)`, intensities not negative.

    Output shape:
        Affine `(batch, ndim, ndim + 1)`, a translation in centred coordinates; an
        empty image is taken to have its mass in the centre.
    """

    def __init__(self, spacing=1.0, move=True, **kwargs):
        super().__init__(**kwargs)
        self.spacing, self.move = _plain(spacing), move

    def call(self, moving, fixed):
        """Return the translation as an affine."""
        target, source = (affines.barycentre(i, self.spacing) for i in (fixed, moving))
        return affines.translation((source - target) * float(self.move))

    def get_config(self):
        """Return the arguments that make this layer again."""
        own = {"spacing": self.spacing, "move": self.move}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("registration")
class UnitBrightness(keras.layers.Layer):
    """Divide each image by its root mean square, whatever its scanner's scale.

    Input shape:
        `(batch, *shape, channels)`.

    Output shape:
        The same; an empty image stays empty.
    """

    def call(self, image):
        """Return the scaled image."""
        axes = tuple(range(1, len(image.shape)))
        square = keras.ops.mean(keras.ops.square(image), axis=axes, keepdims=True)
        return image * keras.ops.rsqrt(square + 1e-6)


@keras.saving.register_keras_serializable("registration")
class ComposeAffines(keras.layers.Layer):
    """Chain affines; see `affines.compose`.

    Input shape:
        outer and inner, each `(batch, ndim, ndim + 1)`.

    Output shape:
        The same: `inner` first, then `outer`.
    """

    def call(self, outer, inner):
        """Return the composed affine."""
        return affines.compose(outer, inner)


@keras.saving.register_keras_serializable("registration")
class VelocityIntegration(keras.layers.Layer):
    """Integrate a stationary velocity by scaling and squaring.

    Args:
        squarings: The flow is followed in `2 ** squarings` steps.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        Velocity `(batch, *shape, ndim)` in voxels a unit of time.

    Output shape:
        The same, a displacement in voxels.
    """

    def __init__(self, squarings=7, **kwargs):
        super().__init__(**kwargs)
        self.squarings = squarings

    def call(self, velocity):
        """Return the displacement."""
        return transforms.integrate_velocity(velocity, self.squarings)

    def get_config(self):
        """Return the arguments that make this layer again."""
        return {**super().get_config(), "squarings": self.squarings}


@keras.saving.register_keras_serializable("registration")
class ResizeDisplacement(keras.layers.Layer):
    """Refine a displacement to a finer grid; see `transforms.resize_displacement`.

    Args:
        factor: How many times finer, an int.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        `(batch, *shape, ndim)` in coarse voxels.

    Output shape:
        `(batch, *(factor * shape), ndim)` in fine voxels.
    """

    def __init__(self, factor=2, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, displacement):
        """Return the finer displacement."""
        return transforms.resize_displacement(displacement, self.factor)

    def get_config(self):
        """Return the arguments that make this layer again."""
        return {**super().get_config(), "factor": self.factor}


def _plain(spacing):
    """Return a spacing as JSON can hold it."""
    return (
        [float(s) for s in spacing] if hasattr(spacing, "__len__") else float(spacing)
    )
