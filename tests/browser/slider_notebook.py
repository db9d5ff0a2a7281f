"""A notebook with one cell for each kind of slider, on made-up data."""

import nbformat
import numpy as np

SETUP = """\
import sys
sys.path.insert(0, {root!r})
import numpy as np
from registration import show
x, y, z = np.indices((40, 48, 44)) - np.array([19.5, 23.5, 21.5])[:, None, None, None]
head = ((x / 15) ** 2 + (y / 20) ** 2 + (z / 18) ** 2 < 1) * (0.6 + 0.4 * np.sin(y / 3))
moved = np.roll(head, 3, axis=1)
disc = [np.hypot(*(np.indices((24, 24)) - 12.0)) < radius for radius in range(2, 12)]
disc = np.array(disc, "float32")
"""
CELLS = {
    "note": "show.TRUST_NOTE",
    "slices": 'show.slices(head, 4.0, outline=head > 0, title="slices")',
    "before_after": 'show.before_after(moved, head, head, voxel_mm=4, title="both")',
    "epochs": "show.epochs([[d, d, 1 - d] for d in disc])",
    "morph": "show.morph(disc)",
    "weights": "show.weights(disc[:3], [0.1, 1, 10])",
    "affine": (
        "def draw(gain, shift):\n"
        "    return np.roll(disc[4] * gain, int(shift), axis=1)\n"
        "show.affine_sliders(draw, gain=(0, 1, 0.5), shift=(-9, 9, 0))"
    ),
}


def notebook(cells):
    """Return a notebook of these cells."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def stored_cells():
    """Return cells with the outputs that `make run` stores, not run here."""
    from registration import show

    steps = np.arange(8)[:, None, None] * np.tri(12)[None] / 8
    wide = show.panels(
        alt="wide", **{f"step_{i}": step for i, step in enumerate(steps)}
    )
    table = show.table(["method", "Dice"], [["before", 0.5], ["after", None]])
    shown = [
        ({"text/html": show.TRUST_NOTE.html}, {}),
        show.epochs(steps, title="stored")._repr_mimebundle_(),
        show.weights(steps[:2], [1, 2], title="second")._repr_mimebundle_(),
        wide._repr_mimebundle_(),
        ({"text/html": table.html}, {}),
    ]
    return [
        nbformat.v4.new_code_cell(
            "...",
            outputs=[
                nbformat.v4.new_output("display_data", data=data, metadata=metadata)
            ],
        )
        for data, metadata in shown
    ]


def write(folder, root):
    """Write sliders.ipynb, to be run with the code in `root`, and stored.ipynb."""
    sources = [SETUP.format(root=str(root)), *CELLS.values()]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(notebook(cells), folder / "sliders.ipynb")
    nbformat.write(notebook(stored_cells()), folder / "stored.ipynb")
