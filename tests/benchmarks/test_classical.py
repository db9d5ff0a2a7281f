import pathlib
import subprocess
import sys

import nibabel
import numpy as np
import pytest

from benchmarks.accuracy import cache, classical, pairs, score
from benchmarks.timing import measure
from helpers import metrics
from registration import transform
from registration.scans import scan as scans

ROOT = pathlib.Path(__file__).resolve().parents[2]

OBLIQUE = pairs.rigid_motion((1, 2, 3), 12, (5, -7, 11), np.zeros(3)) @ np.diag(
    [4.0, 3.0, 5.0, 1.0]
)


def head(affine, motion, shape=(36, 44, 28), bend=0.0):
    """Make an ellipsoid of nested shells and bars, on a grid and moved in the world."""
    voxels = np.moveaxis(np.indices(shape), 0, -1)
    centre = nibabel.affines.apply_affine(affine, (np.array(shape) - 1) / 2)
    world = nibabel.affines.apply_affine(affine, voxels)
    world = nibabel.affines.apply_affine(np.linalg.inv(motion), world - centre)
    world[..., 0] += bend * np.sin(world[..., 1] / 15)
    radius = np.linalg.norm(world / (45, 55, 40), axis=-1)
    shells = 1 + (radius > 0.4) + (radius > 0.7)
    bars = 3 * (world[..., 1] > 8) + 6 * (world[..., 2] > 5)
    labels = np.where(radius < 1, shells + bars, 0).astype("int32")
    image = (100 + 20 * np.cos(world[..., 0] / 9) + 9 * labels) * (radius < 1)
    return scans.Scan(image.astype("float32"), affine, labels, name="head")


def registration(matrix, *cost):
    return score.Registration(transform.Transform([matrix]), *cost)


@pytest.fixture(autouse=True)
def _build(tmp_path, monkeypatch):
    monkeypatch.setenv("REGISTRATION_BUILD", str(tmp_path))


def overlap(fixed, moved, minimum=50):
    """Return the Dice of every label that is large enough, least first."""
    counts = np.bincount(fixed.ravel())
    chosen = [label for label in np.flatnonzero(counts >= minimum) if label]
    return np.sort(list(metrics.dice(fixed, moved, chosen).values()))


@pytest.fixture
def two():
    fixed = head(OBLIQUE, np.eye(4))
    motion = pairs.rigid_motion((3, -1, 2), 9, (4, 6, -3), np.zeros(3))
    return head(np.diag([3.0, 4.0, 4.0, 1.0]), motion, (40, 42, 36), bend=4.0), fixed


@pytest.mark.parametrize("method", [classical.ants_affine, classical.ants_syn])
def test_our_points_warp_labels_as_ants_own_transforms_do(two, method, monkeypatch):
    ants = pytest.importorskip("ants")
    moving, fixed = two
    theirs, read = {}, classical._read_ants

    def also_apply(found, *rest):
        theirs["labels"] = ants.apply_transforms(
            classical.ants_image(fixed.labels, fixed.affine),
            classical.ants_image(moving.labels, moving.affine),
            found["fwdtransforms"],
            interpolator="nearestNeighbor",
        ).numpy()
        return read(found, *rest)

    monkeypatch.setattr(classical, "_read_ants", also_apply)
    found = method(moving, fixed).transform
    ours = found.apply(moving, fixed.grid).labels
    # Voxels that lie halfway between two may be rounded either way.
    assert overlap(theirs["labels"].astype("int32"), ours)[0] >= 0.99
    before = transform.Transform().apply(moving, fixed.grid).labels
    gain = [overlap(fixed.labels, labels).mean() for labels in (before, ours)]
    assert gain[1] > gain[0] + 0.1


def test_our_points_warp_labels_as_dipys_own_mapping_does(two, monkeypatch):
    imwarp = pytest.importorskip("dipy.align.imwarp")
    moving, fixed = two
    mappings, kind = [], imwarp.SymmetricDiffeomorphicRegistration
    optimize = kind.optimize

    def also_keep(self, *args, **kwargs):
        mappings.append(optimize(self, *args, **kwargs))
        return mappings[-1]

    monkeypatch.setattr(kind, "optimize", also_keep)
    start = pairs.rigid_motion((3, -1, 2), 7, (3, 5, -2), np.zeros(3))
    monkeypatch.setattr(
        classical, "dipy_affine", lambda moving, fixed: registration(start)
    )
    found = classical.dipy_syn(moving, fixed).transform
    theirs = mappings[0].transform(moving.labels, interpolation="nearest")
    ours = found.apply(moving, fixed.grid).labels
    # Voxels that lie halfway between two may be rounded either way.
    assert overlap(np.asarray(theirs), ours)[0] >= 0.99


def test_the_inverse_of_dipys_syn_brings_points_back(two, monkeypatch):
    pytest.importorskip("dipy")
    moving, fixed = two
    start = pairs.rigid_motion((3, -1, 2), 7, (3, 5, -2), np.zeros(3))
    monkeypatch.setattr(
        classical, "dipy_affine", lambda moving, fixed: registration(start)
    )
    scores = score.score(moving, fixed, classical.dipy_syn(moving, fixed).transform)
    # Its inverse is found by fixed-point iteration on a grid of 3 to 5 mm.
    assert scores["inverse_mm"] < 0.3


def test_centres_of_mass_meet_where_an_object_was_only_shifted():
    fixed = head(OBLIQUE, np.eye(4))
    shift = np.eye(4)
    shift[:3, 3] = (12, -8, 5)
    found = classical.centre_of_mass(pairs.move(fixed, shift), fixed)
    np.testing.assert_allclose(found.transform.affine, shift, atol=1e-3)


def test_a_transform_found_once_is_read_back_with_its_seconds():
    fixed = head(OBLIQUE, np.eye(4))
    calls = []

    def method(moving, fixed):
        calls.append(moving)
        return registration(np.diag([1.1, 0.9, 1, 1]), 7.0, 5.0, 3.0)

    cached = cache.affine(method)
    first, second = cached(fixed, fixed), cached(fixed, fixed)
    assert len(calls) == 1
    np.testing.assert_array_equal(first.transform.affine, second.transform.affine)
    assert (second.seconds, second.cpu_seconds, second.peak_mb) == (7, 5, 3)
    cached(pairs.move(fixed, np.diag([1.0, 1, 1, 1]) + 1e-3 * np.eye(4)), fixed)
    assert len(calls) == 2


def test_measuring_sees_the_memory_that_a_block_took_and_gave_back():
    with measure.measured() as idle:
        pass
    with measure.measured() as taken:
        np.ones(32 * 2**20)
    assert taken.peak_mb > idle.peak_mb + 200
    assert taken.seconds > 0
    assert taken.cpu_seconds > 0


def test_a_process_that_measures_a_peer_never_starts_keras():
    code = (
        "import sys; from benchmarks.accuracy import classical, dense, affine, pairs;"
        "from benchmarks.accuracy import runner, score;"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
