"""The shapes of what is shown: one image, one volume, one field, several images."""

import numpy as np


def squeeze(array, ndim=2):
    """Drop batch and channel axes of length one until `ndim` axes are left.

    Args:
        array: An array, axes of length one around the image or volume in it.
        ndim: Axes to stop at.

    Returns:
        The array without those axes; it has more than `ndim` where what is left
        is longer than one.
    """
    array = np.asarray(array)
    while array.ndim > ndim and array.shape[0] == 1:
        array = array[0]
    return array[..., 0] if array.ndim > ndim and array.shape[-1] == 1 else array


def as_image(array, name="image"):
    """Return `array` as a float `(height, width)` array.

    Args:
        array: `(height, width)`, also with axes of length one around it.
        name: What to call it in an error.

    Returns:
        The array without its axes of length one.

    Raises:
        ValueError: If it is not a 2D image.
    """
    image = squeeze(array)
    if image.ndim != 2 or not image.size:
        raise ValueError(
            f"{name} should be one 2D image (height, width). "
            f"Received: an array of shape {np.shape(array)}"
        )
    return image.astype("float32")


def as_images(array, count, name="images"):
    """Return `array` as `(count, height, width)`; one image serves all.

    Args:
        array: `(count, height, width)`, also with a last axis of length one, or
            one image.
        count: How many there should be.
        name: What to call it in an error.

    Returns:
        Float array.

    Raises:
        ValueError: If there are neither one nor `count` images.
    """
    images = np.asarray(array)
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim == 2:
        images = images[None]
    if images.ndim != 3 or images.shape[0] not in (1, count):
        raise ValueError(
            f"{name} should hold {count} images (count, height, width) or one. "
            f"Received: an array of shape {np.shape(array)}"
        )
    return np.broadcast_to(images, (count, *images.shape[1:])).astype("float32")


def as_field(array, name="displacement"):
    """Return `array` as a float `(height, width, 2)` array.

    Args:
        array: `(height, width, 2)`, also with a batch axis of length one.
        name: What to call it in an error.

    Returns:
        The array without its batch axis.

    Raises:
        ValueError: If it is not one 2D vector field.
    """
    field = squeeze(array, 3)
    if field.ndim != 3 or field.shape[-1] != 2:
        raise ValueError(
            f"{name} should be one 2D field (height, width, 2). "
            f"Received: an array of shape {np.shape(array)}"
        )
    return field.astype("float32")


def as_volume(array, name="volume", shape=None):
    """Return `array` as one `(x, y, z)` volume.

    Args:
        array: `(x, y, z)`, also with axes of length one around it.
        name: What to call it in an error.
        shape: The shape it should have, that of the volume it is laid over.

    Returns:
        The array without its axes of length one.

    Raises:
        ValueError: If it is not a volume, or has another shape.
    """
    volume = squeeze(array, 3)
    if volume.ndim != 3 or not volume.size:
        raise ValueError(
            f"{name} should be one RAS volume (x, y, z). "
            f"Received: an array of shape {np.shape(array)}"
        )
    if shape is not None and volume.shape != shape:
        raise ValueError(
            f"{name} should have the volume's shape {shape}. Received: {volume.shape}"
        )
    return volume


def span(*arrays, top=1.0):
    """Return the values of `arrays` that become black and white.

    Args:
        *arrays: Arrays on one scale.
        top: Quantile that becomes white: below 1, a few bright voxels of a scan do
            not leave the rest dark.

    Returns:
        The pair `(low, high)` over all finite values; `(0, 1)` where there is none.
    """
    finite = [np.asarray(array, "float32") for array in arrays]
    finite = [array[np.isfinite(array)] for array in finite]
    finite = [array for array in finite if array.size]
    if not finite:
        return 0.0, 1.0
    low = min(float(array.min()) for array in finite)
    return low, max(float(np.quantile(array, top)) for array in finite)
