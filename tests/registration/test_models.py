import json
import pathlib

import keras
import numpy as np
import pytest

from helpers import networks
from registration import models

SHAPE = (16, 16, 16)
OPTIONS = {"shape": SHAPE, "encoder": [4], "decoder": [[4]], "squarings": 3}
CONTRACT = {"voxel_mm": 3.0, "expects": "brain", "training": {"seed": 1}}


def pair(seed=0):
    images = np.random.default_rng(seed).random((2, 1, *SHAPE, 1), "float32")
    return list(images)


@pytest.fixture
def stored(tmp_path):
    keras.utils.set_random_seed(1)
    network = networks.dense_network(**OPTIONS)
    for weight in network.weights:
        weight.assign(weight + 0.1)
    models.store(network, "tiny", "dense_network", OPTIONS, CONTRACT, tmp_path)
    return network


def change(folder, **values):
    path = folder / "tiny.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_stored_network_comes_back_with_its_weights_and_contract(stored, tmp_path):
    model = models.load("tiny", tmp_path)
    np.testing.assert_array_equal(
        model.network(pair())["transform"], stored(pair())["transform"]
    )
    assert (model.voxel_mm, model.squarings, model.shape) == (3.0, 3, SHAPE)
    assert (model.name, model.expects, model.training) == ("tiny", "brain", {"seed": 1})


def test_nothing_but_the_model_is_left_in_its_folder(stored, tmp_path):
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["tiny.json", "tiny.weights.h5"]


def test_changed_weights_are_refused(stored, tmp_path):
    weights = tmp_path / "tiny.weights.h5"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="sha256 should be [0-9a-f]{64}. Received: "):
        models.load("tiny", tmp_path)


def test_an_unknown_model_is_refused_with_the_names_there_are(stored, tmp_path):
    with pytest.raises(ValueError, match=r"\['tiny'\]. Received: 'huge'"):
        models.load("huge", tmp_path)
    with pytest.raises(ValueError, match="affine_t1.*dense_t1.*Received: 'none'"):
        models.load("none")


@pytest.mark.parametrize("name", ["../models/tiny", "a/b", "", ".", "tiny.json", None])
def test_a_name_that_is_a_path_is_refused(stored, tmp_path, name):
    with pytest.raises(ValueError, match="letters, digits.*Received"):
        models.load(name, tmp_path)
    with pytest.raises(ValueError, match="letters, digits.*Received"):
        models.store(stored, name, "dense_network", OPTIONS, CONTRACT, tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"builder": "exec"}, "builder must be one of.*Received: 'exec'"),
        ({"expects": "knee"}, "expects must be one of.*Received: 'knee'"),
        ({"voxel_mm": 0}, "voxel_mm must be positive. Received: 0"),
    ],
)
def test_a_contract_that_makes_no_sense_is_refused(stored, tmp_path, values, message):
    change(tmp_path, **values)
    with pytest.raises(ValueError, match=message):
        models.load("tiny", tmp_path)


def test_a_model_without_its_voxel_size_is_refused(stored, tmp_path):
    path = tmp_path / "tiny.json"
    description = json.loads(path.read_text())
    del description["voxel_mm"]
    path.write_text(json.dumps(description))
    with pytest.raises(ValueError, match="tiny.json lacks voxel_mm"):
        models.load("tiny", tmp_path)
    with pytest.raises(ValueError, match="lacks training"):
        contract = {k: v for k, v in CONTRACT.items() if k != "training"}
        models.store(stored, "new", "dense_network", OPTIONS, contract, tmp_path)
    assert not (tmp_path / "new.json").exists()


@pytest.mark.parametrize("name", ["affine_t1", "dense_t1"])
def test_the_description_of_a_stored_model_names_no_backend(name):
    text = (pathlib.Path(models.FOLDER) / f"{name}.json").read_text().lower()
    assert not any(word in text for word in ("tensorflow", "jax", "torch"))
    assert models.load(name).voxel_mm in (2.0, 4.0)
