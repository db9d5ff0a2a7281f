"""Layers for a displacement at every voxel."""

from helpers import local_ncc, transforms
from helpers.backend import keras


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
class UpsampleDisplacement(keras.layers.Layer):
    """Refine a displacement to a finer grid; see `transforms.upsample_displacement`.

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
        return transforms.upsample_displacement(displacement, self.factor)

    def get_config(self):
        """Return the arguments that make this layer again."""
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable("registration")
class LocalNCCForce(keras.layers.Layer):
    """Give where each voxel would go to match better; see `local_ncc.force`.

    The force is an input like the images: no gradient flows back through it.

    Args:
        window: Odd window width in voxels.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        moving and fixed, both `(batch, *shape, 1)`.

    Output shape:
        `(batch, *shape, ndim)`.
    """

    def __init__(self, window=5, **kwargs):
        super().__init__(**kwargs)
        self.window = window

    def call(self, moving, fixed):
        """Return the force."""
        return keras.ops.stop_gradient(local_ncc.force(fixed, moving, self.window))

    def compute_output_shape(self, moving_shape, fixed_shape):
        """Return the shape of the force: one component an axis."""
        return (*moving_shape[:-1], len(moving_shape) - 2)

    def get_config(self):
        """Return the arguments that make this layer again."""
        return {**super().get_config(), "window": self.window}
