"""2D images side by side: panels, rows of cases, checkerboards."""

import numpy as np

from registration.show import arrays, style


def panels(
    *,
    limits=None,
    cmap=style.GRAY,
    unit="pixels",
    size=2.3,
    columns=None,
    alt=None,
    **images,
):
    """Show named 2D images side by side on one shared scale.

    Args:
        limits: `(low, high)` of the gray scale; unset, the range of all images.
        cmap: Matplotlib colour map.
        unit: What one step along an axis is; `None` leaves the axes bare.
        size: Inches of one panel.
        columns: Panels per row; unset, at most five.
        alt: One sentence that says what the picture shows.
        **images: `(height, width)` arrays; the names become titles, `_` a space.

    Returns:
        The figure.

    Raises:
        ValueError: If there is no image or one is not 2D.
    """
    if not images:
        raise ValueError(f"panels needs at least one named image. Received: {images}")
    shown = {name: arrays.as_image(image, name) for name, image in images.items()}
    titles = [name.replace("_", " ") for name in shown]
    columns = columns or min(len(shown), 5)
    count = -(-len(shown) // columns)
    picture, axes = style.subplots(
        count,
        columns,
        size * columns + 0.4,
        (size + 0.35) * count,
        alt or "Images side by side: " + ", ".join(titles),
    )
    low, high = arrays.span(*shown.values()) if limits is None else limits
    for ax in axes.flat[len(shown) :]:
        ax.set_axis_off()
    for i, (ax, image) in enumerate(zip(axes.flat, shown.values(), strict=False)):
        ax.imshow(image, cmap=cmap, vmin=low, vmax=high)
        ax.set_title(titles[i])
        if unit is None:
            ax.set(xticks=[], yticks=[])
            continue
        ax.set_xlabel(f"column ({unit})")
        if i % columns == 0:
            ax.set_ylabel(f"row ({unit})")
    return picture


def rows(moving, fixed, moved, labels=None, *, size=1.25, alt=None):
    """Show one row a case: moving, fixed, moved, difference before, and after.

    A difference is `moving - fixed` or `moved - fixed`, on one scale that is
    symmetric about zero: red where the first is brighter, blue where darker.

    Args:
        moving: `(count, height, width)`, also with a last axis of length one.
        fixed: The same, or one image for all cases.
        moved: Like `moving`.
        labels: One short text a case, written at the left.
        size: Inches of one image.
        alt: One sentence that says what the picture shows.

    Returns:
        The figure.

    Raises:
        ValueError: If the arrays do not fit together.
    """
    count = 1 if np.ndim(moved) == 2 else len(moved)
    moving = arrays.as_images(moving, count, "moving")
    fixed = arrays.as_images(fixed, count, "fixed")
    moved = arrays.as_images(moved, count, "moved")
    if not moving.shape == fixed.shape == moved.shape:
        raise ValueError(
            "moving, fixed and moved should have one shape. "
            f"Received: {moving.shape}, {fixed.shape}, {moved.shape}"
        )
    if labels is not None and len(labels) != count:
        raise ValueError(f"labels should be {count} texts. Received: {len(labels)}")
    before, after = moving - fixed, moved - fixed
    high = max(1e-6, *map(abs, arrays.span(before, after)))
    low, top = arrays.span(moving, fixed)
    height = size * moving.shape[1] / moving.shape[2]
    picture, axes = style.subplots(
        count,
        5,
        5 * size + 2.0,
        height * count + 0.5,
        alt or f"{count} cases as rows: moving, fixed, moved, differences from fixed",
    )
    titles = ("moving", "fixed", "moved", "moving − fixed", "moved − fixed")
    for i in range(count):
        grays = (moving[i], fixed[i], moved[i])
        for ax, image in zip(axes[i, :3], grays, strict=True):
            ax.imshow(image, cmap=style.GRAY, vmin=low, vmax=top)
        for ax, image in zip(axes[i, 3:], (before[i], after[i]), strict=True):
            shown = ax.imshow(image, cmap=style.DIFFERENCE, vmin=-high, vmax=high)
        if labels is not None:
            axes[i, 0].set_ylabel(labels[i], rotation=0, ha="right", va="center")
    for ax in axes.flat:
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_visible(True)
        ax.spines[:].set_color("0.8")
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title, fontsize=9)
    bar = picture.colorbar(shown, ax=list(axes[: min(count, 4), 4]), shrink=0.9)
    bar.set_label("difference")
    return picture


def checkerboard(fixed, moved, squares=8, *, before=None, size=3.2, alt=None):
    """Show `fixed` and `moved` in alternate squares: edges that run on are aligned.

    Args:
        fixed: `(height, width)`.
        moved: `(height, width)`.
        squares: Squares along the longer side.
        before: Also show the board of `fixed` with this image, at the left.
        size: Inches of one board.
        alt: One sentence that says what the picture shows.

    Returns:
        The figure.

    Raises:
        ValueError: If the shapes differ.
    """
    fixed = arrays.as_image(fixed, "fixed")
    others = {"moved": moved} if before is None else {"before": before, "after": moved}
    boards = {}
    for name, other in others.items():
        other = arrays.as_image(other, name)
        if other.shape != fixed.shape:
            raise ValueError(
                "fixed and moved should have one shape. "
                f"Received: {fixed.shape} and {other.shape}"
            )
        side = max(fixed.shape) / squares
        row, column = np.indices(fixed.shape)
        own = (row // side + column // side) % 2 == 0
        boards[name] = np.where(own, fixed, other)
    alt = alt or "Checkerboard of the fixed and the moved image"
    return panels(size=size, alt=alt, **boards)
