"""Three planes of a RAS volume, in millimetres, with left and right marked."""

import numpy as np
from matplotlib import patheffects

from registration.show import style

# name, axis cut, (horizontal axis, its ends), (vertical axis, its ends)
PLANES = (
    ("sagittal", 0, (1, "PA"), (2, "IS")),
    ("coronal", 1, (0, "LR"), (2, "IS")),
    ("axial", 2, (0, "LR"), (1, "PA")),
)
AXES = "xyz"


def _volume(array, name):
    """Return `array` as one `(x, y, z)` volume."""
    array = np.asarray(array)
    volume = array[0] if array.ndim == 5 and array.shape[0] == 1 else array
    if volume.ndim == 4 and volume.shape[-1] == 1:
        volume = volume[..., 0]
    if volume.ndim != 3:
        raise ValueError(
            f"{name} should be one RAS volume (x, y, z). "
            f"Received: an array of shape {array.shape}"
        )
    return volume


def _cut(volume, axis, index):
    """Return the slice as an image whose rows run along the vertical axis."""
    return np.take(volume, index, axis=axis).T


def _draw(ax, volume, plane, spacing, at, options, outlines):
    """Draw one plane of `volume` into `ax`."""
    name, axis, (across, sides), (up, ends) = plane
    half = np.array(volume.shape) * spacing / 2
    index = round((at[axis] + half[axis]) / spacing[axis] - 0.5)
    index = int(np.clip(index, 0, volume.shape[axis] - 1))
    extent = (-half[across], half[across], -half[up], half[up])
    shown = ax.imshow(
        _cut(volume, axis, index), origin="lower", extent=extent, **options
    )
    horizontal = (np.arange(volume.shape[across]) + 0.5) * spacing[across]
    vertical = (np.arange(volume.shape[up]) + 0.5) * spacing[up]
    for mask, colour in outlines:
        cut = _cut(mask, axis, index).astype("float32")
        if cut.min() < 0.5 < cut.max():
            ax.contour(
                horizontal - half[across],
                vertical - half[up],
                cut,
                levels=[0.5],
                colors=[colour],
                linewidths=1.0,
            )
    stroke = [patheffects.withStroke(linewidth=2, foreground="black")]
    mark = {"color": "white", "fontsize": 9, "path_effects": stroke}
    mark["transform"] = ax.transAxes
    ax.text(0.02, 0.5, sides[0], ha="left", va="center", **mark)
    ax.text(0.98, 0.5, sides[1], ha="right", va="center", **mark)
    ax.text(0.5, 0.98, ends[1], ha="center", va="top", **mark)
    cut_mm = (index + 0.5) * spacing[axis] - half[axis]
    ax.set_title(f"{name}, {AXES[axis]} = {cut_mm:.0f} mm".replace("-", "\u2212"))
    ax.set_xlabel(f"{AXES[across]} (mm)")
    ax.set_ylabel(f"{AXES[up]} (mm)")
    return shown


def _outlines(outline, labels, level, shape):
    """Return `(mask, colour)` pairs from an outline volume and from labels."""
    pairs = []
    if outline is not None:
        outline = _volume(outline, "outline")
        if outline.shape != shape:
            raise ValueError(
                f"outline should have the volume's shape {shape}. "
                f"Received: {outline.shape}"
            )
        pairs.append((outline > level, style.COLOURS[0]))
    if labels is not None:
        labels = _volume(labels, "labels")
        if labels.shape != shape:
            raise ValueError(
                f"labels should have the volume's shape {shape}. "
                f"Received: {labels.shape}"
            )
        for i, value in enumerate(v for v in np.unique(labels) if v):
            pairs.append((labels == value, style.COLOURS[i % len(style.COLOURS)]))
    return pairs


def planes(
    volume=None,
    voxel_mm=1.0,
    *,
    at=(0, 0, 0),
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
    from the centre of the grid.

    Args:
        volume: `(x, y, z)`, axes running to Right, Anterior, Superior.
        voxel_mm: Voxel size, one number or three.
        at: Millimetres from the grid's centre at which the planes cut.
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
    named = {} if volume is None else {"": volume}
    named = {k: _volume(v, k or "volume") for k, v in (named | volumes).items()}
    if not named:
        raise ValueError("planes needs at least one volume. Received: none")
    shape = next(iter(named.values())).shape
    for name, array in named.items():
        if array.shape != shape:
            raise ValueError(
                f"{name} should have the first volume's shape {shape}. "
                f"Received: {array.shape}"
            )
    spacing = np.broadcast_to(np.asarray(voxel_mm, "float32"), (3,))
    if outline is not None and level is None:
        level = 0.5 * float(np.quantile(np.asarray(outline, "float32"), 0.99))
    pairs = _outlines(outline, labels, level, shape)
    if limits is None:
        low = min(float(np.min(v)) for v in named.values())
        high = max(float(np.quantile(v, 0.999)) for v in named.values())
        diverging = cmap in (style.DIFFERENCE, style.JACOBIAN)
        limits = (-max(-low, high), max(-low, high)) if diverging else (low, high)
    options = {"cmap": cmap, "vmin": limits[0], "vmax": limits[1]}
    widths = [shape[across] * spacing[across] for _, _, (across, _), _ in PLANES]
    heights = [shape[up] * spacing[up] for _, _, _, (up, _) in PLANES]
    panel = height - 0.65
    width = panel * sum(widths) / max(heights) + 1.8 + 0.8 * (label is not None)
    picture, axes = style.subplots(
        len(named),
        3,
        width,
        panel * len(named) + 0.65,
        alt or "Sagittal, coronal and axial plane of a head scan",
        width_ratios=widths,
    )
    first, last = list(named.values())[0], list(named.values())[-1]
    for row, (name, array) in zip(axes, named.items(), strict=True):
        for ax, plane in zip(row, PLANES, strict=True):
            shown = _draw(ax, array, plane, spacing, at, options, pairs)
        for ax in row:
            if array is not first:
                ax.set_title("")
            if array is not last:
                ax.set_xlabel("")
        if name:
            text = name.replace("_", " ")
            row[0].set_ylabel(f"{text}\n{row[0].get_ylabel()}")
    if label is not None:
        picture.colorbar(shown, ax=axes, shrink=0.8, label=label)
    return picture
