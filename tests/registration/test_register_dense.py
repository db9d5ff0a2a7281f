import keras
import nibabel
import numpy as np
import pytest
from keras import ops
from scipy import ndimage

from helpers import metrics, networks
from registration import prepare, register
from registration.scans.sources.simulated import subject as simulate
from tests.helpers import numeric

SHAPE = (48, 64, 48)


@pytest.fixture(scope="module")
def network():
    """Return an untrained network: its velocity is almost zero."""
    keras.utils.set_random_seed(1)
    return networks.dense_network(
        SHAPE, encoder=(4, 4), decoder=((4,), (4,)), squarings=5
    )


@pytest.fixture(scope="module")
def head():
    """Return a simulated brain of 4 mm and its affine."""
    made = simulate.subject(7, simulate.grid(4.0), skull=False)
    return made.image, made.affine


def waves(grid, millimetres):
    """Return a smooth velocity on half the grid, in voxels of that half."""
    half = [np.linspace(0, np.pi, size // 2) for size in grid.shape]
    bump = np.prod(np.meshgrid(*map(np.sin, half), indexing="ij"), axis=0)
    size = millimetres / (2 * grid.voxel_mm)
    return (size * bump[None, ..., None] * np.float32([1.0, -0.6, 0.4])).astype("f4")


@pytest.fixture(scope="module")
def deformation(head):
    grid = prepare.box(prepare.barycentre(*head), SHAPE, 2.0)
    matrix = np.eye(4)
    matrix[:3, :3] = [[1.05, 0.1, 0.0], [-0.1, 0.97, 0.02], [0.0, 0.03, 1.0]]
    matrix[:3, 3] = [4.0, -7.0, 2.5]
    return register.Deformation(grid, matrix, waves(grid, 5.0))


def brain_points(head, count=400):
    """Return points of the brain less than 35 mm from the centre of the box."""
    inside = nibabel.affines.apply_affine(head[1], np.argwhere(head[0] > 0.2))
    middle = prepare.barycentre(*head)
    inside = inside[np.linalg.norm(inside - middle, axis=1) < 35]
    return np.random.default_rng(0).permutation(inside)[:count]


def test_without_a_velocity_the_deformation_is_its_affine(head, deformation):
    still = deformation._replace(velocity=np.zeros_like(deformation.velocity))
    points = brain_points(head)
    expected = nibabel.affines.apply_affine(deformation.affine, points)
    # float32 at about 100 mm.
    np.testing.assert_allclose(still.points(points), expected, atol=1e-4)


def test_the_displacement_comes_first_and_the_affine_after_it(head, deformation):
    points = brain_points(head)
    still = deformation._replace(affine=np.eye(4))
    expected = nibabel.affines.apply_affine(deformation.affine, still.points(points))
    np.testing.assert_allclose(deformation.points(points), expected, atol=1e-4)
    assert np.linalg.norm(still.points(points) - points, axis=1).max() > 4


def test_points_and_inverse_undo_each_other_within_a_tenth_of_a_voxel(
    head, deformation
):
    points = brain_points(head)
    back = deformation.inverse(deformation.points(points))
    # Both fields are interpolated on the 2 mm grid.
    assert np.linalg.norm(back - points, axis=1).mean() < 0.2


def test_a_point_on_a_voxel_of_the_box_moves_by_the_displacement_stored_there(
    deformation,
):
    still = deformation._replace(affine=np.eye(4))
    voxel = np.array([20, 30, 25])
    place = nibabel.affines.apply_affine(deformation.grid.affine, voxel)
    moved = still.points(place[None])[0]
    field = numeric.array(still.displacement())[0]
    np.testing.assert_allclose(moved - place, 2.0 * field[tuple(voxel)], atol=1e-4)


def test_refinement_finds_a_smooth_deformation_of_a_head(network, head, deformation):
    moving, affine = head
    truth = deformation._replace(affine=np.eye(4))
    points = nibabel.affines.apply_affine(
        affine, np.moveaxis(np.indices(moving.shape), 0, -1)
    )
    voxels = nibabel.affines.apply_affine(np.linalg.inv(affine), truth.points(points))
    fixed = ndimage.map_coordinates(moving, np.moveaxis(voxels, -1, 0), order=1)
    pairs = (moving, affine), (fixed.astype("float32"), affine)
    some = brain_points(head)
    errors = []
    for steps in (0, 30):
        found = register.dense(*pairs, network, np.eye(4), steps)
        apart = np.linalg.norm(found.points(some) - truth.points(some), axis=1)
        errors.append(apart.mean())
    # Inside one tissue nothing shows where a point went, so not all of it is found.
    assert errors[0] > 2.5
    assert errors[1] < 0.55 * errors[0]


def test_a_mask_makes_what_lies_outside_the_fixed_brain_irrelevant(network, head):
    moving, affine = head
    mask = moving > 0.15
    rng = np.random.default_rng(3)
    noisy = np.where(mask, moving, rng.random(moving.shape)).astype("float32")
    plain = prepare.around_brain(
        (moving * mask, affine), (moving * mask, affine), np.eye(4), SHAPE
    )
    masked = prepare.around_brain(
        (noisy, affine), (noisy, affine), np.eye(4), SHAPE, fixed_mask=mask
    )
    assert np.abs(plain.grid.affine - masked.grid.affine).max() < 2.0
    assert float(ops.mean(masked.fixed)) < 1.1 * float(ops.mean(plain.fixed)) + 0.02


def test_a_constant_scan_is_refused(network, head):
    flat = np.ones_like(head[0])
    with pytest.raises(ValueError, match="Received"):
        register.dense((flat, head[1]), head, network, np.eye(4))


@pytest.fixture(scope="module")
def simulated_pair():
    """Return two simulated brains of 2 mm, moving and fixed, with their labels."""
    made = [simulate.subject(i, simulate.grid(2.0), skull=False) for i in (5, 6)]
    return [(one.image, one.affine, one.labels) for one in made]


def test_the_stored_models_align_heads_of_another_kind_without_folds(simulated_pair):
    (moving, affine, labels), (fixed, goal, goal_labels) = simulated_pair
    pair = (moving, affine), (fixed, goal)
    matrix = register.affine(*pair, models.load("affine_t1"), 20)
    found = register.dense(*pair, models.load("dense_t1"), matrix)
    world = nibabel.affines.apply_affine(
        goal, np.moveaxis(np.indices(fixed.shape), 0, -1)
    )
    dice = []
    for points in (nibabel.affines.apply_affine(matrix, world), found.points(world)):
        voxels = nibabel.affines.apply_affine(np.linalg.inv(affine), points)
        moved = ndimage.map_coordinates(labels, np.moveaxis(voxels, -1, 0), order=0)
        dice.append(metrics.mean_dice(goal_labels, moved))
    assert dice[1] > dice[0] + 0.02
    field = found.displacement()
    assert metrics.folding(field)["folded_percent"][0] == 0
    there_and_back = transforms.inverse_error(field, found.inverse_displacement())
    # The target of the project, in voxels.
    assert there_and_back[0] < 0.1
