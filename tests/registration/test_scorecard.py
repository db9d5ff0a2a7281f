import numpy as np
import pandas as pd
import pytest

from registration import scorecard

ROWS = {
    "before": {"ncc": np.array([0.5, 0.3]), "folded_percent": 0.0},
    "learned": {"ncc": np.array([0.9, 0.7]), "seconds": 0.0012345},
}


def test_the_table_shows_mean_and_deviation_with_pairs_and_device(monkeypatch):
    monkeypatch.delenv("REGISTRATION_BUILD", raising=False)
    shown = scorecard.table("00_test", ROWS)
    assert shown.frame.to_dict("list") == {
        "NCC": ["0.400 ± 0.100", "0.800 ± 0.100"],
        "folded (%)": ["0.00", "–"],
        "seconds a pair": ["–", "0.00123"],
        "pairs": [2, 2],
    }
    assert list(shown.frame.index) == ["before", "learned"]
    assert "Device: " in shown.caption
    for text in (repr(shown), shown._repr_html_()):
        assert "0.400 ± 0.100" in text and shown.caption in text


def test_the_numbers_are_written_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("REGISTRATION_BUILD", str(tmp_path))
    scorecard.table("00_test", ROWS)
    stored = pd.read_csv(tmp_path / "scorecards" / "00_test.csv")
    assert list(stored["method"]) == ["before", "learned"]
    np.testing.assert_allclose(stored["ncc_mean"], [0.4, 0.8])
    np.testing.assert_allclose(stored["ncc_sd"], [0.1, 0.1])
    assert list(stored["pairs"]) == [2, 2]
    assert np.isnan(stored["seconds_mean"][0])


def test_an_unknown_column_is_refused():
    with pytest.raises(ValueError, match="Received: {'psnr'}"):
        scorecard.table("00_test", {"before": {"psnr": 30.0}})
