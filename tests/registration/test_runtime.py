import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from helpers import refinement
from helpers.backend import ops
from registration import affine, dense, models, runtime
from registration.scans import nifti
from tests.helpers import numeric
from tests.registration import heads
from tools import notebooks


@pytest.fixture(scope="module")
def pair():
    return heads.head(5), heads.head(6)


@pytest.fixture(scope="module")
def start(pair):
    return runtime.affine(*pair)


def images(name):
    shape = (2, 1, *models.load(name).shape, 1)
    noise = np.random.default_rng(3).random(shape, "float32")
    axes = [np.linspace(0, np.pi, size) for size in shape[2:-1]]
    bump = np.prod(np.meshgrid(*map(np.sin, axes), indexing="ij"), axis=0)
    moving, fixed = (noise * 0.3 + 0.7) * bump[None, ..., None].astype("float32")
    return {"moving": moving, "fixed": fixed}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("affine_t1", "transform"),
        ("dense_t1", "velocity"),
        ("digits_affine", "transform"),
        ("digits_even", "velocity"),
    ],
)
def test_an_exported_network_answers_as_the_keras_one(name, key):
    data = images(name)
    network = models.load(name).network
    expected = network.predict_on_batch([data["moving"], data["fixed"]])[key]
    (found,) = runtime.load(name).run("", [key], **data)
    # In voxels of its grid, or half sides of the volume.
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(expected).max() > 0.1


def test_the_brain_network_answers_as_the_keras_one():
    image = images("brain")["moving"]
    expected = models.load("brain").network.predict_on_batch(image)
    found = runtime.evidence(image)
    # The evidence goes from about -40 to 40; float32 sums in another order.
    np.testing.assert_allclose(found, expected, atol=1e-2)
    assert np.abs(expected).max() > 3


def test_an_exported_step_leaves_at_rest_what_nothing_pulls():
    model = runtime.load("dense_t1")
    flat = np.full((1, *model.shape, 1), 0.5, "float32")
    still = np.zeros((1, *(size // 2 for size in model.shape), 3), "float32")
    found = model.run(
        ".step",
        [f"next_{name}" for name in ("velocity", "first", "second")],
        **dict.fromkeys(("velocity", "first", "second"), still),
        scalars=np.array([0.25, 1], "float32"),
        **{"moving": flat, "fixed": flat},
    )
    for name, array in zip(("velocity", "first", "second"), found, strict=True):
        np.testing.assert_array_equal(array, still, err_msg=name)


def test_an_exported_step_is_that_of_the_helper():
    data = images("dense_t1")
    random = np.random.default_rng(4)
    shape = (1, 40, 48, 40, 3)
    state = [random.normal(size=shape).astype("float32") * 0.1 for _ in range(3)]
    state[2] = np.abs(state[2])
    scalars = np.array([0.25, 3], "float32")
    tensors = [ops.convert_to_tensor(x) for x in (*state, scalars, *data.values())]
    expected = refinement.descend(*tensors)
    names = ("velocity", "first", "second")
    found = runtime.load("dense_t1").run(
        ".step",
        [f"next_{name}" for name in names],
        **dict(zip(names, state, strict=True)),
        scalars=scalars,
        **data,
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, numeric.array(other), atol=1e-4)


def test_the_affine_is_that_of_keras(pair, start):
    expected = affine.register(*pair, models.load("affine_t1"))
    points = pair[1].grid.points()
    apart = np.linalg.norm(start.points(points) - expected.points(points), axis=-1)
    assert apart.max() < 0.01


def test_the_refined_affine_fits_better_and_lies_near_the_one_of_keras(pair):
    moving, fixed = pair
    model = models.load("affine_t1")
    one, steps = runtime.affine(moving, fixed), runtime.affine(moving, fixed, steps=12)
    expected = affine.register(moving, fixed, model, 12)
    points = fixed.grid.points()[fixed.brain()]
    before, after = (
        np.linalg.norm(found.points(points) - expected.points(points), axis=-1).mean()
        for found in (one, steps)
    )
    # The force is of central differences, Keras' gradient of linear pieces.
    assert after < 1.5 and after < before


def test_the_deformation_is_that_of_keras_there_and_back(pair, start):
    found = runtime.dense(*pair, start).fields[0]
    expected = dense.register(*pair, models.load("dense_t1"), start).fields[0]
    for name in ("displacement", "back"):
        one, other = getattr(found, name), getattr(expected, name)
        assert np.linalg.norm(one - other, axis=-1).max() < 0.01
    assert np.abs(expected.displacement).max() > 1


def test_no_process_that_registers_starts_keras(pair, tmp_path):
    for name, scan in zip(("moving", "fixed"), pair, strict=True):
        nifti.save(tmp_path / f"{name}.nii", scan.image, scan.affine)
    code = (
        "import sys; from registration import runtime; "
        "from registration.scans import nifti; "
        "scans = [nifti.load(path) for path in sys.argv[1:]]; "
        "found = runtime.dense(*scans, runtime.affine(*scans), steps=1); "
        "assert len(found.fields) == 1; "
        "assert not {'keras', 'tensorflow', 'torch'} & set(sys.modules)"
    )
    paths = [str(tmp_path / f"{name}.nii") for name in ("moving", "fixed")]
    command = [sys.executable, "-c", code, *paths]
    subprocess.run(command, check=True, cwd=notebooks.ROOT)


def copied(folder):
    for path in models.FOLDER.glob("affine_t1*"):
        shutil.copy(path, folder)
    return folder / "affine_t1.json"


def test_a_program_that_is_not_the_stored_one_is_refused(tmp_path, pair):
    copied(tmp_path)
    program = tmp_path / "affine_t1.onnx"
    program.write_bytes(program.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="sha256 should be [0-9a-f]{64}. Received: "):
        runtime.affine(*pair, runtime.load("affine_t1", tmp_path))


def test_a_network_that_was_trained_anew_and_not_exported_is_refused(tmp_path):
    path = copied(tmp_path)
    stored = json.loads(path.read_text())
    del stored["onnx_sha256"]
    path.write_text(json.dumps(stored))
    with pytest.raises(ValueError, match="run `make export`. Received"):
        runtime.load("affine_t1", tmp_path)
