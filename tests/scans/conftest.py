"""What the tests of scans share."""

import pytest

from tests.scans.heads import save_subject


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
