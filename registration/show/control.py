"""The frame slider: one self-contained HTML control.

The frames lie in the page as images; a range input chooses which of them is seen.
Where scripts are not run (an untrusted notebook, a code-hosting site) the same images
stand side by side as a strip.
"""

import dataclasses
import html
import pathlib
import string

from registration.show import pixels

FOLDER = pathlib.Path(__file__).parent
CSS = (FOLDER / "control.css").read_text(encoding="utf-8")
SCRIPT = (FOLDER / "control.js").read_text(encoding="utf-8")
WIDTH = 720  # pixels of the widest control
PAGE = string.Template(
    """<div class="reg-control $kind" data-interval="$interval" role="group"
 aria-label="$title">
<p class="reg-title">$title</p>
$body
<p class="reg-text">$description</p>
</div>
<style>$css</style>
<script>$script</script>
"""
)


class Note:
    """Show HTML, and nothing where HTML is not shown.

    Args:
        html_text: The HTML.
    """

    def __init__(self, html_text):
        self.html = html_text

    def _repr_html_(self):
        return self.html

    def __repr__(self):
        """Return no text: what has no HTML has no sliders either."""
        return ""


# What drops scripts drops styles too, so this is read only where sliders lie still
# because the notebook is not trusted.
TRUST_NOTE = Note(
    """<p class="reg-trust">The rows of pictures in this notebook are sliders. They wake
once it is trusted (in JupyterLab: View, Activate Command Palette, Trust Notebook) or
its cells are run.</p>
<style>.reg-trust { display: none; }</style>
"""
)


class Control:
    """Show an HTML control, or a still picture where HTML is not shown."""

    def __init__(self, html_text, still, description):
        """Keep the three forms of one output.

        Args:
            html_text: The control.
            still: 8-bit picture that stands for it.
            description: Text that stands for both.
        """
        self.html = html_text
        self.still = still
        self.description = description

    def _repr_mimebundle_(self, include=None, exclude=None):
        mime, data = pixels.encode(self.still)
        return {
            "text/html": self.html,
            mime: pixels.base64_text(data),
            "text/plain": self.description,
        }, {mime: {"alt": self.description}}


@dataclasses.dataclass
class Player:
    """Describe one screen with its slider.

    Attributes:
        images: 8-bit arrays of one shape.
        labels: One text a frame.
        name: What the slider changes.
        start: Index of the first frame shown.
        width: Pixels on the page.
        marks: HTML laid over the picture.
        positions: Fractions that the frames hand to the lines of other screens.
        kind: Class of the player, for its style.
    """

    images: list
    labels: list
    name: str
    start: int = 0
    width: int = WIDTH
    marks: str = ""
    positions: list | None = None
    kind: str = ""

    def thumbnails(self, most):
        """Return the `img` elements; all but `most` of them hidden without script."""
        shown = set(pixels.picks(len(self.images), most))
        width = min(self.width, 800 // max(1, len(shown)))
        parts = []
        for i, (image, label) in enumerate(zip(self.images, self.labels, strict=True)):
            text, alt = escape(label), escape(f"{self.name}: {label}")
            at = f' data-at="{self.positions[i]:.4f}"' if self.positions else ""
            display = "inline-block" if i in shown else "none"
            parts.append(
                f'<img src="{pixels.data_uri(image)}" alt="{alt}" title="{text}" '
                f'width="{width}" style="display:{display}" '
                f'data-label="{text}"{at}>'
            )
        return "".join(parts)

    def body(self, *, most, play):
        """Return the HTML of this screen."""
        sharp = " reg-sharp" if self.width >= 2 * self.images[0].shape[1] else ""
        button = '<button type="button">▶ Play</button>' if play else ""
        return (
            f'<div class="reg-player {self.kind}" style="--reg-width:{self.width}px">'
            f'<div class="reg-screen{sharp}">{self.thumbnails(most)}{self.marks}</div>'
            f'<div class="reg-row reg-show" style="display:none">{button}'
            f'<input type="range" min="0" max="{len(self.images) - 1}" step="1" '
            f'value="{self.start}" aria-label="{escape(self.name)}">'
            f'<output aria-live="off">{escape(self.labels[self.start])}'
            "</output></div></div>"
        )


def escape(text):
    """Return any text as HTML, safe in a paragraph and in an attribute."""
    return html.escape(str(text), quote=True)


def page(kind, title, description, body, *, interval=400):
    """Return a control's HTML from its parts; `body` is HTML, the others are texts."""
    return PAGE.substitute(
        kind=kind,
        title=escape(title),
        description=escape(description),
        body=body,
        interval=int(interval),
        css=CSS,
        script=SCRIPT,
    )


def players(*bodies):
    """Return the HTML of several screens beside each other."""
    return f'<div class="reg-players">{"".join(bodies)}</div>'


def radios(group, texts, *, values=None, chosen=0):
    """Return the HTML of a row of radio buttons, one a text.

    Args:
        group: What they choose; also the class of the row, `reg-<group>`.
        texts: What stands beside them.
        values: What the script reads; unset, their numbers.
        chosen: Index of the one that is on.
    """
    values = range(len(texts)) if values is None else values
    buttons = "".join(
        f'<label><input type="radio" name="{group}" value="{value}"'
        f"{' checked' if i == chosen else ''}>{escape(text)}</label>"
        for i, (value, text) in enumerate(zip(values, texts, strict=True))
    )
    shown = f"reg-row reg-show reg-{group}"
    return f'<div class="{shown}" style="display:none">{buttons}</div>'


def fitting_width(image_width, widest=WIDTH):
    """Return the width in pixels at which a picture is shown: whole multiples."""
    return int(image_width * max(1, min(widest // image_width, 12)))


def check_frames(images, labels, limits=(0.0, 1.0), widest=WIDTH):
    """Turn frames into pixels and check that they fit together.

    Args:
        images: Arrays or figures.
        labels: One text a frame; unset, its number.
        limits: The values that become black and white.
        widest: Pixels on the page that an enlarged array may take.

    Returns:
        `(pixels, labels, width)`: 8-bit arrays, texts, and pixels on the page: those
        of a figure, or a multiple of an array's.

    Raises:
        ValueError: If there is no frame, shapes differ or labels do not fit.
    """
    images = list(images)
    drawn = [pixels.to_pixels(image, limits) for image in images]
    if not drawn:
        raise ValueError("A slider needs at least one frame. Received: 0")
    if any(image.ndim == 3 for image in drawn):
        drawn = [pixels.in_colour(image) for image in drawn]
    shapes = {image.shape for image in drawn}
    if len(shapes) > 1:
        raise ValueError(f"Frames should have one shape. Received: {sorted(shapes)}")
    labels = [str(i) for i in range(len(drawn))] if labels is None else list(labels)
    if len(labels) != len(drawn):
        raise ValueError(
            f"labels should hold {len(drawn)} texts. Received: {len(labels)}"
        )
    width = drawn[0].shape[1]
    if pixels.is_figure(images[0]):
        return drawn, labels, width // pixels.SCALE
    return drawn, labels, fitting_width(width, widest)


def frames(
    images,
    labels=None,
    title="",
    description="",
    *,
    play=False,
    start=0,
    name="frame",
    limits=(0.0, 1.0),
    width=None,
    interval=400,
):
    """Step through pictures with a slider that needs no kernel.

    Args:
        images: 2D arrays `(height, width)`, colour ones `(height, width, 3)` or
            figures, all of one size. Small arrays are best: the page enlarges them.
        labels: One text a frame, shown beside the slider; unset, its number.
        title: Text above.
        description: What the slider shows, for all and for those who cannot see it.
        play: Whether a button plays the frames: for time, training, a deformation.
        start: Index of the first frame shown.
        name: What the slider changes, such as "epoch".
        limits: The values that become black and white.
        width: Pixels on the page; unset, a multiple of the frame's, at most 720.
        interval: Milliseconds between frames while playing.

    Returns:
        A `Control`.

    Raises:
        ValueError: If there is no frame, shapes differ or labels do not fit.
    """
    images, labels, fitting = check_frames(images, labels, limits)
    player = Player(images, labels, name, start % len(images), int(width or fitting))
    body = players(player.body(most=pixels.STRIP, play=play))
    return Control(
        page("reg-frames", title, description, body, interval=interval),
        pixels.strip(images),
        described(title, description, name, labels),
    )


def choice(named, title, description):
    """Build a control that shows one of several players, chosen by name.

    Args:
        named: Dict of a choice's text to its `Player`.
        title: Text above.
        description: What it shows.

    Returns:
        A `Control`.
    """
    bodies = [player.body(most=3, play=False) for player in named.values()]
    body = radios("choice", list(named)) + players(*bodies)
    first = next(iter(named.values()))
    ends = [player.images[i] for player in named.values() for i in (0, -1)]
    return Control(
        page("reg-frames", title, description, body),
        pixels.strip(ends, 6),
        described(title, description, " or ".join(named), first.labels),
    )


def described(title, description, name, labels):
    """Return the sentence that stands for a control where nothing is drawn."""
    span = f"{labels[0]} to {labels[-1]}"
    return ". ".join(t.rstrip(".") for t in (title, description) if t) + (
        f". Slider over {name}, {span}."
    )
