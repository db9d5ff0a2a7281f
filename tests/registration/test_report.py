import re

import nibabel
import numpy as np
import pytest

from registration import __main__ as command_line
from registration import pair, report
from tests.registration import heads

GRID = heads.oblique((24, 26, 22), (6.0, 5.5, 6.5))


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Return a function that registers two small heads and reads the page."""
    heads.replace_networks(monkeypatch)
    middle = heads.bump(GRID, [0, 0, 1]).displacement[..., 2]
    noise = np.random.default_rng(0).uniform(1, 20, GRID.shape)
    image = nibabel.Nifti1Image((100 * middle + noise).astype("float32"), GRID.affine)

    def made(name="moving.nii.gz", **options):
        for path in (name, "fixed.nii.gz"):
            nibabel.save(image, tmp_path / path)
        out = tmp_path / "out"
        record = pair.pair(tmp_path / name, tmp_path / "fixed.nii.gz", out, **options)
        return (out / "report.html").read_text(encoding="utf-8"), record

    return made


def test_the_page_holds_everything_that_it_shows(page):
    text, record = page()
    sources = re.findall(r'(?:src|href)="([^"]{0,40})', text)
    assert len(sources) == 6
    assert all(source.startswith("data:image/") for source in sources)
    assert "@import" not in text and "url(" not in text
    for name in ("ITK-SNAP", "SimpleITK", "antsApplyTransforms", "nitransforms"):
        assert name in text
    for shown in (
        f"{record['numbers']['after']['ncc']:.3f}",
        record["inputs"]["moving"]["sha256"],
        record["versions"]["numpy"],
        "there and back",
    ):
        assert shown in text


def test_every_picture_has_a_text_and_every_warning_is_shown(page):
    text, record = page()
    assert all('alt="' in tag for tag in re.findall(r"<img [^>]*>", text))
    assert record["warnings"]
    assert text.count('class="warning"') == len(record["warnings"])
    assert 'class="verdict good"' in text and "Estimated error 1.5 mm" in text


def test_an_affine_has_no_picture_of_its_jacobian(page):
    text, _ = page(transform="affine")
    assert "An affine has one everywhere: 1.000" in text


def test_a_name_cannot_put_markup_into_the_page(page):
    text, _ = page(name="<b onload=x>&'.nii.gz", transform="affine")
    assert "<b onload" not in text
    assert "&lt;b onload=x&gt;&amp;" in text


def test_without_what_draws_the_page_says_so_and_keeps_its_numbers(page, monkeypatch):
    monkeypatch.setattr(report, "can_draw", lambda: False)
    text, record = page()
    assert text.count(report.UNDRAWN) == len(report.PICTURES)
    assert "<img" not in text
    assert f"{record['numbers']['after']['ncc']:.3f}" in text


def test_without_what_draws_the_command_says_so(page, tmp_path, capsys, monkeypatch):
    page()
    monkeypatch.setattr(report, "can_draw", lambda: False)
    scans = [str(tmp_path / name) for name in ("moving.nii.gz", "fixed.nii.gz")]
    out = ["--out", str(tmp_path / "again")]
    assert command_line.main(["pair", *scans, *out]) == 0
    assert report.UNDRAWN in capsys.readouterr().err
