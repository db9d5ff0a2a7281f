"""The registration framework as a drawn figure."""

from matplotlib import patches

from registration.show import arrays, style


def _box(ax, x, y, text, *, colour="white", width=1.5, height=0.8):
    """Draw a rounded box centred on `(x, y)`."""
    ax.add_patch(
        patches.FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            facecolor=colour,
            edgecolor="0.25",
            boxstyle="round,pad=0.02,rounding_size=0.12",
        )
    )
    ax.text(x, y, text, ha="center", va="center", fontsize=9)


def _arrow(ax, start, end, *, bend=0.0, colour="0.25", style_="-|>", line="-"):
    """Draw an arrow from `start` to `end`."""
    ax.add_patch(
        patches.FancyArrowPatch(
            start,
            end,
            arrowstyle=style_,
            mutation_scale=12,
            color=colour,
            linestyle=line,
            connectionstyle=f"arc3,rad={bend}",
            shrinkA=0,
            shrinkB=0,
        )
    )


def framework(
    parameters="six numbers",
    network="CNN",
    loss="loss\n(NCC)",
    moving=None,
    fixed=None,
    moved=None,
    alt=None,
):
    """Draw how an unsupervised registration network is built and trained.

    Args:
        parameters: What the network predicts.
        network: Name of the network.
        loss: Text in the loss box.
        moving: Optional `(height, width)` image drawn in its box.
        fixed: The same.
        moved: The same.
        alt: One sentence that says what the picture shows.

    Returns:
        The figure.
    """
    picture, axes = style.subplots(
        1,
        1,
        9.2,
        2.9,
        alt
        or "Moving and fixed image enter a network, which predicts "
        f"{parameters}; they make a sampling grid; a sampler reads the moving image "
        "there and gives the moved image; the loss compares it with the fixed image "
        "and its gradient trains the network.",
    )
    ax = axes[0, 0]
    ax.set_axis_off()
    ax.set_xlim(0, 13.4)
    ax.set_ylim(0, 4.2)
    ax.set_aspect("equal")
    images = (
        ("moving", moving, 0.9, 2.9),
        ("fixed", fixed, 0.9, 1.0),
        ("moved", moved, 10.6, 2.9),
    )
    for name, image, x, y in images:
        _picture_box(ax, name, image, x, y)
    blue, green = "#D6E9F5", "#D8F0E6"
    _box(ax, 3.2, 1.95, network, colour=blue)
    _box(ax, 5.3, 1.95, parameters, width=1.6)
    _box(ax, 7.4, 1.95, "sampling\ngrid", colour=green)
    _box(ax, 8.3, 3.0, "sampler", colour=green, width=1.4)
    _box(ax, 12.5, 1.95, loss, colour="#FBE8CC", width=1.4)
    _arrow(ax, (1.6, 2.75), (2.4, 2.15))
    _arrow(ax, (1.6, 1.15), (2.4, 1.75))
    _arrow(ax, (4.0, 1.95), (4.45, 1.95))
    _arrow(ax, (6.15, 1.95), (6.6, 1.95))
    _arrow(ax, (7.7, 2.4), (8.0, 2.56))
    _arrow(ax, (1.6, 3.1), (7.55, 3.1))
    _arrow(ax, (9.05, 3.0), (9.85, 3.0))
    _arrow(ax, (11.35, 2.75), (12.2, 2.4))
    _arrow(ax, (1.6, 0.8), (12.1, 1.5), bend=0.06)
    _arrow(ax, (12.5, 1.5), (3.2, 1.5), bend=-0.16, colour=style.COLOURS[4], line="--")
    ax.text(
        7.6,
        0.12,
        "gradient: every step is differentiable",
        ha="center",
        color=style.COLOURS[4],
        fontsize=9,
    )
    return picture


def _picture_box(ax, name, image, x, y, side=1.4):
    """Draw an image, or an empty box, centred on `(x, y)`, and its name."""
    if image is None:
        _box(ax, x, y, name, width=side, height=side)
        return
    half = side / 2
    extent = (x - half, x + half, y - half, y + half)
    ax.imshow(arrays.as_image(image, name), cmap=style.GRAY, extent=extent, zorder=2)
    ax.text(x, y + half + 0.06, name, ha="center", va="bottom", fontsize=9)
    ax.set_xlim(0, 13.4)
    ax.set_ylim(0, 4.2)
