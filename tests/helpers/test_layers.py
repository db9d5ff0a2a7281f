import keras
import numpy as np
import pytest

from helpers import affines, layers, transforms
from tests.helpers import numeric

SHAPES = {2: (6, 4), 3: (5, 4, 6)}
both_dimensions = pytest.mark.parametrize("ndim", [2, 3])


def random(*shape, seed=0):
    return np.random.default_rng(seed).random(shape).astype("float32")


def layers_and_inputs(ndim):
    """One layer of each kind, with arguments that differ from the defaults."""
    shape, spacing = SHAPES[ndim], (1.0, 2.0, 1.5)[:ndim]
    parameters = 0.3 * random(2, ndim * (ndim + 1))
    affine = numeric.array(affines.from_parameters(parameters, ndim))
    field = random(2, *shape, ndim)
    image = random(2, *shape, 2)
    return [
        (layers.SpatialTransformer("nearest", "edge", spacing), [image, affine]),
        (layers.SpatialTransformer(), [image, field]),
        (layers.AffineDisplacement(shape, spacing), [affine]),
        (layers.AffineFromParameters(ndim, "rigid"), [parameters]),
        (layers.AffineFromParameters(ndim, "affine", "direct"), [parameters]),
        (layers.VelocityIntegration(3), [field]),
        (layers.UpsampleDisplacement(2), [field]),
        (layers.LocalNCCForce(3), [image[..., :1], image[..., 1:]]),
    ]


@both_dimensions
def test_the_transformer_warps_by_a_displacement_and_by_the_same_affine(ndim):
    image, shape = random(2, *SHAPES[ndim], 1), SHAPES[ndim]
    affine = affines.from_parameters(0.2 * random(2, ndim * (ndim + 1), seed=1), ndim)
    field = transforms.affine_displacement(affine, shape, 2.0)
    expected = numeric.array(transforms.warp(image, field))
    layer = layers.SpatialTransformer(spacing=2.0)
    for transform in (affine, field):
        np.testing.assert_array_equal(numeric.array(layer(image, transform)), expected)


def test_the_transformer_fetches_labels_unmixed_with_nearest():
    labels = np.random.default_rng(0).integers(1, 9, (1, 6, 4, 1)).astype("float32")
    layer = layers.SpatialTransformer(mode="nearest", fill="edge")
    moved = numeric.array(layer(labels, 0.3 * random(1, 6, 4, 2)))
    assert set(np.unique(moved)) <= set(np.unique(labels))


@both_dimensions
def test_every_layer_in_a_saved_model_gives_the_same_afterwards(ndim, tmp_path):
    inputs, outputs, data = [], [], []
    for layer, arrays in layers_and_inputs(ndim):
        tensors = [keras.Input(array.shape[1:]) for array in arrays]
        outputs.append(layer(*tensors))
        inputs += tensors
        data += arrays
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "layers.keras")
    loaded = keras.saving.load_model(tmp_path / "layers.keras")
    for before, after, symbol in zip(model(data), loaded(data), outputs, strict=True):
        np.testing.assert_array_equal(numeric.array(before), numeric.array(after))
        assert tuple(before.shape[1:]) == tuple(symbol.shape[1:])


@both_dimensions
def test_every_layer_is_made_again_from_its_config(ndim):
    for layer, arrays in layers_and_inputs(ndim):
        again = layer.__class__.from_config(layer.get_config())
        assert again.get_config() == layer.get_config()
        np.testing.assert_array_equal(
            numeric.array(again(*arrays)), numeric.array(layer(*arrays))
        )


def test_the_moved_image_has_the_grid_of_the_displacement():
    layer, image = layers.SpatialTransformer(), random(2, 6, 4, 3)
    field = random(2, 5, 7, 2)
    shape = layer.compute_output_shape(image.shape, field.shape)
    assert shape == tuple(layer(image, field).shape) == (2, 5, 7, 3)
    assert layer.compute_output_shape(image.shape, (2, 2, 3)) == (2, 6, 4, 3)


def test_a_transform_that_is_neither_is_refused():
    layer, image = layers.SpatialTransformer(), random(1, 6, 4, 1)
    for wrong in (random(1, 6), random(1, 6, 4, 3), random(1, 3, 4)):
        with pytest.raises(ValueError, match=r"Received: shape \(1"):
            layer(image, wrong)


@pytest.mark.parametrize("options", [{"mode": "cubic"}, {"fill": "wrap"}])
def test_unknown_names_are_refused_when_the_layer_is_made(options):
    with pytest.raises(ValueError, match="Received: "):
        layers.SpatialTransformer(**options)
