import numpy as np
import pandas as pd

from registration import show


def test_what_is_missing_is_a_dash():
    rows = [[None, np.nan, pd.NA, pd.NaT, "nan", f"{np.nan:.2f}"]]
    table = show.table("abcdef", rows)
    assert table.cells == [["–"] * 6]


def test_numbers_have_three_digits_and_counts_all():
    rows = [[0.07213, 1234.5, 300547, "0.10", True]]
    assert show.table("abcde", rows).cells == [
        ["0.0721", "1234", "300547", "0.10", "True"]
    ]


def test_numbers_stand_at_the_right_and_texts_at_the_left():
    page = show.table(["", "Dice"], [["before", "0.5 ± 0.1"], ["after", None]]).html
    assert page.count("text-align:left") == page.count("text-align:right") == 3


def test_a_table_has_no_border_of_its_own():
    page = show.table(["a"], [[1]]).html
    assert "border" not in page and "reg-table" in page


def test_a_data_frame_brings_its_index_unless_it_only_counts():
    frame = pd.DataFrame({"Dice": [0.5, np.nan]})
    assert show.table(frame).heads == ["Dice"]
    frame.index = pd.Index(["before", "after"], name="method")
    table = show.table(frame)
    assert table.heads == ["method", "Dice"]
    assert table.cells == [["before", "0.5"], ["after", "–"]]


def test_levels_of_a_data_frame_become_columns_and_joined_heads():
    frame = pd.DataFrame(
        [[1, 2]],
        columns=pd.MultiIndex.from_tuples([("Dice", "mean"), ("Dice", "sd")]),
        index=pd.MultiIndex.from_tuples([("ixi", "dense")], names=["source", "level"]),
    )
    table = show.table(frame)
    assert table.heads == ["source", "level", "Dice, mean", "Dice, sd"]
    assert table.cells == [["ixi", "dense", "1", "2"]]


def test_a_table_without_rows_shows_its_heads():
    assert "<th" in show.table(["a", "b"], []).html


def test_a_table_is_also_lines_of_text():
    table = show.table(["", "Dice"], [["before", 0.5]], "25 pairs")
    assert repr(table).splitlines() == ["        Dice", "before  0.5", "25 pairs"]
