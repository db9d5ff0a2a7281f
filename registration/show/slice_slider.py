"""The slice slider: three planes of a RAS volume, in millimetres."""

import numpy as np

from registration.show import arrays, control, geometry, montage, pixels

BAR = 50  # millimetres


def _marks(plane, shape, steps):
    """Return letters, a bar of 50 mm and the lines of the other two planes."""
    left, right, top = plane.letters
    bar = 100 * BAR / (shape[plane.across] * steps[plane.across])
    hidden = 'style="display:none;'
    parts = [
        montage.mark(left, "left:2%;top:48%"),
        montage.mark(right, "right:2%;top:48%"),
        montage.mark(top, "left:50%;top:1.5%"),
        f'<span class="reg-mark reg-bar reg-show" {hidden}right:4%;'
        f'bottom:3%;width:{bar:.1f}%">{BAR} mm</span>',
        f'<span class="reg-line reg-show" data-of="{plane.across}" '
        f'{hidden}top:0;bottom:0;width:1px"></span>',
        f'<span class="reg-line reg-show" data-of="{plane.up}" data-up="1" '
        f'{hidden}left:0;right:0;height:1px"></span>',
    ]
    return "".join(parts)


def slices(
    volume,
    voxel_mm=1.0,
    *,
    centre=(0, 0, 0),
    outline=None,
    count=16,
    limits=None,
    height=280,
    title="Slices",
    description="",
):
    """Step through a RAS volume in three planes; each shows where the others cut.

    Superior is up, anterior is right (sagittal) or up (axial), the subject's left is
    on the left. Millimetres count from the centre of the grid, or are the world's where
    `centre` says where it lies.

    Args:
        volume: `(x, y, z)`, axes running to Right, Anterior, Superior.
        voxel_mm: Voxel size, one number or three.
        centre: Millimetres of the grid's centre in the world (`Grid.centre`).
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
    volume, steps = arrays.as_volume(volume), geometry.spacing(voxel_mm)
    if outline is not None:
        outline = arrays.as_volume(outline, "outline", volume.shape) > 0
    limits = arrays.span(volume, top=0.999) if limits is None else limits
    extent = np.array(volume.shape) * steps
    scale = height / max(extent[1], extent[2])
    players = []
    for plane in geometry.PLANES:
        size, step = volume.shape[plane.axis], steps[plane.axis]
        chosen = np.unique(np.linspace(0.08 * size, 0.92 * size - 1, count).round())
        images = []
        for index in chosen.astype(int):
            view = geometry.view(volume, plane, index, steps)
            image = pixels.to_pixels(view, limits)
            if outline is not None:
                inside = geometry.view(outline, plane, index, steps)
                image = pixels.outlined(image, inside)
            images.append(image)
        where = centre[plane.axis] + geometry.to_mm(chosen, size, step)
        players.append(
            control.Player(
                images,
                [geometry.position(plane, millimetres) for millimetres in where],
                f"{plane.name} plane, position",
                len(images) // 2,
                round(extent[plane.across] * scale),
                _marks(plane, volume.shape, steps),
                [(index + 0.5) / size for index in chosen],
                "reg-plane",
            )
        )
    body = "".join(player.body(most=4, play=False) for player in players)
    text = control.described(
        title,
        description or "Sagittal, coronal and axial slices",
        "position",
        players[2].labels,
    )
    return control.Control(
        control.page("reg-frames", title, description, control.players(body)),
        pixels.strip([player.images[player.start] for player in players]),
        text,
    )
