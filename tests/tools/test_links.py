import re
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("jupytext")

from tools import links, notebooks  # noqa: E402

TEXT = """\
https://github.com/a/b
https://github.com/a/b.git
https://colab.research.google.com/github/a/b/blob/main/notebooks/00_x.ipynb
https://github.com/a/b-other
https://github.com/z/a/b
"""


def test_only_addresses_of_the_repository_change():
    assert links.rename(TEXT, "a/b", "new/name") == (
        "https://github.com/new/name\n"
        "https://github.com/new/name.git\n"
        "https://colab.research.google.com/github/new/name/blob/main/notebooks/"
        "00_x.ipynb\n"
        "https://github.com/a/b-other\n"
        "https://github.com/z/a/b\n"
    )


def test_the_badge_of_every_notebook_opens_that_notebook():
    for path in notebooks.sources():
        first = notebooks.read(path).cells[0].source
        assert notebooks.badge(path) in first, path.stem
        assert len(notebooks.BADGE.findall(first)) == 1, path.stem


def test_make_links_reaches_every_address_and_back(tmp_path):
    tree = tmp_path / "copy"
    skip = shutil.ignore_patterns(".*", "build", "__pycache__", "results")
    shutil.copytree(notebooks.ROOT, tree, ignore=skip)
    before = {p: p.read_bytes() for p in tree.rglob("*") if p.is_file()}
    old = notebooks.repository()
    command = [sys.executable, "-m", "tools.links"]
    subprocess.run([*command, "some.one/else-where"], cwd=tree, check=True)
    left = [p.name for p in before if f"/{old}".encode() in p.read_bytes()]
    assert left == []
    subprocess.run([*command, old], cwd=tree, check=True)
    assert [p.name for p, text in before.items() if p.read_bytes() != text] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_local_link_of_a_page_leads_to_a_file(page):
    text = (notebooks.ROOT / page).read_text()
    targets = re.findall(r"\]\(([^)\s#]+)", text)
    local = [target for target in targets if "://" not in target]
    assert [name for name in local if not (notebooks.ROOT / name).exists()] == []


def test_every_local_link_of_a_notebook_leads_to_a_file():
    missing = []
    for path in notebooks.sources():
        for cell in notebooks.read(path).cells:
            if cell.cell_type == "markdown":
                targets = re.findall(r"\]\(([^)\s#]+)", cell.source)
                local = [x for x in targets if not re.match(r"\w+:", x)]
                missing += [x for x in local if not (path.parent / x).exists()]
    assert missing == []


@pytest.mark.parametrize("arguments", [[], ["name"], ["a/b", "c/d"], ["a/b c"]])
def test_what_is_no_repository_is_refused(arguments):
    with pytest.raises(SystemExit, match="make links REPO=owner/name"):
        links.main(arguments)
