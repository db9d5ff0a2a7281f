"""Build the static site of the series into build/site, without running a notebook.

A page is made from the notebook that `make run` left in build/ where its cells are
those of the source, else from the stored one. The page `try` needs Node.js; without it
the site is built all the same, and says so.

    make site
"""

import base64
import os
import re
import shutil
import subprocess
import sys

import nbformat

from tools import address, claims, gallery, notebooks, readme, tables, try_page

SOURCE = notebooks.ROOT / "site"
STAGE = notebooks.ROOT / "build" / "site-source"
SITE = notebooks.ROOT / "build" / "site"
# `[text](target)`, where the text may itself be a picture.
LINK = re.compile(r"(?P<text>!?\[(?:[^\[\]]|\[[^\[\]]*\])*\])\((?P<target>[^)\s]+)\)")
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "built.md"}
LONGEST_TABLE = 24  # rows that are shown before a reader asks for them
CARD = """\
:::{{grid-item-card}} {title}
:link: notebooks/{name}
:link-type: doc
{picture}
{goal}

*{minutes}*
:::
"""
CARDS = """\
::::{{grid}} 1 2 2 2
:gutter: 3

{cards}
::::"""
CONTENTS = """\
```{{toctree}}
:hidden:
:caption: Notebooks

{names}
```

```{{toctree}}
:hidden:
:caption: The project

Gallery <gallery>
Glossary <glossary>
Results <results>
What is claimed <claims>
How it is built <built>
{source}```"""


def executed(path):
    """Return a notebook with its results: of the last run, else the stored one."""
    run, stored = notebooks.ROOT / "build" / f"{path.stem}.ipynb", path.with_suffix("")
    stored = stored.with_suffix(".ipynb")
    source = notebooks.read(path)
    for candidate in (run, stored):
        if candidate.exists():
            notebook = nbformat.read(candidate, as_version=4)
            if notebooks.content(notebook) == notebooks.content(source):
                return notebook
    return nbformat.read(stored, as_version=4) if stored.exists() else source


def relinked(text, folder=""):
    """Point the links of a page at what the site has, else at the repository.

    Args:
        text: Markdown.
        folder: Where the page lies in the repository, for example `"notebooks"`.

    Returns:
        The Markdown; a link to a file that is nowhere to be seen becomes plain text.
    """

    def link(found):
        words, target = found["text"], found["target"]
        name, hash_, part = target.partition("#")
        if not name or re.match(r"\w+:", target) or "{download}" in words:
            return found.group()
        path = os.path.normpath(os.path.join(folder, name))
        if path in PAGES:
            up = "../" if folder else ""
            return f"{words}({up}{PAGES[path]}{hash_}{part})"
        if words[0] == "!" or re.fullmatch(
            r"(images/.*|notebooks/\d\d_\w+\.ipynb)", path
        ):
            return found.group()
        if not address.known():
            return words[1:-1]
        return f"{words}(https://github.com/{address.known()}/blob/main/{path})"

    return LINK.sub(link, text)


def head(path, text):
    """Return a notebook's first cell with its number, and what one can do with it."""
    text = notebooks.with_badge(text, "")
    lines = [f"{{download}}`download <{path.stem}.ipynb>`"]
    if path.stem in try_page.DRAWN and not try_page.digits_missing():
        lines.append(f'<a href="../{try_page.DIGITS}">draw two digits</a>')
    if address.known():
        page = f"https://github.com/{address.known()}/blob/main/notebooks"
        lines.insert(0, f"[source]({page}/{path.stem}.py)")
    if address.stated():
        badge = "![Open in Colab](../images/open_in_colab.svg)"
        lines.insert(0, f"[{badge}]({notebooks.colab(path.stem)})")
    return re.sub(
        r"^# (.+)$",
        lambda found: (
            f"# {notebooks.number(path)} · {found.group(1)}\n\n{' · '.join(lines)}"
        ),
        text,
        count=1,
        flags=re.MULTILINE,
    )


def plain_frames(html):
    """Return the HTML of data frames without the borders and styles of their own."""
    html = re.sub(r"<style scoped>.*?</style>\s*", "", html, flags=re.DOTALL)
    html = re.sub(r'(<table)\b([^>]*?)\s+border="\d+"', r"\1\2", html)
    return re.sub(r"(<t[dh][^>]*>)\s*NaN\s*(?=</t[dh]>)", rf"\1{tables.NOTHING}", html)


def staged(notebook, path):
    """Change a notebook into what the site shows of it."""
    notebook.cells[0].source = head(path, notebook.cells[0].source)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = relinked(cell.source, "notebooks")
            continue
        if "bootstrap" in cell.metadata.get("tags", ()):
            cell.metadata["tags"] = [*cell.metadata["tags"], "hide-input"]
        if alternative(cell):
            cell.metadata["mystnb"] = {"image": {"alt": alternative(cell)}}
        for output in cell.outputs:
            html = output.get("data", {}).get("text/html")
            if html:
                output.data["text/html"] = plain_frames("".join(html))
    notebook.metadata.pop("widgets", None)
    return notebook


def alternative(cell):
    """Return the text that a cell's picture carries for those who cannot see it."""
    for output in cell.get("outputs", ()):
        for mime in gallery.MIMES:
            alt = output.get("metadata", {}).get(mime, {}).get("alt")
            if alt:
                return alt
    return ""


def picture(notebook, name):
    """Return the path of a page's picture: its opening one, else its first result."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for path in re.findall(
                r"\.\./(images/[\w.-]+\.(?:png|jpe?g))", cell.source
            ):
                if (notebooks.ROOT / path).exists():
                    return path
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            for mime in gallery.MIMES:
                if mime in output.get("data", {}):
                    path = STAGE / "_pictures" / f"{name}.{mime.split('/')[1]}"
                    path.parent.mkdir(exist_ok=True)
                    path.write_bytes(base64.b64decode(output["data"][mime]))
                    return str(path.relative_to(STAGE))
    return ""


def minutes(name):
    """Return how long a notebook takes, as measured."""
    rows = [row for row in tables.measured() if row["notebook"] == name]
    texts = [f"{float(row['minutes']):.1f} min on a {row['kind']}" for row in rows]
    return " · ".join(texts) or "not measured yet"


def card(path, notebook):
    """Return the card of a notebook on the first page."""
    title = notebooks.title(notebook)
    shown = picture(notebook, path.stem)
    if shown:
        shown = f":img-top: {shown}\n:img-alt: A picture from: {title}\n"
    return CARD.format(
        title=title,
        name=path.stem,
        picture=shown,
        goal=tables.goals().get(path.stem, ""),
        minutes=minutes(path.stem),
    )


def start():
    """Return how to begin: in a browser where there is an address, and by two commands.

    The first is worth a button only where Colab can find the notebooks.
    """
    commands = ["make run     # execute the notebooks", "make test    # try everything"]
    if address.known():
        folder = address.known().split("/")[1]
        url = f"https://github.com/{address.known()}"
        commands.insert(0, f"git clone {url} && cd {folder}")
    first = notebooks.sources()[0]
    buttons = [
        f":::{{button-ref}} notebooks/{first.stem}\n:ref-type: doc\n:color: primary\n"
        "Read notebook 00\n:::"
    ]
    if not try_page.missing():
        buttons.append(
            f":::{{button-link}} {try_page.PAGE}\n:color: primary\n:outline:\n"
            "Register two scans in your browser\n:::"
        )
    if address.stated():
        buttons.append(
            f":::{{button-link}} {notebooks.colab(first.stem)}\n:color: primary\n"
            ":outline:\nRun it in Colab\n:::"
        )
    block = "\n".join(commands)
    return "\n\n".join(
        [
            "\n".join(buttons),
            f"```bash\n{block}\n```",
            "On Linux, or on a Mac with Apple silicon, with Python 3.10 to 3.13 and "
            "`make`; `make lab` opens JupyterLab.",
        ]
    )


def folded(table):
    """Return a table behind a line that opens it, where it is a long one."""
    count = sum(line.startswith("|") for line in table.splitlines()) - 2
    if count <= LONGEST_TABLE:
        return table
    return f":::{{dropdown}} {count} rows\n{table}\n:::"


def blocks(page, cards=(), names=(), sections=(), claimed=()):
    """Return what fills a page, a function a block.

    A block that is none of the others is the table of the file of that name.
    """
    source = f"Source <https://github.com/{address.known()}>\n"
    source = source if address.known() else ""
    found = {
        "start": start,
        "cards": lambda: CARDS.format(cards="\n".join(cards)),
        "contents": lambda: CONTENTS.format(names="\n".join(names), source=source),
        "gallery": lambda: "\n".join(sections),
        "claims": lambda: "\n".join(claimed),
        "results": tables.result_table,
        "scorecards": tables.scorecards,
    }
    for name in set(re.findall(r"<!-- begin (\w+) -->", page)) - found.keys():
        path = tables.RESULTS / f"{name}.csv"
        found[name] = lambda path=path: folded(tables.csv_table(path))
    return found


def stage():
    """Lay out the folder that the site is built from; return the notebooks' names."""
    shutil.rmtree(STAGE, ignore_errors=True)
    shutil.copytree(SOURCE, STAGE, ignore=shutil.ignore_patterns("*.md", "__pycache__"))
    shutil.copytree(notebooks.ROOT / "images", STAGE / "images")
    (STAGE / "notebooks").mkdir()
    cards, names, sections, claimed = [], [], [], []
    for path in notebooks.sources():
        notebook = executed(path)
        sections.append(gallery.section(path, notebook, STAGE))
        claimed.append(claims.section(path, notebook))
        notebook = staged(notebook, path)
        nbformat.write(notebook, STAGE / "notebooks" / f"{path.stem}.ipynb")
        cards.append(card(path, notebook))
        names.append(f"notebooks/{path.stem}")
    for page in SOURCE.glob("*.md"):
        if page.name != "README.md":
            text = page.read_text("utf-8")
            text = readme.filled(text, blocks(text, cards, names, sections, claimed))
            (STAGE / page.name).write_text(text, encoding="utf-8")
    for source, page in PAGES.items():
        if page not in os.listdir(SOURCE):
            text = (notebooks.ROOT / source).read_text("utf-8")
            (STAGE / page).write_text(relinked(text), encoding="utf-8")
    return names


def main():
    """Build the site; exit with Sphinx's status."""
    names = stage()
    shutil.rmtree(SITE, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html"]
    command += ["-d", str(SITE.with_name("site-doctrees")), str(STAGE), str(SITE)]
    status = subprocess.run(command).returncode
    if status == 0:
        size = sum(p.stat().st_size for p in SITE.rglob("*") if p.is_file()) / 1e6
        print(f"{len(names)} notebooks, {size:.1f} MB: build/site/index.html")
        try_page.main(SITE / "try")
    sys.exit(status)


if __name__ == "__main__":
    main()
