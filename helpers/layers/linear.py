"""Layers around the functions of `affines`."""

from helpers import affines
from helpers.backend import keras
from helpers.layers.spatial import plain


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
        self.spacing, self.move = plain(spacing), move

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
