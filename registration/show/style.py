"""The look of every figure, and how it is stored in a notebook."""

import pathlib

import matplotlib
from matplotlib import figure as matplotlib_figure

from registration.show import pixels

GRAY = "gray"
FIELD = "viridis"
DIFFERENCE = "RdBu_r"
JACOBIAN = "PuOr"
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#D55E00", "#0072B2", "#F0E442")
LINES = tuple(COLOURS[i] for i in (5, 4, 2, 3, 0, 1))
DPI = 100

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

    It is made without pyplot, so nothing is shown twice and nothing stays open. It is
    stored with twice the pixels that a page gives it, sharp on a fine screen.
    """

    alt = "figure"

    def pixels(self):
        """Return the figure as 8-bit pixels, cut to what is drawn."""
        return pixels.rendered(self, bbox_inches="tight", pad_inches=0.06)

    def encode(self, mime=None):
        """Render the figure and encode it.

        Args:
            mime: `"image/png"` or `"image/jpeg"`; unset, the smaller of the two.

        Returns:
            The pair `(mime type, bytes)`.
        """
        return pixels.encode(self.pixels(), mime)

    def save(self, path):
        """Write the figure to a file, in the format that its name ends with.

        Args:
            path: Name of a file that ends with `.png`, `.jpg` or `.jpeg`.

        Raises:
            ValueError: If the name ends otherwise.
        """
        path = pathlib.Path(path)
        kinds = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
        if path.suffix not in kinds:
            raise ValueError(
                f"path should end with one of {sorted(kinds)}. Received: {str(path)!r}"
            )
        path.write_bytes(self.encode(kinds[path.suffix])[1])

    def colorbar(self, *arguments, **options):
        """Draw a colour bar as every figure does, in the series' style."""
        with matplotlib.rc_context(RC):
            return super().colorbar(*arguments, **options)

    def savefig(self, *arguments, **options):
        """Save as every figure does; ticks made on the way keep the series' style."""
        with matplotlib.rc_context(RC):
            super().savefig(*arguments, **options)

    def _repr_mimebundle_(self, include=None, exclude=None):
        drawn = self.pixels()
        mime, data = pixels.encode(drawn)
        height, width = (round(side / pixels.SCALE) for side in drawn.shape[:2])
        return {mime: pixels.base64_text(data), "text/plain": self.alt}, {
            mime: {"alt": self.alt, "width": width, "height": height}
        }


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
