import nibabel
import numpy as np
import pytest
from keras import ops
from scipy import linalg

from helpers import affines, transforms
from tests.helpers import numeric

QUARTER_TURN = np.float32([[[0, -1, 0], [1, 0, 0]]])
SHIFT_DOWN = np.float32([[[1, 0, 2], [0, 1, 0]]])


def random_affine(ndim, seed=0, batch=3, size=0.3):
    generator = np.random.default_rng(seed)
    change = size * generator.normal(size=(batch, ndim, ndim + 1))
    return (np.eye(ndim, ndim + 1) + change).astype("float32")


def random_header(seed, spacing, offset):
    """A voxel-to-world matrix: turned, with the spacing and offset given, in mm."""
    turn = linalg.expm(np.cross(np.eye(3), np.random.default_rng(seed).normal(size=3)))
    return nibabel.affines.from_matvec(turn * spacing, offset)


def test_the_identity_is_the_unit_matrix_beside_zeros():
    expected = [[[1, 0, 0], [0, 1, 0]]] * 2
    np.testing.assert_array_equal(numeric.array(affines.identity(2, 2)), expected)


def test_composing_applies_the_inner_affine_first():
    shift_last = numeric.array(affines.compose(SHIFT_DOWN, QUARTER_TURN))
    turn_last = numeric.array(affines.compose(QUARTER_TURN, SHIFT_DOWN))
    np.testing.assert_array_equal(shift_last, [[[0, -1, 2], [1, 0, 0]]])
    np.testing.assert_array_equal(turn_last, [[[0, -1, 0], [1, 0, 2]]])


@pytest.mark.parametrize("ndim", [2, 3])
def test_an_affine_and_its_inverse_cancel_in_both_orders(ndim):
    affine = random_affine(ndim)
    inverse = affines.invert(affine)
    for pair in ((affine, inverse), (inverse, affine)):
        product = numeric.array(affines.compose(*pair))
        # Inverting in float32 loses the digits of the condition number.
        np.testing.assert_allclose(
            product, np.tile(np.eye(ndim, ndim + 1), (3, 1, 1)), atol=3e-5
        )


@pytest.mark.parametrize("norm", [0.01, 1, 10])
def test_the_exponential_agrees_with_scipy(norm):
    generator = np.random.default_rng(0).normal(size=(4, 4, 4))
    generator *= norm / np.linalg.norm(generator, 2, axis=(1, 2))[:, None, None]
    result = numeric.array(affines.exponential(generator.astype("float32")))
    expected = np.stack([linalg.expm(g) for g in generator])
    # Six squarings multiply the rounding of float32 by 64.
    rounding = np.finfo("float32").eps * np.abs(expected).max()
    np.testing.assert_allclose(result, expected, atol=64 * rounding)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("parametrisation", affines.PARAMETRISATIONS)
def test_zero_parameters_give_the_identity(ndim, parametrisation):
    zeros = np.zeros((2, ndim * (ndim + 1)), "float32")
    result = affines.from_parameters(zeros, ndim, parametrisation=parametrisation)
    np.testing.assert_array_equal(
        numeric.array(result), numeric.array(affines.identity(ndim, 2))
    )


def test_the_exponential_of_a_turn_a_scale_and_a_shift_is_known():
    turn = np.float32([[0, -np.pi / 2, 0, np.pi / 2, 0, 0]])
    scale = np.float32([[np.log(2), 0, 0, 0, 0, 0]])
    shift = np.float32([[0, 0, 2, 0, 0, 0]])
    expected = [QUARTER_TURN, [[[2, 0, 0], [0, 1, 0]]], SHIFT_DOWN]
    for parameters, affine in zip((turn, scale, shift), expected, strict=True):
        result = numeric.array(affines.from_parameters(parameters, 2))
        np.testing.assert_allclose(result, affine, atol=1e-5)


@pytest.mark.parametrize("ndim", [2, 3])
def test_negated_parameters_give_the_inverse(ndim):
    parameters = np.random.default_rng(1).normal(size=(3, ndim * (ndim + 1)))
    parameters = (0.5 * parameters).astype("float32")
    there, back = (affines.from_parameters(s * parameters, ndim) for s in (1, -1))
    product = numeric.array(affines.compose(there, back))
    np.testing.assert_allclose(
        product, np.tile(np.eye(ndim, ndim + 1), (3, 1, 1)), atol=1e-5
    )


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_rigid_transform_keeps_lengths_and_a_direct_one_adds(ndim):
    parameters = np.random.default_rng(2).normal(size=(3, ndim * (ndim + 1)))
    parameters = parameters.astype("float32")
    rigid = numeric.array(affines.from_parameters(parameters, ndim, "rigid"))
    square = rigid[..., :ndim]
    unit = np.tile(np.eye(ndim), (3, 1, 1))
    np.testing.assert_allclose(square @ square.swapaxes(1, 2), unit, atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(square), 1, atol=1e-5)
    direct = affines.from_parameters(parameters, ndim, parametrisation="direct")
    expected = parameters.reshape(3, ndim, ndim + 1) + np.eye(ndim, ndim + 1)
    np.testing.assert_allclose(numeric.array(direct), expected, atol=1e-6)


@pytest.mark.parametrize("kind", affines.KINDS)
def test_the_gradient_in_the_parameters_is_the_difference_quotient(kind):
    generator = np.random.default_rng(3)
    weights = generator.normal(size=(2, 2, 3)).astype("float32")
    numeric.assert_gradient(
        lambda p: ops.multiply(affines.from_parameters(p, 2, kind), weights),
        0.3 * generator.normal(size=(2, 6)),
    )


def test_centred_coordinates_have_one_scale_and_their_origin_in_the_middle():
    # 4 × 2 voxels of 1 × 3 mm: sides of 4 and 6 mm, so 1 stands for 3 mm.
    matrix = affines.voxel_to_centred((4, 2), (1.0, 3.0))
    corner = matrix @ [-0.5, -0.5, 1]
    np.testing.assert_allclose(corner, [-4 / 6, -1, 1])
    np.testing.assert_allclose(matrix @ [1.5, 0.5, 1], [0, 0, 1], atol=1e-15)


def test_to_world_and_from_world_undo_each_other():
    fixed = (5, 7, 4), random_header(0, (1.0, 2.0, 1.5), (-3, 4, 9))
    moving = (6, 5, 8), random_header(1, (2.0, 1.0, 1.0), (10, 0, -2))
    affine = random_affine(3)[0]
    for scans in ((fixed,), (fixed, moving)):
        there = affines.to_world(affine, *scans)
        np.testing.assert_array_equal(there[3], [0, 0, 0, 1])
        back = affines.from_world(there, *scans)
        np.testing.assert_allclose(back, affine, atol=1e-12)


def test_the_identity_brings_the_centres_of_two_scans_together():
    fixed = (5, 7, 4), random_header(0, (1.0, 2.0, 1.5), (-3, 4, 9))
    moving = (6, 5, 8), random_header(1, (2.0, 1.0, 1.0), (10, 0, -2))
    world = affines.to_world(np.eye(3, 4), fixed, moving)
    centres = [
        nibabel.affines.apply_affine(header, (np.array(shape) - 1) / 2)
        for shape, header in (fixed, moving)
    ]
    np.testing.assert_allclose(
        nibabel.affines.apply_affine(world, centres[0]), centres[1], atol=1e-12
    )
    # Lengths in millimetres are kept: the identity is a motion without a scale.
    np.testing.assert_allclose(np.linalg.det(world), 1)


def test_a_world_matrix_fetches_the_voxels_that_nibabel_says():
    shape, header = (5, 7, 4), random_header(2, (1.0, 2.0, 1.5), (-3, 4, 9))
    world = random_header(3, (1.1, 0.9, 1.0), (2, -1, 3))
    affine = affines.from_world(world, (shape, header))
    displacement = transforms.affine_displacement(
        affine[None].astype("float32"), shape, np.linalg.norm(header[:3, :3], axis=0)
    )
    fetched = numeric.array(transforms.points(displacement))[0]
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    voxel_to_voxel = np.linalg.inv(header) @ world @ header
    expected = nibabel.affines.apply_affine(voxel_to_voxel, voxels)
    # Positions of up to 20 voxels in float32.
    np.testing.assert_allclose(fetched, expected, atol=2e-5)


@pytest.mark.parametrize("ndim", [2, 3])
def test_decomposing_finds_the_parts_that_an_affine_was_made_of(ndim):
    angle, scales = 0.4, np.float64([1.2, 0.8, 1.1])[:ndim]
    shears = np.float64([0.1, -0.2, 0.3])[: ndim * (ndim - 1) // 2]
    turn = np.eye(ndim)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    triangle = np.eye(ndim)
    triangle[np.triu_indices(ndim, 1)] = shears
    triangle = np.diag(scales) @ triangle
    shift = np.arange(ndim) / 10
    affine = np.concatenate([turn @ triangle, shift[:, None]], axis=1)[None]
    parts = affines.decompose(affine.astype("float32"))
    expected = {
        "rotation": turn,
        "angle": np.degrees(angle),
        "scales": scales,
        "shears": shears,
        "translation": shift,
    }
    assert parts.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(parts[name][0], value, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: affines.homogeneous(np.zeros((2, 3))), r"Received: shape \(2, 3\)"),
        (lambda: affines.compose(np.zeros((1, 2, 2)), SHIFT_DOWN), r"\(1, 2, 2\)"),
        (lambda: affines.from_parameters(np.zeros((1, 6)), 3), "12 parameters"),
        (lambda: affines.from_parameters(np.zeros((1, 6)), 2, "similar"), "'similar'"),
        (
            lambda: affines.from_parameters(np.zeros((1, 6)), 2, "rigid", "direct"),
            "Received: 'direct'",
        ),
        (lambda: affines.voxel_to_centred((4, 4), (1.0, 0.0)), "positive"),
        (lambda: affines.voxel_to_centred((4, 4), (1.0, 1.0, 1.0)), "one per axis"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
