"""Point every link of the series at another repository.

The address stands in tools/bootstrap_cell.py; this writes `owner/name` there, then
into everything that repeats it: the notebooks, README.md, CITATION.cff.

    make links REPO=owner/name
"""

import re
import sys

from tools import notebooks, sync

FILES = ("tools/bootstrap_cell.py", "README.md", "CITATION.cff", "CONTRIBUTING.md")


def rename(text, old, new):
    """Replace the repository in the addresses of a text."""
    address = rf"((?:github\.com|colab\.research\.google\.com/github)/){re.escape(old)}"
    return re.sub(rf"{address}(?![\w-])", lambda found: found.group(1) + new, text)


def main(arguments):
    """Rewrite all links; exit with a message where the argument is no repository."""
    if len(arguments) != 1 or not re.fullmatch(r"[\w.-]+/[\w.-]+", arguments[0]):
        sys.exit(f"Usage: make links REPO=owner/name. Received: {' '.join(arguments)}")
    new, old = arguments[0], notebooks.repository()
    for name in FILES:
        path = notebooks.ROOT / name
        if path.exists():
            path.write_text(rename(path.read_text(), old, new))
    for source in notebooks.sources():
        sync.sync(source)
    print(f"{old} -> {new}")


if __name__ == "__main__":
    main(sys.argv[1:])
