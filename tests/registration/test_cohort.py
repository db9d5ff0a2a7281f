import csv
import json
import os
import shutil
import subprocess
import sys

import nibabel
import numpy as np
import pytest

from registration import __main__ as command_line
from registration import cohort, cohort_report, finding, listing, pair, workers
from registration.mendable import InputError
from registration.scans import nifti
from tests.registration import heads

GRID = heads.oblique((24, 26, 22), (6.0, 5.5, 6.5))
OPTIONS = {"transform": "affine", "report": False}
NAMES = ("anna", "bert", "cleo")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder of three small heads and a fixed one; the networks replaced."""
    heads.replace_networks(monkeypatch)
    monkeypatch.setattr(workers, "run", one_by_one)
    middle = 100 * heads.bump(GRID, [0, 0, 1]).displacement[..., 2]
    for seed, name in enumerate((*NAMES, "fixed")):
        noise = np.random.default_rng(seed).uniform(1, 20, GRID.shape)
        image = nibabel.Nifti1Image((middle + noise).astype("float32"), GRID.affine)
        (tmp_path / "scans").mkdir(exist_ok=True)
        place = tmp_path if name == "fixed" else tmp_path / "scans"
        nibabel.save(image, place / f"{name}.nii.gz")
    return tmp_path


def one_by_one(function, tasks, dask=None, number=None, tell=None):
    for place, task in enumerate(tasks):
        yield place, function(task)


def run(folder, source="scans", **options):
    said = []
    rows = cohort.cohort(
        folder / source,
        folder / "out",
        fixed=folder / "fixed.nii.gz",
        tell=said.append,
        **{"options": OPTIONS} | options,
    )
    return {row["name"]: row for row in rows}, said


def states(rows):
    return [rows[name]["state"] for name in sorted(rows)]


def content(out):
    """Return the bytes of every image and transform."""
    kinds = (".nii.gz", ".tfm", ".txt")
    files = [p for p in out.rglob("sub-*") if p.name.endswith(kinds)]
    return {p.relative_to(out): p.read_bytes() for p in files}


def test_every_scan_has_the_results_of_a_pair_in_bids_names(folder):
    rows, _ = run(folder)
    assert states(rows) == ["done"] * 3
    record = json.loads((folder / "out" / rows["anna"]["record"]).read_text())
    assert record["inputs"]["moving"]["path"].endswith("anna.nii.gz")
    moved = folder / "out/sub-anna/anat/sub-anna_space-fixed_desc-preproc_T1w.nii.gz"
    assert nifti.load(moved).image.shape == GRID.shape
    assert (folder / "out" / "dataset_description.json").exists()
    with open(folder / "out" / cohort.TABLE, newline="") as file:
        (first, *rest) = csv.DictReader(file, delimiter="\t")
    assert len(rest) == 2 and first["verdict"] == "good"
    assert float(first["ncc"]) == pytest.approx(record["numbers"]["after"]["ncc"], 1e-4)
    assert not list((folder / "out").glob(".cohort/*.begun"))


def test_a_second_run_keeps_all_and_a_changed_scan_is_done_again(folder):
    run(folder)
    before = content(folder / "out")
    rows, said = run(folder)
    assert states(rows) == ["kept"] * 3 and "3 are there already, 0 to do" in said[0]
    assert rows["anna"]["ncc"] is not None
    shutil.copy(folder / "scans/bert.nii.gz", folder / "scans/anna.nii.gz")
    rows, _ = run(folder)
    assert states(rows) == ["done", "kept", "kept"]
    after = content(folder / "out")
    changed = {path for path in before if before[path] != after[path]}
    assert changed and all("sub-anna" in str(path) for path in changed)


@pytest.mark.parametrize(
    "change", [{"transform": "dense"}, {"refine": False}, {"inverse": True}]
)
def test_other_options_are_other_results(folder, change):
    run(folder)
    rows, _ = run(folder, options=OPTIONS | change)
    assert states(rows) == ["done"] * 3


def test_a_result_that_was_removed_is_made_again(folder):
    run(folder)
    moved = folder / "out/sub-cleo/anat/sub-cleo_space-fixed_desc-preproc_T1w.nii.gz"
    moved.unlink()
    rows, _ = run(folder)
    assert states(rows) == ["kept", "kept", "done"] and moved.exists()


def test_a_bad_scan_is_listed_and_the_others_go_on(folder):
    bad = folder / "scans" / "bert.nii.gz"
    bad.write_bytes(bad.read_bytes()[:300])
    rows, said = run(folder)
    assert states(rows) == ["done", "refused", "done"]
    assert "truncated" in rows["bert"]["reason"]
    assert any("bert: refused" in text for text in said)
    page = (folder / "out" / cohort.PAGE).read_text()
    assert "truncated" in page and "could not be read" in page


def test_a_fault_of_ours_is_listed_with_a_log_to_read(folder, monkeypatch):
    def find(moving, fixed, *rest):
        if np.allclose(moving.image, nifti.load(folder / "scans/cleo.nii.gz").image):
            raise ZeroDivisionError("ours")
        return heads.answered(moving, fixed, *rest)

    monkeypatch.setattr(finding, "find", find)
    rows, _ = run(folder)
    assert states(rows) == ["done", "done", "fault"]
    (log,) = (folder / "out" / "logs").iterdir()
    assert log.name in rows["cleo"]["reason"]
    assert "ZeroDivisionError: ours" in log.read_text()


def test_a_full_disk_is_listed_leaves_nothing_half_and_is_done_next_time(
    folder, monkeypatch
):
    save = nifti.save
    full = [True]

    def no_room(path, data, affine, *rest):
        if full and "sub-bert" in str(path):
            raise OSError(28, "No space left on device", str(path))
        save(path, data, affine, *rest)

    monkeypatch.setattr(nifti, "save", no_room)
    rows, _ = run(folder)
    assert states(rows) == ["done", "refused", "done"]
    assert "No space left" in rows["bert"]["reason"]
    assert not (folder / "out" / "sub-bert").exists()
    full.clear()
    rows, _ = run(folder)
    assert states(rows) == ["kept", "done", "kept"]


def test_files_of_somebody_else_are_left_as_they_are(folder):
    place = folder / "out/sub-anna/anat/sub-anna_space-fixed_desc-preproc_T1w.nii.gz"
    place.parent.mkdir(parents=True)
    place.write_text("mine")
    rows, _ = run(folder)
    assert states(rows) == ["refused", "done", "done"]
    assert "--force" in rows["anna"]["reason"] and place.read_text() == "mine"
    rows, _ = run(folder, force=True)
    assert states(rows) == ["done", "kept", "kept"]


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(folder, monkeypatch):
    run(folder)
    whole = content(folder / "out")
    shutil.rmtree(folder / "out")
    # Killed while files take their places: one is there, the rest lies beside.
    replace = os.replace

    def killed(source, target):
        if "sub-bert" in str(target) and str(target).endswith(".txt"):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        run(folder)
    monkeypatch.setattr(os, "replace", replace)
    (folder / "out" / ".writing-left").mkdir()
    rows, _ = run(folder)
    assert states(rows) == ["kept", "done", "done"]
    assert content(folder / "out") == whole
    assert not list((folder / "out").glob(".writing*"))


def test_two_runs_do_not_share_a_folder(folder):
    with cohort._alone(folder / "out"):
        with pytest.raises(InputError, match="another run is at work there"):
            run(folder)


def test_the_command_counts_what_is_to_be_looked_at(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    words = "cohort scans --fixed fixed.nii.gz --out out --no-report"
    assert command_line.main(words.split()) == 0
    assert "3 pairs, 0 to look at" in capsys.readouterr().out
    (folder / "scans/anna.nii.gz").write_bytes(b"no scan")
    assert command_line.main([*words.split(), "--quiet"]) == 3
    assert capsys.readouterr() == ("", "")
    assert command_line.main([*words.split(), "--workers", "0"]) == 2
    assert command_line.main("cohort none --out out".split()) == 2


def test_the_page_shows_the_worst_first_and_fetches_nothing_from_elsewhere(folder):
    rows, _ = run(folder, options={"transform": "affine"})
    worst = rows["cleo"] | {"verdict": "failed", "risk": 0.99, "error_mm": 20.0}
    listed = [rows["anna"], worst]
    text = cohort_report.page(listed, [("x.nii", "not a <T1w> scan")], "mine")
    assert text.index("cleo: failed") < text.index("anna: good")
    assert "http" not in text and "not a &lt;T1w&gt; scan" in text
    for kind in ("moved", "fixed"):
        entry = listing.Entry("anna", "fixed", None, None)
        assert (folder / "out" / cohort_report.picture(entry, kind)).exists()
    page = (folder / "out" / cohort.PAGE).read_text()
    assert page.count("<svg") >= 5 and page.count("<tr>") == 4


def test_five_hundred_pairs_make_a_page_below_a_megabyte(folder):
    rows, _ = run(folder)
    many = [rows["anna"] | {"name": f"anna{n}"} for n in range(500)]
    assert len(cohort_report.page(many, [], "many")) < 1e6


def test_real_workers_make_what_one_process_makes(folder, monkeypatch):
    monkeypatch.undo()
    source = heads.head(5), heads.head(6)
    for name, scan in zip(("anna", "bert"), source, strict=True):
        nifti.save(folder / "scans" / f"{name}.nii.gz", scan.image, scan.affine)
    (folder / "scans" / "cleo.nii.gz").unlink()
    words = "-m registration cohort scans --fixed scans/bert.nii.gz --out out"
    words += " --no-report --no-retry --no-refine --transform affine --workers 1"
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable, *words.split()],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stderr
    assert "1/1 anna" in done.stderr
    pair.pair(
        folder / "scans/anna.nii.gz",
        folder / "scans/bert.nii.gz",
        folder / "alone",
        transform="affine",
        refine=False,
        report=False,
        retry=False,
    )
    affine = "sub-anna/anat/sub-anna_from-anna_to-bert_mode-image_desc-affine_xfm.txt"
    np.testing.assert_allclose(
        np.loadtxt(folder / "out" / affine),
        np.loadtxt(folder / "alone" / "affine.txt"),
        atol=1e-5,
    )
