import re
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("jupytext")

from tools import address, links, notebooks, readme  # noqa: E402

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


def test_notebooks_have_the_badge_of_the_stated_address_or_none():
    for path in notebooks.sources():
        first = notebooks.read(path).cells[0].source
        assert notebooks.badge(path) in first, path.stem
        count = len(notebooks.BADGE.findall(first))
        assert count == bool(address.stated()), f"{path.stem}: `make sync`"


def test_a_badge_is_put_under_the_title_once_and_taken_away_again():
    text = "# Title\n\n![a picture][opening]\n\nWords."
    line = "[![Open in Colab](../images/x.svg)][colab]\n\n[colab]: https://a/b"
    shown = notebooks.with_badge(text, line)
    assert shown == text.replace("# Title", f"# Title\n\n{line}")
    assert notebooks.with_badge(shown, line) == shown
    assert notebooks.with_badge(shown, "") == text


def test_without_an_address_nothing_points_at_one(monkeypatch):
    monkeypatch.setattr(address, "stated", lambda: "")
    block = "<!-- begin badges -->\n<!-- end badges -->"
    assert readme.filled(block) == block
    assert notebooks.badge(notebooks.sources()[0]) == ""
    cited = links.cited("title: x\nrepository-code: https://a\nlicense: y\n", "")
    assert cited == "title: x\nlicense: y\n"


def test_with_an_address_the_readme_leads_to_the_pages_and_to_colab(monkeypatch):
    monkeypatch.setattr(address, "stated", lambda: "some.one/else-where")
    text = readme.badges()
    assert "(https://some.one.github.io/else-where/)" in text
    assert "/github/some.one/else-where/blob/main/notebooks/00_" in text
    cited = links.cited("title: x\nlicense: y\n", "a/b")
    assert cited == "title: x\nrepository-code: https://github.com/a/b\nlicense: y\n"


def test_no_page_of_the_repository_shows_the_placeholder():
    pages = ["README.md", "CONTRIBUTING.md", "CITATION.cff", "site/index.md"]
    for page in pages:
        assert address.PLACEHOLDER not in (notebooks.ROOT / page).read_text(), page


def test_make_links_reaches_every_address_and_back(tmp_path):
    tree = tmp_path / "copy"
    skip = shutil.ignore_patterns(".*", "build", "__pycache__", "*_pairs.csv")
    shutil.copytree(notebooks.ROOT, tree, ignore=skip)
    old = address.written()

    def make(*arguments):
        subprocess.run([sys.executable, "-m", *arguments], cwd=tree, check=True)

    make("tools.sync")
    make("tools.readme")
    kept = [p for p in tree.rglob("*") if p.is_file() and "_cache" not in str(p)]
    before = {p: p.read_bytes() for p in kept if p.suffix != ".pyc"}
    make("tools.links", "some.one/else-where")
    left = [p.name for p in before if f"github.com/{old}".encode() in p.read_bytes()]
    assert set(left) <= {"test_address.py"}
    for page in ("README.md", "CITATION.cff", "notebooks/00_spatial_transformer.ipynb"):
        assert b"some.one/else-where" in (tree / page).read_bytes(), page
    make("tools.links", old)
    assert [p.name for p, text in before.items() if p.read_bytes() != text] == []


def test_without_a_name_the_remote_is_taken(monkeypatch):
    monkeypatch.setattr(address, "remote", lambda: "some.one/remote")
    assert links.chosen([]) == "some.one/remote"
    assert links.chosen(["a/b"]) == "a/b"


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


@pytest.mark.parametrize("arguments", [["name"], ["a/b", "c/d"], ["a/b c"]])
def test_what_is_no_repository_is_refused(arguments):
    with pytest.raises(SystemExit, match="make links REPO=owner/name"):
        links.main(arguments)


def test_without_a_name_and_without_a_remote_the_usage_is_shown(monkeypatch):
    monkeypatch.setattr(address, "remote", lambda: "")
    with pytest.raises(SystemExit, match="no remote on GitHub. Usage: make links REPO"):
        links.main([])
