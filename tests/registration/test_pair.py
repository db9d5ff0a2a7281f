import json

import nibabel
import numpy as np
import pytest
import SimpleITK

from registration import (
    inputs,
    itk,
    pair,
    provenance,
    quality,
    report,
    transform,
)
from registration.scans import nifti
from tests.registration import heads

GRID = heads.oblique((24, 26, 22), (6.0, 5.5, 6.5))


def save(path, data, affine, axes="RAS"):
    """Write a volume with its axes stored in another order."""
    image = nibabel.Nifti1Image(data, affine)
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.io_orientation(affine),
        nibabel.orientations.axcodes2ornt(axes),
    )
    nibabel.save(image.as_reoriented(turn), path)


def head(grid=GRID):
    """Return a blob with some texture, and two labels, on a grid."""
    middle = heads.bump(grid, [0, 0, 1]).displacement[..., 2]
    noise = np.random.default_rng(0).uniform(1, 20, grid.shape)
    labels = (middle > 0.3).astype("uint8") + (middle > 0.7)
    return (100 * middle + noise).astype("float32"), labels.astype("uint8")


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Leave the pictures out, which take seconds; test_report looks at them."""
    names = ("slider", "outlines", "lines", "jacobian")
    monkeypatch.setattr(report, "pictures", lambda *scans: dict.fromkeys(names, ""))


@pytest.fixture
def files(tmp_path):
    image, labels = head()
    save(tmp_path / "moving.nii.gz", image, GRID.affine, "PIR")
    save(tmp_path / "moving_labels.nii.gz", labels, GRID.affine, "PIR")
    save(tmp_path / "fixed.nii.gz", image, GRID.affine, "LSA")
    save(tmp_path / "fixed_labels.nii.gz", labels, GRID.affine, "LSA")
    x, y, z = GRID.centre
    (tmp_path / "points.csv").write_text(f"name,x,y,z\na,{x},{y},{z}\n")
    return tmp_path


@pytest.fixture
def done(files, monkeypatch):
    """Return the folder, its results and their record, the networks being replaced."""
    heads.replace_networks(monkeypatch)
    record = pair.pair(
        files / "moving.nii.gz",
        files / "fixed.nii.gz",
        files / "out",
        labels=files / "moving_labels.nii.gz",
        fixed_labels=files / "fixed_labels.nii.gz",
        points=files / "points.csv",
        inverse=True,
    )
    return files, files / "out", record


def by_simpleitk(found, source, reference):
    """Resample by SimpleITK; return where its result is inside the source, and it."""
    source = SimpleITK.Cast(SimpleITK.ReadImage(str(source)), SimpleITK.sitkFloat32)
    reference = SimpleITK.ReadImage(str(reference))
    moved = SimpleITK.Resample(source, reference, found, SimpleITK.sitkLinear, -1.0)
    return SimpleITK.GetArrayFromImage(moved)


@pytest.mark.parametrize("way", ["", "inverse_"])
@pytest.mark.parametrize("name", ["transform.h5", "warp.nii.gz"])
def test_simpleitk_moves_the_scan_as_we_do(done, way, name):
    folder, out, _ = done
    source, reference = ("moving", "fixed") if not way else ("fixed", "moving")
    path = str(out / f"{way}{name}")
    if name.endswith(".h5"):
        found = SimpleITK.ReadTransform(path)
    else:
        field = SimpleITK.ReadImage(path, SimpleITK.sitkVectorFloat64)
        found = SimpleITK.DisplacementFieldTransform(field)
    theirs = by_simpleitk(
        found, folder / f"{source}.nii.gz", folder / f"{reference}.nii.gz"
    )
    ours = SimpleITK.GetArrayFromImage(
        SimpleITK.ReadImage(str(out / f"{way}moved.nii.gz"))
    )
    # At its border a scan ends within half a voxel for ITK, within one for us.
    inside = (theirs > 0) & (np.abs(ours - theirs) < 5)
    assert inside.sum() > 0.97 * (theirs > 0).sum() > 5000
    middle = tuple(slice(size // 5, -size // 5) for size in ours.shape)
    np.testing.assert_allclose(ours[middle], theirs[middle], atol=0.01)


def test_results_lie_on_the_fixed_scans_own_grid(done):
    folder, out, _ = done
    fixed = nibabel.load(folder / "fixed.nii.gz")
    assert nibabel.aff2axcodes(fixed.affine) == tuple("LSA")
    for name in ("moved.nii.gz", "labels.nii.gz", "warp.nii.gz"):
        image = nibabel.load(out / name)
        assert image.shape[:3] == fixed.shape
        np.testing.assert_allclose(image.affine, fixed.affine, atol=1e-4)
    assert set(np.unique(nibabel.load(out / "labels.nii.gz").dataobj)) == {0, 1, 2}


def test_points_and_matrices_say_the_same_as_the_transform(done):
    folder, out, _ = done
    found = itk.read(out / "transform.h5")
    places = inputs.points(out / "points.csv").places
    np.testing.assert_allclose(found.points(places)[0], GRID.centre, atol=0.01)
    np.testing.assert_allclose(
        np.loadtxt(out / "affine.txt"), heads.turned(4.0, (2, -1, 3)), atol=1e-9
    )
    np.testing.assert_allclose(
        itk.read(out / "affine.tfm").affine, found.affine, atol=1e-9
    )


def test_the_record_says_what_was_read_and_written(done):
    folder, out, record = done
    stored = json.loads((out / "registration.json").read_text())
    assert stored == record
    written = {p.name for p in out.iterdir()}
    assert written == set(pair.NAMES.values())
    for name, digits in stored["files"].items():
        assert provenance.sha256(out / name) == digits
    moving = stored["inputs"]["moving"]
    assert moving["sha256"] == provenance.sha256(folder / "moving.nii.gz")
    assert {"numpy", "python"} <= stored["versions"].keys()
    assert 0 < sum(stored["seconds"].values()) <= stored["seconds_total"]
    assert stored["peak_memory_mib"] > 10
    assert 0 < stored["numbers"]["after"]["dice"] < 1
    assert stored["numbers"]["there_and_back_mm"] < 0.1


def test_force_removes_only_what_an_earlier_run_made(done):
    folder, out, _ = done
    (out / "mine.txt").write_text("mine")
    (out / "labels.nii.gz").write_bytes(b"changed by hand")
    given = folder / "moving.nii.gz", folder / "fixed.nii.gz", out
    with pytest.raises(ValueError, match="--force"):
        pair.pair(*given, transform="affine")
    pair.pair(*given, transform="affine", force=True)
    left = {p.name for p in out.iterdir()}
    assert {"mine.txt", "labels.nii.gz"} <= left
    assert not any(name.startswith("inverse_") for name in left)
    assert "points.csv" not in left
    assert (out / "labels.nii.gz").read_bytes() == b"changed by hand"


def test_a_failure_in_the_middle_leaves_nothing(files, monkeypatch):
    heads.replace_networks(monkeypatch)

    def fails(*arguments):
        raise OSError("no space left on device")

    monkeypatch.setattr(report, "pictures", fails)
    before = set(files.iterdir())
    with pytest.raises(OSError, match="no space"):
        pair.pair(
            files / "moving.nii.gz", files / "fixed.nii.gz", files / "new" / "deep"
        )
    assert set(files.iterdir()) == before


def test_bids_names_and_sidecars(files, monkeypatch):
    heads.replace_networks(monkeypatch)
    moving = files / "sub-01_ses-2_T1w.nii.gz"
    (files / "moving.nii.gz").rename(moving)
    out = files / "derivatives"
    pair.pair(moving, files / "fixed.nii.gz", out, transform="affine", bids=True)
    home = out / "sub-01" / "ses-2" / "anat"
    stem = "sub-01_ses-2_space-fixed_desc-preproc_T1w"
    assert (home / f"{stem}.nii.gz").exists()
    sidecar = json.loads((home / f"{stem}.json").read_text())
    assert sidecar["SpatialReference"].endswith("fixed.nii.gz")
    assert sidecar["SkullStripped"] is False
    assert (home / "sub-01_ses-2_from-01_to-fixed_mode-image_xfm.h5").exists()
    about = json.loads((out / "dataset_description.json").read_text())
    assert about["DatasetType"] == "derivative"
    ignored = (out / ".bidsignore").read_text().split()
    assert "*_xfm.*" in ignored and not any("T1w" in line for line in ignored)


def test_a_brain_is_told_from_a_head():
    brain = heads.head([7, 0])
    mask = inputs.stripped_mask(brain)
    assert mask is not None and 1000 < inputs.volume_ml(mask, brain) < 2300
    assert inputs.stripped_mask(heads.head([7, 0], skull=True)) is None


def test_a_faded_field_keeps_its_inside_and_ends_in_nothing():
    box = heads.oblique((12, 14, 10), (3.0, 3.0, 3.0))
    random = np.random.default_rng(0)
    there = np.full((*box.shape, 3), [3.0, -2, 1], "float32")
    there += random.uniform(-0.2, 0.2, there.shape).astype("float32")
    field = transform.Field(box, there, -there).faded(12.0)
    np.testing.assert_array_equal(field.displacement[4:-4, 4:-4, 4:-4], there)
    for axis in range(3):
        edges = np.moveaxis(field.displacement, axis, 0)[[0, -1]]
        assert np.abs(edges).max() == 0
    points = field.grid.points()
    missed = field.inverse().points(field.points(points)) - points
    rim = np.ones(field.grid.shape, bool)
    rim[6:-6, 6:-6, 6:-6] = False
    assert np.linalg.norm(missed[rim], axis=-1).mean() < 0.1


def test_points_back_undo_a_bent_transform():
    found = transform.Transform([heads.bump(GRID, [4, -3, 2]), heads.turned(20.0)])
    points = GRID.points()[::5, ::5, ::5].reshape(-1, 3).astype("float64")
    back = pair.points_back(found, found.points(points))
    np.testing.assert_allclose(back, points, atol=2e-3)


def test_a_warning_says_that_the_brains_do_not_overlap(done):
    folder, out, record = done
    scan = nifti.load(folder / "fixed.nii.gz")
    scan = type(scan)(scan.image, scan.affine, mask=scan.image > 110)
    numbers = record["numbers"] | {
        "after": record["numbers"]["after"] | {"brain_dice": 0.2, "ncc": 0.1},
        "folded_percent": 3.0,
    }
    how = {"moving": "given", "fixed": "given"}
    found = transform.Transform([np.diag([2.0, 1, 1, 1])])
    said = " ".join(quality.warnings(numbers, scan, scan, found, how))
    for text in ("overlap by a Dice of 0.20", "NCC 0.10", "folded", "2.00", "-mask"):
        assert text in said


def test_the_local_ncc_is_one_of_equal_and_little_of_unlike_images():
    one, other = np.random.default_rng(0).normal(size=(2, 16, 16, 16))
    inside = np.ones(one.shape, bool)
    assert quality.local_ncc(one, 3 - 2 * one, inside) == pytest.approx(1)
    assert quality.local_ncc(one, other, inside) < 0.05
    assert quality.local_ncc(one, 0 * one, inside) == 0
