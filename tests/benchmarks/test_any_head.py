"""What the table of the network for any head counts."""

import pandas
import pytest

from benchmarks.accuracy import any_head


def rows(*cells):
    """Return rows of the pairs' table."""
    return pandas.DataFrame(
        [dict(zip(any_head.COLUMNS, cell, strict=True)) for cell in cells]
    )


def test_harm_is_less_dice_or_more_millimetres_than_the_start_of_that_pair():
    nan = float("nan")
    found = any_head.summary(
        rows(
            ("cohort", "a", "the start", 0.5, nan, 0),
            ("cohort", "a", "dense_t1", 0.6, nan, 0),
            ("cohort", "b", "the start", 0.4, nan, 0),
            ("cohort", "b", "dense_t1", 0.3, nan, 1),
            ("simulated t2", "a", "the start", 0.5, 5, 0),
            ("simulated t2", "a", "dense_t1", 0.6, 6, 0),
        )
    ).set_index(["set", "method"])
    assert found.loc["cohort", "dense_t1"]["worse_percent"] == 50
    assert found.loc["cohort", "dense_t1"]["folded_percent"] == 0.5
    assert found.loc["cohort", "dense_t1"]["dice"] == pytest.approx(0.45)
    assert found.loc["simulated t2", "dense_t1"]["worse_percent"] == 100
    assert found.loc["cohort", "the start"]["worse_percent"] == 0
    assert found["pairs"].tolist() == [2, 2, 1, 1]
