"""Sliders over what changed: epochs, the path of a deformation, a weight."""

import numpy as np

from registration.show import control, pixels, slices


def _frame(images, columns, voxel_mm):
    """Return one picture of `images`: itself, a mosaic, or planes of a volume."""
    if hasattr(images, "savefig"):
        return images
    images = slices.squeeze(images)
    if images.ndim == 2:
        return images
    if voxel_mm is not None:
        return slices.montage(images, voxel_mm)
    return pixels.tile(images, columns)


def _limits(frames_):
    """Return the common range of arrays."""
    arrays = [f for f in frames_ if not hasattr(f, "savefig")]
    if not arrays:
        return (0.0, 1.0)
    low = min(float(np.min(a)) for a in arrays)
    return (low, max(float(np.max(a)) for a in arrays))


def _series(steps, labels, name, columns, voxel_mm, limits, options):
    """Build the slider that the functions below share."""
    pictures = [_frame(step, columns, voxel_mm) for step in steps]
    return control.frames(
        pictures, labels, name=name, limits=limits or _limits(pictures), **options
    )


def epochs(
    steps,
    labels=None,
    *,
    columns=None,
    voxel_mm=None,
    limits=None,
    title="What the network did after each epoch",
    description="",
    play=True,
    **options,
):
    """Step through training: the same cases after each epoch.

    Args:
        steps: One entry an epoch: an image `(height, width)`, several
            `(count, height, width)` laid out as a mosaic, a RAS volume with
            `voxel_mm`, or a figure.
        labels: One text an epoch; unset, "epoch 0" (before training), "epoch 1", ...
        columns: Images in a row of the mosaic.
        voxel_mm: Voxel size; says that a 3D entry is a volume.
        limits: The values that become black and white; unset, the data's range.
        title: Text above.
        description: What to look for.
        play: Whether there is a play button.
        **options: Passed to `control.frames`.

    Returns:
        A `control.Control`.
    """
    labels = labels or [f"epoch {i}" for i in range(len(steps))]
    options |= {"title": title, "description": description, "play": play}
    return _series(steps, labels, "epoch", columns, voxel_mm, limits, options)


def morph(
    steps,
    times=None,
    *,
    columns=None,
    voxel_mm=None,
    limits=None,
    title="From moving to moved",
    description="",
    play=True,
    **options,
):
    """Step along a deformation from 0, the moving image, to 1, the moved one.

    Args:
        steps: One entry a time, as in `epochs`.
        times: The times; unset, evenly spread from 0 to 1.
        columns: Images in a row of the mosaic.
        voxel_mm: Voxel size; says that a 3D entry is a volume.
        limits: The values that become black and white; unset, the data's range.
        title: Text above.
        description: What to look for.
        play: Whether there is a play button.
        **options: Passed to `control.frames`.

    Returns:
        A `control.Control`.
    """
    times = np.linspace(0, 1, len(steps)) if times is None else times
    labels = [f"t = {t:.2f}" for t in times]
    options = {"interval": 150, "title": title, "description": description} | options
    options["play"] = play
    return _series(steps, labels, "time", columns, voxel_mm, limits, options)


def weights(
    steps,
    values,
    *,
    symbol="λ",
    columns=None,
    voxel_mm=None,
    limits=None,
    title="The effect of the weight",
    description="",
    **options,
):
    """Step through the results of several weights of the smoothness.

    Args:
        steps: One entry a weight, as in `epochs`.
        values: The weights.
        symbol: What to call the weight.
        columns: Images in a row of the mosaic.
        voxel_mm: Voxel size; says that a 3D entry is a volume.
        limits: The values that become black and white; unset, the data's range.
        title: Text above.
        description: What to look for.
        **options: Passed to `control.frames`.

    Returns:
        A `control.Control`.
    """
    labels = [f"{symbol} = {v:g}" for v in values]
    options |= {"title": title, "description": description}
    return _series(steps, labels, symbol, columns, voxel_mm, limits, options)
