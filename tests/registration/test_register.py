import numpy as np
import pytest

from registration import models, register
from registration.scans.sources.simulated import subject as simulate


@pytest.fixture(scope="module")
def network():
    return models.load("affine_t1")


@pytest.fixture(scope="module")
def head():
    """Return a simulated brain and its affine."""
    made = simulate.subject(7, simulate.grid(4.0), skull=False)
    return made.image, made.affine


def mean_distance(first, second):
    """Return the mean distance in mm between two maps over a ball of 70 mm."""
    points = np.random.default_rng(1).normal(size=(500, 3))
    points *= 70 / np.linalg.norm(points, axis=1, keepdims=True)
    points = np.concatenate([points, np.ones((500, 1))], axis=1)
    return np.linalg.norm(points @ (first - second).T, axis=1).mean()


def test_a_header_that_shifts_the_same_head_is_found(network, head):
    image, affine = head
    shift = np.eye(4)
    shift[:3, 3] = [35.0, -20.0, 12.0]
    found = register.affine((image, shift @ affine), (image, affine), network, 40)
    # A quarter of a voxel.
    assert mean_distance(found, shift) < 1.0


def test_a_turned_head_is_found_within_half_a_voxel(network, head):
    image, affine = head
    angle = np.radians(15)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    found = register.affine((image, turn @ affine), (image, affine), network, 40)
    assert mean_distance(found, turn) < 2.0


def test_brightness_does_not_matter(network, head):
    image, affine = head
    moving = (image, affine)
    plain = register.affine(moving, (image[::-1].copy(), affine), network)
    bright = register.affine(
        (image * 700, affine), (image[::-1].copy(), affine), network
    )
    np.testing.assert_allclose(plain, bright, atol=1e-3)


def test_a_constant_scan_is_refused(network, head):
    image, affine = head
    with pytest.raises(ValueError, match="Received"):
        register.affine((np.ones_like(image), affine), (image, affine), network)


def test_damaged_weights_are_refused(tmp_path, monkeypatch):
    for path in models.MODELS.glob("affine_t1.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = tmp_path / "affine_t1.weights.h5"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(stored, "MODELS", tmp_path)
    with pytest.raises(ValueError, match="sha256.*Received"):
        models.load("affine_t1")


def test_an_unknown_model_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match="affine_t1.*Received: 'none'"):
        models.load("none")
