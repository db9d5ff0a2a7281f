"""The registration framework as a drawn figure, narrow enough for a phone."""

from matplotlib import patches

from registration.show import arrays, style

LEFT, MIDDLE, RIGHT = 1.0, 3.5, 6.0
ROWS = (7.6, 5.8, 4.0, 1.6)
SIDE, WIDTH, HEIGHT = 1.6, 1.9, 1.0
FONT = 11
BLUE, GREEN, YELLOW = "#D6E9F5", "#D8F0E6", "#FBE8CC"


def _box(ax, x, y, text, colour="white", width=WIDTH, height=HEIGHT):
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
    ax.text(x, y, text, ha="center", va="center", fontsize=FONT)


def _picture_box(ax, x, y, name, image):
    """Draw an image, or an empty box, centred on `(x, y)`, and its name."""
    if image is None:
        _box(ax, x, y, name, width=SIDE, height=SIDE)
        return
    image = arrays.as_image(image, name)
    half = SIDE / 2 * min(1, image.shape[1] / image.shape[0])
    tall = SIDE / 2 * min(1, image.shape[0] / image.shape[1])
    extent = (x - half, x + half, y - tall, y + tall)
    ax.imshow(image, cmap=style.GRAY, extent=extent, zorder=2)
    ax.text(x, y + tall + 0.08, name, ha="center", va="bottom", fontsize=FONT)


def _arrow(ax, *points, **look):
    """Draw an arrow along straight lines through `points`."""
    look = {"color": "0.25", "mutation_scale": 12, "arrowstyle": "-|>"} | look
    ax.add_patch(patches.FancyArrowPatch(path=patches.Path(points), **look))


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
    told = " ".join(parameters.split())
    picture, axes = style.subplots(
        1,
        1,
        4.2,
        5.2,
        alt
        or "Moving and fixed image enter a network, which predicts "
        f"{told}; they make a sampling grid; a sampler reads the moving image "
        "there and gives the moved image; the loss compares it with the fixed image "
        "and its gradient trains the network.",
    )
    ax = axes[0, 0]
    first, second, third, last = ROWS
    _picture_box(ax, LEFT, first, "moving", moving)
    _picture_box(ax, RIGHT, first, "fixed", fixed)
    _picture_box(ax, LEFT, last, "moved", moved)
    _box(ax, MIDDLE, first, network, BLUE)
    _box(ax, MIDDLE, second, parameters)
    _box(ax, MIDDLE, third, "sampling\ngrid", GREEN)
    _box(ax, LEFT, third, "sampler", GREEN, width=1.7)
    _box(ax, RIGHT, last, loss, YELLOW, width=1.7)
    across, down, side = WIDTH / 2 + 0.05, HEIGHT / 2 + 0.05, SIDE / 2 + 0.05
    _arrow(ax, (LEFT + side, first), (MIDDLE - across, first))
    _arrow(ax, (RIGHT - side, first), (MIDDLE + across, first))
    _arrow(ax, (MIDDLE, first - down), (MIDDLE, second + down))
    _arrow(ax, (MIDDLE, second - down), (MIDDLE, third + down))
    _arrow(ax, (MIDDLE - across, third), (LEFT + 0.9, third))
    _arrow(ax, (LEFT, first - side), (LEFT, third + down))
    _arrow(ax, (LEFT, third - down), (LEFT, last + side + 0.4 * (moved is not None)))
    _arrow(ax, (LEFT + side, last), (RIGHT - 0.9, last))
    _arrow(ax, (RIGHT, first - side), (RIGHT, last + down))
    back = RIGHT - 0.55
    trail = [(back, last + down), (back, second + 0.9), (MIDDLE + 0.7, second + 0.9)]
    trail += [(MIDDLE + 0.7, first - down)]
    _arrow(ax, *trail, color=style.COLOURS[4], linestyle="--")
    text = "gradient: every step\nis differentiable"
    place = {"ha": "right", "va": "center", "fontsize": 10}
    ax.text(back - 0.1, last + 1.1, text, color=style.COLOURS[4], **place)
    ax.set_axis_off()
    ax.set_aspect("equal")
    ax.set_xlim(0, 7)
    ax.set_ylim(0.7, 8.8)
    return picture
