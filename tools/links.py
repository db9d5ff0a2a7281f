"""Point every link of the series at a repository.

The address stands in tools/bootstrap_cell.py; this writes `owner/name` there, then
into everything that repeats it: the notebooks, README.md, CITATION.cff.

    make links                     the repository's remote on GitHub
    make links REPO=owner/name     another one
"""

import re
import sys

from tools import address, notebooks, readme, sync

USAGE = "Usage: make links REPO=owner/name."


def rename(text, old, new):
    """Replace the repository in the addresses of a text."""
    pattern = rf"((?:github\.com|colab\.research\.google\.com/github)/){re.escape(old)}"
    return re.sub(rf"{pattern}(?![\w-])", lambda found: found.group(1) + new, text)


def cited(text, repository):
    """Return CITATION.cff with the address of a repository, or without any."""
    text = re.sub(r"^repository-code: .*\n", "", text, flags=re.MULTILINE)
    if not repository:
        return text
    line = f"repository-code: https://github.com/{repository}\n"
    return re.sub(r"^license:", f"{line}license:", text, count=1, flags=re.MULTILINE)


def chosen(arguments):
    """Return the repository that was named, or the remote where none was.

    Args:
        arguments: What `make links` was given.

    Raises:
        SystemExit: If what was named is no repository, or there is no remote.
    """
    name = arguments[0] if arguments else address.remote()
    if not name:
        sys.exit(f"This repository has no remote on GitHub. {USAGE}")
    if len(arguments) > 1 or not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        sys.exit(f"{USAGE} Received: {' '.join(arguments)}")
    return name


def main(arguments):
    """Rewrite all links; exit with a message where there is no repository to name."""
    new, old = chosen(arguments), address.written()
    cell = address.BOOTSTRAP
    cell.write_text(rename(cell.read_text(), old, new))
    citation = notebooks.ROOT / "CITATION.cff"
    citation.write_text(cited(citation.read_text(), address.stated()))
    readme.write()
    for source in notebooks.sources():
        sync.sync(source)
    print(f"{old} -> {new}")


if __name__ == "__main__":
    main(sys.argv[1:])
