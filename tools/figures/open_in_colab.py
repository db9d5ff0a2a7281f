"""Draw images/open_in_colab.svg, the badge of the notebooks."""

from pathlib import Path

IMAGES = Path(__file__).resolve().parents[2] / "images"
BADGE = """\
<svg xmlns="http://www.w3.org/2000/svg" width="118" height="20" role="img"
     aria-label="Open in Colab">
  <rect width="118" height="20" rx="3" fill="#4a4a4a"/>
  <path d="M13 5a5 5 0 1 0 4 8M21 5a5 5 0 1 1-4 8" fill="none" stroke="#f9ab00"
        stroke-width="2.6"/>
  <text x="34" y="14" fill="#fff" font-size="11"
        font-family="Verdana, DejaVu Sans, sans-serif">Open in Colab</text>
</svg>
"""

if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / "open_in_colab.svg").write_text(BADGE)
