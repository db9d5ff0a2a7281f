import keras
import numpy as np
import pytest
from scipy import ndimage

from helpers import affines, networks, transforms
from tests.helpers import numeric

SHAPES = {2: (8, 12), 3: (8, 4, 12)}
both_dimensions = pytest.mark.parametrize("ndim", [2, 3])


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(0)


def pair(ndim, batch=2):
    generator = np.random.default_rng(0)
    return list(generator.random((2, batch, *SHAPES[ndim], 1)).astype("float32"))


def small(ndim, **options):
    return networks.affine_network(SHAPES[ndim], filters=(4, 4), hidden=8, **options)


def cascade(ndim, **options):
    options = {"filters": (4,), "hidden": 8, "stages": ((2, 1), (1, 2))} | options
    return networks.affine_cascade(SHAPES[ndim], 2.0, **options)


def disturb(model):
    """Give every weight a random value, so that the output is not the identity."""
    generator = np.random.default_rng(1)
    model.set_weights([0.1 * generator.normal(size=w.shape) for w in model.weights])
    return model


@both_dimensions
@pytest.mark.parametrize("kind", affines.KINDS)
def test_an_untrained_network_gives_the_identity_for_any_pair(ndim, kind):
    affine = small(ndim, kind=kind)(pair(ndim))
    np.testing.assert_array_equal(
        numeric.array(affine), numeric.array(affines.identity(ndim, 2))
    )


def test_without_the_identity_start_the_first_affine_is_another():
    affine = numeric.array(small(2, identity_start=False)(pair(2)))
    assert np.abs(affine - np.eye(2, 3)).max() > 1e-3


def test_the_network_sees_both_images_and_tells_them_apart():
    network = disturb(small(2))
    moving, fixed = pair(2)
    affine, swapped = network([moving, fixed]), network([fixed, moving])
    assert np.abs(numeric.array(affine) - numeric.array(swapped)).max() > 1e-4


def test_a_rigid_network_gives_rotations():
    affine = numeric.array(disturb(small(3, kind="rigid"))(pair(3)))
    square = affine[..., :3]
    unit = np.tile(np.eye(3), (2, 1, 1))
    np.testing.assert_allclose(square @ square.swapaxes(1, 2), unit, atol=1e-5)
    assert np.abs(square - unit).max() > 1e-4


@both_dimensions
def test_registration_adds_the_image_that_its_transform_moves(ndim):
    moving, fixed = pair(ndim)
    model = networks.registration(disturb(small(ndim)), spacing=2.0)
    outputs = model([moving, fixed])
    field = transforms.affine_displacement(outputs["transform"], SHAPES[ndim], 2.0)
    np.testing.assert_allclose(
        numeric.array(outputs["moved"]),
        numeric.array(transforms.warp(moving, field)),
        atol=1e-6,
    )


@both_dimensions
def test_an_untrained_cascade_brings_the_centres_of_mass_together(ndim):
    moving, fixed = pair(ndim)
    moving[:, 2:], fixed[:, :-2] = 0, 0
    outputs = cascade(ndim)([moving, fixed])
    passes = numeric.array(outputs["passes"])
    assert passes.shape == (2, 4, ndim, ndim + 1)
    for step in range(4):
        np.testing.assert_allclose(passes[:, step], passes[:, 0], atol=1e-6)
    np.testing.assert_array_equal(passes[:, -1], numeric.array(outputs["transform"]))
    means = [
        np.stack([ndimage.center_of_mass(image[..., 0]) for image in images])
        for images in (moving, fixed)
    ]
    # Half the longest side, 6 voxels, is 1.
    shift = (means[0] - means[1]) / 6
    np.testing.assert_allclose(passes[:, 0, :, -1], shift, atol=1e-5)


def test_a_cascade_without_barycentres_starts_at_the_identity():
    moving, fixed = pair(2)
    moving[:, 4:] = 0
    passes = cascade(2, barycentres=False)([moving, fixed])["passes"]
    np.testing.assert_array_equal(
        numeric.array(passes), np.tile(np.eye(2, 3), (2, 4, 1, 1))
    )


def test_a_scanner_that_is_ten_times_as_bright_changes_no_transform():
    network, (moving, fixed) = disturb(cascade(2)), pair(2)
    plain = numeric.array(network([moving, fixed])["transform"])
    bright = numeric.array(network([10 * moving, fixed])["transform"])
    # Unit brightness adds 1e-6 to a mean square of 1/3.
    np.testing.assert_allclose(bright, plain, atol=2e-5)


@both_dimensions
@pytest.mark.parametrize("build", [small, cascade])
def test_a_saved_network_gives_the_same_transform_afterwards(build, ndim, tmp_path):
    network, images = networks.registration(disturb(build(ndim))), pair(ndim)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    before, after = network(images), loaded(images)
    assert before.keys() == after.keys()
    for name in before:
        np.testing.assert_array_equal(
            numeric.array(before[name]), numeric.array(after[name]), err_msg=name
        )


def test_images_of_another_shape_are_refused():
    moving, fixed = pair(2)
    with pytest.raises(ValueError, match="[Ee]xpected shape"):
        small(2)([moving[:, :6], fixed[:, :6]])
    with pytest.raises(ValueError, match=r"factor 2. Received: \(7, 12\)"):
        networks.affine_cascade((7, 12))
