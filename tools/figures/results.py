"""Draw images/results.png for the README: the results of the series, stacked.

The parts are pictures that the scripts before this one in the alphabet have drawn.
"""

from pathlib import Path

from PIL import Image

IMAGES = Path(__file__).resolve().parents[2] / "images"
PARTS = ("affine_digits.png", "affine_heads.jpeg")
WIDTH, GAP = 1000, 12


def main():
    """Scale the parts to one width and put them under each other."""
    parts = [Image.open(IMAGES / name).convert("RGB") for name in PARTS]
    parts = [p.resize((WIDTH, round(p.height * WIDTH / p.width))) for p in parts]
    height = sum(part.height for part in parts) + GAP * (len(parts) - 1)
    whole = Image.new("RGB", (WIDTH, height), "white")
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height + GAP
    whole.quantize(256, dither=0).save(IMAGES / "results.png", optimize=True)


if __name__ == "__main__":
    main()
