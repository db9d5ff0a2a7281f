import gzip
import itertools
import os
import subprocess
import sys

import nibabel
import numpy as np
import pytest

from registration.scans import nifti
from tests.scans import nifti_files

AXES = ["".join(a) for a in itertools.product("RL", "AP", "SI")]
AXES = sorted("".join(p) for a in AXES for p in itertools.permutations(a))


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "name, content, message",
    [pytest.param(*case[1:], id=case[0]) for case in nifti_files.REFUSED],
)
def test_a_bad_file_is_refused_by_name_and_reason(tmp_path, name, content, message):
    path = write(tmp_path, name, content)
    with pytest.raises(ValueError) as caught:
        nifti.load(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert "Received: " in str(caught.value)


def test_at_least_forty_kinds_of_bad_file_are_tried():
    assert len({case[0] for case in nifti_files.REFUSED}) >= 40


def test_the_file_that_the_bad_ones_are_made_from_is_read(tmp_path):
    for name, content in (
        ("a.nii", nifti_files.GOOD),
        ("a.nii.gz", nifti_files.PACKED),
    ):
        scan = nifti.load(write(tmp_path, name, content))
        np.testing.assert_array_equal(scan.image, nifti_files.voxels())
        np.testing.assert_array_equal(scan.affine, nifti_files.AFFINE)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.nii", tmp_path / "folder.nii"):
        (tmp_path / "folder.nii").mkdir(exist_ok=True)
        with pytest.raises(ValueError, match=f"{path.name}: cannot be read"):
            nifti.load(path)


def test_a_header_of_random_bytes_never_fails_in_another_way(tmp_path):
    random = np.random.default_rng(0)
    read = 0
    for _ in range(1500):
        raw = bytearray(nifti_files.GOOD)
        for place in random.integers(0, 352, random.integers(1, 12)):
            raw[place] = random.integers(256)
        path = write(tmp_path, "fuzzed.nii", bytes(raw))
        try:
            scan = nifti.load(path, max_bytes=2**24)
        except ValueError as error:
            assert str(path) in str(error)
        else:
            read += 1
            assert scan.image.dtype == np.float32 and np.isfinite(scan.image).all()
            assert np.isfinite(scan.affine).all()
    assert 100 < read < 1400


def test_a_packed_file_with_random_bytes_never_fails_in_another_way(tmp_path):
    random = np.random.default_rng(1)
    for _ in range(300):
        raw = bytearray(nifti_files.PACKED)
        raw[random.integers(2, len(raw))] = random.integers(256)
        path = write(tmp_path, "fuzzed.nii.gz", bytes(raw))
        try:
            nifti.load(path, max_bytes=2**24)
        except ValueError as error:
            assert str(path) in str(error)


def test_a_huge_array_is_refused_before_memory_is_taken(tmp_path):
    dim = (3, 2000, 2000, 2000, 1, 1, 1, 1)
    path = write(tmp_path, "big.nii.gz", gzip.compress(nifti_files.whole(dim=dim)))
    code = (
        "import sys\n"
        "from registration.scans import nifti\n"
        "from tests.scans.peak import peak_bytes\n"
        "before = peak_bytes()\n"
        "try:\n    nifti.load(sys.argv[1], max_bytes=2**30)\n"
        "except ValueError:\n    pass\n"
        "print((peak_bytes() - before) // 1024)\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 4096, "kilobytes"


@pytest.mark.parametrize("axes", AXES)
def test_every_orientation_reads_as_nibabel_turns_it(tmp_path, axes):
    data = nifti_files.voxels()
    turn = nibabel.orientations.axcodes2ornt(axes)
    affine = nibabel.orientations.inv_ornt_aff(turn, (9, 9, 9)) @ np.diag(
        [1, 2, 3, 1.0]
    )
    affine[:3, :3] += 0.05 * np.arange(9).reshape(3, 3) / 9
    path = tmp_path / "a.nii.gz"
    nifti.save(path, data, affine)
    scan = nifti.load(path)
    oracle = nibabel.as_closest_canonical(nibabel.load(path))
    assert scan.stored.axes == "".join(nibabel.aff2axcodes(affine))
    np.testing.assert_array_equal(scan.image, oracle.get_fdata())
    np.testing.assert_allclose(scan.affine, oracle.affine, atol=1e-5)
    np.testing.assert_allclose(scan.stored.affine, affine, atol=1e-5)


@pytest.mark.parametrize(
    "kind",
    "u1 i1 u2 i2 >i2 u4 i4 u8 i8 f4 >f4 f8 >f8".split(),
)
def test_every_real_voxel_type_and_byte_order_is_read(tmp_path, kind):
    data = nifti_files.voxels(kind) % 100
    image = nibabel.Nifti1Image(data, nifti_files.AFFINE, dtype=np.dtype(kind))
    endian = ">" if kind.startswith(">") else "<"
    image = nibabel.Nifti1Image(
        data, nifti_files.AFFINE, image.header.as_byteswapped(endian)
    )
    nibabel.save(image, tmp_path / "a.nii")
    scan = nifti.load(tmp_path / "a.nii")
    np.testing.assert_array_equal(scan.image, data.astype("float32"))
    assert scan.image.dtype == np.float32
    assert scan.stored.dtype.itemsize == np.dtype(kind).itemsize


@pytest.mark.parametrize("kind", ["u1", "i2", "f8"])
def test_slope_and_intercept_are_applied(tmp_path, kind):
    codes = {"u1": (2, 8), "i2": (4, 16), "f8": (64, 64)}
    code, bits = codes[kind]
    data = (nifti_files.voxels("i4") % 256).astype(kind)
    raw = nifti_files.whole(data, code=code, bits=bits, slope=0.25, inter=-3.0)
    scan = nifti.load(write(tmp_path, "a.nii", raw))
    np.testing.assert_allclose(scan.image, data * 0.25 - 3.0, rtol=1e-6)


@pytest.mark.parametrize("slope", [0.0, float("nan")])
def test_a_slope_of_zero_or_nan_means_none(tmp_path, slope):
    scan = nifti.load(write(tmp_path, "a.nii", nifti_files.whole(slope=slope, inter=9)))
    np.testing.assert_array_equal(scan.image, nifti_files.voxels())


def test_one_volume_in_4d_is_squeezed_and_nifti_2_is_read(tmp_path):
    one = nifti_files.whole(dim=(4, *nifti_files.SHAPE, 1, 1, 1, 1))
    for raw in (one, nifti_files.nifti_2()):
        scan = nifti.load(write(tmp_path, "a.nii", raw))
        np.testing.assert_array_equal(scan.image, nifti_files.voxels())


@pytest.mark.parametrize("units, factor", [(1, 1000.0), (3, 0.001)])
def test_metres_and_microns_become_millimetres(tmp_path, units, factor):
    srow = nifti_files.AFFINE / factor
    scan = nifti.load(
        write(tmp_path, "a.nii", nifti_files.whole(units=units, srow=srow))
    )
    np.testing.assert_allclose(scan.affine, nifti_files.AFFINE, rtol=1e-6)


def test_the_qform_counts_where_there_is_no_sform(tmp_path):
    image = nibabel.Nifti1Image(nifti_files.voxels("i2"), None)
    affine = nibabel.affines.from_matvec(
        nibabel.eulerangles.euler2mat(0.1, 0.2, 0.3) * [1, 2, 3], [4, 5, 6]
    )
    image.set_qform(affine, code=1)
    image.set_sform(None, code=0)
    nibabel.save(image, tmp_path / "a.nii")
    np.testing.assert_allclose(
        nifti.load(tmp_path / "a.nii").stored.affine, affine, atol=1e-5
    )


def test_bad_voxels_can_be_set_to_zero(tmp_path):
    path = write(tmp_path, "a.nii", nifti_files.with_value(float("nan"), count=5))
    scan = nifti.load(path, nonfinite="zero")
    assert np.count_nonzero(scan.image == 0) == 5
    with pytest.raises(ValueError, match="Received: drop"):
        nifti.load(path, nonfinite="drop")


def test_concatenated_gzip_members_are_read_as_one(tmp_path):
    parts = gzip.compress(nifti_files.GOOD[:500]) + gzip.compress(
        nifti_files.GOOD[500:]
    )
    scan = nifti.load(write(tmp_path, "a.nii.gz", parts))
    np.testing.assert_array_equal(scan.image, nifti_files.voxels())


@pytest.fixture
def scan(tmp_path):
    nifti.save(tmp_path / "scan.nii.gz", nifti_files.voxels(), nifti_files.AFFINE)
    return nifti.load(tmp_path / "scan.nii.gz")


LABELS = np.arange(336).reshape(nifti_files.SHAPE) % 9


def test_labels_on_the_grid_of_their_scan_keep_their_numbers(tmp_path, scan):
    for top, kind in ((8, "uint8"), (900, "uint16"), (90_000, "int32")):
        labels = LABELS * (top // 8)
        nifti.save(tmp_path / "l.nii.gz", labels, nifti_files.AFFINE)
        found = nifti.load_labels(tmp_path / "l.nii.gz", scan)
        assert found.dtype == kind
        np.testing.assert_array_equal(found, labels)


@pytest.mark.parametrize(
    "labels, shift_mm, message",
    [
        (LABELS[:-1], 0.0, "its grid is not that of its scan"),
        (LABELS, 0.2, "its affine is not that of its scan"),
        (LABELS + 0.5, 0.0, "labels are not whole"),
        (LABELS - 1, 0.0, "a label is negative"),
        (LABELS * 0, 0.0, "no voxel is labelled"),
        (LABELS * 2.0**24, 0.0, "above 2"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path, scan, labels, shift_mm, message):
    affine = nifti_files.AFFINE.copy()
    affine[0, 3] += shift_mm
    nifti.save(tmp_path / "l.nii.gz", labels, affine)
    with pytest.raises(ValueError, match=message) as caught:
        nifti.load_labels(tmp_path / "l.nii.gz", scan)
    assert "l.nii.gz" in str(caught.value)


def test_labels_stored_in_other_axes_than_their_scan_are_turned_with_it(tmp_path, scan):
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.axcodes2ornt("RAS"),
        nibabel.orientations.axcodes2ornt("PSR"),
    )
    stored = nibabel.Nifti1Image(LABELS.astype("u1"), nifti_files.AFFINE)
    nibabel.save(stored.as_reoriented(turn), tmp_path / "l.nii.gz")
    np.testing.assert_array_equal(
        nifti.load_labels(tmp_path / "l.nii.gz", scan), LABELS
    )


def test_a_saved_file_has_its_affine_units_and_description(tmp_path):
    affine = np.array([[0, 0, 2.0, -9], [-1.5, 0, 0, 4], [0, 3.0, 0, 5], [0, 0, 0, 1]])
    nifti.save(tmp_path / "a.nii.gz", LABELS.astype("float64"), affine, "a moved head")
    image = nibabel.load(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(image.get_sform(), affine, atol=1e-6)
    np.testing.assert_allclose(image.get_qform(), affine, atol=1e-5)
    assert image.header.get_xyzt_units()[0] == "mm"
    assert image.header["descrip"].item() == b"a moved head"
    assert image.get_data_dtype() == np.float32


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"path": "a.mgz"}, "must end in"),
        ({"data": LABELS[0]}, "must be 3D or 4D"),
        ({"data": LABELS[:0]}, "must be 3D or 4D"),
        ({"data": LABELS * np.nan}, "must be finite"),
        ({"affine": np.eye(3)}, r"must be \(4, 4\)"),
        ({"affine": np.zeros((4, 4))}, "affine is zero"),
        ({"description": "x" * 80}, "79 ASCII"),
        ({"description": "naïve"}, "79 ASCII"),
    ],
)
def test_saving_what_could_not_be_read_again_is_refused(tmp_path, changes, message):
    given = {"path": "a.nii", "data": LABELS, "affine": nifti_files.AFFINE, **changes}
    given["path"] = tmp_path / given["path"]
    with pytest.raises(ValueError, match=message):
        nifti.save(**given)
    assert not any(tmp_path.iterdir())


def test_a_failed_save_leaves_the_old_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "a.nii.gz"
    nifti.save(path, LABELS, nifti_files.AFFINE)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError):
        nifti.save(path, LABELS * 2, nifti_files.AFFINE)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.nii.gz"]


def test_the_limit_of_memory_counts_every_copy(tmp_path):
    path = write(tmp_path, "a.nii", nifti_files.GOOD)
    # An int16 and its float32 copy, then that copy, a turned one and a mark a voxel.
    needed = 336 * max(2 + 4, 4 + 4, 4 + 4 + 1)
    assert nifti.load(path, max_bytes=needed).image.size == 336
    with pytest.raises(ValueError, match="would take .* more than the .* MiB allowed"):
        nifti.load(path, max_bytes=needed - 1)


PEAK = """
import sys
from registration.scans import nifti
from tests.scans.peak import peak_bytes
before = peak_bytes()
try:
    nifti.load(sys.argv[1], max_bytes=int(sys.argv[2]))
    print("read")
except ValueError as error:
    print(error)
print((peak_bytes() - before) // 1024)
"""


def measured(path, max_bytes):
    """Read a file in a process of its own; return what it said and its kilobytes."""
    command = [sys.executable, "-c", PEAK, str(path), str(max_bytes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *said, kilobytes = done.stdout.splitlines()
    return " ".join(said), int(kilobytes)


@pytest.mark.parametrize("beyond", [0, 1, 2**20 - 1, 2**20, 2**20 + 1])
def test_gzip_members_after_the_promised_end_are_not_unpacked(tmp_path, beyond):
    promised = nifti_files.GOOD + bytes(beyond)
    bomb = gzip.compress(promised) + gzip.compress(bytes(2**28), 9)
    path = write(tmp_path, "bomb.nii.gz", bomb)
    said, kilobytes = measured(path, 10 * 2**20)
    assert "more than its header promises" in said
    assert kilobytes < 16 * 1024


def test_a_large_file_with_a_small_header_is_not_read_whole(tmp_path):
    path = tmp_path / "long.nii"
    with path.open("wb") as file:
        file.write(nifti_files.GOOD)
        file.truncate(2**31)
    said, kilobytes = measured(path, 10 * 2**20)
    assert said == "read" or "more than its header promises" in said
    assert kilobytes < 16 * 1024


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")
def test_what_is_not_a_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.nii")
    (tmp_path / "folder.nii").mkdir()
    for name in ("pipe.nii", "folder.nii", "none.nii"):
        with pytest.raises(ValueError, match=name):
            nifti.load(tmp_path / name)


def test_a_process_that_may_not_have_the_memory_says_so(tmp_path, monkeypatch):
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti_files.whole())

    def none_left(*arguments):
        raise MemoryError("Unable to allocate 9 GiB")

    monkeypatch.setattr(nifti.np, "empty", none_left)
    with pytest.raises(ValueError, match=r"scan\.nii: .* may have\. Received: Unable"):
        nifti.load(path)
