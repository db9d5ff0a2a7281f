import re

import numpy as np
import pytest
from scipy import ndimage

pytest.importorskip("jupytext")

from registration.scans import nifti  # noqa: E402
from tools import readme  # noqa: E402


def brain(shift):
    """Return an egg with a texture inside, its centre shifted by some voxels."""
    shape, rng = (48, 60, 48), np.random.default_rng(0)
    texture = ndimage.gaussian_filter(rng.normal(size=shape), 3)
    texture = 1 + texture / np.abs(texture).max()
    centre = np.array(shape)[:, None, None, None] / 2
    places = (np.indices(shape) - centre) / np.array([17, 22, 16])[:, None, None, None]
    egg = texture * (np.square(places).sum(axis=0) < 1)
    return ndimage.shift(egg, shift, order=1).astype("float32")


def test_the_lines_for_a_readers_own_scans_register_two_of_them(tmp_path, monkeypatch):
    text = readme.README.read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(lines.split("\n\n")[1].splitlines()) == 5
    monkeypatch.chdir(tmp_path)
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    fixed, moving = brain((0, 0, 0)), brain((3, -2, 2))
    nifti.save("fixed.nii.gz", fixed, affine)
    nifti.save("moving.nii.gz", moving, affine)
    exec(compile(lines, "README.md", "exec"), {})
    moved = nifti.load("moved.nii.gz").image
    before, after = (
        np.corrcoef(fixed.ravel(), image.ravel())[0, 1] for image in (moving, moved)
    )
    # An egg is no brain: nearer than before by a wide margin, not a perfect fit.
    assert after > 0.95
    assert 1 - after < (1 - before) / 3
