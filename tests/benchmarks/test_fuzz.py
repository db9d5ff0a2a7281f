import pytest

from benchmarks.accuracy import fuzz
from registration import inputs
from registration.mendable import InputError


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "sound.nii"
    path.write_bytes(fuzz.sound())
    return path


def test_the_sound_file_is_read(path):
    assert fuzz.outcome(path) == "read"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyError("dim"), "KeyError"),
        (MemoryError(), "MemoryError"),
        (InputError("it is bad"), "does not help"),
    ],
)
def test_what_is_neither_read_nor_refused_is_told(path, monkeypatch, error, told):
    def fail(path):
        raise error

    monkeypatch.setattr(inputs, "scan", fail)
    assert told in fuzz.outcome(path)


def test_a_case_is_the_same_each_time_and_no_two_are_alike():
    first = [fuzz.spoiled("header", "flipped", seed) for seed in range(20)]
    assert first == [fuzz.spoiled("header", "flipped", seed) for seed in range(20)]
    assert len(set(first)) == 20


@pytest.mark.parametrize(("file", "how"), [("header", "extreme"), ("gzip", "bomb")])
def test_no_spoiled_file_takes_more_than_its_share(file, how):
    row = fuzz.row(file, how, 40)
    assert row["read"] + row["refused"] == 40 and row["other"] == 0
    assert row["most_mb"] < fuzz.MEGABYTES
