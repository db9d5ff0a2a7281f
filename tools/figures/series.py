"""Draw images/series.png, the picture of the series: heads and digits, registered.

The panels are cut out of pictures that the scripts before this one in the alphabet
have drawn, whatever their resolution.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

IMAGES = Path(__file__).resolve().parents[2] / "images"
WIDTH, GAP, CAPTION, SIZE = 1440, 8, 44, 28
# Of a panel with a head: without the black below the neck.
SHOWN = 0.82
HEADS = (
    ("affine_heads", 0, "25 heads, averaged"),
    ("dense_heads", 1, "registered, averaged"),
    ("dense_heads", 2, "the fixed head"),
)
DIGITS = (("moving", 0), ("moved", 2), ("fixed", 3))
COLUMNS = slice(1, 9)


def picture(name):
    """Return a picture of images/, whichever way it was stored."""
    (path,) = (p for p in IMAGES.glob(f"{name}.*") if p.suffix in (".png", ".jpeg"))
    return Image.open(path).convert("RGB")


def panels(image):
    """Return the boxes of a picture's panels, a list a row, from the top left.

    A panel is a region without white of at least a two-hundredth of the picture;
    the letters of labels are smaller. The ticks at its border are no part of it.
    """
    dark = ndimage.binary_opening(np.asarray(image.convert("L")) < 200, np.ones((5, 5)))
    regions, _ = ndimage.label(dark)
    boxes = [
        (columns.start, rows.start, columns.stop, rows.stop)
        for rows, columns in ndimage.find_objects(regions)
        if (rows.stop - rows.start) * (columns.stop - columns.start)
        > image.width * image.height / 200
    ]
    lines = {}
    for box in sorted(boxes, key=lambda box: box[1]):
        near = (top for top in lines if abs(top - box[1]) < image.height / 20)
        lines.setdefault(next(near, box[1]), []).append(box)
    return [sorted(line) for line in lines.values()]


def heads(width):
    """Return the heads beside each other, three panels with their captions."""
    side = (width - 2 * GAP) // 3
    height = round(SHOWN * side)
    whole = Image.new("RGB", (width, height + CAPTION), "white")
    for column, (name, row, text) in enumerate(HEADS):
        image = picture(name)
        left, top, right, bottom = panels(image)[row][0]
        panel = image.crop((left, top, right, round(top + SHOWN * (bottom - top))))
        panel = panel.resize((side, height), Image.Resampling.LANCZOS)
        left = column * (side + GAP)
        whole.paste(panel, (left, 0))
        caption(whole, text, left + side // 2, height + CAPTION // 2)
    return whole


def digits(width):
    """Return the digits, a row each for moving, moved and fixed."""
    image = picture("deformable_digits")
    found, label = panels(image), 100
    count = COLUMNS.stop - COLUMNS.start
    side = (width - label - count * GAP) // count
    whole = Image.new("RGB", (width, len(DIGITS) * (side + GAP)), "white")
    for line, (text, row) in enumerate(DIGITS):
        top = line * (side + GAP)
        caption(whole, text, label // 2, top + side // 2)
        for column, box in enumerate(found[row][COLUMNS]):
            panel = image.crop(box).resize((side, side), Image.Resampling.LANCZOS)
            whole.paste(panel, (label + GAP + column * (side + GAP), top))
    return whole


def caption(image, text, x, y):
    """Write a text around a point."""
    font = ImageFont.load_default(SIZE)
    ImageDraw.Draw(image).text((x, y), text, fill="black", font=font, anchor="mm")


def main():
    """Put the heads above the digits."""
    parts = heads(WIDTH), digits(WIDTH)
    whole = Image.new("RGB", (WIDTH, sum(p.height for p in parts)), "white")
    whole.paste(parts[0], (0, 0))
    whole.paste(parts[1], (0, parts[0].height))
    whole.quantize(64, dither=0).save(IMAGES / "series.png", optimize=True)


if __name__ == "__main__":
    main()
