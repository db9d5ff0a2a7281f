"""The gallery of the site: every picture of every notebook, small, with its words."""

import base64
import io
import re
import unicodedata

from PIL import Image

from tools import notebooks, tables

MIMES = ("image/png", "image/jpeg")
WIDTH = 480
SECTION = """\
## [{title}](notebooks/{name}.ipynb)

{goal}

::::{{grid}} 1 2 3 3
:gutter: 2

{cards}
::::
"""
CARD = """\
:::{{grid-item-card}}
:img-top: {picture}
:img-alt: {words}
:link: notebooks/{name}.html#{place}
{words}
:::"""


def section(path, notebook, folder):
    """Lay out what a notebook shows.

    Args:
        path: Its source.
        notebook: The notebook with its outputs, as `site.executed` returns it.
        folder: Where the site is built from; small pictures go to its `_gallery`.

    Returns:
        Markdown: a heading, the goal, and a card a picture that links to its place.
    """
    cards = [
        CARD.format(
            name=path.stem,
            place=place,
            words=words,
            picture=_small(data, folder, f"{path.stem}_{number:02d}"),
        )
        for number, (place, words, data) in enumerate(pictures(notebook))
    ]
    return SECTION.format(
        title=f"{notebooks.number(path)} · {notebooks.title(notebook)}",
        name=path.stem,
        goal=tables.goals().get(path.stem, ""),
        cards="\n".join(cards),
    )


def pictures(notebook):
    """Return every picture that has words: anchor of its section, words, bytes."""
    found, place = [], ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for heading in re.findall(r"^##+ (.+)$", cell.source, re.MULTILINE):
                place = anchor(heading)
        for output in cell.get("outputs", ()):
            for mime in MIMES:
                words = output.get("metadata", {}).get(mime, {}).get("alt")
                if words and mime in output.get("data", {}):
                    words = " ".join(words.split())
                    found.append((place, words, base64.b64decode(output["data"][mime])))
    return found


def anchor(heading):
    """Return the address of a section in its page, as Sphinx makes it."""
    plain = unicodedata.normalize("NFKD", heading.lower()).encode("ascii", "ignore")
    return re.sub(r"^[-0-9]+|-+$", "", re.sub(r"[^a-z0-9]+", "-", plain.decode()))


def _small(data, folder, name):
    """Write a picture of at most `WIDTH` pixels, on white; return its path."""
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    image = Image.alpha_composite(white, image).convert("RGB")
    image.thumbnail((WIDTH, WIDTH))
    path = folder / "_gallery" / f"{name}.jpg"
    path.parent.mkdir(exist_ok=True)
    image.save(path, quality=85)
    return path.relative_to(folder).as_posix()
