"""Before and after, each laid over the fixed image: blend, checkerboard, flicker."""

import html

import numpy as np

from registration.show import control, pixels, slices

MODES = ("blend", "checkerboard", "flicker")


def before_after(
    before,
    after,
    fixed,
    *,
    voxel_mm=None,
    at=(0, 0, 0),
    limits=None,
    title="Before and after",
    description="",
    names=("before", "after"),
):
    """Compare two images with the fixed one, without a kernel.

    Three pictures are stored; the page blends them, lays them out as a checkerboard
    of any size or flickers between them.

    Args:
        before: `(height, width)`, or a RAS volume `(x, y, z)` shown in three planes.
        after: The same shape.
        fixed: The same shape.
        voxel_mm: Voxel size of volumes, one number or three.
        at: Millimetres from the centre of the grid at which the planes cut.
        limits: The values that become black and white; unset, the range of `fixed`.
        title: Text above.
        description: What to look for.
        names: What to call the two.

    Returns:
        A `control.Control`.

    Raises:
        ValueError: If the shapes differ.
    """
    arrays = [slices.squeeze(a) for a in (fixed, before, after)]
    if len({a.shape for a in arrays}) > 1:
        raise ValueError(
            "before, after and fixed should have one shape. "
            f"Received: {[a.shape for a in arrays]}"
        )
    if limits is None:
        limits = (float(arrays[0].min()), float(np.quantile(arrays[0], 0.999)))
    marks = ""
    if arrays[0].ndim == 3:
        marks = slices.montage_marks(arrays[0].shape)
        arrays = [slices.montage(a, voxel_mm or 1.0, at) for a in arrays]
    images = [pixels.to_pixels(a, limits) for a in arrays]
    width = control.fitting_width(images[0].shape[1])
    sharp = " reg-sharp" if width >= 3 * images[0].shape[1] else ""
    texts = ("fixed", *names)
    tags = "".join(
        f'<img src="{pixels.data_uri(image)}" alt="{html.escape(text, quote=True)}" '
        f'title="{html.escape(text, quote=True)}" width="{min(width, 260)}" '
        'style="display:inline-block">'
        for image, text in zip(images, texts, strict=True)
    )
    moved, modes = _radios("moved", (1, 2), names, 1), _radios("mode", MODES, MODES, 0)
    body = (
        f'<div class="reg-row reg-show reg-moved" style="display:none">{moved}</div>'
        f'<div class="reg-row reg-show reg-mode" style="display:none">{modes}</div>'
        f'<div class="reg-player" style="--reg-width:{width}px">'
        f'<div class="reg-screen{sharp}">{tags}{marks}</div>'
        '<div class="reg-row reg-show" style="display:none">'
        '<input type="range" min="0" max="10" step="1" value="5" '
        'aria-label="how the two pictures are mixed"><output></output></div></div>'
    )
    text = f"{title}. {description} Pictures: {', '.join(texts)}."
    return control.Control(
        control.page("reg-compare", title, description, body, still=control.STILL),
        pixels.strip(images),
        text,
    )


def _radios(group, values, texts, chosen):
    """Return a row of radio buttons."""
    return "".join(
        f'<label><input type="radio" name="{group}" value="{value}"'
        f"{' checked' if i == chosen else ''}>{html.escape(text)}</label>"
        for i, (value, text) in enumerate(zip(values, texts, strict=True))
    )
