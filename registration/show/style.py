"""The look of every figure, and how it is stored in a notebook."""

import base64
import io

import matplotlib
import numpy as np
from matplotlib import figure as matplotlib_figure
from PIL import Image

GRAY = "gray"
FIELD = "viridis"
DIFFERENCE = "RdBu_r"
JACOBIAN = "PuOr"
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#D55E00", "#0072B2", "#F0E442")
LINES = tuple(COLOURS[i] for i in (5, 4, 2, 3, 0, 1))
DPI = 100
JPEG_QUALITY = 85

RC = {
    "axes.grid": False,
    "axes.prop_cycle": matplotlib.cycler(color=LINES),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "figure.dpi": DPI,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "image.interpolation": "nearest",
    "legend.fontsize": 8,
    "legend.frameon": False,
    "savefig.facecolor": "white",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}


class Picture(matplotlib_figure.Figure):
    """Show a figure as one small image, with a text for those who cannot see it.

    It is made without pyplot, so nothing is shown twice and nothing stays open.
    """

    alt = "figure"

    def encode(self):
        """Render the figure and return the smaller of a palette PNG and a JPEG.

        Returns:
            The pair `(mime type, bytes)`.
        """
        buffer = io.BytesIO()
        self.savefig(
            buffer, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.06
        )
        image = Image.open(buffer).convert("RGB")
        png, jpeg = io.BytesIO(), io.BytesIO()
        image.quantize(256, dither=Image.Dither.NONE).save(png, "PNG", optimize=True)
        image.save(jpeg, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
        if png.tell() <= 1.2 * jpeg.tell():
            return "image/png", png.getvalue()
        return "image/jpeg", jpeg.getvalue()

    def savefig(self, *arguments, **options):
        """Save as every figure does; ticks made on the way keep the series' style."""
        with matplotlib.rc_context(RC):
            super().savefig(*arguments, **options)

    def _repr_mimebundle_(self, include=None, exclude=None):
        mime, data = self.encode()
        text = base64.b64encode(data).decode("ascii")
        return {mime: text, "text/plain": self.alt}, {mime: {"alt": self.alt}}


def figure(width, height, alt="figure"):
    """Make an empty figure in the series' style.

    Args:
        width: Inches; a notebook column holds about 9.
        height: Inches.
        alt: One sentence that says what the picture shows.

    Returns:
        An empty `Picture`.
    """
    with matplotlib.rc_context(RC):
        picture = Picture(figsize=(width, height), dpi=DPI, layout="constrained")
    picture.alt = alt
    return picture


def subplots(rows, columns, width, height, alt="figure", **options):
    """Make a figure with a `(rows, columns)` array of axes in the series' style.

    Args:
        rows: Number of rows.
        columns: Number of columns.
        width: Inches of the whole figure.
        height: Inches of the whole figure.
        alt: One sentence that says what the picture shows.
        **options: Passed to `Figure.subplots`.

    Returns:
        The `Picture` and a 2D array of axes.
    """
    picture = figure(width, height, alt)
    with matplotlib.rc_context(RC):
        axes = picture.subplots(rows, columns, squeeze=False, **options)
    return picture, axes


def axes_of(ax, width, height, alt):
    """Return `(picture, ax)`: those of `ax`, or a new single-axes picture."""
    if ax is not None:
        return ax.figure, ax
    picture, axes = subplots(1, 1, width, height, alt)
    return picture, axes[0, 0]


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
    array = np.asarray(array)
    image = array
    while image.ndim > 2 and image.shape[0] == 1:
        image = image[0]
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    if image.ndim != 2 or not image.size:
        raise ValueError(
            f"{name} should be one 2D image (height, width). "
            f"Received: an array of shape {array.shape}"
        )
    return image.astype("float32")


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
    array = np.asarray(array)
    field = array[0] if array.ndim == 4 and array.shape[0] == 1 else array
    if field.ndim != 3 or field.shape[-1] != 2:
        raise ValueError(
            f"{name} should be one 2D field (height, width, 2). "
            f"Received: an array of shape {array.shape}"
        )
    return field.astype("float32")
