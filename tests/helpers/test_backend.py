import os
import pathlib
import runpy
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from helpers import backend
from tests.helpers import numeric

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_the_gradient_of_a_sum_of_squares_is_twice_the_argument():
    argument = np.array([1.0, -2.0, 3.0], "float32")
    value, gradient = backend.value_and_gradient(lambda x: ops.sum(x * x))(argument)
    assert float(value) == 14
    np.testing.assert_array_equal(numeric.array(gradient), 2 * argument)


def test_a_tensor_of_values_is_summed_for_the_gradient():
    argument = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
    value, gradient = backend.value_and_gradient(lambda x: ops.sum(x * x, -1))(argument)
    np.testing.assert_array_equal(numeric.array(value), [5, 25])
    np.testing.assert_array_equal(numeric.array(gradient), 2 * argument)


def test_further_arguments_reach_the_function_as_they_are():
    def weighted(x, weight, offsets):
        return ops.sum(weight * x + offsets["by"])

    weight = ops.convert_to_tensor([3.0, 5.0])
    arguments = np.ones(2, "float32"), weight, {"by": 1.0}
    value, gradient = backend.value_and_gradient(weighted)(*arguments)
    assert float(value) == 10
    np.testing.assert_array_equal(numeric.array(gradient), [3, 5])


def test_a_list_of_tensors_has_a_list_of_gradients():
    weights = [np.ones((2, 3), "float32"), np.float32([1, 2])]

    def function(weights, factor):
        return factor * (ops.sum(weights[0] ** 2) + ops.sum(weights[1] ** 3))

    for gradient_of in (
        backend.value_and_gradient(function),
        backend.compiled(backend.value_and_gradient(function)),
    ):
        value, gradients = gradient_of(weights, ops.convert_to_tensor(2.0))
        assert float(value) == 2 * (6 + 9)
        np.testing.assert_allclose(numeric.array(gradients[0]), 4 * weights[0])
        np.testing.assert_allclose(numeric.array(gradients[1]), 6 * weights[1] ** 2)


def test_a_compiled_function_gives_what_the_plain_one_gives_for_every_shape():
    def weighted(tensors, options):
        return ops.exp(tensors[0]) * options["weight"] + tensors[1]

    compiled = backend.compiled(weighted)
    for size in (3, 4):
        arguments = (
            [ops.arange(size, dtype="float32"), ops.ones(size)],
            {"weight": ops.full((size,), 2.0)},
        )
        # XLA's exp differs from the library's in the last bits.
        np.testing.assert_allclose(
            numeric.array(compiled(*arguments)),
            numeric.array(weighted(*arguments)),
            rtol=1e-6,
        )


def test_a_compiled_function_may_call_another_and_is_differentiated_through_it():
    square = backend.compiled(lambda x: x * x)
    outer = backend.compiled(lambda x: ops.sum(3 * square(x)))
    argument = np.array([1.0, 2.0], "float32")
    for function in (outer, backend.compiled(backend.value_and_gradient(outer))):
        if function is outer:
            gradient = numeric.gradient(function, argument)
        else:
            gradient = numeric.array(function(ops.convert_to_tensor(argument))[1])
        np.testing.assert_array_equal(gradient, 6 * argument)


def test_a_compiled_function_that_raised_compiles_afterwards():
    @backend.compiled
    def picky(x):
        if x.shape[0] == 3:
            raise ValueError("no threes")
        return 2 * x

    with pytest.raises(ValueError, match="no threes"):
        picky(ops.ones(3))
    np.testing.assert_array_equal(numeric.array(picky(ops.ones(2))), [2, 2])
    nested = backend.compiled(lambda x: picky(x) + 1)
    np.testing.assert_array_equal(numeric.array(nested(ops.ones(2))), [3, 3])


def test_the_device_has_a_name():
    name = backend.device_name()
    assert name
    assert backend.has_gpu() or name.startswith("CPU, ")


def test_importing_a_module_prints_nothing_and_turns_one_dnn_on():
    code = (
        "import os; os.environ.pop('TF_ENABLE_ONEDNN_OPTS', None);"
        "from helpers import losses;"
        "assert os.environ['TF_ENABLE_ONEDNN_OPTS'] == '1'"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_said_while_the_backend_aborts_is_shown_without_the_chatter(tmp_path):
    (tmp_path / "keras.py").write_text(
        "import os\n"
        "os.write(2, b'I0000 00:00:1.2 chatter\\nF0000 this processor lacks AVX\\n')\n"
        "os.abort()\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", "import helpers.backend"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == -signal.SIGABRT
    assert "F0000 this processor lacks AVX" in done.stderr
    assert "chatter" not in done.stderr


def test_importing_the_package_alone_starts_nothing():
    code = "import sys, helpers, helpers.metrics; assert 'keras' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_keras_backend_without_gradients_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(ValueError, match="KERAS_BACKEND.*Received: numpy"):
        runpy.run_path(backend.__file__)
