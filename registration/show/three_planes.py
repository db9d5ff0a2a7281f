"""Three planes of a RAS volume, in millimetres, with left and right marked."""

import numpy as np
from matplotlib import patheffects

from registration.show import arrays, geometry, style

STROKE = [patheffects.withStroke(linewidth=2, foreground="black")]


def _draw(ax, volume, plane, steps, at, centre, options, outlines):
    """Draw one plane of `volume` into `ax`."""
    index = geometry.index_at(plane, at - centre, volume.shape, steps)
    extent = geometry.extent(plane, volume.shape, steps, centre)
    image = geometry.cut(volume, plane, index)
    shown = ax.imshow(image, extent=extent, **options)
    rows, columns = (np.arange(side) for side in image.shape)
    right = geometry.to_mm(columns, len(columns), steps[plane.across])
    right = right + centre[plane.across]
    up = geometry.to_mm(rows, len(rows), steps[plane.up])[::-1] + centre[plane.up]
    for mask, colour in outlines:
        inside = geometry.cut(mask, plane, index).astype("float32")
        if inside.min() < 0.5 < inside.max():
            line = {"colors": [colour], "linewidths": 1.0}
            ax.contour(right, up, inside, levels=[0.5], **line)
    mark = {"color": "white", "fontsize": 9, "path_effects": STROKE}
    mark["transform"] = ax.transAxes
    left, right, top = plane.letters
    ax.text(0.02, 0.5, left, ha="left", va="center", **mark)
    ax.text(0.98, 0.5, right, ha="right", va="center", **mark)
    ax.text(0.5, 0.98, top, ha="center", va="top", **mark)
    size, step = volume.shape[plane.axis], steps[plane.axis]
    millimetres = centre[plane.axis] + geometry.to_mm(index, size, step)
    where = geometry.position(plane, millimetres)
    ax.set_title(f"{plane.name}, {where}")
    ax.set_xlabel(f"{geometry.AXES[plane.across]} (mm)")
    ax.set_ylabel(f"{geometry.AXES[plane.up]} (mm)")
    return shown


def _outlines(outline, labels, level, shape):
    """Return `(mask, colour)` pairs from an outline volume and from labels."""
    pairs = []
    if outline is not None:
        outline = arrays.as_volume(outline, "outline", shape)
        if level is None:
            level = 0.5 * float(np.quantile(outline.astype("float32"), 0.99))
        pairs.append((outline > level, style.COLOURS[0]))
    if labels is not None:
        labels = arrays.as_volume(labels, "labels", shape)
        for i, value in enumerate(v for v in np.unique(labels) if v):
            pairs.append((labels == value, style.COLOURS[i % len(style.COLOURS)]))
    return pairs


def planes(
    volume=None,
    voxel_mm=1.0,
    *,
    at=None,
    centre=(0, 0, 0),
    outline=None,
    level=None,
    labels=None,
    cmap=style.GRAY,
    limits=None,
    label=None,
    height=3.0,
    alt=None,
    **volumes,
):
    """Show the sagittal, coronal and axial plane of one or more RAS volumes.

    Superior is up, anterior is right (sagittal) or up (axial), and the subject's
    left is on the left side of the picture, as the letters say. Millimetres count
    from the centre of the grid, or are the world's where `centre` says where it lies.

    Args:
        volume: `(x, y, z)`, axes running to Right, Anterior, Superior.
        voxel_mm: Voxel size, one number or three.
        at: Point in millimetres through which the planes cut; unset, the centre.
        centre: Millimetres of the grid's centre in the world (`Grid.centre`).
        outline: Volume or mask on the same grid, drawn as a contour.
        level: Where to draw that contour; unset, halfway to its 99th percentile.
        labels: Integer volume; each label is outlined in a colour of its own.
        cmap: Matplotlib colour map; a diverging one is centred on zero.
        limits: `(low, high)` of the scale; unset, from the data.
        label: Text of a colour bar; unset, none is drawn.
        height: Inches of one row.
        alt: One sentence that says what the picture shows.
        **volumes: More volumes as named rows on the same scale.

    Returns:
        The figure.

    Raises:
        ValueError: If a volume is not 3D or the shapes differ.
    """
    named = ({} if volume is None else {"": volume}) | volumes
    shape = None
    for name, array in named.items():
        named[name] = arrays.as_volume(array, name or "volume", shape)
        shape = named[name].shape
    if shape is None:
        raise ValueError("planes needs at least one volume. Received: none")
    steps, centre = geometry.spacing(voxel_mm), np.asarray(centre)
    at = centre if at is None else np.asarray(at)
    pairs = _outlines(outline, labels, level, shape)
    if limits is None:
        low, high = arrays.span(*named.values(), top=0.999)
        diverging = cmap in (style.DIFFERENCE, style.JACOBIAN)
        limits = (-max(-low, high), max(-low, high)) if diverging else (low, high)
    options = {"cmap": cmap, "vmin": limits[0], "vmax": limits[1]}
    widths = [shape[plane.across] * steps[plane.across] for plane in geometry.PLANES]
    tallest = max(shape[plane.up] * steps[plane.up] for plane in geometry.PLANES)
    panel = height - 0.65
    width = panel * sum(widths) / tallest + 1.8 + 0.8 * (label is not None)
    picture, axes = style.subplots(
        len(named),
        3,
        width,
        panel * len(named) + 0.65,
        alt or "Sagittal, coronal and axial plane of a head scan",
        width_ratios=widths,
    )
    for row, (name, array) in zip(axes, named.items(), strict=True):
        for ax, plane in zip(row, geometry.PLANES, strict=True):
            shown = _draw(ax, array, plane, steps, at, centre, options, pairs)
        if name:
            text = name.replace("_", " ")
            row[0].set_ylabel(f"{text}\n{row[0].get_ylabel()}")
    for ax in axes[1:].flat:
        ax.set_title("")
    for ax in axes[:-1].flat:
        ax.set_xlabel("")
    if label is not None:
        picture.colorbar(shown, ax=axes, shrink=0.8, label=label)
    return picture
