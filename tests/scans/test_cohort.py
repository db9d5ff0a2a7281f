import gzip
import json
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse

import nibabel
import numpy as np
import pytest

from registration.scans import cohort, download, nifti
from registration.scans import grid as grids
from registration.scans.sources import openneuro
from registration.scans.sources import record as records
from tests.scans import file_server, nifti_files
from tests.scans.heads import ROTATED, SHAPE, blob, found_in, load, save_plain

REAL = pathlib.Path(os.environ.get("REGISTRATION_DATA", "nowhere")) / "ixi"
SCANS = pathlib.Path(cohort.__file__).parent
needs_scans = pytest.mark.skipif(
    not (REAL / "Nifti").is_dir(), reason="REGISTRATION_DATA holds no IXI scans"
)


def test_scans_in_any_axis_order_lie_where_their_affines_say(bids):
    made = load(bids)
    for split in (made.fixed, made.train, made.test):
        for place, name in enumerate(split.ids):
            number = int(name[-2:])
            mass = np.moveaxis(np.indices(made.shape), 0, -1)
            weights = split.images(place)[0] ** 2
            assert made.shape == split.images(place).shape[1:-1]
            index = (mass * weights).sum((0, 1, 2)) / weights.sum()
            found = nibabel.affines.apply_affine(made.affine, index)
            truth = grids.Grid(SHAPE, ROTATED).centre + (number, -number, 0)
            # The blob is cut a little by the border of its scan.
            np.testing.assert_allclose(found, truth, atol=0.35)


def test_one_bad_file_names_itself_and_does_not_lose_the_others(bids, capsys):
    bad = bids / "derivatives/fmriprep/sub-02/anat/sub-02_desc-preproc_T1w.nii.gz"
    bad.write_bytes(bad.read_bytes()[:900])
    made = load(bids)
    kept = made.fixed.ids + made.train.ids + made.test.ids
    assert len(kept) == 7 and "sub-02" not in kept
    name, message = made.problems[0]
    assert name == "sub-02" and str(bad) in message and "truncated" in message
    assert "left out sub-02" in capsys.readouterr().out
    with pytest.raises(ValueError, match="truncated"):
        load(bids, strict=True)


def test_a_mask_on_another_grid_leaves_its_scan_out(bids):
    bad = bids / "derivatives/fmriprep/sub-02/anat/sub-02_desc-brain_mask.nii.gz"
    nifti.save(bad, np.ones((4, 4, 4)), ROTATED)
    name, message = load(bids).problems[0]
    assert name == "sub-02" and str(bad) in message and "grid" in message


def test_a_bad_fixed_scan_gives_way_to_the_next_unless_it_was_chosen(bids):
    bad = bids / "derivatives/fmriprep/sub-00/anat/sub-00_desc-preproc_T1w.nii.gz"
    bad.write_bytes(b"nothing")
    made = load(bids)
    assert len(made.fixed) == 1 and made.fixed.ids != ["sub-00"]
    assert made.problems[0][0] == "sub-00"
    with pytest.raises(ValueError, match="not NIfTI"):
        load(bids, fixed="sub-00")


def test_a_scan_far_from_the_fixed_one_is_left_out_or_centred(tmp_path):
    for number, far in enumerate((0, 0, 0, 0, 500)):
        affine = ROTATED.copy()
        affine[0, 3] += far
        nifti.save(tmp_path / f"scan{number}.nii", blob(), affine)
    ((name, message),) = load(tmp_path).problems
    assert name == "scan4" and "outside the grid of the fixed scan" in message
    made = load(tmp_path, align="centres")
    assert made.problems == []
    near = np.r_[made.train.images(), made.test.images()]
    np.testing.assert_allclose(near, near[:1].repeat(4, 0), atol=1e-4)


def test_without_skull_everything_outside_the_mask_is_zero_before_resampling(bids):
    made, bare = load(bids), load(bids, skull=False)
    for split, bare_split in ((made.train, bare.train), (made.fixed, bare.fixed)):
        whole, brain = split.native(0), bare_split.native(0)
        np.testing.assert_array_equal(brain.image, whole.image * whole.mask)
        np.testing.assert_array_equal(brain.labels, whole.labels)
        expected = grids.resample(whole.image * whole.mask, whole.affine, made.grid)
        # 16 bits are kept of these int16 scans.
        np.testing.assert_allclose(
            bare_split.images(0)[0, ..., 0], expected, atol=0.6 / 65535
        )


def test_an_index_may_be_an_integer_a_slice_a_list_or_booleans(bids):
    train = load(bids).train
    every = train.images()
    assert every.shape == (6, *train.images(0).shape[1:])
    for indices in (2, -1, np.int64(3), slice(1, 4), [0, 5, 5], np.arange(6) % 2 == 0):
        expected = every[np.atleast_1d(np.arange(6)[indices])]
        np.testing.assert_array_equal(train.images(indices), expected)
        assert train.labels(indices).shape == expected.shape[:-1]
    with pytest.raises(IndexError, match="Received: 6"):
        train.images(6)
    with pytest.raises(ValueError, match="simulated subjects only"):
        train.truth(0)


def test_a_limit_counts_per_split_and_keeps_the_order():
    made = [
        records.Record(f"s{i}", s, None) for i, s in enumerate("fixed train".split())
    ]
    made += [records.Record(f"t{i}", "train", None) for i in range(5)]
    made += [records.Record(f"e{i}", "test", None) for i in range(5)]
    ids = [r.id for r in records.limited(made, {"train": 2, "test": 3})]
    assert ids == ["s0", "s1", "t0", "e0", "e1", "e2"]
    assert len(records.limited(made, 1)) == 1 + 1 + 5
    assert len(records.limited(made, None)) == len(made)
    for limit in (0, -1, 1.5, {"fixed": 1}, {"trian": 2}):
        with pytest.raises(ValueError, match="Received: "):
            records.limited(made, limit)


def test_a_cohort_that_cannot_be_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("REGISTRATION_FOLDER", raising=False)
    for options, message in (
        ({"source": "elsewhere"}, "source must be one of"),
        ({"source": "folder"}, "needs folder="),
        ({"source": "folder", "folder": tmp_path / "none"}, "no such folder"),
        ({"source": "folder", "folder": tmp_path}, "three T1-weighted scans"),
        ({"align": "images"}, "align must be"),
        ({"limit": 0}, "a limit must be 1 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            cohort.load(**{"source": "ixi", "progress": False, **options})


@pytest.fixture
def open_neuro(bids, tmp_path, monkeypatch):
    """Serve the BIDS dataset as if it were ds002790."""
    with file_server.serving(bids, "/openneuro.org/ds002790/") as running:
        monkeypatch.setenv("REGISTRATION_OPENNEURO_URL", running.base)
        monkeypatch.setenv("REGISTRATION_DATA", str(tmp_path / "cache"))
        yield running


def test_openneuro_is_fetched_by_the_paths_of_its_derivatives(open_neuro):
    limit = {"train": 2, "test": 1}
    made = cohort.load("openneuro", 4.0, limit=limit, progress=False)
    assert len(open_neuro.asked) == 1 + 4 * 3
    assert made.train.labels().max() == 1035 and made.train.masks().any()
    assert np.nanmin(made.train.ages) >= 20
    asked = "derivatives/fmriprep/sub-00/anat/sub-00_desc-brain_mask.nii.gz"
    assert asked in open_neuro.asked
    cohort.load("openneuro", 4.0, limit=limit, progress=False)
    assert len(open_neuro.asked) == 13


def test_an_openneuro_file_that_changed_in_the_cache_is_fetched_again(open_neuro):
    cache = download.cache_folder()
    limit = {"train": 1, "test": 1}
    cohort.load("openneuro", 4.0, limit=limit, progress=False)
    path = next(cache.rglob("sub-00_desc-preproc_T1w.nii.gz"))
    path.write_bytes(gzip.compress(nifti_files.GOOD))
    open_neuro.asked.clear()
    cohort.load("openneuro", 4.0, limit=limit, progress=False)
    assert [pathlib.Path(name).name for name in open_neuro.asked] == [path.name]


def test_an_openneuro_subject_without_derivatives_is_listed(open_neuro):
    cache = download.cache_folder() / "openneuro/ds002790"
    name = cohort.load("openneuro", 8.0, progress=False).train.ids[-1]
    gone = f"derivatives/fmriprep/{name}/anat/{name}_desc-preproc_T1w.nii.gz"
    (cache / gone).unlink()
    open_neuro.faults[gone] = 404
    made = cohort.load("openneuro", 8.0, progress=False)
    ((left_out, message),) = made.problems
    assert left_out == name and "404" in message


def test_what_openneuro_could_give_is_written_down_though_one_file_fails(open_neuro):
    cache = download.cache_folder() / "openneuro/ds002790"
    name = next(r.id for r in openneuro.subjects() if r.split == "train")
    gone = openneuro.ANATOMY.format(name, "desc-brain_mask")
    open_neuro.faults[gone] = 404
    made = cohort.load("openneuro", 8.0, progress=False)
    assert [left_out for left_out, _ in made.problems] == [name]
    lines = (cache / openneuro.WRITTEN_DOWN).read_text().splitlines()
    written = dict(reversed(line.split("  ")) for line in lines)
    here = [path for path in cache.rglob("*") if path.suffix in (".gz", ".tsv")]
    assert written == {
        path.relative_to(cache).as_posix(): download.sha256(path) for path in here
    }
    assert len(written) == 1 + 8 * 3 - 1 and gone not in written
    # A file that succeeded is watched from now on.
    path = cache / gone.replace("brain_mask", "preproc_T1w")
    path.write_bytes(gzip.compress(nifti_files.GOOD))
    open_neuro.faults.clear()
    assert cohort.load("openneuro", 8.0, progress=False).problems == []
    assert download.sha256(path) == written[path.relative_to(cache).as_posix()]


def test_openneuro_is_asked_over_https_by_default():
    parts = urllib.parse.urlsplit(openneuro.BASE)
    assert (parts.scheme, parts.hostname) == ("https", "s3.amazonaws.com")
    assert parts.path == "/openneuro.org/ds002790/"


def test_nothing_here_unpickles_or_unpacks_an_archive():
    for path in SCANS.rglob("*.py"):
        source = path.read_text()
        if path.name == "ixi_contrasts.py":
            # It copies the bytes of members to names of its own.
            assert not re.search(r"\b(extract|extractall|unpack\w*)\(", source)
            source = source.replace("tarfile", "")
        assert not re.search(r"\b(pickle|tarfile|zipfile|shutil|joblib)\b", source)
        loads = re.findall(r"np\.load\((.*?)\)", source, re.DOTALL)
        assert all("allow_pickle=False" in call for call in loads), path.name


@needs_scans
def test_a_real_scan_is_the_same_head_at_2_and_4_mm_and_on_its_own_grid():
    limit = {"train": 1, "test": 1}
    fine, coarse = (
        cohort.load("ixi", v, limit=limit, progress=False) for v in (2.0, 4.0)
    )
    assert (fine.shape, coarse.shape) == ((96, 128, 128), (48, 64, 64))
    blocks = grids.block_mean(fine.train.images(0)[0, ..., 0], (2, 2, 2))
    # Both were rounded to 8 bits.
    np.testing.assert_allclose(
        coarse.train.images(0)[0, ..., 0], blocks, atol=1.01 / 255
    )
    native = fine.fixed.native(0)
    assert native.image.shape == (90, 120, 120)
    inner = fine.fixed.images(0)[0, 3:-3, 4:-4, 4:-4, 0]
    np.testing.assert_allclose(inner, native.image, atol=0.51 / 255)
    np.testing.assert_array_equal(
        fine.fixed.labels(0)[0, 3:-3, 4:-4, 4:-4], native.labels
    )
    assert fine.label_names()[35] == "BrainStem"


MEASURE = """
import json, time
from registration.scans import cohort
from tests.scans.peak import peak_bytes
before = time.process_time(), time.perf_counter()
made = cohort.load("ixi", 2.0, progress=False)
cpu, wall = time.process_time() - before[0], time.perf_counter() - before[1]
batch = made.train.images([0, 1, 2, 3])
peak = peak_bytes()
count = len(made.fixed) + len(made.train) + len(made.test)
print(json.dumps({"cpu": cpu, "wall": wall, "peak": peak, "count": count}))
"""


@needs_scans
def test_151_scans_at_2_mm_fit_in_2_gb_and_take_20_seconds_of_two_cores():
    environment = {**os.environ, "REGISTRATION_DATA": str(REAL.parent)}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    measured = json.loads(done.stdout.splitlines()[-1])
    assert measured["count"] == 151
    assert measured["peak"] < 2e9, measured
    # Processor time does not depend on what else the machine is doing.
    assert measured["cpu"] < 2 * 20, measured


def test_a_split_that_loses_all_its_scans_is_an_error_that_says_why(tmp_path):
    save_plain(tmp_path, "a.nii.gz", "b.nii.gz", "c.nii.gz")
    (test,) = (r for r in found_in(tmp_path).records if r.split == "test")
    test.image.write_bytes(b"nothing")
    with pytest.raises(
        ValueError, match=f"no scan is left to test.*{test.id}: .*NIfTI"
    ):
        load(tmp_path)


def test_scans_without_masks_load_and_say_so(tmp_path):
    save_plain(tmp_path, *(f"{name}.nii.gz" for name in "abcd"))
    made = load(tmp_path)
    assert not made.train.has("mask") and not made.train.has("labels")
    assert made.train.scan(0).mask is None
    with pytest.raises(ValueError, match=r"has no mask; put a file NAME_mask.nii.gz"):
        made.train.masks(0)


def test_a_scan_of_a_split_holds_what_its_arrays_hold(bids):
    made = load(bids)
    scan = made.train.scan(2)
    np.testing.assert_array_equal(scan.image, made.train.images(2)[0, ..., 0])
    np.testing.assert_array_equal(scan.labels, made.train.labels(2)[0])
    np.testing.assert_array_equal(scan.mask, made.train.masks(2)[0])
    assert scan.name == made.train.ids[2] and scan.grid.gap_mm(made.grid) == 0
    native = made.train.native(2)
    assert native.stored.axes in ("RAS", "PSR", "LPI", "ASL")
