"""A notebook with one cell for each kind of slider, on made-up data."""

import nbformat

SETUP = """\
import sys
sys.path.insert(0, {root!r})
import numpy as np
from helpers import widgets
x, y, z = np.indices((40, 48, 44)) - np.array([19.5, 23.5, 21.5])[:, None, None, None]
head = ((x / 15) ** 2 + (y / 20) ** 2 + (z / 18) ** 2 < 1) * (0.6 + 0.4 * np.sin(y / 3))
moved = np.roll(head, 3, axis=1)
disc = [np.hypot(*(np.indices((24, 24)) - 12.0)) < radius for radius in range(2, 12)]
disc = np.array(disc, "float32")
"""
CELLS = {
    "slices": 'widgets.slices(head, 4.0, outline=head > 0, title="slices")',
    "before_after": 'widgets.before_after(moved, head, head, voxel_mm=4, title="both")',
    "epochs": "widgets.epochs([[d, d, 1 - d] for d in disc])",
    "morph": "widgets.morph(disc)",
    "weights": "widgets.weights(disc[:3], [0.1, 1, 10])",
    "affine": (
        "def draw(rotation, shift):\n"
        "    return np.roll(np.rot90(disc[4], int(rotation)), int(shift), axis=1)\n"
        "widgets.affine_sliders(draw, rotation=(0, 3, 0), shift=(-9, 9, 0))"
    ),
}


def build(root):
    """Return the notebook, without outputs."""
    sources = [SETUP.format(root=str(root)), *CELLS.values()]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def write(path, root):
    """Write the notebook to `path`; it imports `helpers` from `root`."""
    nbformat.write(build(root), path)
