"""Where the repository lives: what its files state, else what git knows.

The first cell of every notebook must state an address, since on a hosted service
there is no git to ask. Until `make links` has written one there, nothing that leads to
it is shown: no badge, no link to the site.
"""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BOOTSTRAP = ROOT / "tools" / "bootstrap_cell.py"
PLACEHOLDER = "your_name/registration"
STATED = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+)")
REMOTE = re.compile(
    r"(?:https?://(?:[^/@]+@)?github\.com/"
    r"|(?:ssh://)?git@github\.com[:/]"
    r"|ssh://git@ssh\.github\.com:443/"
    r"|git://github\.com/)"
    r"([\w.-]+/[\w.-]+?)(?:\.git)?/?"
)


def written():
    """Return the `owner/name` that the first cell holds, the placeholder included."""
    return STATED.search(BOOTSTRAP.read_text()).group(1)


def stated():
    """Return the `owner/name` that the files state; empty for the placeholder."""
    name = written()
    return "" if name == PLACEHOLDER else name


def parsed(url):
    """Return `owner/name` of a GitHub address as git holds it; empty for others."""
    found = REMOTE.fullmatch(url.strip())
    return found.group(1) if found else ""


def remote(folder=ROOT):
    """Return `owner/name` of the repository's remote on GitHub, `origin` first.

    Empty where there is none, where git is missing, and where the folder only lies
    inside somebody else's repository.
    """
    if not (folder / ".git").exists():
        return ""
    command = ["git", "-C", str(folder), "config", "--get-regexp", r"^remote\..*\.url$"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return ""
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    lines.sort(key=lambda line: line[0] != "remote.origin.url")
    return next(filter(None, (parsed(line[-1]) for line in lines)), "")


def known():
    """Return the stated `owner/name`, else that of the remote, else nothing."""
    return stated() or remote()


def site(repository):
    """Return the address of the pages that a repository publishes."""
    owner, name = repository.split("/")
    host = f"{owner.lower()}.github.io"
    return f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"
