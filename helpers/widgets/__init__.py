"""Sliders of the notebooks.

All but `live` and `affine_sliders` are drawn once into frames and stepped in the
page itself: they need no kernel, no ipywidgets and no network, and stay alive in an
exported page. A control shows itself when it is the last line of a cell.
"""

from helpers.widgets.compare import before_after
from helpers.widgets.computed import affine_sliders, live
from helpers.widgets.control import Control, frames
from helpers.widgets.scans import slices
from helpers.widgets.series import epochs, morph, weights

__all__ = [
    "Control",
    "affine_sliders",
    "before_after",
    "epochs",
    "frames",
    "live",
    "morph",
    "slices",
    "weights",
]
