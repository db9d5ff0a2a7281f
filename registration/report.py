"""The page that shows a registration: one file, nothing to fetch."""

import importlib.util
import shlex
import string

from registration.show import control, tables

PICTURES = ("slider", "outlines", "lines", "jacobian")
UNDRAWN = (
    "There are no pictures: matplotlib and Pillow draw them, and are not installed. "
    "Install them (pip install matplotlib pillow), then register again."
)
# A sign beside the colour, for those who do not see it.
SIGNS = {"good": "●", "doubtful": "▲", "failed": "■"}
ADVICE = {
    "good": "Nothing looks wrong by the numbers; look anyway.",
    "doubtful": "Look at the outlines before you use it.",
    "failed": "Do not use it before you have looked at it.",
}
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
.verdict { border-left: 12px solid; padding: .5rem .8rem; margin: .6rem 0; }
.verdict ul { margin: .3rem 0; padding-left: 1.2rem; }
.good { border-color: #009e73; background: #e8f5f0; }
.doubtful { border-color: #e6a700; background: #fdf6e0; }
.failed { border-color: #c1272d; background: #fbe9e9; }
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
    """Draw what the page shows, or say that nothing can be drawn here.

    Args:
        found: `transform.Transform`.
        moving: `scan.Scan` with a mask.
        fixed: `scan.Scan` with a mask.
        moved: `scan.Scan`, the moving one on the fixed one's grid.

    Returns:
        Dict of HTML by the names in `PICTURES`.
    """
    if not can_draw():
        return dict.fromkeys(PICTURES, f"<p>{UNDRAWN}</p>")
    from registration import drawings

    return drawings.pictures(found, moving, fixed, moved)


def can_draw():
    """Return whether the packages that draw are installed; none is started."""
    return all(importlib.util.find_spec(name) for name in ("matplotlib", "PIL"))


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


def _verdict(record):
    """Return the traffic light, the warnings, and how the brains were found."""
    verdict = record["verdict"]
    level, reasons = verdict["level"], verdict["reasons"]
    said = "".join(f"<li>{control.escape(reason)}</li>" for reason in reasons)
    parts = [
        f'<div class="verdict {level}"><strong>{SIGNS[level]} {level.capitalize()}.'
        f"</strong> {ADVICE[level]} Estimated error {verdict['error_mm']:.2g} mm; risk "
        f"{100 * verdict['risk']:.0f} % that the overlap of the structures is below "
        f"nine tenths of what this pair allows.{f'<ul>{said}</ul>' if said else ''}"
        "</div>"
    ]
    parts += [
        f'<p class="warning"><strong>Warning.</strong> {control.escape(text)}</p>'
        for text in record["warnings"]
    ]
    kind, masks = record["transform"], record["transform"]["masks_from"]
    how = "refined for this pair" if kind["refined"] else "one pass, not refined"
    parts.append(
        f"<p>{kind['kind'].capitalize()} transform, {how}. Moving scan: "
        f"{_origin(masks['moving'])}. Fixed scan: {_origin(masks['fixed'])}.</p>"
    )
    return "\n".join(parts)


def _origin(how):
    """Say where a brain mask comes from."""
    known = {
        "given": "its brain mask was given",
        "the scan has no skull": "it has no skull, as its zeros around the brain say",
        "found by us": "it has a skull, and we found the brain ourselves: check the "
        "outline",
    }
    return known.get(how, f"its brain is {how}")


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
