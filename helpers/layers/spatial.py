"""Layers that bring an image or an affine onto a grid."""

from helpers import sampling, transforms
from helpers.backend import keras


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
        self.spacing = plain(spacing)

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
        self.shape, self.spacing = tuple(shape), plain(spacing)

    def call(self, affine):
        """Return the displacement."""
        return transforms.affine_displacement(affine, self.shape, self.spacing)

    def get_config(self):
        """Return the arguments that make this layer again."""
        own = {"shape": self.shape, "spacing": self.spacing}
        return {**super().get_config(), **own}


def plain(spacing):
    """Return a spacing, one number or one per axis, as JSON can hold it."""
    return (
        [float(s) for s in spacing] if hasattr(spacing, "__len__") else float(spacing)
    )
