import sys
import types

import numpy as np
import pytest

from helpers import metrics
from registration import masks
from tests.registration import heads


@pytest.fixture(scope="module")
def subjects():
    return [heads.head([7, number], skull=True) for number in range(2)]


def overlap(one, other):
    return metrics.dice(one.astype("uint8"), other.astype("uint8"))[1]


def test_an_atlas_finds_the_brain_of_another_head(subjects):
    atlas, scan = subjects
    found = masks.brain_mask(scan.image, scan.affine, "atlas", atlas)
    assert overlap(scan.mask, found) > 0.9
    assert overlap(scan.mask, atlas.mask) < overlap(scan.mask, found)


def test_a_head_whose_header_is_shifted_keeps_its_mask(subjects):
    atlas = subjects[0]
    place = atlas.affine.copy()
    place[:3, 3] += [12.0, -30.0, 25.0]
    found = masks.brain_mask(atlas.image, place, "atlas", atlas)
    # The network is not told that the two are one head, so it is off by a little.
    assert overlap(atlas.mask, found) > 0.95


def test_bet_gets_the_image_in_millimetres_and_prints_nothing(monkeypatch, capsys):
    seen = {}

    class BrainExtractor:
        def __init__(self, img):
            seen["zooms"] = img.header.get_zooms()
            self.mask = np.asarray(img.dataobj) > 0.5

        def run(self):
            print("Iteration: 1")

        def compute_mask(self):
            print("done")

    module = types.SimpleNamespace(BrainExtractor=BrainExtractor)
    monkeypatch.setitem(sys.modules, "brainextractor", module)
    image = np.random.default_rng(0).uniform(size=(6, 7, 8)).astype("float32")
    found = masks.brain_mask(image, np.diag([2.0, 2, 2, 1]), "bet")
    np.testing.assert_array_equal(found, image > 0.5)
    assert seen["zooms"] == (2, 2, 2)
    assert capsys.readouterr().out == ""


def test_the_tools_do_not_see_the_neck(monkeypatch):
    seen = []

    def median_otsu(image, **options):
        seen.append(image.shape)
        return image, image > 0

    monkeypatch.setattr("dipy.segment.mask.median_otsu", median_otsu)
    image = np.zeros((8, 8, 60), "float32")
    image[2:6, 2:6, :50] = 1
    found = masks.brain_mask(image, np.diag([5.0, 5, 5, 1]), "median_otsu")
    assert seen == [(8, 8, 60 - 16)]
    assert not found[..., :16].any()
    assert found[3, 3, 16:50].all()


def test_a_missing_tool_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "brainextractor", None)
    with pytest.raises(ImportError, match="requirements/stripping.txt"):
        masks.brain_mask(np.zeros((4, 4, 4)), np.eye(4), "bet")


@pytest.mark.parametrize(
    ("method", "atlas", "complaint"),
    [
        ("fsl", None, "one of .* Received: 'fsl'"),
        ("atlas", None, "Received: 'atlas' without one"),
        ("bet", (0, 0, 0), "Received: 'bet' with one"),
    ],
)
def test_an_unknown_method_and_a_missing_atlas_are_refused(method, atlas, complaint):
    with pytest.raises(ValueError, match=complaint):
        masks.brain_mask(np.zeros((4, 4, 4)), np.eye(4), method, atlas)


def test_the_stored_network_finds_a_brain_with_skull_and_without(subjects):
    scan = subjects[0]
    assert overlap(scan.mask, masks.find(scan)) > 0.8
    assert overlap(scan.mask, masks.find(scan.stripped())) > 0.95


def test_the_network_follows_a_head_whose_header_is_shifted(subjects):
    scan = subjects[0]
    place = scan.affine.copy()
    place[:3, 3] += [12.0, -30.0, 25.0]
    there = masks.brain_mask(scan.image, place, "network")
    np.testing.assert_array_equal(there, masks.find(scan))


def test_a_scan_without_a_brain_is_refused():
    image = np.zeros((60, 60, 60), "float32")
    image[5:9, 5:9, 5:9] = 1
    with pytest.raises(ValueError, match="give a mask"):
        masks.brain_mask(image, np.diag([2.0, 2, 2, 1]), "network")
