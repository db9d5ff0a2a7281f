"""The code of the page `try`, run by Node, held to Python on the same files."""

import json
import subprocess

import nibabel
import numpy as np
import pytest

from registration import itk, pair
from registration.scans import nifti
from tools import demo_pairs, notebooks, try_page

CLOSE_MM, CLOSE = 0.05, 1e-3
# A name, whether the networks' answers are refined, and what is found.
CASES = [("head", False, "dense"), ("brain", True, "dense"), ("brain", False, "affine")]


@pytest.fixture(scope="session")
def script():
    """Build the script for Node."""
    if try_page.missing():
        pytest.skip(f"the page try cannot be built here: {try_page.missing()}")
    return try_page.node_script(try_page.SOURCE / "build")


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """Make the built-in pairs once."""
    folder = tmp_path_factory.mktemp("pairs")
    demo_pairs.heads(folder)
    demo_pairs.brains(folder)
    return folder


def run(script, *words):
    """Run the script; show what it said where it fails."""
    done = subprocess.run(
        ["node", script, *map(str, words)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


def drawn(path, scan):
    """Write a label map of a scan: how bright it is, in four steps."""
    image = nibabel.load(scan)
    bright = np.asarray(image.dataobj)
    steps = (bright // 64 + (bright > 0)).astype("int16")
    nibabel.save(nibabel.Nifti1Image(steps, image.affine), path)
    return path


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(map(str, case)))
def both(request, script, pairs, tmp_path_factory):
    """Register a pair here and there; return both folders and the points asked for."""
    name, refine, kind = request.param
    files = [pairs / f"{name}_{role}.nii.gz" for role in ("moving", "fixed")]
    here, there = (tmp_path_factory.mktemp(side) for side in ("python", "node"))
    labels = drawn(there / "drawn.nii", files[0])
    options = {"transform": kind, "refine": refine, "labels": labels}
    options |= {"report": False, "retry": False}
    pair.pair(*files, here / "out", **options)
    fixed = nibabel.load(files[1])
    points = nibabel.affines.apply_affine(
        fixed.affine,
        np.argwhere(np.asarray(nibabel.load(files[1]).dataobj) > 60)[::997],
    )
    (there / "points.json").write_text(json.dumps(points.tolist()))
    wishes = [kind, labels] + ["refine"] * refine
    run(script, "register", notebooks.ROOT / "models", *files, there, *wishes)
    return here / "out", there, points


def record(folder):
    """Return what was written about a registration."""
    return json.loads((folder / "registration.json").read_text())


def test_points_go_where_python_sends_them(both):
    here, there, points = both
    found = itk.read(here / "transform.h5").points(points)
    gaps = np.linalg.norm(found - record(there)["carried"], axis=1)
    print(f"points: {gaps.max():.5f} mm at most, {gaps.mean():.5f} in the mean")
    assert gaps.max() < CLOSE_MM


def test_points_come_back(both):
    _, there, points = both
    gaps = np.linalg.norm(record(there)["back"] - points, axis=1)
    # In the skull, which no network was trained to match, the field may fold.
    assert np.quantile(gaps, 0.99) < CLOSE_MM


def test_the_moved_scan_is_that_of_python(both):
    here, there, _ = both
    one, two = (nibabel.load(folder / "moved.nii.gz") for folder in (here, there))
    np.testing.assert_array_equal(one.affine, two.affine)
    assert two.header["sform_code"] == two.header["qform_code"] == 1
    np.testing.assert_allclose(two.get_qform(), two.affine, atol=1e-4)
    gaps = np.abs(one.get_fdata() - two.get_fdata()) / np.ptp(one.get_fdata())
    print(f"intensities: {gaps.max():.2e} of the range at most")
    # Steps of Adam go along the sign of a gradient, also where it is next to nothing
    # and rounding decides: there a refined velocity is not the same everywhere.
    assert np.quantile(gaps, 0.999) < CLOSE
    assert gaps.max() < (0.05 if record(here)["transform"]["refined"] else CLOSE)


def test_the_labels_are_carried_as_python_carries_them(both):
    one, two = (nibabel.load(folder / "labels.nii.gz") for folder in both[:2])
    assert two.get_data_dtype() == "int32"
    one, two = np.asarray(one.dataobj), np.asarray(two.dataobj)
    assert len(np.unique(two)) == 5
    assert np.mean(one != two) < CLOSE


def test_the_files_of_itk_say_the_same(both):
    here, there, points = both
    for name in ("affine.tfm", "warp.nii.gz"):
        one, two = (itk.read(folder / name).points(points) for folder in (here, there))
        assert np.linalg.norm(one - two, axis=1).max() < CLOSE_MM, name


def test_the_verdict_and_the_numbers_are_those_of_python(both):
    here, there, _ = map(lambda x: record(x) if hasattr(x, "glob") else x, both)
    for name in ("level", "reasons"):
        assert here["verdict"][name] == there["verdict"][name]
    measured = here["verdict"]["measures"]
    for name, value in there["verdict"]["measures"].items():
        assert value == pytest.approx(measured[name], rel=2e-3, abs=2e-3), name
    for when in ("before", "after"):
        assert there["numbers"][when] == pytest.approx(here["numbers"][when], rel=1e-3)
    assert here["transform"]["masks_from"] == there["masksFrom"]


def scan_file(
    path, *, dtype="int16", turn=(0, 1, 2), order="<", two=False, qform=False
):
    """Write a small scan in some form, and return its path."""
    random = np.random.default_rng(7)
    data = random.integers(0, 100, (5, 6, 7)).astype(dtype)
    affine = np.zeros((4, 4))
    for stored, axis in enumerate(turn):
        affine[axis, stored] = (-1) ** stored * (1 + stored / 4)
    affine[:3, :3] += 0.05 * random.standard_normal((3, 3)) * (not qform)
    affine[:, 3] = 3, -20, 11, 1
    kind = nibabel.Nifti2Image if two else nibabel.Nifti1Image
    image = kind(data, affine)
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(0.5, 3)
    if qform:
        image.set_sform(None)
    image = kind(data, None, image.header.as_byteswapped(order))
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("plain.nii", {}),
        ("packed.nii.gz", {"turn": (2, 0, 1), "dtype": "uint8"}),
        ("swapped.nii", {"order": ">", "dtype": "float32"}),
        ("second.nii.gz", {"two": True, "turn": (1, 2, 0), "dtype": "float64"}),
        ("turned.nii", {"qform": True, "turn": (1, 0, 2), "dtype": "uint16"}),
    ],
)
def test_a_file_is_read_as_python_reads_it(script, tmp_path, name, options):
    path = scan_file(tmp_path / name, **options)
    run(script, "read", path, tmp_path)
    known = nifti.load(path)
    grid = json.loads((tmp_path / "grid.json").read_text())
    voxels = np.fromfile(tmp_path / "voxels.bin", "float32").reshape(grid["shape"])
    np.testing.assert_allclose(grid["affine"], known.affine, atol=1e-5)
    np.testing.assert_allclose(voxels, known.image, rtol=1e-6)


def test_what_python_refuses_is_refused(script, tmp_path):
    path = tmp_path / "slice.nii"
    nibabel.save(nibabel.Nifti1Image(np.ones((5, 5, 1), "uint8"), np.eye(4)), path)
    with pytest.raises(ValueError, match="slice"):
        nifti.load(path)
    run(script, "read", path, tmp_path)
    assert "Choose a 3D scan" in (tmp_path / "wrong.txt").read_text()
