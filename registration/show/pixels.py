"""From arrays and figures to small JPEG or PNG files."""

import base64
import io

import numpy as np
from PIL import Image

JPEG_QUALITY = 80
STRIP = 5  # frames in a strip
STRIP_WIDTH = 900  # pixels


def to_pixels(image, limits=(0.0, 1.0)):
    """Turn an image or a figure into 8-bit pixels.

    Args:
        image: `(height, width)` or `(height, width, 3)`, also with axes of length one
            around it; unsigned 8-bit as it is, anything else scaled by `limits`. Or
            an object with `savefig`.
        limits: The values that become black and white.

    Returns:
        Unsigned 8-bit array `(height, width)` or `(height, width, 3)`.

    Raises:
        ValueError: If it is neither.
    """
    if hasattr(image, "savefig"):
        buffer = io.BytesIO()
        image.savefig(buffer, format="png", dpi=getattr(image, "dpi", 100))
        return np.asarray(Image.open(buffer).convert("RGB"))
    array = np.asarray(image)
    pixels = array
    while pixels.ndim > 2 and pixels.shape[0] == 1:
        pixels = pixels[0]
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[-1] != 3):
        raise ValueError(
            "A frame should be an image (height, width), one with three colours or "
            f"a figure. Received: an array of shape {array.shape}"
        )
    if pixels.dtype == np.uint8:
        return pixels
    low, high = limits
    scaled = (pixels.astype("float32") - low) / max(high - low, 1e-12)
    return np.round(255 * np.clip(np.nan_to_num(scaled), 0, 1)).astype("uint8")


def encode(pixels):
    """Store 8-bit pixels as a PNG or a JPEG, whichever is smaller.

    Args:
        pixels: Unsigned 8-bit array `(height, width)` or `(height, width, 3)`.

    Returns:
        The pair `(mime type, bytes)`.
    """
    image = Image.fromarray(pixels)
    png, jpeg = io.BytesIO(), io.BytesIO()
    lossless = image.quantize(256, dither=0) if image.mode == "RGB" else image
    lossless.save(png, "PNG", optimize=True)
    image.save(jpeg, "JPEG", quality=JPEG_QUALITY, optimize=True)
    if png.tell() <= jpeg.tell():
        return "image/png", png.getvalue()
    return "image/jpeg", jpeg.getvalue()


def data_uri(pixels):
    """Return 8-bit pixels as the address of an image that carries its own bytes."""
    mime, data = encode(pixels)
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"


def picks(count, most=STRIP):
    """Return at most `most` evenly spread indices below `count`."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(count, most)).round()})


def strip(images, most=STRIP):
    """Lay out frames from left to right as one picture.

    Args:
        images: 8-bit arrays.
        most: Frames to take, evenly spread.

    Returns:
        Unsigned 8-bit array `(height, width, 3)`.
    """
    chosen = [images[i] for i in picks(len(images), most)]
    height = max(image.shape[0] for image in chosen)
    columns = []
    for image in chosen:
        colour = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=-1)
        room = np.full((height, colour.shape[1] + 4, 3), 255, "uint8")
        room[: colour.shape[0], : colour.shape[1]] = colour
        columns.append(room)
    whole = np.concatenate(columns, axis=1)[:, :-4]
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
