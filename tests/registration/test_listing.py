import pytest

from registration import listing
from registration.mendable import InputError


@pytest.fixture
def folder(tmp_path):
    for name in ("anna.nii.gz", "bert.nii.gz", "anna_mask.nii.gz", "fixed.nii.gz"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def table(folder, text, name="pairs.csv"):
    path = folder / name
    path.write_text(text)
    return path


def test_a_folder_gives_all_scans_but_the_fixed_one_with_their_masks(folder):
    found, left_out = listing.entries(folder, folder / "fixed.nii.gz")
    assert [entry.name for entry in found] == ["anna", "bert"]
    assert found[0].moving_mask == folder / "anna_mask.nii.gz"
    assert found[1].moving_mask is None
    assert {entry.fixed for entry in found} == {folder / "fixed.nii.gz"}
    assert ("fixed", "is the fixed scan") in left_out


def test_a_bids_data_set_is_listed_by_subject_and_session(tmp_path):
    for name in ("sub-1_ses-a", "sub-1_ses-b"):
        path = tmp_path / "sub-1" / name.split("_")[1] / "anat" / f"{name}_T1w.nii.gz"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
    found, _ = listing.entries(tmp_path, tmp_path / "elsewhere.nii.gz")
    assert [entry.name for entry in found] == ["sub-1_ses-a", "sub-1_ses-b"]


def test_a_table_gives_any_pairs_and_paths_that_begin_beside_it(folder):
    text = "scan,fixed,mask\nanna.nii.gz,bert.nii.gz,anna_mask.nii.gz\n"
    text += "bert.nii.gz,fixed.nii.gz,\n"
    found, _ = listing.entries(table(folder, text))
    assert found == [
        listing.Entry(
            "anna", "bert", folder / "anna.nii.gz", folder / "bert.nii.gz",
            folder / "anna_mask.nii.gz",
        ),
        listing.Entry(
            "bert", "fixed", folder / "bert.nii.gz", folder / "fixed.nii.gz"
        ),
    ]  # fmt: skip


def test_the_mask_of_the_common_fixed_scan_goes_to_no_other(folder):
    text = "moving\tfixed\nanna.nii.gz\tbert.nii.gz\nanna.nii.gz\t\n"
    found, _ = listing.entries(
        table(folder, text, "pairs.tsv"), folder / "fixed.nii.gz", folder / "mask.nii"
    )
    assert [entry.fixed_mask for entry in found] == [None, folder / "mask.nii"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("moving\na.nii\n", "needs a column fixed"),
        ("", "needs a column fixed and moving"),
        ("moving,fixed\na.nii,\n", "line 2 names no fixed scan"),
        ("moving,fixed\n", "no scan to register is there"),
        ("moving,fixed\nx/a.nii,b.nii\ny/a.nii,b.nii\n", "two scans would have"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(folder, text, said):
    with pytest.raises(InputError, match=said):
        listing.entries(table(folder, text))


def test_what_is_no_source_is_refused(folder):
    with pytest.raises(InputError, match="needs --fixed"):
        listing.entries(folder)
    with pytest.raises(InputError, match="name a folder of scans, or a table"):
        listing.entries(folder / "anna.nii.gz", folder / "fixed.nii.gz")
    (folder / "latin.csv").write_bytes(b"moving,fixed\n\xe9.nii,b.nii\n")
    with pytest.raises(InputError, match="not a table in UTF-8"):
        listing.entries(folder / "latin.csv")
