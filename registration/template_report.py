"""The page of a mean head: its rounds to step through, the curve, every scan."""

import pathlib
import shlex
import string

import numpy as np

from registration import report
from registration.show import control, tables

PAGE = string.Template(
    pathlib.Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
)
STATES = {
    "used": "in the mean",
    "odd": "left out: unlike the others",
    "refused": "could not be read",
    "fault": "stopped by a fault",
}
CURVES = (
    ("sharpness", "sharpness", "how steep the edges of the mean are"),
    ("moved_mm", "moved, mm", "how far the scans moved on the mean since the last"),
    ("mean_velocity_mm", "taken off, mm", "the mean velocity, by which it was moved"),
)


def page(record, pictures, scan, title):
    """Return the page.

    Args:
        record: What `template.template` returns.
        pictures: List of the mean images, one a round.
        scan: `scan.Scan` of the last mean.
        title: Name of the cohort.

    Returns:
        str, HTML that needs no other file.
    """
    counts = {state: 0 for state in STATES}
    for row in record["scans"]:
        counts[row["state"]] += 1
    drawn = report.can_draw()
    return PAGE.substitute(
        title=control.escape(f"{title}: the mean of {counts['used']} heads"),
        summary=_summary(record, counts),
        slider=_slider(record, pictures, scan) if drawn else report.UNDRAWN,
        planes=_planes(scan) if drawn else "",
        curves="".join(_curve(record["rounds"], *curve) for curve in CURVES),
        rounds=_rounds(record["rounds"]),
        scans=_scans(record["scans"], record["left_out"]),
        provenance=_provenance(record),
    )


def _summary(record, counts):
    last, first = record["rounds"][-1], record["rounds"][0]
    parts = [f"{n} {STATES[state]}" for state, n in counts.items() if n]
    return (
        f"<p>{'; '.join(parts)}. The brain of the mean holds {record['brain_ml']:.0f} "
        f"ml; the geometric mean of the scans is "
        f"{record['brain_ml_geometric_mean']:.0f} ml. Since the mean of affines its "
        f"sharpness rose from {first['sharpness']:.2f} to {last['sharpness']:.2f}. "
        f"It took {record['seconds_total']:.0f} s.</p>"
    )


def _slider(record, pictures, scan):
    """Return a control that steps through the rounds."""
    from registration.show import series

    labels = [f"{row['round']}: {row['stage']}" for row in record["rounds"]]
    return series.steps_slider(
        [np.asarray(one) for one in pictures],
        labels,
        "round",
        voxel_mm=float(scan.grid.spacing[0]),
        limits=(0, float(np.quantile(scan.image, 0.999))),
        title="The mean, round by round",
        description="Step through the rounds: edges should become clear and stay "
        "where they are.",
        play=True,
    ).html


def _planes(scan):
    """Return the three planes of the last mean, as an image with its own bytes."""
    from registration.show import pixels, three_planes

    picture = three_planes.planes(
        scan.image,
        voxel_mm=float(scan.grid.spacing[0]),
        outline=scan.mask.astype("float32"),
        level=0.5,
        height=3.1,
        alt="Three planes of the mean head, with the outline of its mask",
    )
    drawn = picture.pixels()
    height, width = (round(side / pixels.SCALE) for side in drawn.shape[:2])
    return (
        f'<img src="{pixels.data_uri(drawn)}" alt="{control.escape(picture.alt)}" '
        f'width="{width}" height="{height}">'
    )


def _curve(rounds, key, title, what):
    """Draw a number of every round, as SVG."""
    points = [(row["round"], row[key]) for row in rounds if row[key] is not None]
    if not points:
        return ""
    top = max(value for _, value in points) or 1.0
    last = max(1, rounds[-1]["round"])
    places = [(20 + 260 * x / last, 90 - 75 * y / top) for x, y in points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places)
    texts = "".join(
        f'<text x="{x:.1f}" y="{y - 6:.1f}">{value:.2f}</text>'
        for (x, y), (_, value) in zip(places, points, strict=True)
    )
    said = ", ".join(f"round {x}: {y:.2f}" for x, y in points)
    return (
        f'<figure><svg viewBox="0 0 300 100" role="img" aria-label="{title}: {said}">'
        f'<polyline points="{line}"/>{dots}{texts}</svg>'
        f"<figcaption><strong>{title}</strong>: {what}</figcaption></figure>"
    )


def _rounds(rounds):
    heads = (
        "round", "stage", "moved, mm", "at most", "taken off, mm", "NCC before",
        "sharpness", "entropy, bits", "brain, ml", "seconds",
    )  # fmt: skip
    return tables.table(heads, [list(row.values()) for row in rounds]).html


def _scans(rows, left_out):
    heads = (
        "scan", "", "brain, ml", "brain mask", "NCC", "local NCC", "brains, Dice",
        "folded, %", "log-Jacobian, sd", "volume ratio", "there and back, mm", "reason",
    )  # fmt: skip
    order = list(STATES)
    worst_first = sorted(
        rows, key=lambda row: (-order.index(row["state"]), row["ncc"] or 0)
    )
    cells = [
        [STATES[value] if key == "state" else value for key, value in row.items()]
        for row in worst_first
    ]
    found = tables.table(heads, cells, "Worst first; NCC with the mean, after.").html
    if left_out:
        some = "".join(
            f"<li>{control.escape(name)}: {control.escape(why)}</li>"
            for name, why in left_out
        )
        found += (
            f"<details><summary>{len(left_out)} files were no scans</summary>"
            f"<ul>{some}</ul></details>"
        )
    return found


def _provenance(record):
    taken = [(name, f"{s:.1f}") for name, s in record["seconds"].items()]
    taken.append(("all", f"{record['seconds_total']:.1f}"))
    seconds = tables.table(
        ("stage", "seconds"), taken, f"{record['machine']}, {record['date']}."
    )
    versions = ", ".join(f"{n} {v}" for n, v in record["versions"].items())
    models = tables.table(("model", "sha256"), list(record["models"].items()))
    command = control.escape(shlex.join(record["command"]))
    return (
        f'<pre>{command}</pre><div class="small">{seconds.html}{models.html}'
        f"<p>{control.escape(versions)}</p></div>"
    )
