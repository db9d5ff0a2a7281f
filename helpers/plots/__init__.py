"""Figures of the notebooks: arrays in, one small picture out.

Every function returns a `style.Picture`; a notebook shows it when the call is
the last line of a cell (no semicolon), or through `display(...)`.
"""

from helpers.plots.charts import loss_curve, sorted_bars, table
from helpers.plots.diagram import framework
from helpers.plots.fields import grid, jacobian, quiver
from helpers.plots.images import checkerboard, panels, rows
from helpers.plots.scans import planes
from helpers.plots.style import Picture, figure

__all__ = [
    "Picture",
    "checkerboard",
    "figure",
    "framework",
    "grid",
    "jacobian",
    "loss_curve",
    "panels",
    "planes",
    "quiver",
    "rows",
    "sorted_bars",
    "table",
]
