import re

import nbformat
import pytest

pytest.importorskip("jupytext")

from tools import address, notebooks, site, tables, try_page  # noqa: E402

FRAME = """\
<div>
<style scoped>
    .dataframe tbody tr th { vertical-align: top; }
</style>
<table border="1" class="dataframe">
  <tbody><tr><th>NaN</th><td>NaN</td><td>0.5</td><td>NaNcy</td></tr></tbody>
</table>
</div>"""


@pytest.fixture
def lonely(monkeypatch):
    """Take away every address."""
    for name in ("stated", "remote", "known"):
        monkeypatch.setattr(address, name, lambda: "")


@pytest.fixture
def pushed(monkeypatch):
    """Let there be a remote that the files do not state yet."""
    monkeypatch.setattr(address, "stated", lambda: "")
    monkeypatch.setattr(address, "known", lambda: "some.one/thing")


@pytest.fixture
def published(monkeypatch):
    """Let the files state an address."""
    for name in ("stated", "known"):
        monkeypatch.setattr(address, name, lambda: "some.one/thing")


@pytest.fixture
def staged(tmp_path, monkeypatch):
    """Return a function that lays out the site in a folder of its own."""
    monkeypatch.setattr(site, "STAGE", tmp_path / "stage")

    def stage():
        site.stage()
        return site.STAGE

    return stage


def pages(folder):
    """Return the Markdown of every page that was laid out, by path."""
    found = {}
    for path in folder.rglob("*.md"):
        found[path] = path.read_text(encoding="utf-8")
    for path in folder.rglob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
        found[path] = "\n\n".join(texts)
    return found


def test_a_data_frame_loses_its_borders_its_style_and_its_nan():
    html = site.plain_frames(FRAME)
    assert "border" not in html and "<style" not in html
    assert '<table class="dataframe">' in html
    assert "<th>–</th><td>–</td><td>0.5</td><td>NaNcy</td>" in html
    assert site.plain_frames('<p>NaN <img border="1"></p>') == (
        '<p>NaN <img border="1"></p>'
    )


def test_a_link_leads_to_what_the_site_has_or_to_the_repository(published):
    text = "[a](../images/a.png) [b](01_b.ipynb) [c](../models/c.md#x) [d](https://d)"
    hub = "https://github.com/some.one/thing/blob/main"
    assert site.relinked(text, "notebooks") == (
        f"[a](../images/a.png) [b](01_b.ipynb) [c]({hub}/models/c.md) [d](https://d)"
    )
    text = "[how](../CONTRIBUTING.md#the-house), [start](../README.md), [here](#there)"
    assert site.relinked(text, "notebooks") == (
        "[how](../built.md#the-house), [start](../index.md), [here](#there)"
    )
    assert site.relinked("[![x](images/x.svg)](LICENSE)") == (
        f"[![x](images/x.svg)]({hub}/LICENSE)"
    )


def test_without_a_repository_such_a_link_is_plain_text(lonely):
    text = "See [`sample`](../helpers/sampling.py), [b](01_b.ipynb)."
    assert site.relinked(text, "notebooks") == "See `sample`, [b](01_b.ipynb)."


def test_the_title_of_a_page_has_its_number_and_what_one_can_do_with_it(published):
    path = notebooks.FOLDER / "03_heads.py"
    text = site.head(path, f"# Heads\n\n{notebooks.badge(path)}\n\nWords.")
    title, line, words = text.split("\n\n")
    assert (title, words) == ("# 03 · Heads", "Words.")
    colab = "https://colab.research.google.com/github/some.one/thing/blob/main"
    assert f"({colab}/notebooks/03_heads.ipynb)" in line
    assert "[source](https://github.com/some.one/thing/blob/main/notebooks/03_" in line
    assert "{download}" in line


def test_two_pages_lead_to_the_drawn_digits_where_they_are(monkeypatch):
    link, path = "draw two digits</a>", notebooks.FOLDER / "01_affine_2d_mnist.py"
    monkeypatch.setattr(try_page, "digits_missing", lambda: "")
    assert link in site.head(path, "# Digits")
    assert link not in site.head(path.with_name("03_heads.py"), "# Heads")
    monkeypatch.setattr(try_page, "digits_missing", lambda: "no network")
    assert link not in site.head(path, "# Digits")


def test_a_remote_that_is_not_stated_gives_the_source_and_no_colab(pushed):
    path = notebooks.FOLDER / "03_heads.py"
    assert "colab" not in site.head(path, "# Heads")
    assert "[source](https://github.com/some.one/thing" in site.head(path, "# Heads")
    assert "git clone https://github.com/some.one/thing && cd thing" in site.start()


def test_the_first_page_says_how_to_start_with_and_without_an_address(monkeypatch):
    monkeypatch.setattr(address, "stated", lambda: "")
    monkeypatch.setattr(address, "known", lambda: "")
    alone = site.start()
    assert "make run" in alone and "make test" in alone
    assert "git clone" not in alone and "Colab" not in alone
    monkeypatch.setattr(address, "stated", lambda: "some.one/thing")
    assert "Run it in Colab" in site.start()


def test_without_an_address_no_page_leads_to_this_repository(lonely, staged):
    for path, text in pages(staged()).items():
        assert address.PLACEHOLDER not in text, path
        assert "colab.research" not in text, path


def test_every_local_link_of_the_site_leads_to_a_page_or_a_file(lonely, staged):
    folder = staged()
    for path, text in pages(folder).items():
        targets = re.findall(r"\]\(([^)\s#]+)|^\[[\w ]+\]: (\S+)", text, re.MULTILINE)
        for target in filter(None, (one or two for one, two in targets)):
            if not re.match(r"\w+:", target):
                assert (path.parent / target).exists(), (path, target)


def test_every_block_of_every_page_is_filled(staged):
    for name in ("index.md", "results.md"):
        text = (staged() / name).read_text(encoding="utf-8")
        begun = re.findall(r"<!-- begin (\w+) -->\n(.*?)<!-- end", text, re.DOTALL)
        assert begun
        assert [block for block, content in begun if not content.strip()] == [], name


def test_every_benchmark_has_its_table_and_words_that_help_to_read_it():
    text = (site.SOURCE / "results.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    helped = {}
    for section in sections:
        title, words, name = re.fullmatch(
            r"(.+)\n\n(.*?)\n\n<!-- begin (\w+) -->\n<!-- end \3 -->\n*",
            section,
            re.DOTALL,
        ).groups()
        helped[name] = words
        assert words.endswith("."), title
    missing = tables.benchmarks().keys() - helped.keys()
    assert missing == set(), "a table without words in site/results.md"


def test_a_long_table_waits_until_it_is_asked_for():
    short, long = (tables.table(["x"], [["1"]] * count) for count in (24, 25))
    assert site.folded(short) == short
    assert site.folded(long).startswith(":::{dropdown} 25 rows\n| x |")
