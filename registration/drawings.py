"""The pictures of the report: the scans beside each other, lines, the Jacobian."""

import numpy as np

from helpers import metrics
from registration import quality
from registration.scans import grid as grids
from registration.show import compare, control, geometry, pixels, style, three_planes

VOXEL_MM = 1.0
LINE_MM = 10.0


def pictures(found, moving, fixed, moved):
    """Draw what the page shows.

    Args:
        found: `transform.Transform`.
        moving: `scan.Scan` with a mask.
        fixed: `scan.Scan` with a mask.
        moved: `scan.Scan`, the moving one on the fixed one's grid.

    Returns:
        Dict of HTML, see `report.PICTURES`.
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
    outlines = three_planes.planes(
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
                ha="center", va="center", path_effects=three_planes.STROKE,
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
    picture = three_planes.planes(
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
