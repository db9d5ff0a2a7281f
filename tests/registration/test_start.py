"""Heads with their skulls through the whole engine, with a start and without."""

import nibabel
import numpy as np
import pytest

from helpers import metrics
from registration import finding, itk, pair, transform
from registration.scans import nifti
from tests.registration import heads

AWAY = heads.turned(150.0, (25.0, -15.0, 10.0))


@pytest.fixture(scope="module")
def scans():
    return [heads.head(seed, skull=True) for seed in (5, 6)]


@pytest.fixture(scope="module")
def folder(scans, tmp_path_factory):
    """Return a folder with two heads, and the first as another header places it."""
    path = tmp_path_factory.mktemp("heads")
    moving, fixed = scans
    nifti.save(path / "moving.nii.gz", moving.image, moving.affine)
    nifti.save(path / "fixed.nii.gz", fixed.image, fixed.affine)
    nifti.save(path / "away.nii.gz", moving.image, AWAY @ moving.affine)
    itk.save(path / "away.tfm", transform.Transform([AWAY]))
    return path


def run(folder, moving="moving.nii.gz", **options):
    """Register in one pass; return what was written, and the record."""
    out = folder / f"out{len(list(folder.glob('out*')))}"
    options = {"refine": False, "report": False, "retry": False} | options
    record = pair.pair(folder / moving, folder / "fixed.nii.gz", out, **options)
    return itk.read(out / "transform.h5"), record


def missed(scans, found, where=None):
    """Return by how many mm landmarks inside the brain are missed in the mean."""
    moving, fixed = (scan.landmarks for scan in scans)
    there = moving if where is None else nibabel.affines.apply_affine(where, moving)
    return metrics.tre(there, found.points(fixed)).mean()


@pytest.fixture(scope="module")
def plain(folder):
    return {kind: run(folder, transform=kind) for kind in finding.KINDS}


def test_heads_with_skulls_are_deformed_onto_each_other(scans, plain):
    found, record = plain["dense"]
    assert record["transform"]["masks_from"] == dict.fromkeys(
        ("moving", "fixed"), "found by us"
    )
    assert record["transform"]["engine"] == "onnxruntime"
    assert len(found.fields) == 1
    before = missed(scans, transform.Transform())
    affine = missed(scans, plain["affine"][0])
    assert affine < 0.8 * before
    assert missed(scans, found) < 0.8 * before
    similar = [
        plain[kind][1]["numbers"]["after"]["local_ncc"] for kind in finding.KINDS
    ]
    assert similar[1] > similar[0] + 0.1


def test_a_dense_transform_keeps_its_start_and_needs_no_affine_network(
    scans, folder, plain
):
    itk.save(folder / "known.tfm", plain["affine"][0])
    found, record = run(folder, start=folder / "known.tfm")
    assert set(record["transform"]["models"]) == {"dense_t1"}
    np.testing.assert_allclose(found.affine, plain["affine"][0].affine, atol=1e-9)
    # The same affine before the same network: the same deformation.
    points = heads.brain_points(scans[1])
    apart = metrics.tre(plain["dense"][0].points(points), found.points(points))
    assert apart.max() < 2.0 and apart.mean() < 0.5


@pytest.mark.parametrize("kind", finding.KINDS)
def test_a_start_brings_home_what_a_header_places_wrongly(scans, folder, plain, kind):
    found, record = run(
        folder, "away.nii.gz", transform=kind, start=folder / "away.tfm"
    )
    still = missed(scans, transform.Transform([AWAY]), AWAY)
    straight = missed(scans, plain[kind][0])
    # Affine: as well as if the header were right. Dense: the start has no affine
    # after it, so the deformation alone has to be better than nothing.
    goal = 1.1 * straight if kind == "affine" else 0.95 * still
    assert missed(scans, found, AWAY) < goal
    after, before = (record["numbers"][when] for when in ("after", "before"))
    assert after["ncc"] > before["ncc"] + 0.1


def test_a_start_the_wrong_way_round_does_not_pass_unseen(scans, folder):
    itk.save(folder / "wrong.tfm", transform.Transform([np.linalg.inv(AWAY)]))
    found, record = run(folder, "away.nii.gz", start=folder / "wrong.tfm")
    assert missed(scans, found, AWAY) > 20
    assert record["warnings"]
