"""Figures of the notebooks: arrays in, one small picture out.

Every function returns a `style.Picture`; a notebook shows it when the call is
the last line of a cell (no semicolon), or through `display(...)`.
"""

from registration.show.charts import loss_curve, sorted_bars, table
from registration.show.diagram import framework
from registration.show.fields import grid, jacobian, quiver
from registration.show.images import checkerboard, panels, rows
from registration.show.planes import planes
from registration.show.style import Picture, figure

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
from registration.show.compare import before_after
from registration.show.computed import affine_sliders
from registration.show.series import epochs, morph, weights
from registration.show.slices import slices
