"""Say what is wrong with a notebook before a reader finds out."""

import json
import re
from pathlib import Path

import nbformat

from tools import notebooks

LONGEST_CELL = 25
LARGEST_MEGABYTES = 2.0
ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")
WARNING = re.compile(r"\b\w*Warning: ")
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:home|Users|root|tmp|content|opt)/\w")


def source_problems(notebook):
    """List what is wrong with the cells, whatever they show."""
    found = []
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if not notebooks.title(notebook):
        found.append("no heading `# Title`")
    if not code or code[0].source != notebooks.bootstrap():
        found.append("the first code cell is not tools/bootstrap_cell.py: `make sync`")
    for number, cell in enumerate(code):
        lines = len(cell.source.splitlines())
        if lines > LONGEST_CELL:
            found.append(f"code cell {number}: {lines} lines, {LONGEST_CELL} at most")
        if not cell.source.strip():
            found.append(f"code cell {number}: empty")
    for cell in notebook.cells:
        if MACHINE_PATH.search(cell.source):
            found.append(
                f"a path of one machine: {_excerpt(MACHINE_PATH, cell.source)}"
            )
        if cell.cell_type == "markdown" and re.search(r"!\[\]\(", cell.source):
            found.append("a picture without alternative text")
    return found


def output_problems(notebook):
    """List what is wrong with the stored results."""
    found = []
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    counts = [cell.execution_count for cell in code]
    if counts != list(range(1, len(code) + 1)):
        found.append("not executed top to bottom: `make run` and `make store`")
    pictures = 0
    for number, cell in enumerate(code):
        for output in cell.outputs:
            found += [f"code cell {number}: {text}" for text in _noise(output)]
            pictures += any(key.startswith("image/") for key in output.get("data", {}))
    if not pictures:
        found.append("no picture is stored")
    return found


def file_problems(path):
    """List what is wrong with an .ipynb file as it stands beside its source."""
    if not path.exists():
        return ["no .ipynb: `make sync`"]
    found = []
    megabytes = path.stat().st_size / 1e6
    if megabytes >= LARGEST_MEGABYTES:
        found.append(f"{megabytes:.2f} MB, it must stay below {LARGEST_MEGABYTES}")
    stored = nbformat.read(path, as_version=4)
    source = notebooks.read(path.with_suffix(".py"))
    if notebooks.content(stored) != notebooks.content(source):
        found.append("out of step with its .py: `make sync`")
    if set(stored.metadata) - {"widgets"} != {*notebooks.METADATA, "language_info"}:
        found.append(f"metadata of one machine: {sorted(stored.metadata)}")
    elif stored.metadata.kernelspec != notebooks.METADATA["kernelspec"]:
        found.append("its kernel is not python3")
    return found


def _noise(output):
    if output.output_type == "error":
        yield f"a stored error, {output.ename}"
        return
    if output.get("name") == "stderr":
        yield f"noise on stderr, {output.text.strip()[:60]!r}"
    text = output.get("text", "") + _texts(output.get("data", {}))
    for what, pattern in (
        ("a memory address", ADDRESS),
        ("a warning", WARNING),
        ("a path of one machine", MACHINE_PATH),
        ("the name of this folder", re.compile(re.escape(str(notebooks.ROOT)))),
    ):
        if pattern.search(text):
            yield f"{what}, {_excerpt(pattern, text)}"


def _texts(data):
    kinds = [key for key in data if key.startswith("text/") or key.endswith("json")]
    values = [data[key] for key in kinds]
    return "".join(x if isinstance(x, str) else json.dumps(x) for x in values)


def _excerpt(pattern, text):
    start = pattern.search(text).start()
    return repr(text[start : start + 60].split("\n")[0])


def problems(path):
    """List everything that is wrong with a pair.

    Args:
        path: The .py source.

    Returns:
        Sentences; none where all is well.
    """
    page = Path(path).with_suffix(".ipynb")
    found = source_problems(notebooks.read(path)) + file_problems(page)
    if page.exists():
        found += output_problems(nbformat.read(page, as_version=4))
    return found
