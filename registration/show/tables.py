"""Tables as HTML: escaped, without borders of their own, readable on a phone."""

import numbers
import re

from registration.show import control

MISSING = "–"
NOTHING = ("nan", "NaN", "NaT", "None", "<NA>")
NUMBER = re.compile(r"[<>≈~±]?\s*[-+−]?[\d.]")


class Table:
    """Show a table in a notebook, or as lines of text.

    Args:
        heads: Texts of the heads.
        cells: Lists of texts, one list a row.
        caption: Text below.
    """

    def __init__(self, heads, cells, caption=""):
        self.heads, self.cells, self.caption = heads, cells, caption

    @property
    def html(self):
        """Return the HTML; a page styles it by the classes of its own tables."""
        sides = [_side(column) for column in zip(*self.cells, strict=True)]
        sides = sides or ["left"] * len(self.heads)
        parts = ["<thead>", _row("th", self.heads, sides), "</thead><tbody>"]
        parts += [_row("td", row, sides) for row in self.cells]
        below = '<caption style="caption-side:bottom;text-align:left">'
        below = f"{below}{control.escape(self.caption)}</caption>"
        return (
            '<table class="reg-table docutils align-default">'
            f"{below if self.caption else ''}{''.join(parts)}</tbody></table>"
        )

    def _repr_html_(self):
        return self.html

    def __repr__(self):
        """Return the table as lines of text."""
        columns = zip(self.heads, *self.cells, strict=True)
        widths = [max(map(len, column)) for column in columns]
        lines = [
            "  ".join(
                text.ljust(width) for text, width in zip(row, widths, strict=True)
            )
            for row in (self.heads, *self.cells)
        ]
        return "\n".join(line.rstrip() for line in (*lines, self.caption) if line)


def table(columns, rows=None, caption=""):
    """Show a table whose every text is escaped.

    Args:
        columns: Heads of the columns; or a pandas `DataFrame`, whose index comes first
            unless it only counts the rows.
        rows: Sequences of texts or numbers, one for each row; none for a data frame.
        caption: Text below the table.

    Returns:
        A `Table`, which shows itself; its `html` is the text of it.

    Raises:
        ValueError: If a row has another number of cells than there are columns.
    """
    if hasattr(columns, "itertuples"):
        columns, rows = _of_frame(columns)
    return Table(*as_texts(columns, rows), str(caption))


def as_texts(columns, rows):
    """Return heads and cells as texts.

    Args:
        columns: Heads of the columns.
        rows: Sequences of texts or numbers, one for each row.

    Returns:
        `(heads, cells)`: a list of texts, and a list of such lists. Numbers have three
        digits, and what is missing is a dash.

    Raises:
        ValueError: If a row has another number of cells than there are columns.
    """
    heads = [str(column) for column in columns]
    cells = [[as_text(cell) for cell in row] for row in rows or ()]
    for row in cells:
        if len(row) != len(heads):
            raise ValueError(f"A row should have {len(heads)} cells. Received: {row}")
    return heads, cells


def as_text(cell):
    """Return a cell as text: three digits of a float, a dash where there is nothing."""
    if str(cell) in NOTHING:
        return MISSING
    if isinstance(cell, numbers.Real) and not isinstance(cell, numbers.Integral):
        return f"{cell:.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"
    return str(cell)


def _of_frame(frame):
    """Return heads and rows of a data frame."""
    heads = [", ".join(map(str, _parts(column))) for column in frame.columns]
    rows = [list(row) for row in frame.itertuples(index=False, name=None)]
    names = list(frame.index.names)
    if type(frame.index).__name__ == "RangeIndex" and names == [None]:
        return heads, rows
    rows = [
        [*_parts(label), *row] for label, row in zip(frame.index, rows, strict=True)
    ]
    return ["" if name is None else name for name in names] + heads, rows


def _parts(label):
    """Return the parts of a label, one unless there are several levels."""
    return label if isinstance(label, tuple) else (label,)


def _side(texts):
    """Return where a column's texts stand: numbers at the right."""
    return "right" if all(t == MISSING or NUMBER.match(t) for t in texts) else "left"


def _row(tag, texts, sides):
    """Return the HTML of one row; a number is not broken into lines."""
    whole = {"left": "", "right": ";white-space:nowrap"} if tag == "td" else {}
    cells = "".join(
        f'<{tag} style="text-align:{side}{whole.get(side, "")}">'
        f"{control.escape(text)}</{tag}>"
        for text, side in zip(texts, sides, strict=True)
    )
    return f"<tr>{cells}</tr>"
