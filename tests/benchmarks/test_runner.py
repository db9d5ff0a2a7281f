import nibabel
import numpy as np
import pandas
import pytest

from benchmarks import table
from benchmarks.accuracy import pairs, runner, score
from registration import transform

METRICS = ("dice", "brain_dice", "ncc", "seconds")


def stay(moving, fixed):
    return score.Registration(transform.Transform(), seconds=2.0, cpu_seconds=1.0)


def fail(moving, fixed):
    raise RuntimeError("lost")


@pytest.fixture
def folder(tmp_path):
    """Write three scans in PSR order with labels; the third has none."""
    (tmp_path / "scans").mkdir()
    (tmp_path / "labels").mkdir()
    labels = np.zeros((20, 18, 16), "uint8")
    labels[4:16, 4:14, 4:8], labels[4:16, 4:14, 8:12] = 5, 9
    affine = np.array([[0, 0, 2, -9], [-2, 0, 0, 30], [0, 2, 0, -20], [0, 0, 0, 1.0]])
    for index, name in enumerate("abc"):
        image = np.random.default_rng(index).uniform(1, 2, labels.shape)
        path = tmp_path / "scans" / f"{name}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(image.astype("float32"), affine), path)
        if name != "c":
            path = tmp_path / "labels" / f"{name}_seg.nii.gz"
            nibabel.save(nibabel.Nifti1Image(labels, affine), path)
    return tmp_path


def run(folder, methods, *more):
    arguments = [
        *("--moving-dir", folder / "scans", "--labels-dir", folder / "labels"),
        *("--fixed", folder / "scans" / "a.nii.gz"),
        *("--fixed-labels", folder / "labels" / "a_seg.nii.gz"),
        *("--csv", folder / "rows.csv", "--quiet", *more),
    ]
    return runner.main("affine", methods, METRICS, "", list(map(str, arguments)))


def test_one_row_is_made_for_each_scan_and_method_and_failures_are_listed(
    folder, capsys
):
    assert run(folder, {"stay": stay, "fail": fail}) == 0
    rows = pandas.read_csv(folder / "rows.csv")
    assert rows[["scan", "method"]].values.tolist() == [["a", "stay"], ["b", "stay"]]
    assert rows["dice"].tolist() == [1, 1]
    assert rows["input"].unique() == ["stripped"]
    listed = capsys.readouterr().err
    assert listed.count("failed:") == 4
    assert "RuntimeError('lost')" in listed
    assert "c_*.nii.gz" in listed


def test_a_run_that_was_stopped_goes_on_and_repeats_no_row(folder):
    calls = []

    def counted(moving, fixed):
        calls.append(moving.name)
        return stay(moving, fixed)

    run(folder, {"counted": counted}, "--limit", "1")
    run(folder, {"counted": counted})
    assert calls == ["a", "b"]
    assert len(pandas.read_csv(folder / "rows.csv")) == 2


def test_the_summary_counts_pairs_and_takes_processor_seconds_of_one_thread(folder):
    def two_threads(moving, fixed):
        found = stay(moving, fixed)
        found.threads = 2
        return found

    run(folder, {"stay": stay, "two": two_threads})
    summary = pandas.read_csv(folder / "rows_summary.csv").set_index("method")
    assert summary.loc["stay", ["seconds", "clock"]].tolist() == [1, "processor"]
    assert summary.loc["two", ["seconds", "clock"]].tolist() == [2, "wall"]
    assert summary[["pairs", "of"]].values.tolist() == [[2, 3], [2, 3]]


def test_an_unknown_method_is_an_error_that_names_the_known_ones(folder, capsys):
    with pytest.raises(SystemExit):
        run(folder, {"stay": stay}, "--methods", "stay,learnt")
    message = capsys.readouterr().err
    assert "must be some of stay. Received: learnt" in message


def test_a_table_with_other_columns_is_never_added_to(tmp_path):
    table.append(tmp_path / "t.csv", {"a": 1, "b": 0.25}, ("a", "b"))
    with pytest.raises(ValueError, match="Received: "):
        table.append(tmp_path / "t.csv", {"a": 1, "c": 2}, ("a", "c"))
    assert (tmp_path / "t.csv").read_text().split() == ["a,b", "1,0.25"]


def test_a_scan_is_read_in_ras_order_and_stripped_by_its_labels(folder):
    seen = {}

    def keep(moving, fixed):
        seen[moving.name] = moving
        return stay(moving, fixed)

    run(folder, {"keep": keep})
    brain = seen["b"]
    assert nibabel.aff2axcodes(brain.affine) == ("R", "A", "S")
    stored = nibabel.load(folder / "scans" / "b.nii.gz").get_fdata(dtype="float32")
    # Stored to the back, up, right; wanted to the right, front, up.
    turned = stored.transpose(2, 0, 1)[:, ::-1]
    np.testing.assert_array_equal(brain.image, turned * (brain.labels > 0))


def test_the_three_kinds_of_pairs_are_known_by_name_and_no_other():
    sizes = [len(pairs.pairs(kind)) for kind in ("fixed", "any", "simulated")]
    assert sizes == [25, 25, 10]
    with pytest.raises(ValueError, match="Received: 'all'"):
        pairs.pairs("all")
