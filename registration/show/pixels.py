"""From arrays and figures to small JPEG or PNG files, by Pillow.

It is imported where it is used: a table needs none.
"""

import base64
import io

import numpy as np

from registration.show import arrays

SCALE = 2  # stored pixels of a figure for each pixel that it takes on a page
GRAYS = 64  # levels of a figure without colour: 2 of 255 off, a quarter smaller
JPEG_QUALITY = 80
PNG_WORTH = 1.2  # how many times the bytes of the JPEG a PNG may have
ORANGE = np.array([230, 159, 0], "uint8")
STRIP = 5  # frames in a strip
STRIP_WIDTH = 900  # pixels


def rendered(figure, **options):
    """Draw a figure with `SCALE` times the pixels it takes on a page.

    Args:
        figure: An object with `savefig` and `dpi`, as matplotlib's figures.
        **options: Passed to `savefig`.

    Returns:
        Unsigned 8-bit array `(height, width, 3)`, or `(height, width)` in `GRAYS`
        levels if all is gray.
    """
    from PIL import Image

    buffer = io.BytesIO()
    dpi = SCALE * getattr(figure, "dpi", 100)
    figure.savefig(buffer, format="png", dpi=dpi, **options)
    colour = np.asarray(Image.open(buffer).convert("RGB"))
    if (colour[..., :1] != colour).any():
        return colour
    step = 255 / (GRAYS - 1)
    return np.round(np.round(colour[..., 0] / step) * step).astype("uint8")


def to_pixels(image, limits=(0.0, 1.0)):
    """Turn an image or a figure into 8-bit pixels.

    Args:
        image: `(height, width)` or `(height, width, 3)`, also with axes of length one
            around it; unsigned 8-bit as it is, anything else scaled by `limits`. Or
            an object with `savefig`, drawn with `SCALE` times its pixels.
        limits: The values that become black and white.

    Returns:
        Unsigned 8-bit array `(height, width)` or `(height, width, 3)`.

    Raises:
        ValueError: If it is neither.
    """
    if is_figure(image):
        return rendered(image)
    pixels = arrays.squeeze(image)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[-1] != 3):
        raise ValueError(
            "A frame should be an image (height, width), one with three colours or "
            f"a figure. Received: an array of shape {np.shape(image)}"
        )
    if pixels.dtype == np.uint8:
        return pixels
    low, high = limits
    scaled = (pixels.astype("float32") - low) / max(high - low, 1e-12)
    return np.round(255 * np.clip(np.nan_to_num(scaled), 0, 1)).astype("uint8")


def is_figure(image):
    """Return whether `image` is drawn, not an array."""
    return hasattr(image, "savefig")


def in_colour(pixels):
    """Return 8-bit pixels `(height, width)` with three equal colours."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=-1)


def _edge(mask):
    """Return the outline of a mask: its pixels that touch a pixel outside it."""
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inside


def outlined(image, mask):
    """Draw the outline of a mask over an image.

    Args:
        image: 8-bit gray image `(height, width)`.
        mask: Boolean array of its shape.

    Returns:
        8-bit picture twice as large, in colour, the outline in orange.
    """
    from PIL import Image

    size = (image.shape[1] * 2, image.shape[0] * 2)
    large = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    colour = np.repeat(large[..., None], 3, axis=-1)
    colour[_edge(mask.repeat(2, axis=0).repeat(2, axis=1))] = ORANGE
    return colour


def encode(pixels, mime=None):
    """Store 8-bit pixels as a PNG or a JPEG.

    A PNG keeps letters and lines as they are, so it is taken unless the JPEG is much
    smaller.

    Args:
        pixels: Unsigned 8-bit array `(height, width)` or `(height, width, 3)`.
        mime: `"image/png"` or `"image/jpeg"`; unset, whichever suits.

    Returns:
        The pair `(mime type, bytes)`.
    """
    from PIL import Image

    image = Image.fromarray(pixels)
    png, jpeg = io.BytesIO(), io.BytesIO()
    if image.mode == "RGB":
        # Of the ways to choose a palette, this one errs least where it errs most.
        way = {"method": Image.Quantize.MAXCOVERAGE, "dither": Image.Dither.NONE}
        image.quantize(256, **way).save(png, "PNG", optimize=True)
    else:
        image.save(png, "PNG", optimize=True)
    image.save(jpeg, "JPEG", quality=JPEG_QUALITY, optimize=True)
    if mime is None:
        small = png.tell() <= PNG_WORTH * jpeg.tell()
        mime = "image/png" if small else "image/jpeg"
    return mime, (png if mime == "image/png" else jpeg).getvalue()


def base64_text(data):
    """Return bytes as the text that a notebook or an address holds."""
    return base64.b64encode(data).decode("ascii")


def data_uri(pixels):
    """Return 8-bit pixels as the address of an image that carries its own bytes."""
    mime, data = encode(pixels)
    return f"data:{mime};base64,{base64_text(data)}"


def picks(count, most=STRIP):
    """Return at most `most` evenly spread indices below `count`."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(count, most)).round()})


def beside(images, gap=4, fill=255):
    """Lay out images from left to right, their middles on one line.

    Args:
        images: Arrays `(height, width, ...)` that differ in height and width only.
        gap: Pixels between them.
        fill: Value of the gaps.

    Returns:
        One array.
    """
    height = max(image.shape[0] for image in images)
    columns = []
    for image in images:
        above = (height - image.shape[0]) // 2
        edges = [(above, height - image.shape[0] - above), (0, gap)]
        edges += [(0, 0)] * (image.ndim - 2)
        columns.append(np.pad(image, edges, constant_values=fill))
    return np.concatenate(columns, axis=1)[:, :-gap]


def strip(images, most=STRIP):
    """Lay out frames from left to right as one picture.

    Args:
        images: 8-bit arrays.
        most: Frames to take, evenly spread.

    Returns:
        Unsigned 8-bit array `(height, width, 3)`.
    """
    from PIL import Image

    chosen = [in_colour(images[i]) for i in picks(len(images), most)]
    whole = beside(chosen)
    factor = STRIP_WIDTH / whole.shape[1]
    if factor >= 2:
        factor = min(int(factor), 4)
        return whole.repeat(factor, axis=0).repeat(factor, axis=1)
    if factor < 1:
        size = (STRIP_WIDTH, max(1, round(whole.shape[0] * factor)))
        return np.asarray(Image.fromarray(whole).resize(size, Image.Resampling.BOX))
    return whole


def tile(stack, columns=None, gap=2):
    """Lay out `(count, height, width)` images as a mosaic.

    Args:
        stack: Images of one shape.
        columns: Images in a row; unset, all.
        gap: Pixels between them, filled with the largest value.

    Returns:
        `(height, width)` array.
    """
    stack = np.asarray(stack)
    count, height, width = stack.shape[:3]
    columns = columns or count
    lines = -(-count // columns)
    size = (lines * (height + gap) - gap, columns * (width + gap) - gap)
    whole = np.full((*size, *stack.shape[3:]), stack.max() if stack.size else 0)
    whole = whole.astype(stack.dtype)
    for i, image in enumerate(stack):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        whole[top : top + height, left : left + width] = image
    return whole
