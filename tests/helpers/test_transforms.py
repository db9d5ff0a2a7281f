import numpy as np
import pytest
from dipy.align import imaffine
from keras import ops
from scipy import linalg

from helpers import affines, sampling, transforms
from tests.helpers import numeric

SHAPES = {2: (7, 5), 3: (6, 4, 5)}
both_dimensions = pytest.mark.parametrize("ndim", [2, 3])


def smooth_field(ndim, size=0.3, seed=0):
    """A displacement `(1, *shape, ndim)` of at most `size` voxels."""
    parts = [numeric.smooth_image(SHAPES[ndim], seed + axis) for axis in range(ndim)]
    return size * (2 * np.concatenate(parts, axis=-1) - 1)


def linear_field(matrix, shape):
    """The field `matrix` times the position relative to the grid's centre."""
    centred = sampling.identity_grid(shape) - (np.array(shape) - 1) / 2
    return (centred @ np.asarray(matrix).T)[None].astype("float32")


def inner(field, margin=1):
    """Cut the border away, where the edge rule ends the field's own law."""
    cut = (slice(None), *[slice(margin, -margin)] * (field.ndim - 2))
    return field[cut]


def test_a_displacement_of_whole_voxels_fetches_from_where_it_points():
    image = np.arange(12, dtype="float32").reshape(1, 3, 4, 1)
    displacement = np.zeros((1, 3, 4, 2), "float32") + np.float32([1, -2])
    moved = numeric.array(transforms.warp(image, displacement))[0, ..., 0]
    np.testing.assert_array_equal(moved, [[0, 0, 4, 5], [0, 0, 8, 9], [0, 0, 0, 0]])


def test_labels_warped_by_nearest_stay_labels():
    labels = np.random.default_rng(0).integers(0, 9, (1, *SHAPES[2], 1))
    moved = transforms.warp(labels.astype("int32"), smooth_field(2, 2.0), "nearest")
    moved = numeric.array(moved)
    assert moved.dtype == np.int32
    assert set(np.unique(moved)) <= {0, *np.unique(labels)}


def test_a_shift_of_half_a_side_moves_half_the_longest_axis_on_every_axis():
    affine = np.float32([[[1, 0, 1], [0, 1, 1]]])
    field = numeric.array(transforms.affine_displacement(affine, (8, 4)))
    np.testing.assert_array_equal(field, np.full((1, 8, 4, 2), 4))


def test_a_quarter_turn_carries_a_corner_of_a_flat_image_out_of_it():
    affine = np.float32([[[0, -1, 0], [1, 0, 0]]])
    field = transforms.affine_displacement(affine, (5, 3))
    fetched = numeric.array(transforms.points(field))[0]
    np.testing.assert_allclose(fetched[2, 1], [2, 1], atol=1e-6)
    np.testing.assert_allclose(fetched[0, 0], [3, -1], atol=1e-6)
    np.testing.assert_allclose(fetched[4, 1], [2, 3], atol=1e-6)


def test_an_affine_found_at_four_millimetres_holds_at_two():
    generator = np.random.default_rng(0)
    affine = np.eye(3, 4) + 0.2 * generator.normal(size=(1, 3, 4))
    affine = affine.astype("float32")
    coarse, fine = (
        mm * numeric.array(transforms.affine_displacement(affine, shape, mm))
        for mm, shape in ((4.0, (4, 3, 5)), (2.0, (8, 6, 10)))
    )
    # A coarse voxel's centre lies in the middle of eight fine ones.
    means = fine.reshape(1, 4, 2, 3, 2, 5, 2, 3).mean(axis=(2, 4, 6))
    np.testing.assert_allclose(means, coarse, atol=1e-5)


def test_an_affine_fetches_what_dipy_fetches():
    shape, spacing = (9, 7, 8), np.array([1.0, 2.0, 1.5])
    image = np.random.default_rng(1).random(shape).astype("float32")
    header = np.diag([*spacing, 1.0])
    turn = linalg.expm(np.cross(np.eye(3), [0.1, -0.2, 0.3]))
    world = np.eye(4)
    world[:3, :3], world[:3, 3] = turn * [1.1, 0.9, 1.0], [1, -2, 3]
    dipy_map = imaffine.AffineMap(
        world,
        domain_grid_shape=shape,
        domain_grid2world=header,
        codomain_grid_shape=shape,
        codomain_grid2world=header,
    )
    expected = dipy_map.transform(image)
    affine = affines.from_world(world, (shape, header))[None].astype("float32")
    field = transforms.affine_displacement(affine, shape, spacing)
    moved = numeric.array(transforms.warp(image[None, ..., None], field))[0, ..., 0]
    fetched = numeric.array(transforms.points(field))[0]
    inside = ((fetched >= 0) & (fetched <= np.array(shape) - 1)).all(axis=-1)
    assert inside.sum() > 100
    np.testing.assert_allclose(moved[inside], expected[inside], atol=1e-5)


@both_dimensions
def test_warping_by_a_composition_is_warping_twice_with_one_interpolation(ndim):
    # A ramp is interpolated without error; nothing is fetched from outside.
    slope = np.arange(1, ndim + 1, dtype="float32")
    image = (sampling.identity_grid(SHAPES[ndim]) @ slope)[None, ..., None]
    outer, first = np.zeros_like(smooth_field(ndim)), smooth_field(ndim, seed=9)
    inner(outer)[:] = inner(smooth_field(ndim))
    twice = transforms.warp(transforms.warp(image, outer), first)
    once = transforms.warp(image, transforms.compose(outer, first))
    np.testing.assert_allclose(
        inner(numeric.array(once)), inner(numeric.array(twice)), atol=1e-5
    )


def test_composition_fetches_the_outer_field_where_the_inner_one_points():
    outer = np.zeros((1, 4, 3, 2), "float32")
    outer[0, 2, 1] = [5, 7]
    first = np.zeros((1, 4, 3, 2), "float32") + np.float32([1, 0])
    expected = first.copy()
    expected[0, 1, 1] += [5, 7]
    result = transforms.compose(outer, first)
    np.testing.assert_array_equal(numeric.array(result), expected)


@both_dimensions
def test_an_affine_after_a_displacement_is_exact_beyond_the_grid_too(ndim):
    shape, spacing = SHAPES[ndim], (1.0, 2.0, 1.5)[:ndim]
    field = smooth_field(ndim, 8.0)
    generator = np.random.default_rng(2)
    affine = np.eye(ndim, ndim + 1) + 0.2 * generator.normal(size=(1, ndim, ndim + 1))
    result = transforms.compose_affine(affine.astype("float32"), field, spacing)
    matrix = affines.voxel_to_centred(shape, spacing)
    square = np.concatenate([affine[0], np.eye(ndim + 1)[-1:]])
    voxel = np.linalg.inv(matrix) @ square @ matrix
    positions = sampling.identity_grid(shape) + field[0]
    expected = positions @ voxel[:-1, :-1].T + voxel[:-1, -1]
    # Positions of up to 20 voxels in float32.
    np.testing.assert_allclose(
        numeric.array(transforms.points(result))[0], expected, atol=2e-5
    )


@both_dimensions
def test_a_constant_velocity_integrates_to_itself(ndim):
    velocity = np.zeros((1, *SHAPES[ndim], ndim), "float32")
    velocity += np.float32([2.5, -1.25, 0.5])[:ndim]
    result = numeric.array(transforms.integrate_velocity(velocity))
    np.testing.assert_allclose(result, velocity, rtol=1e-5)


@both_dimensions
def test_a_linear_velocity_integrates_to_the_matrix_exponential(ndim):
    # It points inwards, so that no path leaves the grid, where the edge rule holds.
    generator = np.random.default_rng(3)
    matrix = -0.3 * np.eye(ndim) + 0.02 * generator.normal(size=(ndim, ndim))
    velocity = linear_field(matrix, SHAPES[ndim])
    result = numeric.array(transforms.integrate_velocity(velocity))
    unit = np.eye(ndim)
    power = np.linalg.matrix_power(unit + matrix / 2**7, 2**7)
    steps = linear_field(power - unit, SHAPES[ndim])
    np.testing.assert_allclose(result, steps, atol=1e-5)
    # The 128 steps of Euler's method leave 3 voxels times 0.3 squared over 256.
    limit = linear_field(linalg.expm(matrix) - unit, SHAPES[ndim])
    np.testing.assert_allclose(result, limit, atol=1e-3)


def test_the_negated_velocity_integrates_to_the_inverse():
    velocity = linear_field([[-0.1, 0.05], [-0.05, -0.1]], (15, 13))
    there, back = (transforms.integrate_velocity(s * velocity) for s in (1, -1))
    rest = inner(numeric.array(transforms.compose(back, there)), margin=4)
    assert np.abs(inner(numeric.array(there), margin=4)).max() > 0.3
    # Each is off by 128 steps of Euler's method: 7 voxels times 0.1 squared over 256.
    np.testing.assert_allclose(rest, 0, atol=5e-4)


def test_zero_squarings_return_the_velocity():
    field = smooth_field(2)
    result = transforms.integrate_velocity(field, 0)
    np.testing.assert_array_equal(numeric.array(result), field)


@both_dimensions
def test_the_inverse_of_a_linear_field_is_the_inverse_matrix(ndim):
    matrix = 0.25 * np.eye(ndim) + 0.05 * np.ones((ndim, ndim))
    field = linear_field(matrix, SHAPES[ndim])
    inverse = numeric.array(transforms.invert_displacement(field))
    unit = np.eye(ndim)
    expected = linear_field(np.linalg.inv(unit + matrix) - unit, SHAPES[ndim])
    np.testing.assert_allclose(inverse, expected, atol=1e-5)
    rest = numeric.array(transforms.compose(field, inverse))
    np.testing.assert_allclose(rest, 0, atol=1e-5)


@both_dimensions
def test_the_jacobian_determinant_of_an_affine_field_is_the_matrix_determinant(ndim):
    matrix = 0.3 * np.random.default_rng(4).normal(size=(ndim, ndim))
    field = linear_field(matrix, SHAPES[ndim])
    result = numeric.array(transforms.jacobian_determinant(field))
    expected = np.full((1, *SHAPES[ndim]), np.linalg.det(np.eye(ndim) + matrix))
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_the_determinant_is_one_sided_at_the_border_and_central_inside():
    field = np.zeros((1, 4, 3, 2), "float32")
    field[0, 1, :, 0], field[0, 2, :, 0] = 2, -2
    result = numeric.array(transforms.jacobian_determinant(field))[0]
    # The rows fetch rows 0, 3, 0, 3: differences 3, 0, 0, 3.
    np.testing.assert_array_equal(result, [[3] * 3, [0] * 3, [0] * 3, [3] * 3])


@both_dimensions
def test_refining_keeps_a_linear_field_linear_and_counts_in_finer_voxels(ndim):
    matrix = 0.1 * np.random.default_rng(5).normal(size=(ndim, ndim))
    field = linear_field(matrix, SHAPES[ndim])
    result = numeric.array(transforms.upsample_displacement(field, 2))
    fine = linear_field(matrix, [2 * size for size in SHAPES[ndim]])
    np.testing.assert_allclose(inner(result), inner(fine), atol=1e-6)
    assert result.shape == fine.shape
    same = transforms.upsample_displacement(field, 1)
    np.testing.assert_array_equal(numeric.array(same), field)


@both_dimensions
def test_gradients_through_every_transform_are_difference_quotients(ndim):
    weights = np.random.default_rng(6).normal(size=(*SHAPES[ndim], ndim))
    weights = ops.convert_to_tensor(weights.astype("float32"))
    # On whole voxels the derivative is one-sided: move off them.
    field = 0.4 + smooth_field(ndim, 0.2)
    other = 0.3 + smooth_field(ndim, 0.2, seed=9)
    functions = [
        lambda u: transforms.compose(u, other) * weights,
        lambda u: transforms.compose(other, u) * weights,
        lambda u: transforms.integrate_velocity(u, 2) * weights,
        lambda u: transforms.jacobian_determinant(u) * weights[..., 0],
        lambda u: ops.square(transforms.upsample_displacement(u, 2)),
    ]
    for function in functions:
        numeric.assert_gradient(function, field, step=2e-2)


FIELD = np.zeros((1, 4, 3, 2), "float32")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: transforms.points(FIELD[..., :1]), r"Received: shape \(1, 4, 3, 1\)"),
        (lambda: transforms.warp(FIELD, FIELD[0]), r"Received: shape \(4, 3, 2\)"),
        (lambda: transforms.affine_displacement(FIELD[0], (4, 3)), "2D grid needs"),
        (lambda: transforms.integrate_velocity(FIELD, -1), "Received: -1"),
        (lambda: transforms.invert_displacement(FIELD, 0), "Received: 0"),
        (lambda: transforms.jacobian_determinant(FIELD[:, :1]), "at least 2 voxels"),
        (lambda: transforms.upsample_displacement(FIELD, 1.5), "Received: 1.5"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_there_and_back_by_exact_inverses_is_no_way_at_all():
    there = np.zeros((1, 6, 5, 2), "float32") + np.float32([1.5, -0.5])
    np.testing.assert_allclose(transforms.inverse_error(there, -there), 0, atol=1e-6)


def test_there_and_back_is_measured_where_a_voxel_stays_on_the_grid():
    there = np.zeros((2, 6, 5, 2), "float32") + np.float32([1, 0])
    back = np.zeros((2, 6, 5, 2), "float32") + np.float32([-1, 2])
    back[1] = 9
    result = transforms.inverse_error(there, back)
    # The second pair leaves the grid at once: nothing is left to measure.
    np.testing.assert_array_equal(result, [2, np.nan])
