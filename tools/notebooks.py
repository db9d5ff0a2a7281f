"""What a notebook of this series looks like: its cells, its metadata, its pair.

The .py file (py:percent) is the source. The .ipynb beside it holds the same cells with
the results of the last stored run.
"""

import hashlib
import re
from pathlib import Path

import jupytext
import nbformat

from tools import address

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
METADATA = {
    "jupytext": {"formats": "ipynb,py:percent"},
    "kernelspec": {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    },
}
LANGUAGE = {"name": "python", "pygments_lexer": "ipython3"}
BADGE = re.compile(r"^\[!\[Open in Colab\].*\n\n\[colab\]: .*$", re.MULTILINE)


def sources(only=""):
    """Return the notebooks' sources in order, those whose name contains `only`."""
    return [p for p in sorted(FOLDER.glob("[0-9][0-9]_*.py")) if only in p.stem]


def number(path):
    """Return the number that a notebook is called by, two digits."""
    return path.stem[:2]


def bootstrap():
    """Return the text of the first code cell of every notebook."""
    return address.BOOTSTRAP.read_text().strip()


def badge(path):
    """Return the Markdown of the badge that opens a notebook in Colab.

    Empty while the files state no address: the notebook could not fetch its
    repository there.
    """
    if not address.stated():
        return ""
    return (
        "[![Open in Colab](../images/open_in_colab.svg)][colab]\n\n"
        f"[colab]: {colab(path.stem)}"
    )


def colab(name):
    """Return the address that opens a notebook of the stated repository in Colab."""
    page = f"github/{address.stated()}/blob/main/notebooks/{name}.ipynb"
    return f"https://colab.research.google.com/{page}"


def read(path):
    """Return the notebook that a .py source holds, with stable cell ids."""
    return tidy(jupytext.read(path))


def title(notebook):
    """Return the text of the first heading."""
    for cell in notebook.cells:
        found = re.search(r"^# (.+)$", cell.source, re.MULTILINE)
        if cell.cell_type == "markdown" and found:
            return found.group(1).strip()
    return ""


def with_badge(text, line):
    """Return a first cell's text with a line under its title and no other badge."""
    text = re.sub(rf"\n*{BADGE.pattern}", "", text, flags=BADGE.flags)
    if not line:
        return text
    return re.sub(
        r"^(# .+)$",
        lambda found: f"{found.group(1)}\n\n{line}",
        text,
        count=1,
        flags=re.MULTILINE,
    )


def completed(notebook, path):
    """Return the notebook with the badge under its title and the bootstrap cell."""
    notebook.cells[0].source = with_badge(notebook.cells[0].source, badge(path))
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            if "bootstrap" in cell.metadata.get("tags", []):
                cell.source = bootstrap()
                break
            new = nbformat.v4.new_code_cell(
                bootstrap(), metadata={"tags": ["bootstrap"]}
            )
            notebook.cells.insert(index, new)
            break
    return notebook


def settled(outputs):
    """Join texts that follow each other; of a rewritten line keep its last state.

    A progress bar is hundreds of texts that begin with a carriage return; JupyterLab
    shows the last of them, other pages would show them all.
    """
    kept = []
    for output in outputs:
        is_text = output.output_type == "stream"
        if is_text and kept and kept[-1].get("name") == output.name:
            kept[-1].text += output.text
        else:
            kept.append(output)
    for output in kept:
        if output.output_type == "stream":
            lines = output.text.replace("\r\n", "\n").split("\n")
            output.text = "\n".join(line.rsplit("\r", 1)[-1] for line in lines)
    return kept


def tidy(notebook):
    """Keep of a notebook what is the same on every machine.

    Cell ids follow from the text of the cells, timings and versions go, the metadata
    is that of the series; widget states stay, because a page shows them.
    """
    widgets = notebook.metadata.get("widgets")
    notebook.metadata = nbformat.from_dict({**METADATA, "language_info": LANGUAGE})
    if widgets:
        notebook.metadata["widgets"] = widgets
    seen = set()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = settled(cell.outputs)
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        number = 0
        while True:
            text = f"{cell.cell_type}{number}{cell.source}"
            cell["id"] = hashlib.sha256(text.encode()).hexdigest()[:8]
            if cell["id"] not in seen:
                break
            number += 1
        seen.add(cell["id"])
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def content(notebook):
    """Return what a pair must agree on: type, text and tags of each cell."""
    return [
        (cell.cell_type, cell.source, tuple(cell.metadata.get("tags", ())))
        for cell in notebook.cells
    ]


def with_outputs(notebook, stored):
    """Return the notebook with the stored outputs of the cells that did not change.

    What the first code cell shows does not depend on the address that it states, so
    it keeps its result when that changes.
    """

    def key(cell):
        tags = cell.metadata.get("tags", [])
        return "bootstrap" if "bootstrap" in tags else cell.id

    old = {key(cell): cell for cell in tidy(stored).cells if cell.cell_type == "code"}
    for cell in notebook.cells:
        if cell.cell_type == "code" and key(cell) in old:
            cell.outputs = old[key(cell)].outputs
            cell.execution_count = old[key(cell)].execution_count
    if "widgets" in stored.metadata:
        notebook.metadata["widgets"] = stored.metadata["widgets"]
    return notebook


def write_source(notebook, path):
    """Write the .py source of a notebook."""
    text = jupytext.writes(notebook, fmt="py:percent")
    header = re.compile(r"^#     text_representation:\n(?:#       .*\n)+", re.MULTILINE)
    path.write_text(header.sub("", text))


def write(notebook, path):
    """Write the .ipynb of a notebook."""
    nbformat.write(notebook, path)
