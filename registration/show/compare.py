"""Before and after, each laid over the fixed image: blend, checkerboard, flicker."""

from registration.show import arrays, control, montage, pixels

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
    fixed, before, after = map(arrays.squeeze, (fixed, before, after))
    if not before.shape == after.shape == fixed.shape:
        raise ValueError(
            "before, after and fixed should have one shape. "
            f"Received: {before.shape}, {after.shape}, {fixed.shape}"
        )
    limits = arrays.span(fixed, top=0.999) if limits is None else limits
    marks, shown = "", (fixed, before, after)
    if fixed.ndim == 3:
        voxel_mm = 1.0 if voxel_mm is None else voxel_mm
        marks = montage.marks(fixed.shape, voxel_mm)
        shown = [montage.laid_out(volume, voxel_mm, at) for volume in shown]
    images = [pixels.to_pixels(image, limits) for image in shown]
    width = control.fitting_width(images[0].shape[1])
    sharp = " reg-sharp" if width >= 3 * images[0].shape[1] else ""
    texts = ("fixed", *names)
    tags = "".join(
        f'<img src="{pixels.data_uri(image)}" alt="{text}" title="{text}" '
        f'width="{min(width, 260)}" style="display:inline-block">'
        for image, text in zip(images, map(control.escape, texts), strict=True)
    )
    body = (
        control.radios("moved", names, values=(1, 2), chosen=1)
        + control.radios("mode", MODES, values=MODES)
        + f'<div class="reg-player" style="--reg-width:{width}px">'
        f'<div class="reg-screen{sharp}">{tags}{marks}</div>'
        '<div class="reg-row reg-show" style="display:none">'
        '<input type="range" min="0" max="10" step="1" value="5" '
        'aria-label="how the two pictures are mixed"><output></output></div></div>'
    )
    return control.Control(
        control.page("reg-compare", title, description, body),
        pixels.strip(images),
        f"{title}. {description} Pictures: {', '.join(texts)}.",
    )
