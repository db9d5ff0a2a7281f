import os
import pathlib

import numpy as np
import pytest

from registration.scans import cohort, nifti, sources
from registration.scans.sources import record as records
from tests.scans.heads import ROTATED, blob, found_in, load, save_plain, save_subject


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


def test_the_environment_points_every_notebook_at_a_folder(bids, monkeypatch):
    monkeypatch.setenv("REGISTRATION_SOURCE", "folder")
    monkeypatch.setenv("REGISTRATION_FOLDER", str(bids))
    made = cohort.load(voxel_mm=8.0, progress=False)
    assert made.source == "folder" and "REGISTRATION_SOURCE" in made.note


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
    assert name == "d/T1_mask.nii.gz" and "no scan has its name where it lies" in reason


def test_a_mask_without_a_name_belongs_to_the_only_scan_beside_it(tmp_path):
    save_plain(tmp_path, *(f"s{n}/head.nii.gz" for n in range(3)), "s1/mask.nii.gz")
    masks = {r.id: r.mask is not None for r in found_in(tmp_path).records}
    assert masks == {"s0": False, "s1": True, "s2": False}


def test_a_second_run_is_left_out_and_named(tmp_path):
    save_plain(tmp_path, *(f"sub-{n}_run-1_T1w.nii.gz" for n in range(3)))
    save_plain(tmp_path, "sub-1_run-2_T1w.nii.gz", "sub-1_bold.nii.gz")
    reasons = dict(found_in(tmp_path).left_out)
    assert "sub-1_run-1_T1w.nii.gz of the same" in reasons["sub-1_run-2_T1w.nii.gz"]
    assert reasons["sub-1_bold.nii.gz"] == "not a T1w scan but bold"


def test_too_few_scans_are_refused_with_what_was_left_out(tmp_path):
    save_plain(tmp_path, "a.nii.gz", "b.nii.gz", "c_T2.nii.gz")
    with pytest.raises(ValueError, match="c_T2.nii.gz: T2 in its name.*2 among 3"):
        found_in(tmp_path)


def touch(root, *names):
    """Make empty files; the source looks at names only."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def parts(found, root):
    """Return image, mask and labels of each scan, a dict of id to three names."""

    def name(path):
        return path and path.relative_to(root).as_posix()

    return {r.id: (name(r.image), name(r.mask), name(r.labels)) for r in found.records}


def ids(root, **options):
    return sorted(record.id for record in found_in(root, **options).records)


def reasons(root):
    return dict(found_in(root).left_out)


WHOLE = ("anna_T1.nii.gz", "ben_T1.nii.gz", "clara_T1.nii.gz")


def test_hidden_files_and_folders_are_not_looked_at(tmp_path):
    touch(tmp_path, *WHOLE, "._anna_T1.nii.gz", ".git/annex/objects/x/SHA--1.nii.gz")
    assert len(ids(tmp_path)) == 3 and reasons(tmp_path) == {}


def test_a_link_into_the_hidden_store_of_datalad_is_one_scan(tmp_path):
    store = touch(tmp_path, *(f".git/annex/objects/{n}.nii.gz" for n in "123"))
    for name, key in (("anna", 1), ("ben", 2), ("clara", 3), ("copy_of_anna", 1)):
        link = tmp_path / f"{name}.nii.gz"
        link.symlink_to(store / f".git/annex/objects/{key}.nii.gz")
    (tmp_path / "gone.nii.gz").symlink_to(".git/annex/objects/4.nii.gz")
    assert ids(tmp_path) == ["anna", "ben", "clara"]
    assert reasons(tmp_path) == {
        "copy_of_anna.nii.gz": "the same file as anna.nii.gz",
        "gone.nii.gz": "a link to a file that is not here; fetch it (`datalad get`)",
    }


def test_a_folder_is_read_once_however_many_links_lead_to_it(tmp_path):
    touch(tmp_path, "a_store/anna.nii", "a_store/ben.nii", "a_store/clara.nii")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "heads").symlink_to(tmp_path / "a_store")
    (mine / "more").symlink_to(tmp_path / "a_store")
    (mine / "up").symlink_to(tmp_path)
    assert ids(mine) == ["anna", "ben", "clara"]
    assert reasons(mine) == {
        "more": "the same folder as heads",
        "up": "the same folder as one above",
    }


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    touch(tmp_path, *WHOLE, "secret/dora.nii")
    scandir = os.scandir

    def guarded(place):
        if pathlib.Path(place).name == "secret":
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", guarded)
    assert reasons(tmp_path) == {"secret": "cannot be read: Permission denied"}


@pytest.mark.parametrize(
    ("scan", "mask", "labels"),
    [
        ("anna.nii.gz", "anna_mask.nii", "anna-labels.nii"),
        ("anna.nii.gz", "masks/anna_mask.nii", "labels/anna.nii.gz"),
        ("anna.nii.gz", "derived/anna_mask.nii", "derived/x/anna_seg.nii.gz"),
        ("anna_T1.nii.gz", "anna_mask.nii.gz", "anna_seg.nii.gz"),
        ("anna_T1.nii.gz", "anna_brain_mask.nii.gz", "anna_aparc+aseg.nii.gz"),
        ("anna_T1.nii.gz", "anna_T1_mask.nii.gz", "anna_T1_segmentation.nii"),
        ("anna.nii.gz", "mask_anna.nii.gz", "seg_anna.nii"),
        ("anna/T1.nii.gz", "anna/mask.nii.gz", "anna/aparc+aseg.nii.gz"),
        ("images/anna.nii", "masks/anna.nii", "segmentations/anna.nii"),
        ("imagesTr/anna.nii", "brain_masks/anna.nii", "labelsTr/anna.nii"),
        ("images/anna/T1.nii", "masks/anna/T1.nii", "labels/anna/T1.nii"),
        ("anna/img/T1.nii", "anna/masks/T1.nii", "anna/seg/T1.nii"),
        ("Nifti/T1/anna_T1.nii", "Masks/anna_T1.nii", "DLMUSE/anna_T1_DLMUSE.nii"),
        ("sub-anna_T1.nii.gz", "sub-anna_mask.nii.gz", "sub-anna_T1_dseg.nii.gz"),
        ("anna.NII.GZ", "anna_MASK.NII", "Labels/ANNA.nii.GZ"),
    ],
)
def test_masks_and_labels_find_their_scan_by_name_and_folder(
    tmp_path, scan, mask, labels
):
    expected = set()
    for name in ("anna", "ben", "clara"):
        files = [
            file.replace("anna", name).replace("ANNA", name.upper())
            for file in (scan, mask, labels)
        ]
        touch(tmp_path, *files)
        expected.add(tuple(files))
    found = found_in(tmp_path)
    assert set(parts(found, tmp_path).values()) == expected
    assert found.left_out == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("masks/anna_T1.nii", "mask by its name or folder, and 2 scans fit"),
        ("masks/dora.nii", "mask by its name or folder, and no scan has its name"),
        ("b/labels/ben_T1.nii", "labels by its name or folder, and no scan has"),
        ("mask.nii", "and 3 scans fit its name where it lies"),
        ("clara_lesion_mask.nii", "mask by its name or folder, and no scan has"),
        ("clara_mask.nii", "clara_T1_brain_mask.nii is taken as mask of its scan"),
        ("masks/y/clara_T1.nii", "mask by its name or folder, and no scan has"),
    ],
)
def test_a_mask_that_does_not_mean_one_scan_is_left_out(tmp_path, name, reason):
    touch(tmp_path, *WHOLE, "a/anna_T1.nii", "clara_T1_brain_mask.nii", name)
    found = found_in(tmp_path)
    masks = [record.mask.name for record in found.records if record.mask]
    assert masks == ["clara_T1_brain_mask.nii"] and len(found.records) == 4
    assert all(record.labels is None for record in found.records)
    ((left_out, why),) = found.left_out
    assert left_out == name and reason in why


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("anna_T2.nii.gz", "T2 in its name: not T1-weighted"),
        ("anna-PD.nii", "PD in its name"),
        ("flair_anna.nii.gz", "FLAIR in its name"),
        ("anna_dwi.nii.gz", "DWI in its name"),
        ("anna_brain.nii.gz", "brain in its name: made of a scan"),
        ("zoe_segmentation.nii.gz", "labels by its name or folder, and no scan has"),
        ("anna_T1.nii", "has the same name"),
        ("T2/anna.nii.gz", "in a folder T2: not T1-weighted"),
        ("PD/anna.nii.gz", "in a folder PD: not T1-weighted; if it is, give that"),
        ("FLAIR/x/anna.nii.gz", "in a folder FLAIR"),
        ("t2_tse_tra/anna.nii.gz", "in a folder t2_tse_tra"),
        ("func/anna.nii.gz", "in a folder func"),
        ("T1/anna_T2.nii.gz", "T2 in its name"),
        ("anna_t2w_tse.nii.gz", "T2W in its name"),
        ("anna_t1ce.nii.gz", "T1CE in its name"),
        ("PD_anna.nii", "PD in its name: not T1-weighted; if it is, end the name in"),
        ("brain/anna.nii.gz", "in a folder brain: made of scans"),
        ("Registered/anna.nii.gz", "in a folder Registered: made of scans"),
        ("anna_T1_to_T2.nii.gz", "to in its name: made of a scan, not another head"),
        ("anna_T2_to_T1.nii.gz", "to in its name: made of a scan"),
        ("anna_T12T2.nii.gz", "t12t2 in its name: made of a scan"),
        ("anna_T1toMNI.nii.gz", "t1tomni in its name: made of a scan"),
        ("anna_T1_pve_0.nii.gz", "pve in its name: made of a scan"),
        ("anna_lesion.nii.gz", "lesion in its name: made of a scan"),
        ("anna.mgz", "not NIfTI; convert it"),
    ],
)
def test_the_name_of_a_file_or_its_folder_says_why_it_is_no_scan(
    tmp_path, name, reason
):
    touch(tmp_path, *WHOLE, name)
    assert len(ids(tmp_path)) == 3
    ((left_out, why),) = reasons(tmp_path).items()
    assert left_out.removesuffix(".gz") == name.removesuffix(".gz") and reason in why


@pytest.mark.parametrize(
    "names",
    [
        ("PD_001_T1.nii", "PD_002_mprage.nii", "HC_003.nii"),
        ("PD001.nii", "T21_002.nii", "HC003.nii"),
        ("PD_001/anat.nii", "PD_002/anat.nii", "HC_001/anat.nii"),
        ("T2_clinic_1_T1.nii", "2_mprage.nii", "flair/3_T1w.nii"),
        ("brain_001.nii", "brain_002.nii", "brain_003.nii"),
        ("images_and_masks/a.nii", "images_and_masks/b.nii", "images_and_masks/c.nii"),
        ("A.NII.GZ", "b.Nii", "c.nii.gz"),
    ],
)
def test_a_scan_is_not_lost_for_a_word_that_means_something_else(tmp_path, names):
    touch(tmp_path, *names)
    assert len(ids(tmp_path)) == 3 and reasons(tmp_path) == {}


def test_a_group_that_begins_every_name_is_no_contrast_and_that_is_said(
    tmp_path, capsys
):
    names = [f"PD_{n:03d}.nii.gz" for n in range(4)]
    save_plain(tmp_path, *names, "masks/PD_001.nii.gz")
    made = load(tmp_path, voxel_mm=8.0)
    assert made.problems == [] and len(made.train) == 2
    assert "PD begins every name, so it names no contrast" in capsys.readouterr().out
    touch(tmp_path, "PD_002_FLAIR.nii.gz")
    assert list(reasons(tmp_path)) == ["PD_002_FLAIR.nii.gz"]
    touch(tmp_path, "HC_001.nii.gz")
    with pytest.raises(ValueError, match="PD in its name.*or list it in participants"):
        found_in(tmp_path)
    table = "participant_id\tage\n" + "".join(f"PD_{n:03d}\t6{n}\n" for n in range(4))
    (tmp_path / "participants.tsv").write_text(table)
    assert ids(tmp_path) == ["HC_001", "PD_000", "PD_001", "PD_002", "PD_003"]
    assert list(reasons(tmp_path)) == ["PD_002_FLAIR.nii.gz"]


def test_a_contrast_that_begins_every_name_is_one(tmp_path):
    touch(tmp_path, *(f"T2_{n}.nii.gz" for n in range(4)))
    with pytest.raises(ValueError, match="T2_0.nii.gz: T2 in its name"):
        found_in(tmp_path)


def test_two_sites_with_equal_labels_are_different_people(tmp_path):
    for site, age in (("siteA", 30), ("siteB", 60)):
        for n in (1, 2):
            touch(tmp_path, f"{site}/sub-{n}/anat/sub-{n}_T1w.nii.gz")
        derived = f"{site}/derivatives/fmriprep/sub-1/anat/sub-1_desc"
        touch(tmp_path, f"{derived}-preproc_T1w.nii", f"{derived}-brain_mask.nii")
        table = f"participant_id\tage\nsub-1\t{age}\nsub-2\t{age + 1}"
        (tmp_path / site / "participants.tsv").write_text(table)
    records = {record.id: record for record in found_in(tmp_path).records}
    assert {name: record.age for name, record in records.items()} == {
        "siteA_sub-1": 30, "siteA_sub-2": 31, "siteB_sub-1": 60, "siteB_sub-2": 61,
    }  # fmt: skip
    for site in ("siteA", "siteB"):
        assert records[f"{site}_sub-1"].mask.is_relative_to(tmp_path / site)
    raw = "site{}/sub-1/anat/sub-1_T1w.nii.gz"
    assert list(reasons(tmp_path)) == [raw.format("A"), raw.format("B")]


@pytest.mark.parametrize(
    ("raw", "derived"),
    [
        ("{}/anat", "derivatives/fmriprep/{}/anat"),
        ("rawdata/{}", "derivatives/x/{}"),
        ("raw/{}", "fmriprep/{}"),
        ("{}", "mine/{}"),
        ("study/{}", "mine/{}"),
        ("raw/siteA/{}", "fmriprep/siteA/{}"),
    ],
)
def test_raw_and_preprocessed_files_of_a_subject_are_one_scan(tmp_path, raw, derived):
    for name in ("sub-1", "sub-2", "sub-3"):
        touch(
            tmp_path,
            f"{raw.format(name)}/{name}_T1w.nii.gz",
            f"{derived.format(name)}/{name}_desc-preproc_T1w.nii.gz",
            f"{derived.format(name)}/{name}_desc-brain_mask.nii.gz",
        )
    found = found_in(tmp_path)
    assert sorted(r.id for r in found.records) == ["sub-1", "sub-2", "sub-3"]
    assert all("preproc" in r.image.name and r.mask for r in found.records)
    assert [name for name, _ in found.left_out] == [
        f"{raw.format(name)}/{name}_T1w.nii.gz" for name in ("sub-1", "sub-2", "sub-3")
    ]


def test_the_derivatives_alone_are_one_dataset(tmp_path):
    root = tmp_path / "derivatives"
    for n in (1, 2, 3):
        for pipeline in ("fmriprep", "other"):
            touch(root, f"{pipeline}/sub-{n}/sub-{n}_desc-preproc_T1w.nii")
    assert ids(root) == ["sub-1", "sub-2", "sub-3"] and len(reasons(root)) == 3


def test_other_names_beside_bids_names_are_scans_too(tmp_path):
    touch(
        tmp_path, "sub-1_T1w.nii", "sub-1_FLAIR.nii", "anna.nii", "anna_mask.nii",
        "anna_T2.nii", "sub-ben.nii", "sub-1.nii", "derivatives/x/T1.nii",
        "sub-2_Chimap.nii",
    )  # fmt: skip
    assert ids(tmp_path) == ["anna", "sub-1", "sub-ben"]
    assert reasons(tmp_path) == {
        "anna_T2.nii": "T2 in its name: not T1-weighted",
        "derivatives/x/T1.nii": "not a T1w scan but no BIDS name",
        "sub-1.nii": "not a T1w scan but no BIDS name",
        "sub-1_FLAIR.nii": "not a T1w scan but FLAIR",
        "sub-2_Chimap.nii": "not a T1w scan but Chimap",
    }


def test_a_lesion_or_another_run_lends_no_mask(tmp_path):
    touch(tmp_path, *(f"sub-{n}_run-1_T1w.nii" for n in "abc"))
    masks = ("sub-a_label-lesion_mask.nii", "sub-b_run-2_desc-brain_mask.nii")
    touch(tmp_path, *masks, "sub-c_run-1_desc-brain_mask.nii")
    found = found_in(tmp_path)
    assert {r.id: r.mask and r.mask.name for r in found.records} == {
        "sub-a": None, "sub-b": None, "sub-c": "sub-c_run-1_desc-brain_mask.nii",
    }  # fmt: skip
    assert [name for name, _ in found.left_out] == list(masks)


def test_every_file_of_a_messy_folder_is_taken_or_named_once(tmp_path):
    touch(
        tmp_path, *(f"sub{n}/T1.nii.gz" for n in range(3)), "sub0/T2.nii",
        "sub0/T1_mask.nii", "sub0/T1_seg.nii", "sub1/x/T1.nii", "sub1/brain.nii",
        "sub1/seg.nii", "sub1/T1_aseg.nii", "lost_mask.nii", "bids/sub-1_T1w.nii",
        "bids/sub-1_run-2_T1w.nii", "bids/sub-1_dseg.nii", "old/scan.img",
        "bids/sub-1_space-MNI_T1w.nii", "bids/sub-2_bold.nii", "sub2/T1.nii",
        "bids/sub-1_desc-lesion_mask.nii", "labels/T1.nii", "PD/T1.nii",
    )  # fmt: skip
    os.mkfifo(tmp_path / "pipe.nii")
    found = found_in(tmp_path)
    taken = [p for r in parts(found, tmp_path).values() for p in r if p is not None]
    every = [p for p in tmp_path.rglob("*") if not p.is_dir()]
    every = sorted(path.relative_to(tmp_path).as_posix() for path in every)
    assert sorted(taken + [name for name, _ in found.left_out]) == every
    assert len({record.id for record in found.records}) == len(found.records)


def test_age_and_split_are_found_by_any_folder_or_word_of_the_path(tmp_path):
    touch(tmp_path, "s/anna/T1.nii", "s/ben/T1.nii", "s/ben-2/T1.nii", "s/sub-c/T1.nii")
    rows = ["participant_id\tage\tsplit", "anna\t31\ttest", "ben\t32\tFixed "]
    rows += ["ben-2\t33\ttrain", "c\t34\ttrain"]
    (tmp_path / "participants.tsv").write_text("\n".join(rows))
    found = {r.image.parent.name: (r.age, r.split) for r in found_in(tmp_path).records}
    assert found == {
        "anna": (31, "test"), "ben": (32, "fixed"), "ben-2": (33, "train"),
        "sub-c": (34, "train"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("splits", "received"),
    [
        (("fixed", "train", ""), "1 empty, 1 fixed, 1 train"),
        (("fixed", "fixed", "test"), "2 fixed, 1 test"),
        (("fixed", "train", "validation"), "1 fixed, 1 train, 1 validation"),
        (("train", "train", "test"), "1 test, 2 train"),
    ],
)
def test_a_split_column_that_cannot_be_used_is_told_first(
    tmp_path, splits, received, capsys
):
    save_plain(tmp_path, *WHOLE, *(f"anna_T2_{n}.nii" for n in range(6)))
    rows = zip(("anna", "ben", "clara"), splits, strict=True)
    table = "participant_id\tsplit\n" + "".join(f"{a}\t{b}\n" for a, b in rows)
    (tmp_path / "participants.tsv").write_text(table)
    name, why = load(tmp_path, voxel_mm=8.0).problems[0]
    assert name == "participants.tsv" and why.endswith(f"Received: {received}")
    assert "must say fixed of one scan, and train or test of every other" in why
    assert "left out participants.tsv: its column split" in capsys.readouterr().out


def test_a_fixed_scan_that_overrules_the_table_is_told(tmp_path):
    touch(tmp_path, *WHOLE)
    table = "participant_id\tsplit\nanna\tfixed\nben\ttrain\nclara\ttest"
    (tmp_path / "participants.tsv").write_text(table)
    assert reasons(tmp_path) == {}
    (told,) = found_in(tmp_path, fixed="ben_T1").left_out
    assert told[0] == "participants.tsv" and "fixed=... deals" in told[1]


def test_auto_takes_the_folder_that_is_given_and_says_so(tmp_path, monkeypatch):
    monkeypatch.delenv("REGISTRATION_SOURCE", raising=False)
    touch(tmp_path, *WHOLE)
    asked = records.Request(folder=tmp_path)
    name, found = sources.find("auto", asked, shown=False)
    assert (name, found.why) == ("folder", "because folder=... names one")
    monkeypatch.setenv("REGISTRATION_FOLDER", str(tmp_path))
    name, found = sources.find("auto", records.Request(), shown=False)
    assert (name, found.why) == ("folder", "because REGISTRATION_FOLDER names one")
    # What is said in the call goes before the environment, and a source by its name
    # before a folder.
    monkeypatch.setenv("REGISTRATION_SOURCE", "simulated")
    assert sources.find("auto", asked, shown=False)[0] == "folder"
    assert sources.find("auto", records.Request(), shown=False)[0] == "simulated"


def test_a_folder_that_cannot_be_used_gives_way_to_no_other_source(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("REGISTRATION_SOURCE", raising=False)
    for place, message in (("none", "no such folder"), ("", "must hold three T1")):
        monkeypatch.setenv("REGISTRATION_FOLDER", str(tmp_path / "absent" / place))
        if not place:
            (tmp_path / "absent").mkdir()
        with pytest.raises(ValueError, match=message):
            cohort.load("auto", progress=False)
    with pytest.raises(ValueError, match=r"mend folder=\.\.\. or leave it out"):
        cohort.load("auto", folder=tmp_path / "none", progress=False)
