"""The page that shows a registration: one file, nothing to fetch."""

import shlex
import string

import numpy as np

from helpers import metrics
from registration import quality
from registration.scans import grid as grids
from registration.show import compare, control, geometry, pixels, style, tables
from registration.show.planes import STROKE, planes

VOXEL_MM = 1.0
LINE_MM = 10.0
PAGE = string.Template(
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { margin: 0 auto; max-width: 60rem; padding: 1rem; color: #1a1a1a;
  background: #fff; font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; border-bottom: 1px solid #ddd; }
p { margin: .4rem 0; }
img { max-width: 100%; height: auto; }
pre { background: #f4f4f4; padding: .6rem; overflow-x: auto; white-space: pre-wrap;
  font-size: .85rem; margin: .3rem 0; }
table { border-collapse: collapse; margin: .4rem 0;
  font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #ddd; vertical-align: top; }
caption { padding: .4rem .7rem; color: #444; font-size: .9rem; }
thead th, .small td:first-child { white-space: nowrap; overflow-wrap: normal; }
.warning { border-left: 6px solid #d55e00; background: #fdf0e6; padding: .5rem .8rem;
  margin: .6rem 0; }
.good { border-left: 6px solid #009e73; background: #e8f5f0; padding: .5rem .8rem;
  margin: .6rem 0; }
.small { font-size: .85rem; color: #444; }
.small th, .small td { padding: .15rem .5rem; }
@media (max-width: 600px) { body { padding: .6rem; } th, td { padding: .2rem .4rem; } }
</style>
</head>
<body>
<h1>$title</h1>
$verdict
<h2>Before and after</h2>
$slider
<h2>Outlines</h2>
<p>The outline of the fixed brain (orange) over the moving scan as its header places it,
over the moved scan, and over the fixed scan itself. It should follow the brain's edge
in the lower two rows alike.</p>
$outlines
<h2>Where the fixed grid is fetched</h2>
<p>Lines of equal place in the moving scan, every 10 mm, over the fixed scan: bent where
the deformation bends, dense where the moving scan is larger.</p>
$lines
<h2>Jacobian determinant</h2>
$jacobian
<h2>Scorecard</h2>
$scorecard
<h2>Open the results</h2>
$opening
<h2>How it was made</h2>
$provenance
</body>
</html>
"""
)


def pictures(found, moving, fixed, moved):
    """Draw what the page shows.

    Args:
        found: `transform.Transform`.
        moving: `scan.Scan` with a mask.
        fixed: `scan.Scan` with a mask.
        moved: `scan.Scan`, the moving one on the fixed one's grid.

    Returns:
        Dict of HTML: `slider`, `outlines`, `lines`, `jacobian`.
    """
    grid = quality.box(fixed, VOXEL_MM, rim_mm=15)
    named = {
        name: grids.resample(scan.image, scan.affine, grid)
        for name, scan in (("before", moving), ("after", moved), ("fixed", fixed))
    }
    brain = grids.resample_labels(fixed.brain().astype("uint8"), fixed.affine, grid)
    # Each scan has its own intensities; each is shown from black to its own white.
    shown = {name: _gray(image) for name, image in named.items()}
    slider = compare.before_after(
        shown["before"],
        shown["after"],
        shown["fixed"],
        voxel_mm=VOXEL_MM,
        limits=(0, 1),
        title="The moving scan over the fixed one",
        description="Mix them, or lay them out as a checkerboard: edges should run on. "
        "Before: as the header places the moving scan. After: moved.",
    )
    outlines = planes(
        voxel_mm=VOXEL_MM,
        outline=brain,
        level=0.5,
        limits=(0, 1),
        height=3.1,
        alt="The outline of the fixed brain over the scan before and after, and over "
        "the fixed scan",
        **shown,
    )
    return {
        "slider": slider.html,
        "outlines": _img(outlines),
        "lines": _img(_lines(found, shown["fixed"], grid)),
        "jacobian": _jacobian(found, fixed),
    }


def page(record, drawn, names, roles):
    """Return the page.

    Args:
        record: Dict of numbers, warnings and provenance, as `pair.pair` returns it.
        drawn: What `pictures` returns.
        names: Dict of role → file name.
        roles: The roles that were written.

    Returns:
        str, HTML with everything in it.
    """
    inputs = record["inputs"]
    moving, fixed = (
        inputs[role]["path"].replace("\\", "/").rpartition("/")[2]
        for role in ("moving", "fixed")
    )
    return PAGE.substitute(
        drawn,
        title=control.escape(f"{moving} registered to {fixed}"),
        verdict=_verdict(record),
        scorecard=_scorecard(record["numbers"]).html,
        opening=_opening(fixed, moving, names, roles),
        provenance=_provenance(record),
    )


def _gray(image):
    """Scale a picture from its darkest to its 99.8th percentile."""
    low, high = float(image.min()), float(np.quantile(image, 0.998))
    return np.clip((image - low) / max(high - low, 1e-12), 0, 1)


def _img(picture):
    """Return a figure as an image that carries its own bytes."""
    drawn = picture.pixels()
    height, width = (round(side / pixels.SCALE) for side in drawn.shape[:2])
    return (
        f'<img src="{pixels.data_uri(drawn)}" alt="{control.escape(picture.alt)}" '
        f'width="{width}" height="{height}">'
    )


def _lines(found, image, grid):
    """Draw lines of equal place in the moving scan over three planes of the fixed."""
    steps, shape = grid.spacing, grid.shape
    widths = [shape[plane.across] * steps[plane.across] for plane in geometry.PLANES]
    tallest = max(shape[plane.up] * steps[plane.up] for plane in geometry.PLANES)
    picture, axes = style.subplots(
        1,
        3,
        2.45 * sum(widths) / tallest + 1.8,
        3.1,
        "Lines of equal place in the moving scan, over the fixed one",
        width_ratios=widths,
    )
    for ax, plane in zip(axes[0], geometry.PLANES, strict=True):
        index = geometry.index_at(plane, (0, 0, 0), shape, steps)
        extent = geometry.extent(plane, shape, steps)
        slab = geometry.cut(image, plane, index)
        ax.imshow(slab, cmap=style.GRAY, vmin=0, vmax=1, extent=extent)
        across, up = (
            geometry.to_mm(np.arange(shape[axis]), shape[axis], steps[axis])
            for axis in (plane.across, plane.up)
        )
        places = found.points(_plane_points(grid, plane, index))
        for axis in (plane.across, plane.up):
            values = places[..., axis]
            low, high = values.min(), values.max()
            levels = np.arange(np.ceil(low / LINE_MM), np.floor(high / LINE_MM) + 1)
            if len(levels):
                ax.contour(
                    across, up, values, levels=levels * LINE_MM,
                    colors=style.COLOURS[1], linewidths=0.8,
                )  # fmt: skip
        where = geometry.to_mm(index, shape[plane.axis], steps[plane.axis])
        ax.set_title(f"{plane.name}, {geometry.position(plane, where)}")
        ax.set_xlabel(f"{geometry.AXES[plane.across]} (mm)")
        ax.set_ylabel(f"{geometry.AXES[plane.up]} (mm)")
        ax.set_aspect("equal")
        left, right, top = plane.letters
        for x, y, letter in ((0.03, 0.5, left), (0.97, 0.5, right), (0.5, 0.96, top)):
            ax.text(
                x, y, letter, color="white", fontsize=9, transform=ax.transAxes,
                ha="center", va="center", path_effects=STROKE,
            )  # fmt: skip
    return picture


def _plane_points(grid, plane, index):
    """Return the places of a plane's voxels, `(up, across, 3)`, both rising."""
    shape = list(grid.shape)
    shape[plane.axis] = 1
    shift = np.eye(4)
    shift[plane.axis, 3] = index
    points = grids.Grid(shape, grid.affine @ shift).points()
    points = np.take(points, 0, axis=plane.axis)
    return points.transpose(1, 0, 2)


def _jacobian(found, fixed):
    """Draw the determinant in the fixed brain; of an affine, say it."""
    if found.is_affine:
        value = np.linalg.det(found.affine[:3, :3])
        return f"<p>An affine has one everywhere: {value:.3f}.</p>"
    grid = quality.box(fixed, quality.VOXEL_MM)
    values = metrics.jacobian_determinant(found.points(grid.points()), grid.affine)
    inside = grids.resample_labels(fixed.brain().astype("uint8"), fixed.affine, grid)
    limit = np.quantile(np.abs(values[inside > 0] - 1), 0.995)
    limit = float(np.clip(limit, 0.05, 1))
    picture = planes(
        values,
        quality.VOXEL_MM,
        outline=inside,
        level=0.5,
        cmap=style.JACOBIAN,
        limits=(1 - limit, 1 + limit),
        label="Jacobian determinant",
        height=3.1,
        alt="Jacobian determinant of the transform in three planes",
    )
    return (
        "<p>By how much each voxel of the fixed scan is larger in the moving one: 1 is "
        "unchanged, at or below 0 space is folded. The brain's outline is orange.</p>"
        + _img(picture)
    )


def _verdict(record):
    """Return the warnings, or that there are none, and how the brains were found."""
    parts = [
        f'<p class="warning"><strong>Warning.</strong> {control.escape(text)}</p>'
        for text in record["warnings"]
    ]
    if not parts:
        parts = ['<p class="good">Nothing looks wrong by the numbers. Look anyway.</p>']
    kind, masks = record["transform"], record["transform"]["masks_from"]
    said = {
        "given": "its brain mask was given",
        "the scan has no skull": "it has no skull, as its zeros around the brain say",
        "found by us": "it has a skull, and we found the brain ourselves: check the "
        "outline",
    }
    how = "refined for this pair" if kind["refined"] else "one pass, not refined"
    parts.append(
        f"<p>{kind['kind'].capitalize()} transform, {how}. Moving scan: "
        f"{said[masks['moving']]}. Fixed scan: {said[masks['fixed']]}.</p>"
    )
    return "\n".join(parts)


def _scorecard(numbers):
    rows = [
        ("similarity, NCC", "ncc"),
        ("local NCC, windows of 10 mm", "local_ncc"),
        ("overlap of the brains, Dice", "brain_dice"),
        ("overlap of the labels, Dice", "dice"),
    ]
    before, after = numbers["before"], numbers["after"]
    cells = [
        (title, f"{before[key]:.3f}", f"{after[key]:.3f}")
        for title, key in rows
        if key in after
    ]
    back, worst = (
        "–" if numbers[key] is None else f"{numbers[key]:.3f} mm"
        for key in ("there_and_back_mm", "there_and_back_worst_mm")
    )
    cells += [
        ("folded voxels", "–", f"{numbers['folded_percent']:.3f} %"),
        ("spread of the log-Jacobian", "–", f"{numbers['log_jacobian_sd']:.3f}"),
        ("there and back, mean", "–", back),
        ("there and back, worst", "–", worst),
        ("affine volume ratio", "–", f"{numbers['volume_ratio']:.3f}"),
        ("fixed brain outside the moving scan", "–",
         f"{numbers['outside_percent']:.1f} %"),
    ]  # fmt: skip
    return tables.table(
        ("", "before", "after"), cells, "Inside the fixed brain, on voxels of 2 mm."
    )


def _opening(fixed, moving, names, roles):
    """Say how other tools read what was written."""
    name = {role: names[role].rpartition("/")[2] for role in names}
    quoted = {role: shlex.quote(text) for role, text in name.items()}
    here, there = shlex.quote(fixed), shlex.quote(moving)
    examples = {
        "ITK-SNAP": f"itksnap -g {here} -o {quoted['moved']}",
        "ANTs": f"antsApplyTransforms -d 3 -i {there} -r {here} -t "
        f"{quoted['transform']} -o out.nii.gz",
        "SimpleITK": "import SimpleITK as sitk\n"
        f"fixed, moving = sitk.ReadImage({fixed!r}), sitk.ReadImage({moving!r})\n"
        f"found = sitk.ReadTransform({name['transform']!r})\n"
        "moved = sitk.Resample(moving, fixed, found, sitk.sitkLinear)",
        "nitransforms": "from nitransforms import linear\n"
        f"found = linear.load({name['affine']!r}, fmt='itk')  # the affine part",
        "this tool": f"python -m registration apply {there} --transform "
        f"{quoted['transform']} --reference {here} --out out.nii.gz",
    }
    blocks = [
        f"<p>{control.escape(tool)}</p><pre>{control.escape(text)}</pre>"
        for tool, text in examples.items()
    ]
    files = ", ".join(control.escape(names[role]) for role in roles)
    return (
        f"<p>Written: {files}. A transform leads a point of the fixed scan to the "
        "moving one; <code>.h5</code>, <code>.tfm</code> and the warp are in LPS "
        "millimetres as ITK has them, the <code>.txt</code> matrix in RAS.</p>"
        + "\n".join(blocks)
    )


def _provenance(record):
    """Return tables of what was read, with what, and how long it took."""
    rows = [(r, p["path"], p["sha256"]) for r, p in record["inputs"].items()]
    rows += [(n, "model", s) for n, s in record["transform"]["models"].items()]
    inputs = tables.table(("input", "file", "sha256"), rows)
    taken = [(name, f"{s:.1f}") for name, s in record["seconds"].items()]
    taken.append(("all", f"{record['seconds_total']:.1f}"))
    seconds = tables.table(
        ("stage", "seconds"),
        taken,
        f"Most memory: {record['peak_memory_mib']:,} MiB. {record['machine']}, "
        f"{record['date']}.",
    )
    versions = ", ".join(f"{n} {v}" for n, v in record["versions"].items())
    command = shlex.join(record["command"])
    return (
        f"<pre>{control.escape(command)}</pre>"
        f'<div class="small">{inputs.html}{seconds.html}'
        f"<p>{control.escape(versions)}</p></div>"
    )
