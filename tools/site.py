"""Build the static site of the series into build/site, without running a notebook.

A page is made from the notebook that `make run` left in build/ where its cells are
those of the source, else from the stored one.

    make site
"""

import base64
import os
import re
import shutil
import subprocess
import sys

import nbformat

from tools import notebooks, readme

SOURCE = notebooks.ROOT / "site"
STAGE = notebooks.ROOT / "build" / "site-source"
SITE = notebooks.ROOT / "build" / "site"
LINK = re.compile(r"(\]\(|^\[[\w ]+\]: )\.\./([^)\s]+)", re.MULTILINE)
CARD = """\
:::{{grid-item-card}} {title}
:link: notebooks/{name}
:link-type: doc
{picture}
{goal}

*{minutes}*
:::
"""
INDEX = """\
# {title}

{lead}

::::{{grid}} 1 2 2 2
:gutter: 3

{cards}
::::

```{{toctree}}
:hidden:

{names}
```
"""


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


def link(found):
    """Point a link at a file beside the pages, or at the repository."""
    start, target = found.groups()
    name = target.split("#")[0]
    if name.startswith("images/") or re.fullmatch(r"notebooks/\d\d_\w+\.ipynb", name):
        return found.group()
    return f"{start}https://github.com/{notebooks.repository()}/blob/main/{target}"


def badge_line(path):
    """Return a function that puts the source and a download beside the badge."""
    page = f"https://github.com/{notebooks.repository()}/blob/main/notebooks"

    def line(found):
        badge, _, address = found.group().partition("\n\n")
        return (
            f"{badge} · [source]({page}/{path.stem}.py) · "
            f"{{download}}`notebook <{path.stem}.ipynb>`\n\n{address}"
        )

    return line


def alternative(cell):
    """Return the text that a cell's picture carries for those who cannot see it."""
    for output in cell.get("outputs", ()):
        for mime in ("image/png", "image/jpeg"):
            alt = output.get("metadata", {}).get(mime, {}).get("alt")
            if alt:
                return alt
    return ""


def picture(notebook, name):
    """Return the path of a page's picture: its opening one, else its first result."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for path in re.findall(r"\.\./(images/[\w.-]+\.(?:png|jpg))", cell.source):
                if (notebooks.ROOT / path).exists():
                    return path
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            for mime in ("image/png", "image/jpeg"):
                if mime in output.get("data", {}):
                    path = STAGE / "_pictures" / f"{name}.{mime.split('/')[1]}"
                    path.parent.mkdir(exist_ok=True)
                    path.write_bytes(base64.b64decode(output["data"][mime]))
                    return str(path.relative_to(STAGE))
    return ""


def minutes(name):
    """Return how long a notebook takes, as measured."""
    rows = [row for row in readme.measured() if row["notebook"] == name]
    texts = [f"{float(row['minutes']):.1f} min on a {row['kind']}" for row in rows]
    return " · ".join(texts) or "not measured yet"


def stage():
    """Lay out the folder that the site is built from; return the notebooks' names."""
    shutil.rmtree(STAGE, ignore_errors=True)
    shutil.copytree(SOURCE, STAGE, ignore=shutil.ignore_patterns("*.md", "__pycache__"))
    shutil.copytree(notebooks.ROOT / "images", STAGE / "images")
    (STAGE / "notebooks").mkdir()
    goals, cards, names = readme.goals(), [], []
    for path in notebooks.sources():
        notebook = executed(path)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = LINK.sub(link, cell.source)
                cell.source = notebooks.BADGE.sub(badge_line(path), cell.source)
                continue
            if "bootstrap" in cell.metadata.get("tags", ()):
                cell.metadata["tags"] = [*cell.metadata["tags"], "hide-input"]
            if alternative(cell):
                cell.metadata["mystnb"] = {"image": {"alt": alternative(cell)}}
        notebook.metadata.pop("widgets", None)
        nbformat.write(notebook, STAGE / "notebooks" / f"{path.stem}.ipynb")
        title = notebooks.title(notebook)
        shown = picture(notebook, path.stem)
        if shown:
            shown = f":img-top: {shown}\n:img-alt: A picture from: {title}\n"
        cards.append(
            CARD.format(
                title=title,
                name=path.stem,
                picture=shown,
                goal=goals.get(path.stem, ""),
                minutes=minutes(path.stem),
            )
        )
        names.append(f"notebooks/{path.stem}")
    title, lead = opening()
    page = INDEX.format(
        title=title, lead=lead, cards="\n".join(cards), names="\n".join(names)
    )
    (STAGE / "index.md").write_text(page, encoding="utf-8")
    return names


def opening():
    """Return the title, the picture and the first plain paragraph of the README."""
    text = (notebooks.ROOT / "README.md").read_text(encoding="utf-8")
    title = re.search(r"^# (.+)$", text, re.MULTILINE).group(1)
    parts = [part.strip() for part in text.split("\n\n")]
    lead = next((part for part in parts if part[:1].isalpha()), "")
    shown = re.search(r"^!\[[^\]]*\]\((images/[\w.-]+)\)$", text, re.MULTILINE)
    if shown and (notebooks.ROOT / shown.group(1)).exists():
        lead = f"{shown.group()}\n\n{lead}"
    return title, lead


def main():
    """Build the site; exit with Sphinx's status."""
    names = stage()
    shutil.rmtree(SITE, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html"]
    command += ["-d", str(SITE.with_name("site-doctrees")), str(STAGE), str(SITE)]
    environment = os.environ | {"SITE_REPOSITORY": notebooks.repository()}
    status = subprocess.run(command, env=environment).returncode
    if status == 0:
        size = sum(p.stat().st_size for p in SITE.rglob("*") if p.is_file()) / 1e6
        print(f"{len(names)} pages, {size:.1f} MB: build/site/index.html")
    sys.exit(status)


if __name__ == "__main__":
    main()
