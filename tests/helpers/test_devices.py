import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from helpers import backend, training
from tests.helpers import devices_run

ROOT = pathlib.Path(__file__).resolve().parents[2]
on_jax = pytest.mark.skipif(
    backend.NAME != "jax", reason="Keras splits batches on JAX: make test-backends"
)


def on(devices):
    command = [sys.executable, "-m", "tests.helpers.devices_run", str(devices)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@on_jax
def test_two_devices_learn_what_one_learns():
    (one, seen), (two, seen_by_two) = on(1), on(2)
    assert one[-1] < one[0] - 0.05
    # The same sums in another order, through eight steps of Adam.
    np.testing.assert_allclose(two, one, atol=1e-4)
    assert seen_by_two == pytest.approx(seen, abs=1e-4)


def test_more_devices_than_there_are_are_refused():
    with pytest.raises(ValueError, match="KERAS_BACKEND=jax, .* Received: 99 devices"):
        devices_run.run(99)


def test_a_batch_that_cannot_be_split_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="a batch of 3 cannot be split over 2 devices"):
        training._step(None, {"moving": np.zeros((3, 4))}, 1, 2)


def test_stacked_pairs_are_those_of_as_many_steps():
    def pairs(step):
        return {"moving": np.full((1, 2), step)}

    made = training.stacked(pairs, 3)(2)["moving"]
    np.testing.assert_array_equal(made[:, 0], [6, 7, 8])
    assert training.stacked(pairs, 1) is pairs
