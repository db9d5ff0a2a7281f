"""Pictures and sliders of the notebooks: arrays in, something to look at out.

A notebook shows what a function returns when the call is the last line of a cell (no
semicolon), or through `display(...)`. A `Picture` is stored as one small image. A
`Control` is a slider that carries its frames and needs no kernel, no extension and no
server; `live` and `affine_sliders` also compute while a kernel runs.
"""

import importlib

# A name's module is imported when the name is first used: whoever needs no more than a
# table starts no matplotlib.
MODULES = {
    "TRUST_NOTE": "control",
    "Control": "control",
    "Picture": "style",
    "affine_sliders": "computed",
    "before_after": "compare",
    "checkerboard": "images",
    "epochs": "series",
    "figure": "style",
    "frames": "control",
    "framework": "diagram",
    "grid": "fields",
    "jacobian": "fields",
    "live": "computed",
    "loss_curve": "charts",
    "morph": "series",
    "panels": "images",
    "planes": "three_planes",
    "quiver": "fields",
    "rows": "images",
    "slices": "slice_slider",
    "sorted_bars": "charts",
    "table": "tables",
    "weights": "series",
}

__all__ = list(MODULES)


def __getattr__(name):
    """Import what is asked for."""
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{MODULES[name]}")
    globals()[name] = getattr(module, name)
    return globals()[name]


def __dir__():
    """List what can be asked for, for whoever completes names."""
    return sorted({*globals(), *MODULES})
