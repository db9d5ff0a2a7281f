"""What the notebooks claim: every assertion, where it stands, and what was found."""

import ast
import re

from tools import notebooks

LONGEST = 600
SECTION = """\
## [{title}](notebooks/{name}.ipynb)

| section | must hold | what the cell printed |
| --- | --- | --- |
{rows}
"""


def section(path, notebook):
    """List what a notebook asserts.

    Args:
        path: Its source.
        notebook: The notebook with its outputs, as `site.executed` returns it.

    Returns:
        Markdown: a heading and a table, a row for each cell that asserts something.
    """
    rows = [
        f"| {_cell(heading)} | {'<br>'.join(map(_code, asserted))} | {_cell(printed)} |"
        for heading, asserted, printed in claims(notebook)
    ]
    return SECTION.format(
        title=f"{notebooks.number(path)} · {notebooks.title(notebook)}",
        name=path.stem,
        rows="\n".join(rows),
    )


def claims(notebook):
    """Return heading, assertions and printed text of every cell that asserts."""
    found, heading = [], notebooks.title(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            headings = re.findall(r"^##+ (.+)$", cell.source, re.MULTILINE)
            heading = headings[-1] if headings else heading
            continue
        asserted = assertions(cell.source)
        if asserted:
            found.append((heading, asserted, printed(cell)))
    return found


def assertions(source):
    """Return what a cell asserts, a list of expressions as text.

    Lines that only IPython reads, such as `%cd`, are left out.
    """
    lines = [line for line in source.splitlines() if not re.match(r"\s*[%!]", line)]
    tree = ast.parse("\n".join(lines))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    return [ast.unparse(node.test) for node in sorted(nodes, key=lambda n: n.lineno)]


def printed(cell):
    """Return what a cell printed; where it shows a table, that is said."""
    outputs = cell.get("outputs", ())
    texts = [o["text"] for o in outputs if o.get("name") == "stdout"]
    text = "".join(texts).strip()
    if any("text/html" in o.get("data", {}) for o in outputs):
        text = f"{text}\n(and what the page shows there)" if text else "what it shows"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def _code(text):
    escaped = text.replace("|", "\\|")
    return f"`{escaped}`" if "`" not in text else f"`` {escaped} ``"


def _cell(text):
    """Return text that stays within a cell of a table."""
    text = re.sub(r"([\\`*_{}\[\]<>|$])", r"\\\1", text)
    return "<br>".join(" ".join(line.split()) for line in text.splitlines())
