import dataclasses

import numpy as np
import pytest

from registration import affine, models, prepare
from tests.registration import heads


@pytest.fixture(scope="module")
def model():
    return models.load("affine_t1")


@pytest.fixture(scope="module")
def head():
    return heads.head(7)


def mean_distance(found, matrix):
    """Return the mean distance in mm to a known matrix over a ball of 70 mm."""
    points = np.random.default_rng(1).normal(size=(500, 3))
    points *= 70 / np.linalg.norm(points, axis=1, keepdims=True)
    truth = points @ matrix[:3, :3].T + matrix[:3, 3]
    return np.linalg.norm(found.points(points) - truth, axis=1).mean()


def test_a_header_that_shifts_the_same_head_is_found(model, head):
    shift = heads.turned(0, (35.0, -20.0, 12.0))
    moving = dataclasses.replace(head, affine=shift @ head.affine)
    # A quarter of a voxel.
    assert mean_distance(affine.register(moving, head, model, 40), shift) < 1.0


def test_a_turned_head_is_found_within_half_a_voxel(model, head):
    turn = heads.turned(15)
    moving = dataclasses.replace(head, affine=turn @ head.affine)
    assert mean_distance(affine.register(moving, head, model, 40), turn) < 2.0


def test_brightness_does_not_matter(model, head):
    fixed = dataclasses.replace(head, image=head.image[::-1].copy())
    bright = dataclasses.replace(head, image=head.image * 700)
    plain = affine.register(head, fixed, model).affine
    # Intensities scaled from 700 differ in float32's last digits.
    found = affine.register(bright, fixed, model).affine
    np.testing.assert_allclose(plain, found, atol=1e-3)


def test_a_constant_scan_is_refused(model, head):
    flat = dataclasses.replace(head, image=np.ones_like(head.image))
    with pytest.raises(ValueError, match="two intensities. Received: 1 only"):
        affine.register(flat, head, model)


def test_a_mask_that_is_missing_is_asked_for(model, head):
    bare = dataclasses.replace(head, labels=None, mask=None)
    with pytest.raises(ValueError, match="neither a brain mask nor labels"):
        affine.register(head, bare, model, steps=1, use_mask=True)


def test_the_refinement_looks_at_the_mask_and_not_at_the_skull(model):
    moving, fixed = heads.head(3, skull=True), heads.head(4, skull=True)
    matrices = {}
    for name, mask in (("brain", fixed.mask), ("half", fixed.mask.copy())):
        if name == "half":
            mask[mask.shape[0] // 2 :] = False
        masked = dataclasses.replace(fixed, mask=mask)
        matrices[name] = affine.register(moving, masked, model, 4, use_mask=True).affine
    assert np.abs(matrices["brain"] - matrices["half"]).max() > 1e-3


def test_the_voxel_size_of_the_model_decides_the_grid(model, head):
    pair = prepare.from_barycentres(head, head, model.shape, model.voxel_mm)
    np.testing.assert_array_equal(pair.grid.spacing, [model.voxel_mm] * 3)
    coarse = dataclasses.replace(model, voxel_mm=5.0)
    seen = affine.register(head, head, coarse).affine
    assert np.abs(seen - affine.register(head, head, model).affine).max() > 1e-6
