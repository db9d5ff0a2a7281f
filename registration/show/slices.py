"""The slice slider: three planes of a RAS volume, in millimetres."""

import numpy as np
from PIL import Image

from registration.show import control, pixels

# name, axis cut, (horizontal axis, its ends), vertical axis
PLANES = (
    ("sagittal", 0, (1, "PA"), 2),
    ("coronal", 1, (0, "LR"), 2),
    ("axial", 2, (0, "LR"), 1),
)
ORANGE = np.array([230, 159, 0], "uint8")
GAP = 4  # pixels between the planes of a montage


def squeeze(array):
    """Return one image or volume without batch and channel axes of length one."""
    array = np.asarray(array)
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    return array[..., 0] if array.ndim > 2 and array.shape[-1] == 1 else array


def _volume(array, name):
    """Return `array` as `(x, y, z)`, checked."""
    volume = squeeze(array)
    if volume.ndim != 3:
        raise ValueError(
            f"{name} should be one RAS volume (x, y, z). "
            f"Received: an array of shape {np.shape(array)}"
        )
    return volume


def cut(volume, axis, index):
    """Return a slice as an image: superior, or anterior, in the first row."""
    return np.take(volume, index, axis=axis).T[::-1]


def to_index(millimetres, size, spacing):
    """Return the index of the voxel at `millimetres` from the centre of the grid."""
    return int(np.clip(round(millimetres / spacing + size / 2 - 0.5), 0, size - 1))


def montage(volume, voxel_mm, at=(0, 0, 0)):
    """Return the three planes of a volume side by side as one image."""
    volume = _volume(volume, "volume")
    spacing = np.broadcast_to(np.asarray(voxel_mm, "float32"), (3,))
    images = []
    for _, axis, _, _ in PLANES:
        index = to_index(at[axis], volume.shape[axis], spacing[axis])
        images.append(cut(volume, axis, index))
    height = max(image.shape[0] for image in images)
    width = sum(image.shape[1] for image in images) + GAP * (len(images) - 1)
    whole = np.zeros((height, width), images[0].dtype)
    left = 0
    for image in images:
        top = (height - image.shape[0]) // 2
        whole[top : top + image.shape[0], left : left + image.shape[1]] = image
        left += image.shape[1] + GAP
    return whole


def montage_marks(shape):
    """Return the letters of the planes of a volume of `shape`, laid over a montage."""
    widths = [shape[across] for _, _, (across, _), _ in PLANES]
    total = sum(widths) + GAP * (len(widths) - 1)
    left, parts = 0, []
    for (_, _, (_, ends), _), width in zip(PLANES, widths, strict=True):
        parts.append(mark(ends[0], f"left:{100 * (left + 2) / total:.1f}%;top:48%"))
        right = total - left - width + 2
        parts.append(mark(ends[1], f"right:{100 * right / total:.1f}%;top:48%"))
        left += width + GAP
    return "".join(parts)


def mark(text, style):
    """Return a white letter laid over a picture."""
    return f'<span class="reg-mark reg-show" style="display:none;{style}">{text}</span>'


def _marks(number, plane, shape, spacing):
    """Return letters, a bar of 50 mm and the lines of the other two planes."""
    _, _, (across, ends), up = plane
    bar = 100 * 50 / (shape[across] * spacing[across])
    parts = [
        mark(ends[0], "left:2%;top:48%"),
        mark(ends[1], "right:2%;top:48%"),
        mark("S" if up == 2 else "A", "left:50%;top:1.5%"),
        '<span class="reg-mark reg-bar reg-show" style="display:none;right:4%;'
        f'bottom:3%;width:{bar:.1f}%">50 mm</span>',
        f'<span class="reg-line reg-show" data-of="{across}" '
        'style="display:none;top:0;bottom:0;width:1px"></span>',
        f'<span class="reg-line reg-show" data-of="{up}" data-up="1" '
        'style="display:none;left:0;right:0;height:1px"></span>',
    ]
    return "".join(parts)


def _edge(mask):
    """Return the outline of a mask: its pixels that touch a pixel outside it."""
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inside


def _coloured(image, mask):
    """Return a picture twice as large with the outline of `mask` in orange."""
    size = (image.shape[1] * 2, image.shape[0] * 2)
    large = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    colour = np.repeat(large[..., None], 3, axis=-1)
    colour[_edge(mask.repeat(2, axis=0).repeat(2, axis=1))] = ORANGE
    return colour


def slices(
    volume,
    voxel_mm=1.0,
    *,
    outline=None,
    count=16,
    limits=None,
    height=280,
    title="Slices",
    description="",
):
    """Step through a RAS volume in three planes; each shows where the others cut.

    Superior is up, anterior is right (sagittal) or up (axial), the subject's left is
    on the left. Millimetres count from the centre of the grid.

    Args:
        volume: `(x, y, z)`, axes running to Right, Anterior, Superior.
        voxel_mm: Voxel size, one number or three.
        outline: Mask on the same grid, outlined in orange.
        count: Slices stored per plane; they lie between the 8th and the 92nd
            percent of the volume.
        limits: The values that become black and white; unset, the data's range.
        height: Pixels of the tallest plane on the page.
        title: Text above.
        description: What to look for.

    Returns:
        A `control.Control`.

    Raises:
        ValueError: If the arrays are not volumes of one shape.
    """
    volume = _volume(volume, "volume")
    if outline is not None:
        outline = _volume(outline, "outline") > 0
        if outline.shape != volume.shape:
            raise ValueError(
                f"outline should have the volume's shape {volume.shape}. "
                f"Received: {outline.shape}"
            )
    spacing = np.broadcast_to(np.asarray(voxel_mm, "float32"), (3,))
    if limits is None:
        limits = (float(volume.min()), float(np.quantile(volume, 0.999)))
    extent = np.array(volume.shape) * spacing
    scale = height / max(extent[1], extent[2])
    players = []
    for number, plane in enumerate(PLANES):
        name, axis, (across, _), _ = plane
        size = volume.shape[axis]
        chosen = np.unique(np.linspace(0.08 * size, 0.92 * size - 1, count).round())
        images, labels = [], []
        for index in chosen.astype(int):
            image = pixels.to_pixels(cut(volume, axis, index), limits)
            if outline is not None:
                image = _coloured(image, cut(outline, axis, index))
            images.append(image)
            millimetres = (index + 0.5 - size / 2) * spacing[axis]
            labels.append(f"{'xyz'[axis]} = {millimetres:.0f} mm".replace("-", "−"))
        players.append(
            control.Player(
                images,
                labels,
                f"{name} plane, position",
                len(images) // 2,
                round(extent[across] * scale),
                _marks(number, plane, volume.shape, spacing),
                [(index + 0.5) / size for index in chosen],
                "reg-plane",
            )
        )
    body = "".join(player.body(most=4, play=False) for player in players)
    middle = [player.images[len(player.images) // 2] for player in players]
    text = control.described(
        title,
        description or "Sagittal, coronal and axial slices",
        "position",
        players[2].labels,
    )
    return control.Control(
        control.page(
            "reg-frames", title, description, f'<div class="reg-players">{body}</div>'
        ),
        pixels.strip(middle),
        text,
    )
