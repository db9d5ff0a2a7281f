"""Pictures and sliders of the notebooks: arrays in, something to look at out.

A notebook shows what a function returns when the call is the last line of a cell (no
semicolon), or through `display(...)`. A `Picture` is stored as one small image. A
`Control` is a slider that carries its frames and needs no kernel, no extension and no
server; `live` and `affine_sliders` also compute while a kernel runs.
"""

from registration.show.charts import loss_curve, sorted_bars
from registration.show.compare import before_after
from registration.show.computed import affine_sliders, live
from registration.show.control import TRUST_NOTE, Control, frames
from registration.show.diagram import framework
from registration.show.fields import grid, jacobian, quiver
from registration.show.images import checkerboard, panels, rows
from registration.show.planes import planes
from registration.show.series import epochs, morph, weights
from registration.show.slices import slices
from registration.show.style import Picture, figure
from registration.show.tables import table

__all__ = [
    "TRUST_NOTE",
    "Control",
    "Picture",
    "affine_sliders",
    "before_after",
    "checkerboard",
    "epochs",
    "figure",
    "frames",
    "framework",
    "grid",
    "jacobian",
    "live",
    "loss_curve",
    "morph",
    "panels",
    "planes",
    "quiver",
    "rows",
    "slices",
    "sorted_bars",
    "table",
    "weights",
]
