import csv

import pytest

pytest.importorskip("jupytext")

from tools import notebooks, readme, tables  # noqa: E402


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Let the results lie in an empty folder; return a function that writes one."""
    monkeypatch.setattr(tables, "RESULTS", tmp_path)

    def write(name, *rows):
        with (tmp_path / f"{name}.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
        return tmp_path / f"{name}.csv"

    return write


def dense(method, **values):
    """Return a row as the summary of the deformable benchmark has it."""
    row = {"targets": "fixed", "input": "stripped", "method": method, "pairs": "25"}
    row |= {"dice": "0.6652", "dice_sd": "0.0134", "folding": "0.004"}
    return row | {"seconds": "0.341", "clock": "wall"} | values


def cells(table):
    """Return the cells of a Markdown table's rows."""
    lines = [line for line in table.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("0.66520", "0.665"),
        ("0.0531", "0.0531"),
        ("7.1643", "7.16"),
        ("57.661", "57.7"),
        ("1386.98", "1387"),
        ("25", "25"),
        ("1.2e-07", "1.2e-07"),
        ("nan", "–"),
        ("ANTs", "ANTs"),
        ("", ""),
    ],
)
def test_a_number_keeps_three_digits(text, short):
    assert tables.number(text) == short


def test_mean_and_deviation_have_the_same_decimals():
    row = {"dice": "0.9598", "dice_sd": "0.004", "t_mean": "7.1643", "t_sd": "1.1388"}
    assert tables.merged(row) == {"dice": "0.960 ± 0.004", "t": "7.16 ± 1.14"}
    assert tables.merged({"t_mean": "0.5", "t_sd": "0.0"}) == {"t": "0.500"}


def test_an_empty_column_is_left_out_and_the_device_stands_below(results):
    path = results("x", {"case": "a", "tre": "", "device": "CPU"})
    text = tables.csv_table(path)
    assert text.startswith("| case |\n")
    assert text.endswith("Device: CPU.")


def test_the_table_of_results_has_a_row_a_method_and_a_dash_for_what_is_missing(
    results,
):
    results(
        "dense_summary",
        dense("learned"),
        dense("ants_syn", seconds="12.74", clock="processor"),
        dense("learned", targets="any", dice="0.1"),
    )
    learned, refined, command, ants, dipy = cells(tables.result_table())
    assert learned[1:] == ["0.665 ± 0.013", "0.00", "0.3", "–"]
    assert ants[1:] == ["0.665 ± 0.013", "0.00", "12.7", "–"]
    assert refined[1:] == command[1:] == dipy[1:] == ["–"] * 4
    assert "processor time of one thread" in tables.result_table()


def test_seconds_in_a_fresh_process_appear_once_they_were_measured(results):
    results("dense_summary", dense("learned"))
    results(
        "fresh_process",
        {"method": "onnx", "size": "2 mm", "seconds": "9", "device": "CPU, 2 cores"},
        {"method": "onnx", "size": "2 mm", "seconds": "10", "device": "CPU, 2 cores"},
        {"method": "onnx", "size": "1 mm", "seconds": "50", "device": "CPU, 2 cores"},
        {"method": "onnx_refined", "size": "2 mm", "seconds": "7", "device": "CPU"},
        {"method": "learned", "size": "2 mm", "seconds": "40", "device": "CPU"},
        {"method": "dipy_syn", "size": "2 mm", "seconds": "70.4", "device": "CPU"},
    )
    found = cells(tables.result_table())
    assert [row[-1] for row in found] == ["10", "–", "7", "–", "70"]
    assert "Fresh processes on CPU; CPU, 2 cores." in tables.result_table()


def test_without_any_result_the_table_still_stands(results):
    assert [row[1:] for row in cells(tables.result_table())] == [["–"] * 4] * 5


def test_the_readme_is_one_page():
    lines = readme.README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150


def test_the_readme_names_every_page_of_the_series_with_its_number_and_minutes():
    rows = cells(tables.notebook_table())
    assert [row[0] for row in rows] == [p.stem[:2] for p in notebooks.sources()]
    assert all(float(row[3]) > 0 or row[3] == "–" for row in rows)
