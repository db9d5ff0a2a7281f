"""What holds for every transform that is found, stored and read, on drawn ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.accuracy import fuzz
from helpers import affines
from registration import itk, transform
from registration.scans import grid as grids
from registration.scans import nifti
from tests.helpers import numeric

# The same examples each time: a test that fails now and then teaches nobody.
ALIKE = settings(max_examples=15, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)
POINTS = np.random.default_rng(0).uniform(-30, 30, (200, 3))


def matrix(rng):
    """Draw an affine of the world, some centimetres and some ten degrees."""
    numbers = rng.uniform(-0.3, 0.3, (1, 12)).astype("float32")
    found = np.eye(4)
    found[:3] = numeric.array(affines.from_parameters(numbers, 3))[0]
    found[:3, 3] *= 100
    return found


def field(rng):
    """Draw a smooth field of a few millimetres on an oblique grid around the points."""
    place = matrix(rng)
    place[:3, 3] = 0
    place[:3, :3] = np.linalg.qr(place[:3, :3])[0] * rng.uniform(3, 6, 3)
    shape = (24, 22, 26)
    place[:3, 3] = -place[:3, :3] @ (np.array(shape) - 1) / 2
    grid = grids.Grid(shape, place)
    waves = np.sin(grid.points() / 20 + rng.uniform(0, 6, 3)) * rng.uniform(0, 3, 3)
    return transform.Field(grid, waves.astype("float32"))


def chain(seed):
    """Draw a chain of one to three parts."""
    rng = np.random.default_rng(seed)
    parts = [(matrix, field)[rng.integers(2)](rng) for _ in range(rng.integers(1, 4))]
    return transform.Transform(parts)


@ALIKE
@given(SEEDS, SEEDS)
def test_a_product_is_its_factors_one_after_the_other(one, other):
    one, other = chain(one), chain(other)
    np.testing.assert_allclose(
        (one @ other).points(POINTS), one.points(other.points(POINTS)), atol=1e-9
    )


@ALIKE
@given(SEEDS)
def test_the_way_back_of_a_field_leads_back(seed):
    found = transform.Transform([field(np.random.default_rng(seed))])
    back = found.inverse().points(found.points(POINTS))
    # Between the voxels of 3 to 6 mm, both ways are interpolated linearly.
    assert np.linalg.norm(back - POINTS, axis=1).max() < 0.3


@ALIKE
@given(SEEDS)
def test_the_way_back_of_an_affine_is_exact(seed):
    found = transform.Transform([matrix(np.random.default_rng(seed))])
    np.testing.assert_allclose(
        found.inverse().points(found.points(POINTS)), POINTS, atol=1e-9
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("drawn")


@ALIKE
@given(seed=SEEDS)
def test_a_stored_chain_is_read_as_the_same_points(folder, seed):
    found = chain(seed)
    itk.save(folder / "drawn.h5", found)
    again = itk.read(folder / "drawn.h5")
    # Displacements are stored in float32, and no field reaches beyond its grid in ITK.
    np.testing.assert_allclose(again.points(POINTS), found.points(POINTS), atol=1e-4)


@ALIKE
@given(seed=SEEDS)
def test_a_stored_affine_is_read_as_the_same_matrix(folder, seed):
    found = matrix(np.random.default_rng(seed))
    itk.save(folder / "drawn.tfm", transform.Transform([found]))
    np.testing.assert_allclose(itk.read(folder / "drawn.tfm").affine, found, atol=1e-9)


@ALIKE
@given(
    seed=SEEDS,
    axes=st.permutations([0, 1, 2]),
    flips=st.tuples(*[st.booleans()] * 3),
    kind=st.sampled_from(["uint8", "int16", "int32", "float32"]),
    ending=st.sampled_from([".nii", ".nii.gz"]),
)
def test_every_voxel_of_a_scan_is_where_it_was(folder, seed, axes, flips, kind, ending):
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 200, (4, 5, 6)).astype(kind)
    turn = np.eye(4)[:, [*axes, 3]] * [*np.where(flips, -1.0, 1.0), 1]
    place = turn @ np.diag([*rng.uniform(0.5, 4, 3), 1.0])
    place[:3, 3] = rng.uniform(-99, 99, 3)
    nifti.save(folder / f"drawn{ending}", data, place)
    scan = nifti.load(folder / f"drawn{ending}")
    # float32 holds the offset to a hundred-thousandth of a millimetre.
    there = np.argwhere(np.ones(data.shape)) @ place[:3, :3].T + place[:3, 3]
    here = (there - scan.affine[:3, 3]) @ np.linalg.inv(scan.affine[:3, :3]).T
    found = scan.image[tuple(np.rint(here).astype(int).T)]
    np.testing.assert_allclose(here, np.rint(here), atol=1e-3)
    np.testing.assert_array_equal(found, data.ravel())
    assert (np.diag(scan.affine)[:3] > 0).all()


@ALIKE
@given(
    seed=st.integers(0, 10**6),
    way=st.sampled_from([(f, how) for f, ways in fuzz.WAYS.items() for how in ways]),
)
def test_a_spoiled_file_is_read_or_refused_in_one_line(folder, seed, way):
    data, ending = fuzz.spoiled(*way, seed)
    path = folder / f"spoiled{ending}"
    path.write_bytes(data)
    assert fuzz.outcome(path) in ("read", "refused")
