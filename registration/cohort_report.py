"""The page of a cohort: a table to sort, distributions, a wall of pictures."""

import html
import io
import os
import pathlib
import string

import numpy as np

from registration import bids, report
from registration.scans import grid as grids
from registration.scans import intensity, nifti
from registration.show import geometry

FIGURES = "figures"
VOXEL_MM = 2.0
# Shown as histograms, and as columns of the table: heading, key, whether more is worse.
MEASURES = (
    ("risk", "risk", True),
    ("error, mm", "error_mm", True),
    ("NCC", "ncc", False),
    ("local NCC", "local_ncc", False),
    ("brains, Dice", "brain_dice", False),
    ("labels, Dice", "dice", False),
    ("folded, %", "folded_percent", True),
    ("log-Jacobian, sd", "log_jacobian_sd", True),
    ("seconds", "seconds", True),
)
ORDER = {"fault": 0, "refused": 1, "failed": 2, "doubtful": 3, "good": 4}
PAGE = string.Template(
    pathlib.Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
)


def draw(entry, out):
    """Store the small pictures of a pair: the moved scan and the fixed one.

    Nothing is drawn where Pillow is not installed.

    Args:
        entry: `listing.Entry` whose results are there.
        out: Folder of the cohort.
    """
    if not report.can_draw():
        return
    fixed = nifti.load(entry.fixed)
    moved = nifti.load(out / bids.names(entry.name, entry.onto)["moved"])
    extent = np.array(fixed.grid.shape) * fixed.grid.spacing
    shape = np.ceil(extent / VOXEL_MM).astype(int)
    grid = grids.box(fixed.grid.centre, shape, VOXEL_MM)
    for kind, scan in (("moved", moved), ("fixed", fixed)):
        image = grids.resample(intensity.scaled(scan.image), scan.affine, grid)
        _store(out / picture(entry, kind), _planes(image, grid))


def picture(entry, kind):
    """Return where a small picture lies, relative to the cohort's folder.

    Args:
        entry: `listing.Entry`, or any with `name` and `onto`.
        kind: `"moved"` or `"fixed"`.
    """
    home = bids.names(entry.name, entry.onto)["numbers"]
    name = pathlib.PurePosixPath(home).name.split("_desc-")[0]
    if kind == "fixed":
        name = f"{''.join(c for c in entry.onto if c.isalnum() or c in '-_')}_fixed"
    return f"{FIGURES}/{name}.jpg"


def page(rows, left_out, title):
    """Return the page.

    Args:
        rows: List of dicts, see `cohort.COLUMNS`.
        left_out: List of `(name, reason)`.
        title: Name of the cohort.

    Returns:
        str, HTML; the pictures lie beside it.
    """
    worst_first = sorted(rows, key=_badness)
    shown = [m for m in MEASURES if any(row[m[1]] is not None for row in rows)]
    heads = "".join(
        f'<th scope="col"><button type="button">{html.escape(text)}</button></th>'
        for text in ("name", "onto", "verdict", *(m[0] for m in shown), "reason")
    )
    return PAGE.substitute(
        title=html.escape(f"{title}: {len(rows)} registrations"),
        summary=_summary(rows, left_out),
        histograms="".join(_histogram(rows, *measure) for measure in shown),
        wall="".join(_card(row) for row in worst_first),
        heads=heads,
        body="".join(_line(row, shown) for row in worst_first),
    )


def _badness(row):
    level = row["state"] if row["verdict"] is None else row["verdict"]
    return ORDER[level], -(row["risk"] or 0), row["name"]


def _summary(rows, left_out):
    """Say how many of each there are, and what was left out."""
    counts = {level: 0 for level in reversed(ORDER)}
    for row in rows:
        counts[row["verdict"] or row["state"]] += 1
    words = {"refused": "could not be read", "fault": "stopped by a fault"}
    parts = [
        f'<li class="{level}"><strong>{count}</strong> {words.get(level, level)}</li>'
        for level, count in counts.items()
        if count
    ]
    text = f'<ul class="counts">{"".join(parts)}</ul>'
    if left_out:
        some = "".join(
            f"<li>{html.escape(name)}: {html.escape(why)}</li>"
            for name, why in left_out
        )
        text += (
            f"<details><summary>{len(left_out)} files were left out</summary>"
            f"<ul>{some}</ul></details>"
        )
    return text


def _histogram(rows, title, key, more_is_worse, bins=24):
    """Draw how a measure is distributed, as SVG."""
    values = np.array([row[key] for row in rows if row[key] is not None], float)
    values = values[np.isfinite(values)]
    if not len(values):
        return ""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        low, high = low - 0.5, high + 0.5
    counts, _ = np.histogram(values, bins, (low, high))
    bars = "".join(
        f'<rect x="{10 * n + 1}" y="{60 - 55 * c / counts.max():.1f}" width="8" '
        f'height="{55 * c / counts.max():.1f}"/>'
        for n, c in enumerate(counts)
    )
    worse = "right" if more_is_worse else "left"
    said = (
        f"{title}: {len(values)} values from {values.min():.3g} to {values.max():.3g}, "
        f"median {np.median(values):.3g}; worse to the {worse}"
    )
    spread = f"{values.min():.3g} to {values.max():.3g}"
    if values.min() == values.max():
        spread = f"{values.min():.3g} in all"
    return (
        f'<figure><svg viewBox="0 0 {10 * bins} 60" role="img" '
        f'aria-label="{html.escape(said)}">{bars}</svg><figcaption>'
        f"<strong>{html.escape(title)}</strong> {spread}, median "
        f"{np.median(values):.3g}; worse to the {worse}</figcaption></figure>"
    )


class _Named:
    """The two names of a row."""

    def __init__(self, row):
        self.name, self.onto = row["name"], row["onto"]


def _card(row):
    """Return a picture of the wall; pressed, it flickers between moved and fixed."""
    level = row["verdict"] or row["state"]
    name = html.escape(row["name"])
    if row["verdict"] is None:
        return (
            f'<div class="card {level}"><span class="none">{html.escape(row["reason"])}'
            f"</span><span>{name}</span></div>"
        )
    moved, fixed = (picture(_Named(row), kind) for kind in ("moved", "fixed"))
    return (
        f'<button type="button" class="card {level}" data-fixed="{html.escape(fixed)}" '
        f'data-page="{html.escape(_pair_page(row))}">'
        f'<img loading="lazy" src="{html.escape(moved)}" alt="{name}, moved, in three '
        f'planes" width="288" height="128"><span>{name}: {level}, '
        f"about {row['error_mm']:.2g} mm</span></button>"
    )


def _pair_page(row):
    return row["record"].removesuffix(".json") + ".html"


def _line(row, shown):
    level = row["verdict"] or row["state"]
    name = html.escape(row["name"])
    if row["verdict"] is not None:
        name = f'<a href="{html.escape(_pair_page(row))}">{name}</a>'
    cells = [f'<th scope="row">{name}</th>', f"<td>{html.escape(row['onto'])}</td>"]
    cells.append(f'<td class="{level}" data-value="{ORDER[level]}">{level}</td>')
    for _, key, _ in shown:
        value = row[key]
        text = "–" if value is None else f"{value:.3g}"
        cells.append(f'<td data-value="{"" if value is None else value}">{text}</td>')
    cells.append(f"<td>{html.escape(row['reason'] or '')}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _planes(image, grid):
    """Lay out the three middle planes, all of one height."""
    cuts = []
    for plane in geometry.PLANES:
        index = image.shape[plane.axis] // 2
        cut = geometry.cut(image, plane, index)
        cuts.append(np.round(255 * cut).astype("uint8"))
    height = max(cut.shape[0] for cut in cuts)
    cuts = [np.pad(c, ((0, height - c.shape[0]), (0, 2))) for c in cuts]
    return np.concatenate(cuts, axis=1)


def _store(path, pixels):
    from PIL import Image

    path.parent.mkdir(exist_ok=True)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=70, optimize=True)
    partial = path.with_name(f".writing-{os.getpid()}-{path.name}")
    partial.write_bytes(buffer.getvalue())
    os.replace(partial, path)
