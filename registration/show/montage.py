"""The three planes of a volume side by side as one picture, and their letters."""

from registration.show import arrays, geometry, pixels

GAP = 4  # pixels between the planes


def laid_out(volume, voxel_mm, at=(0, 0, 0)):
    """Lay out the three planes of a volume side by side.

    Args:
        volume: `(x, y, z)`, axes running to Right, Anterior, Superior.
        voxel_mm: Voxel size, one number or three.
        at: Millimetres from the centre of the grid at which the planes cut.

    Returns:
        One image `(height, width)` with square pixels.
    """
    volume, steps = arrays.as_volume(volume), geometry.spacing(voxel_mm)
    places = [
        (plane, geometry.index_at(plane, at, volume.shape, steps))
        for plane in geometry.PLANES
    ]
    views = [geometry.view(volume, *place, steps) for place in places]
    return pixels.beside(views, GAP, fill=0)


def marks(shape, voxel_mm):
    """Return the letters of the planes of a volume of `shape`, laid over a montage."""
    steps, planes = geometry.spacing(voxel_mm), geometry.PLANES
    widths = [geometry.view_shape(plane, shape, steps)[1] for plane in planes]
    total = sum(widths) + GAP * (len(widths) - 1)
    left, parts = 0, []
    for plane, width in zip(planes, widths, strict=True):
        start, end, _ = plane.letters
        parts.append(mark(start, f"left:{100 * (left + 2) / total:.1f}%;top:48%"))
        right = total - left - width + 2
        parts.append(mark(end, f"right:{100 * right / total:.1f}%;top:48%"))
        left += width + GAP
    return "".join(parts)


def mark(text, style):
    """Return the HTML of a white letter laid over a picture."""
    return f'<span class="reg-mark reg-show" style="display:none;{style}">{text}</span>'
