"""Draw images/house.svg: which room of the repository imports which, from the imports.

An arrow is left out where a longer way leads to the same room: what stands on
`registration` may use all that `registration` stands on.

    make readme        after an import that is new between two rooms
"""

import ast
import html

from tools import notebooks

PATH = notebooks.ROOT / "images" / "house.svg"
# Left, top, width and height of each room, and what it is, a line each.
ROOMS = {
    "models": (10, 10, 148, 78, "the training"),
    "benchmarks": (168, 10, 148, 78, "the measuring"),
    "tools": (326, 10, 148, 78, "behind make"),
    "notebooks": (484, 10, 148, 78, "the lessons"),
    "registration": (10, 140, 390, 78, "two scans in, a transform out"),
    "helpers": (10, 270, 190, 104, "the mathematics", "in Keras"),
    "registration.scans": (210, 270, 190, 104, "files and arrays,", "NumPy only"),
    "registration.show": (426, 270, 206, 104, "pictures, sliders,", "no Keras"),
    "registration.settings": (190, 426, 230, 78, "our variables"),
}
WIDTH, HEIGHT = 642, 514
INSET, TIP = 24, 4
STYLE = (
    "text{font-family:system-ui,sans-serif;text-anchor:middle;fill:#1a1a1a}"
    ".name{font-size:20px;font-weight:600}.what{font-size:18px;fill:#444}"
    "rect{fill:#e8f1f8;stroke:#0072b2;stroke-width:2}"
    ".arrow{stroke:#555;stroke-width:2;fill:none;marker-end:url(#tip)}"
)


def modules(path):
    """Return the dotted names that a Python file imports, names of `from` included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(name):
    """Return the innermost room that a dotted name lies in, or None."""
    parts = name.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((one for one in names if one in ROOMS), None)


def arrows(root):
    """Return the set of pairs of rooms of which the first imports the second."""
    found = set()
    for top in sorted({name.split(".")[0] for name in ROOMS}):
        for path in sorted((root / top).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            here = room(".".join(parts))
            found |= {(here, room(name)) for name in modules(path)}
    return {(here, there) for here, there in found if there not in (None, here)}


def reachable(start, pairs):
    """Return the rooms that the arrows lead to from one."""
    seen, waiting = set(), [start]
    while waiting:
        here = waiting.pop()
        new = {there for one, there in pairs if one == here} - seen
        seen |= new
        waiting += new
    return seen


def reduced(pairs):
    """Leave out the arrows that a longer way makes unnecessary."""
    return {
        (here, there)
        for here, there in pairs
        if not any(
            there in reachable(between, pairs)
            for one, between in pairs
            if one == here and between not in (here, there)
        )
    }


def within(value, left, width):
    """Return the nearest place to `value` on the side of a box."""
    return min(max(value, left + INSET), left + width - INSET)


def line(here, there):
    """Return the SVG of an arrow, upright where the two boxes overlap."""
    left, top, width, height, *_ = ROOMS[here]
    goal_left, goal_top, goal_width, *_ = ROOMS[there]
    start = within(goal_left + goal_width / 2, left, width)
    end = within(start, goal_left, goal_width)
    return (
        f'<path class="arrow" d="M{start:g} {top + height} L{end:g} {goal_top - TIP}"/>'
    )


def box(name):
    """Return the SVG of a room."""
    left, top, width, height, *what = ROOMS[name]
    middle, short = left + width / 2, name.split(".")[-1]
    parts = [
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="8"/>',
        f'<text class="name" x="{middle:g}" y="{top + 32}">{short}</text>',
    ]
    for number, text in enumerate(what):
        y = top + 60 + 26 * number
        parts.append(f'<text class="what" x="{middle:g}" y="{y}">{text}</text>')
    return "\n".join(parts)


def described(pairs):
    """Return the arrows as a sentence, for those who cannot see them."""
    texts = []
    for here in ROOMS:
        goals = sorted(there for one, there in pairs if one == here)
        if goals:
            texts.append(f"{here} imports {', '.join(goals)}")
    return "; ".join(texts) + "."


def drawn(root=notebooks.ROOT):
    """Return the drawing as SVG."""
    pairs = reduced(arrows(root))
    lines = [line(*pair) for pair in sorted(pairs)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" role="img">',
            "<title>The house: an arrow says that a room imports another</title>",
            f"<desc>{html.escape(described(pairs))}</desc>",
            f"<style>{STYLE}</style>",
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" '
            'markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0L10 5L0 10z" fill="#555"/></marker></defs>',
            f'<path fill="#fff" d="M0 0H{WIDTH}V{HEIGHT}H0z"/>',
            *lines,
            *map(box, ROOMS),
            "</svg>\n",
        ]
    )


def write():
    """Draw the house anew."""
    PATH.write_text(drawn(), encoding="utf-8")


if __name__ == "__main__":
    write()
