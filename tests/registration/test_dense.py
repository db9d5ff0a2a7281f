import dataclasses

import keras
import nibabel
import numpy as np
import pytest
from scipy import ndimage

from helpers import metrics, networks, transforms
from registration import affine, dense, models, prepare, transform
from registration.scans import grid as grids
from registration.scans import intensity
from tests.helpers import numeric
from tests.registration import heads

SHAPE = (48, 64, 48)
MATRIX = np.array(
    [[1.05, 0.1, 0, 4], [-0.1, 0.97, 0.02, -7], [0, 0.03, 1, 2.5], [0, 0, 0, 1]]
)


def untrained(voxel_mm=2.0, squarings=5, shape=SHAPE):
    """Return a model whose velocity is almost zero."""
    keras.utils.set_random_seed(1)
    options = {"shape": shape, "encoder": (4, 4), "decoder": ((4,), (4,))}
    options |= {"squarings": squarings}
    network = networks.dense_network(**options)
    return models.Model("none", network, voxel_mm, "brain", {}, options)


@pytest.fixture(scope="module")
def head():
    return heads.head(7)


def box(head, shape=SHAPE, voxel_mm=2.0):
    middle = intensity.barycentre(head.image, head.affine)
    return grids.box(middle, shape, voxel_mm)


def waves(grid, millimetres):
    """Return a smooth velocity on half the grid, in voxels of that half."""
    half = [np.linspace(0, np.pi, size // 2) for size in grid.shape]
    bump = np.prod(np.meshgrid(*map(np.sin, half), indexing="ij"), axis=0)
    size = millimetres / (2 * grid.spacing[0])
    return (size * bump[None, ..., None] * np.float32([1.0, -0.6, 0.4])).astype("f4")


@pytest.fixture(scope="module")
def field(head):
    grid = box(head)
    return dense.field(waves(grid, 5.0), grid, 5)


def test_the_displacement_comes_first_and_the_affine_after_it(head, field):
    points = heads.brain_points(head)
    found = transform.Transform([MATRIX]) @ transform.Transform([field])
    displaced = field.points(points)
    expected = displaced @ MATRIX[:3, :3].T + MATRIX[:3, 3]
    np.testing.assert_allclose(found.points(points), expected, atol=1e-9)
    assert np.linalg.norm(displaced - points, axis=1).max() > 4


def test_a_field_in_millimetres_is_the_integrated_velocity_in_voxels(head, field):
    grid = box(head)
    velocity = transforms.integrate_velocity(waves(grid, 5.0), 5)
    expected = numeric.array(transforms.upsample_displacement(velocity, 2))[0]
    # Squarings round off at positions of order 10.
    np.testing.assert_allclose(field.voxels(), expected, atol=1e-4)
    np.testing.assert_allclose(field.displacement, 2 * expected, atol=2e-4)


def test_points_and_inverse_undo_each_other_within_a_tenth_of_a_voxel(head, field):
    found = transform.Transform([field, MATRIX])
    points = heads.brain_points(head)
    back = found.inverse().points(found.points(points))
    # Both fields are interpolated on the 2 mm grid.
    assert np.linalg.norm(back - points, axis=1).mean() < 0.2


def test_without_squarings_the_velocity_is_the_displacement(head):
    grid = box(head)
    plain = dense.field(waves(grid, 5.0), grid, 0)
    expected = numeric.array(transforms.upsample_displacement(waves(grid, 5.0), 2))[0]
    np.testing.assert_allclose(plain.voxels(), expected, atol=1e-5)
    assert plain.back is None


def deformed_pair(head, field):
    """Return a head, the same head moved by a known field, and the transform."""
    truth = transform.Transform([field])
    return head, truth.apply(head, head.grid), truth


@pytest.mark.parametrize(
    ("voxel_mm", "squarings", "shape"),
    [(2.0, 5, SHAPE), (3.0, 3, (32, 48, 32)), (3.0, 0, (32, 48, 32))],
)
def test_refinement_finds_a_known_deformation_with_any_contract(
    head, field, voxel_mm, squarings, shape
):
    moving, fixed, truth = deformed_pair(head, field)
    some = heads.brain_points(head)
    errors = []
    model = untrained(voxel_mm, squarings, shape)
    for steps in (0, 30):
        found = dense.register(moving, fixed, model, transform.Transform(), steps)
        apart = np.linalg.norm(found.points(some) - truth.points(some), axis=1)
        errors.append(apart.mean())
        np.testing.assert_array_equal(found.fields[0].grid.spacing, [voxel_mm] * 3)
    # Inside one tissue nothing shows where a point went, so not all of it is found.
    assert errors[0] > 2.5
    assert errors[1] < 0.6 * errors[0]


def with_noise_outside(scan, mask, seed):
    noise = np.random.default_rng(seed).random(scan.image.shape)
    image = np.where(mask, scan.image, noise).astype("float32")
    return dataclasses.replace(scan, image=image, labels=None, mask=mask)


WIDE = (80, 96, 80)


def outside(mask, grid, affine, voxels):
    """Return where a grid lies further than some voxels from a mask of 4 mm."""
    inside = transform.fetch(mask, affine, grid.points())
    return ~ndimage.binary_dilation(inside, iterations=voxels)


def test_with_the_mask_nothing_outside_the_fixed_brain_reaches_the_network(head):
    mask = head.image > 0.15
    noisy, start = with_noise_outside(head, mask, 3), transform.Transform()
    masked = prepare.around_brain(head, noisy, start, WIDE, 2.0, use_mask=True)
    bare = prepare.around_brain(head, noisy, start, WIDE, 2.0)
    # Interpolation carries an edge between voxels of 4 mm on by less than 4 mm.
    far = outside(mask, masked.grid, head.affine, 2 * 3)
    assert far.sum() > 10_000
    assert not numeric.array(masked.fixed)[0, ..., 0][far].any()
    assert numeric.array(bare.fixed)[0, ..., 0][far].mean() > 0.3


def test_of_the_moving_scan_four_millimetres_around_the_fixed_brain_are_kept(head):
    flat = dataclasses.replace(head, image=np.ones_like(head.image))
    flat.image[0, 0, 0] = 0
    mask = np.zeros(head.image.shape, bool)
    mask[16:32, 20:40, 20:40] = True
    fixed = with_noise_outside(head, mask, 3)
    pair = prepare.around_brain(
        flat, fixed, transform.Transform(), WIDE, 2.0, use_mask=True
    )
    places = np.argwhere(numeric.array(pair.moving)[0, ..., 0] > 0)
    edges = np.array([places.min(0), places.max(0)])
    corners = nibabel.affines.apply_affine(pair.grid.affine, edges)
    brain = nibabel.affines.apply_affine(head.affine, [[16, 20, 20], [31, 39, 39]])
    rim = np.array([brain[0] - corners[0], corners[1] - brain[1]])
    # From the centre of the mask's last voxel: half a voxel of 4 mm, then 4 mm, and
    # the two grids need not meet by up to a voxel of 2 mm.
    assert (rim > 4).all() and (rim < 8).all()


def test_registration_with_the_mask_does_not_see_the_skull(head):
    mask = head.image > 0.15
    model = untrained()
    moving = with_noise_outside(head, mask, 5)
    found = [
        dense.register(
            moving, with_noise_outside(head, mask, seed), model,
            transform.Transform(), 4, use_mask=True,
        ).fields[0].displacement
        for seed in (3, 4)
    ]  # fmt: skip
    plain = dense.register(
        moving, with_noise_outside(head, mask, 3), model, transform.Transform(), 4
    )
    apart = np.abs(found[0] - found[1]).max()
    assert apart < 0.3 * np.abs(found[0] - plain.fields[0].displacement).max()


def test_a_constant_scan_and_a_bent_start_are_refused(head, field):
    flat = dataclasses.replace(head, image=np.ones_like(head.image))
    with pytest.raises(ValueError, match="two intensities. Received: 1 only"):
        dense.register(flat, head, untrained(), transform.Transform())
    with pytest.raises(ValueError, match="start must be an affine. Received: 1 field"):
        dense.register(head, head, untrained(), transform.Transform([field]))


def test_the_stored_models_align_heads_of_another_kind_without_folds():
    moving, fixed = (heads.head(seed, 2.0) for seed in (5, 6))
    start = affine.register(moving, fixed, models.load("affine_t1"), 20)
    found = dense.register(moving, fixed, models.load("dense_t1"), start)
    dice = [
        metrics.mean_dice(fixed.labels, one.apply(moving, fixed.grid).labels)
        for one in (start, found)
    ]
    assert dice[1] > dice[0] + 0.02
    field = found.fields[0]
    assert metrics.folding(field.voxels()[None])["folded_percent"][0] == 0
    there_and_back = transforms.inverse_error(
        field.voxels()[None], field.inverse().voxels()[None]
    )
    # The target of the project, in voxels.
    assert there_and_back[0] < 0.1
