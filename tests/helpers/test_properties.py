"""What holds for every transform, tried on drawn ones."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import affines, sampling, transforms, world
from tests.helpers import numeric

# The same examples each time: a test that fails now and then teaches nobody.
ALIKE = settings(max_examples=25, deadline=None, derandomize=True)
NDIM = st.sampled_from([2, 3])
SEEDS = st.integers(0, 2**32 - 1)
SHAPES = {2: (9, 7), 3: (8, 6, 7)}


@st.composite
def affine(draw, count=1):
    """Draw affines of one number of axes, in centred coordinates."""
    ndim = draw(NDIM)
    # Thousandths: TensorFlow flushes subnormal numbers, which floats would be drawn as.
    size = ndim * (ndim + 1)
    numbers = st.lists(st.integers(-400, 400), min_size=size, max_size=size)
    drawn = np.array([draw(numbers) for _ in range(count)], "float32") / 1000
    made = (affines.from_parameters(one[None], ndim) for one in drawn)
    return ndim, *map(numeric.array, made)


@st.composite
def image(draw):
    """Draw an image of noise, 2D or 3D."""
    shape = SHAPES[draw(NDIM)]
    rng = np.random.default_rng(draw(SEEDS))
    return rng.random((1, *shape, 1), "float32")


@ALIKE
@given(affine(count=3))
def test_composition_is_associative_and_has_a_unit(drawn):
    ndim, one, two, three = drawn
    left = affines.compose(affines.compose(one, two), three)
    right = affines.compose(one, affines.compose(two, three))
    # Entries grow to about 5, in float32.
    np.testing.assert_allclose(left, right, atol=1e-5)
    unit = affines.identity(ndim)
    np.testing.assert_allclose(affines.compose(one, unit), one, atol=1e-6)
    np.testing.assert_allclose(affines.compose(unit, one), one, atol=1e-6)


@ALIKE
@given(affine(count=2))
def test_the_inverse_of_a_composition_is_that_of_its_parts_turned_around(drawn):
    _, one, two = drawn
    whole = affines.invert(affines.compose(one, two))
    parts = affines.compose(affines.invert(two), affines.invert(one))
    # Condition numbers reach about ten.
    np.testing.assert_allclose(whole, parts, atol=5e-5)


@ALIKE
@given(affine())
def test_every_drawn_affine_keeps_its_orientation(drawn):
    ndim, matrix = drawn
    assert np.linalg.det(matrix[0, :, :ndim]) > 0


@ALIKE
@given(image(), st.data())
def test_a_whole_shift_moves_voxels_and_invents_none(image, data):
    shape = image.shape[1:-1]
    shift = [data.draw(st.integers(-size, size)) for size in shape]
    field = np.broadcast_to(np.array(shift, "float32"), (1, *shape, len(shape)))
    moved = numeric.array(transforms.warp(image, field))
    expected = np.zeros_like(image)
    here = [
        slice(max(0, -s), max(0, n - max(0, s)))
        for s, n in zip(shift, shape, strict=True)
    ]
    there = [
        slice(max(0, s), max(0, n + min(0, s)))
        for s, n in zip(shift, shape, strict=True)
    ]
    expected[(0, *here)] = image[(0, *there)]
    np.testing.assert_array_equal(moved, expected)


@ALIKE
@given(image(), SEEDS, st.floats(0, 3))
def test_interpolation_stays_between_the_least_and_the_most(image, seed, size):
    shape = image.shape[1:-1]
    rng = np.random.default_rng(seed)
    points = sampling.identity_grid(shape)[None] + size * rng.normal(
        size=(1, *shape, len(shape))
    ).astype("float32")
    moved = numeric.array(sampling.sample(image, points))
    assert moved.min() >= -1e-6 and moved.max() <= image.max() + 1e-6
    # The edge instead of zero: then a constant stays a constant.
    flat = np.full_like(image, 0.7)
    same = numeric.array(sampling.sample(flat, points, fill="edge"))
    np.testing.assert_allclose(same, 0.7, atol=1e-6)


@ALIKE
@given(image(), image(), st.floats(-2, 2), SEEDS)
def test_sampling_is_linear_in_the_image(one, other, weight, seed):
    if one.shape != other.shape:
        other = one[:, ::-1].copy()
    shape = one.shape[1:-1]
    rng = np.random.default_rng(seed)
    points = rng.uniform(-1, 9, (1, 50, len(shape))).astype("float32")
    mixed = sampling.sample(one + np.float32(weight) * other, points)
    apart = [numeric.array(sampling.sample(x, points)) for x in (one, other)]
    np.testing.assert_allclose(mixed, apart[0] + weight * apart[1], atol=1e-5)


@ALIKE
@given(NDIM, SEEDS)
def test_a_velocity_and_its_negative_undo_each_other(ndim, seed):
    shape = {2: (24, 20), 3: (20, 18, 16)}[ndim]
    rng = np.random.default_rng(seed)
    places = [np.linspace(0, np.pi, size) for size in shape]
    bump = np.prod(np.meshgrid(*map(np.sin, places), indexing="ij"), axis=0) ** 2
    velocity = 0.8 * bump[None, ..., None] * rng.uniform(-1, 1, ndim)
    velocity = velocity.astype("float32")
    there, back = (
        numeric.array(transforms.integrate_velocity(v)) for v in (velocity, -velocity)
    )
    missed = numeric.array(transforms.compose(there, back))
    # Each way is interpolated linearly on a bump of a few voxels.
    assert np.abs(missed).max() < 0.02


@ALIKE
@given(affine(), st.lists(st.floats(0.5, 4), min_size=3, max_size=3))
def test_an_affine_survives_the_world_and_back(drawn, sizes):
    ndim, matrix = drawn
    if ndim == 2:
        matrix = numeric.array(affines.identity(3))
        matrix[0, :2, :2], matrix[0, :2, 3] = drawn[1][0, :, :2], drawn[1][0, :, 2]
    place = np.diag([*sizes, 1.0])
    place[:3, 3] = sizes[::-1]
    fixed, moving = ((8, 9, 10), place), ((6, 7, 8), np.diag([2.0, 3.0, 1.5, 1.0]))
    there = world.to_world(matrix[0], fixed, moving)
    np.testing.assert_allclose(
        world.from_world(there, fixed, moving), matrix[0], atol=1e-5
    )
