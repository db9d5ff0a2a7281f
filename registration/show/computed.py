"""Sliders that compute, with frames in their place where there is no kernel."""

import math

import numpy as np

from registration import settings
from registration.show import control, pixels

AFFINE = {
    "rotation": (-90.0, 90.0, 0.0),
    "scale_rows": (0.5, 2.0, 1.0),
    "scale_columns": (0.5, 2.0, 1.0),
    "shear": (-1.0, 1.0, 0.0),
    "shift_rows": (-10.0, 10.0, 0.0),
    "shift_columns": (-10.0, 10.0, 0.0),
}


class Live(control.Control):
    """Show sliders that call a function, or the frames that were made beforehand."""

    box = None

    def _repr_mimebundle_(self, include=None, exclude=None):
        data, metadata = super()._repr_mimebundle_(include, exclude)
        if self.box is not None:
            view = {"version_major": 2, "version_minor": 0}
            view["model_id"] = self.box.model_id
            data["application/vnd.jupyter.widget-view+json"] = view
        return data, metadata


def live(callback, ranges, *, title="", description="", count=7, limits=(0.0, 1.0)):
    """Move sliders that call `callback` and show the picture it returns.

    The callback is called for the first, the middle and the last value of every
    slider (and some between) when this is called, so one that fails, fails here. The
    pictures are kept: they are what a reader without a kernel steps through, one
    number at a time. Where `REGISTRATION_BUILD` is set (`make run`) only those are
    shown, because what is stored is opened without a kernel.

    Args:
        callback: Takes one keyword a slider, returns an image `(height, width)`,
            `(height, width, 3)` or a figure, always of one size.
        ranges: Dict of name to `(low, high, start)`.
        title: Text above.
        description: What to try.
        count: Frames kept per slider; at least 3.
        limits: The values that become black and white.

    Returns:
        A `Live` control.

    Raises:
        ValueError: If a start lies outside its range, or a name is none that
            `callback` could take.
    """
    for name, (low, high, start) in ranges.items():
        if not name.isidentifier():
            raise ValueError(
                f"A slider should be named as an argument is. Received: {name!r}"
            )
        if not low <= start <= high:
            raise ValueError(
                f"{name} should start within {low} and {high}. Received: {start}"
            )
    starts = {name: start for name, (_, _, start) in ranges.items()}
    first_image = callback(**starts)
    players = {}
    for name, (low, high, start) in ranges.items():
        half = max(count, 3) // 2
        values = np.unique(
            np.r_[np.linspace(low, start, half + 1), np.linspace(start, high, half + 1)]
        )
        images = [
            first_image if value == start else callback(**(starts | {name: value}))
            for value in map(float, values)
        ]
        text = name.replace("_", " ")
        labels = [f"{text} {value:.3g}".replace("-", "−") for value in values]
        images, labels, width = control.check_frames(images, labels, limits, 600)
        first = int(np.argmin(np.abs(values - start)))
        players[text] = control.Player(images, labels, text, first, width)
    frozen = control.choice(players, title, description)
    shown = Live(frozen.html, frozen.still, frozen.description)
    if not settings.value("REGISTRATION_BUILD"):
        shown.box = _box(callback, ranges, title, description, limits)
    return shown


def _box(callback, ranges, title, description, limits):
    """Build the ipywidgets sliders and the picture below them."""
    import ipywidgets

    sliders = {
        name: ipywidgets.FloatSlider(
            value=start,
            min=low,
            max=high,
            step=10.0 ** math.floor(math.log10((high - low) / 50)),
            description=name.replace("_", " "),
            continuous_update=True,
            style={"description_width": "110px"},
            layout=ipywidgets.Layout(width="360px", max_width="98%"),
        )
        for name, (low, high, start) in ranges.items()
    }
    picture = ipywidgets.Image()
    picture.layout = ipywidgets.Layout(
        max_width="100%", object_fit="contain", align_self="flex-start"
    )

    def draw(change=None):
        image = callback(**{name: slider.value for name, slider in sliders.items()})
        (image,), _, width = control.check_frames([image], None, limits, 440)
        factor = max(1, width // image.shape[1])
        image = image.repeat(factor, axis=0).repeat(factor, axis=1)
        mime, data = pixels.encode(image)
        picture.format = mime.split("/")[1]
        picture.value = data
        picture.width = str(width)

    for slider in sliders.values():
        slider.observe(draw, "value")
    draw()
    reset = ipywidgets.Button(description="Reset")

    def back(button):
        for name, slider in sliders.items():
            slider.value = ranges[name][2]

    reset.on_click(back)
    head = ipywidgets.HTML(
        f"<b>{control.escape(title)}</b> {control.escape(description)}"
    )
    numbers = ipywidgets.VBox([*sliders.values(), reset])
    wrap = ipywidgets.Layout(flex_flow="row wrap", align_items="flex-start")
    both = ipywidgets.Box([numbers, picture], layout=wrap)
    return ipywidgets.VBox([head, both])


def affine_sliders(
    callback,
    *,
    title="Six numbers",
    description="",
    count=7,
    limits=(0.0, 1.0),
    **ranges,
):
    """Move the six numbers of a 2D affine transform and see what they do.

    Args:
        callback: Takes `rotation` (degrees), `scale_rows`, `scale_columns`, `shear`,
            `shift_rows`, `shift_columns` (pixels) and returns a picture.
        title: Text above.
        description: What to try.
        count: Frames kept per slider where there is no kernel.
        limits: The values that become black and white.
        **ranges: Replaces the six sliders by others, `name=(low, high, start)`.

    Returns:
        A `Live` control.
    """
    return live(
        callback,
        ranges or AFFINE,
        title=title,
        description=description,
        count=count,
        limits=limits,
    )
