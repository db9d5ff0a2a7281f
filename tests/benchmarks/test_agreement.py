import dataclasses
import itertools

import nibabel
import numpy as np
import pytest
import SimpleITK

from benchmarks.accuracy import agreement, agreement_tools
from registration import inputs, itk, pair, quality, transform
from registration.scans import grid as grids
from tests.registration import heads

# A head of a third of the size, on voxels as large as a scan's.
SIZE = 0.34
TOOL = agreement_tools.SimpleItk
GEOMETRIES = agreement.geometries(SIZE)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a function from a geometry to the folder that `pair` has filled for it."""
    folders = {}

    def folder(name):
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp(name.replace(" ", "-"))
            for kind in ("affine", "dense"):
                agreement.written(folders[name], *GEOMETRIES[name], kind, SIZE)
        return folders[name]

    return folder


@pytest.mark.parametrize(
    ("name", "way"), list(itertools.product(GEOMETRIES, agreement.WAYS))
)
def test_simpleitk_reads_our_files_as_we_do(made, name, way):
    found = agreement.compared(TOOL, made(name), way, SIZE)
    assert found["affine_mm"] < 0.01
    assert found["field_mm"] < 0.01
    # Between the voxels of a scan the chain is curved, and its warp is not: the error
    # grows with the square of their size.
    coarse = (name, way) == ("coarse fixed scan", "forward")
    assert found["warp_mm"] < (0.1 if coarse else 0.05)
    percents = [found[f"{kind}_percent"] for kind in agreement.FILES]
    if name == "sheared":
        assert min(percents) > 0.5, "ITK knows shear now: mend what quality warns of"
    elif coarse:
        assert max(percents) > 0.5, "the voxels of a coarse grid are averaged by us"
    else:
        assert max(percents) < 0.5


def test_the_pairs_of_grids_are_what_their_names_say():
    pairs = GEOMETRIES
    assert all(grid.shear < 1e-6 for grid in pairs["oblique"])
    for grid in pairs["oblique"]:
        assert np.abs(grid.affine[:3, :3]).min() > 0.05
    assert np.ptp(pairs["anisotropic"][1].spacing) >= 1
    assert all(np.linalg.det(grid.affine) < 0 for grid in pairs["left-handed"])
    assert nibabel.aff2axcodes(pairs["flipped"][0].affine) != tuple("RAS")
    assert nibabel.aff2axcodes(pairs["flipped"][1].affine) == tuple("LPS")
    assert pairs["different sizes"][0].shape != pairs["different sizes"][1].shape
    assert pairs["sheared"][1].shear > 0.01
    factors = grids.block_factors(
        pairs["coarse fixed scan"][0].affine, pairs["coarse fixed scan"][1]
    )
    assert factors.min() == 2


def test_a_chain_that_does_not_commute_is_followed_in_the_same_order(made):
    found = agreement.chained(made("oblique"), TOOL, SIZE)
    assert found["field_mm"] < 0.01
    assert found["field_percent"] < 0.5
    assert found["swapped_mm"] > 1


def test_a_wrong_file_would_be_noticed(made):
    folder = made("isotropic")
    ours = itk.read(folder / "dense" / "transform.h5")
    places = agreement.random_points(GEOMETRIES["isotropic"][1], SIZE)
    for wrong in ("inverse_transform.h5", "affine.tfm"):
        apart = TOOL.points(folder / "dense" / wrong, places) - ours.points(places)
        assert np.linalg.norm(apart, axis=1).max() > 0.3


def in_simpleitk(matrix):
    """Return a RAS matrix as an affine of SimpleITK about a centre."""
    lps = itk.LPS @ matrix @ itk.LPS
    theirs = SimpleITK.AffineTransform(3)
    centre = np.array([11.0, -7.0, 5.0])
    theirs.SetMatrix(lps[:3, :3].ravel().tolist())
    theirs.SetCenter(centre.tolist())
    theirs.SetTranslation((lps[:3, 3] - centre + lps[:3, :3] @ centre).tolist())
    return theirs


@pytest.mark.parametrize("name", ["start.tfm", "start.h5", "start.txt"])
def test_an_affine_of_simpleitk_is_read_as_the_matrix_that_it_is(tmp_path, name):
    matrix = agreement.known("affine").affine
    theirs = in_simpleitk(matrix)
    SimpleITK.WriteTransform(theirs, str(tmp_path / name))
    np.testing.assert_allclose(itk.read(tmp_path / name).affine, matrix, atol=1e-9)


def test_a_start_of_simpleitk_gives_the_result_that_ours_gives(tmp_path):
    for seed, name in ((0, "moving"), (1, "fixed")):
        head = heads.head(seed, voxel_mm=6.0)
        for end, data in (("", head.image), ("_mask", head.brain().astype("uint8"))):
            image = nibabel.Nifti1Image(data, head.affine)
            nibabel.save(image, tmp_path / f"{name}{end}.nii.gz")
    matrix = heads.turned(10.0, (6.0, -4.0, 5.0))
    itk.save(tmp_path / "ours.tfm", transform.Transform([matrix]))
    SimpleITK.WriteTransform(in_simpleitk(matrix), str(tmp_path / "theirs.h5"))
    found = {}
    for start in ("ours.tfm", "theirs.h5", None):
        out = tmp_path / f"from_{start}"
        pair.pair(
            tmp_path / "moving.nii.gz",
            tmp_path / "fixed.nii.gz",
            out,
            transform="affine",
            refine=False,
            moving_mask=tmp_path / "moving_mask.nii.gz",
            fixed_mask=tmp_path / "fixed_mask.nii.gz",
            start=start and tmp_path / start,
        )
        found[start] = itk.read(out / "transform.h5").affine
    np.testing.assert_allclose(found["theirs.h5"], found["ours.tfm"], atol=1e-5)
    assert np.abs(found[None] - found["ours.tfm"]).max() > 1e-3, "it was not used"


def test_a_scan_that_its_sform_shears_is_warned_of(made):
    folder = made("sheared")
    scans = [inputs.scan(folder / f"{name}.nii.gz") for name in ("moving", "fixed")]
    scans = [
        dataclasses.replace(scan, mask=agreement.brain(scan.grid.points(), SIZE))
        for scan in scans
    ]
    found = agreement.known("affine", SIZE)
    moved = found.apply(scans[0], scans[1].grid)
    numbers = quality.measured(found, *scans, moved, found.inverse())
    masks = {"moving": "given", "fixed": "given"}
    said = quality.warnings(numbers, *scans, found, masks)
    assert sum("The sform of the fixed scan shears it" in text for text in said) == 1
    assert not any("The sform of the moving scan" in text for text in said)


def test_a_warp_on_a_sheared_grid_is_written_on_right_angles_around_it(tmp_path):
    grid = GEOMETRIES["sheared"][1]
    itk.save(tmp_path / "warp.nii.gz", transform.Transform(), grid)
    image = nibabel.load(tmp_path / "warp.nii.gz")
    written = grids.Grid(image.shape[:3], image.affine)
    assert written.shear < 1e-5
    corners = np.indices((2, 2, 2)).reshape(3, -1).T * (np.array(grid.shape) - 1)
    corners = nibabel.affines.apply_affine(grid.affine, corners)
    voxels = nibabel.affines.apply_affine(np.linalg.inv(written.affine), corners)
    assert voxels.min() > -1e-3
    assert (voxels.max(axis=0) <= np.array(written.shape) - 1 + 1e-3).all()
