import nibabel
import numpy as np
import pytest
import scipy.io
import SimpleITK

from registration import apply, inputs, itk, transform
from registration.scans import nifti
from tests.registration import heads

MOVING = heads.oblique((20, 18, 16), (2.0, 2.5, 2.2), 10.0)
FIXED = heads.oblique((18, 20, 17), (2.4, 2.2, 2.3), -15.0)
AFFINE = heads.turned(12.0, (3.0, -2.0, 1.0))
BENT = heads.bump(FIXED, [3, -2, 2])


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a scan, labels, a series, a reference and transforms."""
    random = np.random.default_rng(0)
    image = random.uniform(10, 100, MOVING.shape).astype("float32")

    def save(name, data, affine=MOVING.affine):
        nibabel.save(nibabel.Nifti1Image(data, affine), tmp_path / name)

    save("moving.nii.gz", image)
    save("labels.nii.gz", random.integers(0, 5, MOVING.shape).astype("int16"))
    image_4d = nibabel.Nifti1Image(np.stack([image, 2 * image], -1), MOVING.affine)
    image_4d.header.set_zooms((*image_4d.header.get_zooms()[:3], 1.5))
    image_4d.header.set_xyzt_units("mm", "sec")
    nibabel.save(image_4d, tmp_path / "series.nii.gz")
    save("fixed.nii.gz", random.uniform(1, 2, FIXED.shape), FIXED.affine)
    itk.save(tmp_path / "affine.tfm", transform.Transform([AFFINE]))
    itk.save(tmp_path / "bent.nii.gz", transform.Transform([BENT]), FIXED)
    itk.save(tmp_path / "both.h5", transform.Transform([BENT, AFFINE]))
    return tmp_path


def applied(folder, name, chain, out="out.nii.gz", **options):
    chain = [text if "[" in text else folder / text for text in chain]
    apply.apply(folder / name, chain, folder / "fixed.nii.gz", folder / out, **options)
    return np.asarray(nibabel.load(folder / out).dataobj) if "nii" in out else None


def expected(folder, found, mode="linear", name="moving.nii.gz"):
    scan = nibabel.load(folder / name)
    points = found.points(FIXED.points())
    return transform.fetch(scan.get_fdata(), scan.affine, points, mode)


@pytest.mark.parametrize(
    ("chain", "found"),
    [
        (["affine.tfm"], transform.Transform([AFFINE])),
        (["both.h5"], transform.Transform([BENT, AFFINE])),
        (["bent.nii.gz", "affine.tfm"], transform.Transform([BENT, AFFINE])),
        (["affine.tfm", "bent.nii.gz"], transform.Transform([AFFINE, BENT])),
        (["affine.tfm", "affine.tfm"], transform.Transform([AFFINE, AFFINE])),
    ],
)
def test_a_chain_is_passed_in_its_order(folder, chain, found):
    moved = applied(folder, "moving.nii.gz", chain)
    np.testing.assert_allclose(moved, expected(folder, found), atol=0.02)


def test_the_inverse_goes_through_the_whole_chain_the_other_way(folder):
    found = transform.Transform([BENT, AFFINE]).inverse()
    moved = applied(folder, "moving.nii.gz", ["both.h5"], inverse=True)
    np.testing.assert_allclose(moved, expected(folder, found), atol=0.05)


def test_one_of_a_chain_is_inverted_in_brackets(folder):
    chain = ["affine.tfm", f"[{folder / 'affine.tfm'},1]"]
    moved = applied(folder, "moving.nii.gz", chain)
    still = expected(folder, transform.Transform())
    np.testing.assert_allclose(moved, still, atol=0.02)


def test_labels_are_taken_whole(folder):
    found = transform.Transform([BENT, AFFINE])
    moved = applied(folder, "labels.nii.gz", ["both.h5"], kind="labels")
    assert moved.dtype == np.uint8
    same = moved == expected(folder, found, "nearest", "labels.nii.gz")
    # A place on the border of two voxels may fall to either, by a rounding.
    voxels = nibabel.affines.apply_affine(
        np.linalg.inv(MOVING.affine), found.points(FIXED.points())
    )
    clear = (np.abs(voxels - np.floor(voxels) - 0.5) > 1e-4).all(axis=-1)
    assert same[clear].all() and clear.mean() > 0.9


def test_every_volume_of_a_series_is_moved_as_it_would_be_alone(folder):
    one = applied(folder, "moving.nii.gz", ["both.h5"], "one.nii.gz")
    moved = applied(folder, "series.nii.gz", ["both.h5"])
    np.testing.assert_allclose(moved[..., 0], one, atol=1e-3)
    np.testing.assert_allclose(moved[..., 1], 2 * one, atol=2e-3)
    header = nibabel.load(folder / "out.nii.gz").header
    assert header.get_zooms()[3] == pytest.approx(1.5)
    assert header.get_xyzt_units() == ("mm", "sec")


def test_points_go_where_the_voxels_go(folder):
    found = transform.Transform([BENT, AFFINE])
    places = FIXED.points()[4:-4:4, 4:-4:4, 4:-4:4].reshape(-1, 3)
    moving = found.points(places)
    lines = [f"{x},{y},{z},p{i}" for i, (x, y, z) in enumerate(moving)]
    (folder / "points.csv").write_text("x,y,z,name\n" + "\n".join(lines))
    applied(folder, "points.csv", ["both.h5"], "out.csv", kind="points")
    table = inputs.points(folder / "out.csv")
    np.testing.assert_allclose(table.places, places, atol=5e-3)
    assert table.rows[3][3] == "p3"
    (folder / "back.csv").write_text((folder / "out.csv").read_text())
    applied(folder, "back.csv", ["both.h5"], "there.csv", kind="points", inverse=True)
    there = inputs.points(folder / "there.csv").places
    np.testing.assert_allclose(there, moving, atol=1e-3)


def test_what_simpleitk_and_ants_wrote_is_applied(folder):
    lps = np.diag([-1.0, -1, 1, 1]) @ AFFINE @ np.diag([-1.0, -1, 1, 1])
    theirs = SimpleITK.AffineTransform(3)
    theirs.SetMatrix(lps[:3, :3].ravel().tolist())
    theirs.SetTranslation(lps[:3, 3].tolist())
    numbers = np.r_[lps[:3, :3].ravel(), lps[:3, 3]][:, None]
    stored = {"AffineTransform_double_3_3": numbers, "fixed": np.zeros((3, 1))}
    scipy.io.savemat(folder / "0Affine.mat", stored, format="4")
    wanted = expected(folder, transform.Transform([AFFINE]))
    for name in ("its.h5", "its.tfm", "its.txt", "0Affine.mat"):
        if name.startswith("its"):
            SimpleITK.WriteTransform(theirs, str(folder / name))
        moved = applied(folder, "moving.nii.gz", [name], force=True)
        np.testing.assert_allclose(moved, wanted, atol=0.02)


def test_the_result_lies_on_the_references_own_grid(folder):
    image = nibabel.load(folder / "fixed.nii.gz")
    turn = nibabel.orientations.axcodes2ornt("PIR")
    nibabel.save(image.as_reoriented(turn), folder / "fixed.nii.gz")
    applied(folder, "moving.nii.gz", ["both.h5"])
    one, other = (nibabel.load(folder / n) for n in ("fixed.nii.gz", "out.nii.gz"))
    assert one.shape == other.shape
    np.testing.assert_allclose(one.affine, other.affine, atol=1e-4)
    found = transform.Transform([BENT, AFFINE])
    turned = nifti.load(folder / "out.nii.gz").image
    np.testing.assert_allclose(turned, expected(folder, found), atol=0.02)
