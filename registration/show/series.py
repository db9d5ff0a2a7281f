"""Sliders over what changed: epochs, the path of a deformation, a weight.

The three share their options, those of `steps_slider`.
"""

import numpy as np

from registration.show import arrays, control, montage, pixels


def _picture(step, columns, voxel_mm):
    """Return one picture of a step: itself, a mosaic, or planes of a volume."""
    if pixels.is_figure(step):
        return step
    step = arrays.squeeze(step)
    if step.ndim == 2:
        return step
    if voxel_mm is not None:
        return montage.laid_out(step, voxel_mm)
    return pixels.tile(step, columns)


def steps_slider(
    steps, labels, name, *, columns=None, voxel_mm=None, limits=None, **options
):
    """Step through images, mosaics of images, volumes or figures.

    Args:
        steps: One entry a step: an image `(height, width)`, several
            `(count, height, width)` laid out as a mosaic, a RAS volume with
            `voxel_mm`, or a figure.
        labels: One text a step.
        name: What the slider changes.
        columns: Images in a row of the mosaic.
        voxel_mm: Voxel size; says that a 3D entry is a volume.
        limits: The values that become black and white; unset, the data's range.
        **options: Passed to `control.frames`: `title`, `description`, `play`, ...

    Returns:
        A `control.Control`.
    """
    shown = [_picture(step, columns, voxel_mm) for step in steps]
    if limits is None:
        limits = arrays.span(*(one for one in shown if not pixels.is_figure(one)))
    return control.frames(shown, labels, name=name, limits=limits, **options)


def epochs(
    steps,
    labels=None,
    *,
    title="What the network did after each epoch",
    play=True,
    **options,
):
    """Step through training: the same cases after each epoch.

    Args:
        steps: One entry an epoch, as in `steps_slider`.
        labels: One text an epoch; unset, "epoch 0" (before training), "epoch 1", ...
        title: Text above.
        play: Whether there is a play button.
        **options: Passed to `steps_slider`.

    Returns:
        A `control.Control`.
    """
    labels = labels or [f"epoch {i}" for i in range(len(steps))]
    return steps_slider(steps, labels, "epoch", title=title, play=play, **options)


def morph(
    steps,
    times=None,
    *,
    title="From moving to moved",
    play=True,
    interval=150,
    **options,
):
    """Step along a deformation from 0, the moving image, to 1, the moved one.

    Args:
        steps: One entry a time, as in `steps_slider`.
        times: The times; unset, evenly spread from 0 to 1.
        title: Text above.
        play: Whether there is a play button.
        interval: Milliseconds between frames while playing.
        **options: Passed to `steps_slider`.

    Returns:
        A `control.Control`.
    """
    times = np.linspace(0, 1, len(steps)) if times is None else times
    labels = [f"t = {t:.2f}" for t in times]
    options |= {"title": title, "play": play, "interval": interval}
    return steps_slider(steps, labels, "time", **options)


def weights(steps, values, *, symbol="λ", title="The effect of the weight", **options):
    """Step through the results of several weights of the smoothness.

    Args:
        steps: One entry a weight, as in `steps_slider`.
        values: The weights.
        symbol: What to call the weight.
        title: Text above.
        **options: Passed to `steps_slider`.

    Returns:
        A `control.Control`.
    """
    labels = [f"{symbol} = {value:g}" for value in values]
    return steps_slider(steps, labels, symbol, title=title, **options)
