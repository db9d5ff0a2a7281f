"""Fill the blocks of README.md from what was measured; nothing there is typed by hand.

A block stands between `<!-- begin NAME -->` and `<!-- end NAME -->`.
"""

import re

from tools import address, notebooks, tables

README = notebooks.ROOT / "README.md"


def badges():
    """Return what leads to the published series; nothing until it has an address."""
    repository = address.stated()
    if not repository:
        return ""
    first = notebooks.sources()[0].stem
    return (
        f"**[Read the series on its pages]({address.site(repository)})** ·\n"
        f"[![Open in Colab](images/open_in_colab.svg)]({notebooks.colab(first)})"
    )


BLOCKS = {
    "badges": badges,
    "notebooks": tables.notebook_table,
    "results": tables.result_table,
}


def filled(text, blocks=BLOCKS):
    """Return a text with its blocks brought up to date.

    Args:
        text: Markdown.
        blocks: Dictionary from a block's name to a function that returns Markdown.
    """
    for name, build in blocks.items():
        pattern = f"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
        if not re.search(pattern, text, re.DOTALL):
            continue
        content = build()
        text = re.sub(
            pattern,
            lambda found, content=content: (
                found.group(1) + (content + "\n" if content else "") + found.group(2)
            ),
            text,
            flags=re.DOTALL,
        )
    return text


def write():
    """Bring README.md up to date."""
    README.write_text(filled(README.read_text()))


if __name__ == "__main__":
    write()
