import gzip
import json
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse

import nibabel
import nibabel.processing
import numpy as np
import pytest

from registration.scans import cohort, download, nifti
from registration.scans import grid as grids
from registration.scans.sources import folder, openneuro
from registration.scans.sources import record as records
from tests.scans import file_server, nifti_files

REAL = pathlib.Path(os.environ.get("REGISTRATION_DATA", "nowhere")) / "ixi"
SCANS = pathlib.Path(cohort.__file__).parent
needs_scans = pytest.mark.skipif(
    not (REAL / "Nifti").is_dir(), reason="REGISTRATION_DATA holds no IXI scans"
)
SHAPE = (14, 18, 16)
ROTATED = nibabel.affines.from_matvec(
    nibabel.eulerangles.euler2mat(0.2, -0.1, 0.3) * 6.0, [-40.0, -50.0, -30.0]
)


def world(affine, shape):
    """Return the RAS position of every voxel, `(*shape, 3)`."""
    index = np.moveaxis(np.indices(shape), 0, -1)
    return nibabel.affines.apply_affine(affine, index)


def blob(shift_mm=(0, 0, 0), affine=ROTATED, shape=SHAPE):
    """Return a smooth head-like blob about a world position."""
    centre = grids.Grid(SHAPE, ROTATED).centre + shift_mm
    gap = (world(affine, shape) - centre) / (28, 36, 30)
    return np.exp(-((gap**2).sum(-1) ** 2)).astype("float32")


def turn_to(axes):
    """Return nibabel's orientation that turns a RAS image to other axes."""
    ends = (nibabel.orientations.axcodes2ornt(a) for a in ("RAS", axes))
    return nibabel.orientations.ornt_transform(*ends)


def save_subject(root, name, shift_mm, axes="RAS", derived=True, **labels):
    """Write one BIDS subject, raw and preprocessed, into `root`."""
    turn = turn_to(axes)
    image = nibabel.Nifti1Image((blob(shift_mm) * 1000).astype("int16"), ROTATED)
    raw = root / name / "anat"
    raw.mkdir(parents=True, exist_ok=True)
    nibabel.save(image.as_reoriented(turn), raw / f"{name}_T1w.nii.gz")
    nibabel.save(image, raw / f"{name}_FLAIR.nii.gz")
    if not derived:
        return
    anat = root / "derivatives" / "fmriprep" / name / "anat"
    anat.mkdir(parents=True, exist_ok=True)
    nibabel.save(image.as_reoriented(turn), anat / f"{name}_desc-preproc_T1w.nii.gz")
    mask = (blob(shift_mm) > 0.5).astype("uint8")
    for tail, factor in (("mask", 1), ("dseg", 1000), ("aparcaseg_dseg", 1035)):
        tail = {"mask": "desc-brain_mask", "dseg": "dseg"}.get(tail, f"desc-{tail}")
        kind = "uint8" if factor == 1 else "uint16"
        made = nibabel.Nifti1Image(mask.astype(kind) * factor, ROTATED)
        nibabel.save(made.as_reoriented(turn), anat / f"{name}_{tail}.nii.gz")
        space = tail.replace("desc", "space-MNI152NLin2009cAsym_desc", 1)
        nibabel.save(made, anat / f"{name}_{space}.nii.gz")
    nibabel.save(image, anat / f"{name}_space-MNI152_desc-preproc_T1w.nii.gz")


@pytest.fixture
def bids(tmp_path):
    """Write a BIDS dataset of eight subjects with fMRIPrep derivatives."""
    root = tmp_path / "bids"
    for number in range(8):
        axes = ("RAS", "PSR", "LPI", "ASL")[number % 4]
        save_subject(root, f"sub-{number:02d}", (number, -number, 0), axes)
    rows = ["participant_id\tage\tsex"]
    rows += [f"sub-{n:02d}\t{20 + n}\tF" for n in range(7)] + ["sub-07\tn/a\tM"]
    (root / "participants.tsv").write_text("\n".join(rows))
    return root


def load(root, **options):
    options = {"voxel_mm": 4.0, "progress": False, **options}
    return cohort.load("folder", folder=root, **options)


def test_a_bids_dataset_gives_preprocessed_scans_masks_labels_and_ages(bids, capsys):
    made = load(bids)
    assert [len(made.fixed), len(made.train), len(made.test)] == [1, 6, 1]
    assert made.fixed.ids == ["sub-00"]
    assert made.train.images().dtype == np.float32
    assert set(np.unique(made.train.labels())) == {0, 1035}
    np.testing.assert_array_equal(made.train.masks(), made.train.labels() > 0)
    everyone = made.fixed.ids + made.train.ids + made.test.ids
    ages = np.r_[made.fixed.ages, made.train.ages, made.test.ages]
    assert sorted(everyone) == [f"sub-{n:02d}" for n in range(8)]
    expected = [
        20 + int(name[-2:]) if name != "sub-07" else np.nan for name in everyone
    ]
    np.testing.assert_array_equal(ages, expected)
    # Every other file of the dataset is named with its reason.
    reasons = dict(made.problems)
    assert len(reasons) == 8 * 6
    raw = "sub-00/anat/sub-00_T1w.nii.gz"
    assert "sub-00_desc-preproc_T1w.nii.gz" in reasons[raw]
    assert "FLAIR" in reasons[raw.replace("T1w", "FLAIR")]
    assert capsys.readouterr().out.count("\n") == 1 + 5 + 1


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


def test_a_bids_dataset_without_derivatives_is_read_without_masks(tmp_path):
    for number in range(4):
        save_subject(tmp_path, f"sub-{number}", (number, 0, 0), derived=False)
    made = load(tmp_path)
    with pytest.raises(ValueError, match="has no mask"):
        made.train.masks(0)
    with pytest.raises(ValueError, match="has no labels"):
        made.train.labels(0)
    with pytest.raises(ValueError, match="skull=False"):
        load(tmp_path, skull=False)


def found_in(root, **options):
    return folder.find(records.Request(folder=root, **options))


def test_sessions_are_scans_of_their_own(tmp_path):
    for name in ("sub-a_ses-1", "sub-a_ses-2", "sub-b_ses-1"):
        nifti.save(tmp_path / f"{name}_T1w.nii.gz", blob(), ROTATED)
    found = sorted(record.id for record in found_in(tmp_path).records)
    assert found == ["sub-a_ses-1", "sub-a_ses-2", "sub-b_ses-1"]


def test_a_plain_folder_pairs_scans_with_masks_and_labels_by_name(tmp_path):
    for name in ("anna", "ben", "clara"):
        nifti.save(tmp_path / f"{name}.nii.gz", blob(), ROTATED)
        (tmp_path / "masks").mkdir(exist_ok=True)
        nifti.save(tmp_path / "masks" / f"{name}_mask.nii", blob() > 0.5, ROTATED)
        nifti.save(tmp_path / f"{name}-labels.nii", 3 * (blob() > 0.7), ROTATED)
    found = sorted(found_in(tmp_path, fixed="ben").records)
    assert [(r.id, r.split == "fixed") for r in found] == [
        ("anna", False), ("ben", True), ("clara", False),
    ]  # fmt: skip
    assert [r.mask.name for r in found] == [f"{r.id}_mask.nii" for r in found]
    assert [r.labels.name for r in found] == [f"{r.id}-labels.nii" for r in found]


def test_the_split_of_participants_tsv_is_kept(bids):
    rows = ["participant_id\tsplit"] + [
        f"sub-{n:02d}\t{'fixed' if n == 3 else 'test' if n > 4 else 'train'}"
        for n in range(8)
    ]
    (bids / "participants.tsv").write_text("\n".join(rows))
    made = load(bids)
    assert made.fixed.ids == ["sub-03"]
    assert made.test.ids == ["sub-05", "sub-06", "sub-07"]


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


def test_the_environment_points_every_notebook_at_a_folder(bids, monkeypatch):
    monkeypatch.setenv("REGISTRATION_SOURCE", "folder")
    monkeypatch.setenv("REGISTRATION_FOLDER", str(bids))
    made = cohort.load(voxel_mm=8.0, progress=False)
    assert made.source == "folder" and "REGISTRATION_SOURCE" in made.note


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


def test_openneuro_is_asked_over_https_by_default():
    parts = urllib.parse.urlsplit(openneuro.BASE)
    assert (parts.scheme, parts.hostname) == ("https", "s3.amazonaws.com")
    assert parts.path == "/openneuro.org/ds002790/"


def test_nothing_here_unpickles_or_unpacks_an_archive():
    for path in SCANS.rglob("*.py"):
        source = path.read_text()
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


def save_plain(root, *names):
    """Write one small scan under each name; a mask's and a label's name too."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = any(word in path.name for word in ("mask", "seg", "label"))
        nifti.save(path, blob() > 0.5 if whole else blob(), ROTATED)


def test_one_name_in_every_subfolder_is_one_scan_a_subfolder(tmp_path):
    save_plain(tmp_path, *(f"sub{n}/T1.nii.gz" for n in range(5)))
    made = load(tmp_path)
    everyone = made.fixed.ids + made.train.ids + made.test.ids
    assert sorted(everyone) == [f"sub{n}" for n in range(5)] and made.problems == []


def test_equal_names_in_some_subfolders_are_told_apart_by_their_folder(tmp_path):
    save_plain(tmp_path, "a/x.nii.gz", "b/x.nii.gz", "b/y.nii.gz", "z.nii.gz")
    ids = sorted(record.id for record in found_in(tmp_path).records)
    assert ids == ["a_x", "b_x", "b_y", "z"]


def test_a_mask_belongs_to_the_scan_of_its_own_folder(tmp_path):
    save_plain(tmp_path, "a/T1.nii.gz", "b/T1.nii.gz", "b/T1_mask.nii.gz")
    save_plain(tmp_path, "c/T1.nii.gz", "d/T1_mask.nii.gz")
    found = found_in(tmp_path)
    masks = {r.id: r.mask and r.mask.parent.name for r in found.records}
    assert masks == {"a": None, "b": "b", "c": None}
    ((name, reason),) = found.left_out
    assert name == "d/T1_mask.nii.gz" and "its scan is not beside it" in reason


def test_a_mask_without_a_name_belongs_to_the_only_scan_beside_it(tmp_path):
    save_plain(tmp_path, *(f"s{n}/head.nii.gz" for n in range(3)), "s1/mask.nii.gz")
    masks = {r.id: r.mask is not None for r in found_in(tmp_path).records}
    assert masks == {"s0": False, "s1": True, "s2": False}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("anna_T2.nii.gz", "T2 in its name: not T1-weighted"),
        ("anna-PD.nii", "PD in its name"),
        ("flair_anna.nii.gz", "FLAIR in its name"),
        ("anna_dwi.nii.gz", "DWI in its name"),
        ("anna_brain.nii.gz", "its name ends in brain: made of a scan"),
        ("zoe_segmentation.nii.gz", "ends in segmentation, and its scan is not beside"),
        ("anna.nii", "has the same name"),
    ],
)
def test_what_is_no_t1_scan_is_left_out_and_named_with_its_reason(
    tmp_path, name, reason
):
    save_plain(tmp_path, "anna.nii.gz", "ben_T1.nii.gz", "t2_to_T1_clara.nii.gz")
    save_plain(tmp_path, name)
    found = found_in(tmp_path)
    assert len(found.records) == 3
    ((left_out, why),) = found.left_out
    assert {left_out} <= {name, "anna.nii.gz"} and reason in why


def test_a_second_run_is_left_out_and_named(tmp_path):
    save_plain(tmp_path, *(f"sub-{n}_run-1_T1w.nii.gz" for n in range(3)))
    save_plain(tmp_path, "sub-1_run-2_T1w.nii.gz", "sub-1_bold.nii.gz")
    reasons = dict(found_in(tmp_path).left_out)
    assert "sub-1_run-1_T1w.nii.gz of the same" in reasons["sub-1_run-2_T1w.nii.gz"]
    assert reasons["sub-1_bold.nii.gz"] == "not a T1w scan but bold"


def test_a_split_that_loses_all_its_scans_is_an_error_that_says_why(tmp_path):
    save_plain(tmp_path, "a.nii.gz", "b.nii.gz", "c.nii.gz")
    (test,) = (r for r in found_in(tmp_path).records if r.split == "test")
    test.image.write_bytes(b"nothing")
    with pytest.raises(
        ValueError, match=f"no scan is left to test.*{test.id}: .*NIfTI"
    ):
        load(tmp_path)


def test_too_few_scans_are_refused_with_what_was_left_out(tmp_path):
    save_plain(tmp_path, "a.nii.gz", "b.nii.gz", "c_T2.nii.gz")
    with pytest.raises(ValueError, match="c_T2.nii.gz: T2 in its name.*2 among 3"):
        found_in(tmp_path)


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
