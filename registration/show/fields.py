"""2D deformations: the warped grid, arrows, the Jacobian determinant."""

import numpy as np
from matplotlib import collections, colors

from registration.show import arrays, style


def _frame(ax, shape):
    """Give `ax` the extent of an image of `shape`, rows downwards."""
    ax.set_xlim(-0.5, shape[1] - 0.5)
    ax.set_ylim(shape[0] - 0.5, -0.5)
    ax.set_aspect("equal")
    ax.set_xlabel("column (pixels)")
    ax.set_ylabel("row (pixels)")


def _identity(shape):
    """Return the `(height, width, 2)` positions of the pixels."""
    return np.stack(np.indices(shape[:2]), axis=-1).astype("float32")


def grid(
    points=None,
    *,
    displacement=None,
    image=None,
    step=None,
    ax=None,
    colour=style.COLOURS[0],
    title=None,
    size=3.2,
    alt=None,
):
    """Draw where the lines of the fixed grid are read in the moving image.

    Args:
        points: `(height, width, 2)`, absolute positions in pixels, "ij" order.
        displacement: The same as differences; give one of the two.
        image: `(height, width)` shown under the grid.
        step: Pixels between lines; unset, about 16 lines a side.
        ax: Axes to draw into; unset, a new figure.
        colour: Colour of the lines.
        title: Text above the picture.
        size: Inches of a new figure.
        alt: One sentence that says what the picture shows.

    Returns:
        The figure.

    Raises:
        ValueError: If not exactly one of `points` and `displacement` is given.
    """
    if (points is None) == (displacement is None):
        both = "both" if points is not None else "neither"
        raise ValueError(f"Give points or displacement, one of them. Received: {both}")
    if points is None:
        points = arrays.as_field(displacement)
        points = points + _identity(points.shape)
    else:
        points = arrays.as_field(points, "points")
    step = step or max(1, round(max(points.shape[:2]) / 16))
    picture, ax = style.axes_of(ax, size + 0.4, size, alt or "Grid of sampling points")
    rows = np.unique(np.r_[0 : points.shape[0] : step, points.shape[0] - 1])
    columns = np.unique(np.r_[0 : points.shape[1] : step, points.shape[1] - 1])
    lines = [points[r, :, ::-1] for r in rows] + [points[:, c, ::-1] for c in columns]
    if image is not None:
        ax.imshow(arrays.as_image(image), cmap=style.GRAY)
    ax.add_collection(collections.LineCollection(lines, colors=colour, linewidths=0.9))
    shape = points.shape if image is None else arrays.as_image(image).shape
    _frame(ax, shape)
    if image is None:
        low = np.minimum(points.min((0, 1)), -0.5)
        high = np.maximum(points.max((0, 1)), np.array(shape[:2]) - 0.5)
        ax.set_xlim(low[1] - 0.5, high[1] + 0.5)
        ax.set_ylim(high[0] + 0.5, low[0] - 0.5)
    if title:
        ax.set_title(title)
    return picture


def quiver(
    displacement,
    *,
    image=None,
    step=None,
    limit=None,
    ax=None,
    title=None,
    size=3.4,
    alt=None,
):
    """Draw arrows from each pixel of the fixed grid to where it is read.

    Args:
        displacement: `(height, width, 2)`, pixels, "ij" order.
        image: `(height, width)` shown under the arrows.
        step: Pixels between arrows; unset, about 16 a side.
        limit: Length with the last colour of the scale; unset, of the longest arrow.
        ax: Axes to draw into; unset, a new figure.
        title: Text above the picture.
        size: Inches of a new figure.
        alt: One sentence that says what the picture shows.

    Returns:
        The figure.
    """
    field = arrays.as_field(displacement)
    step = step or max(1, round(max(field.shape[:2]) / 16))
    picture, ax = style.axes_of(
        ax, size + 1.0, size, alt or "Displacement as arrows on the fixed grid"
    )
    if image is not None:
        ax.imshow(arrays.as_image(image), cmap=style.GRAY)
    start = _identity(field.shape)[step // 2 :: step, step // 2 :: step]
    arrow = field[step // 2 :: step, step // 2 :: step]
    drawn = ax.quiver(
        start[..., 1],
        start[..., 0],
        arrow[..., 1],
        arrow[..., 0],
        np.linalg.norm(arrow, axis=-1),
        cmap=style.FIELD,
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.008,
        clim=(0, limit) if limit else None,
    )
    _frame(ax, field.shape)
    picture.colorbar(drawn, ax=ax, shrink=0.85, label="length (pixels)")
    if title:
        ax.set_title(title)
    return picture


def jacobian(determinant, *, ax=None, limit=None, title=None, size=3.2, alt=None):
    """Show a Jacobian determinant on a scale symmetric about one; folds are black.

    Args:
        determinant: `(height, width)`: 1 keeps area, above 1 the moving image is
            read from a larger area, at or below 0 it folds.
        ax: Axes to draw into; unset, a new figure.
        limit: Half the width of the scale; unset, from the data, at most 1.
        title: Text above the picture; unset, the percentage of folded pixels.
        size: Inches of a new figure.
        alt: One sentence that says what the picture shows.

    Returns:
        The figure.
    """
    values = arrays.as_image(determinant, "determinant")
    if limit is None:
        limit = float(np.clip(np.quantile(np.abs(values - 1), 0.995), 0.05, 1))
    picture, ax = style.axes_of(
        ax, size + 1.0, size, alt or "Jacobian determinant, black where it folds"
    )
    norm = colors.Normalize(1 - limit, 1 + limit)
    shown = ax.imshow(values, cmap=style.JACOBIAN, norm=norm)
    folded = np.ma.masked_where(values > 0, np.ones_like(values))
    ax.imshow(folded, cmap=colors.ListedColormap(["black"]))
    _frame(ax, values.shape)
    picture.colorbar(
        shown, ax=ax, shrink=0.85, extend="both", label="Jacobian determinant"
    )
    ax.set_title(title or f"{100 * np.mean(values <= 0):.2f} % of pixels folded")
    return picture
