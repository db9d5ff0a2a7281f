import json
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

from helpers import losses, networks, training, transforms
from tests.helpers import numeric, training_run

STEPS, EPOCHS = 12, 4


@pytest.fixture(scope="module")
def unbroken():
    return training_run.fit(STEPS, EPOCHS)


def test_training_lowers_the_loss_and_returns_every_step(unbroken):
    history, _ = unbroken
    assert len(history) == STEPS
    assert np.mean(history[6:]) < 0.7 * np.mean(history[:6])


def test_batches_made_side_by_side_are_learned_from_in_their_order(unbroken):
    drawn = []
    history, _ = training_run.fit(STEPS, EPOCHS, on_pairs=drawn.append, ahead=5)
    assert sorted(drawn) == list(range(STEPS))
    np.testing.assert_allclose(history, unbroken[0], rtol=1e-5)


def test_a_killed_run_goes_on_to_the_losses_of_an_unbroken_one(unbroken, tmp_path):
    history, weights = unbroken
    command = [sys.executable, "-m", "tests.helpers.training_run", str(tmp_path)]
    killed = subprocess.run(command, cwd=training_run.ROOT, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    state = json.loads((tmp_path / "state.json").read_text())
    assert len(state["loss"]) == STEPS // 2
    steps_drawn = []
    resumed, resumed_weights = training_run.fit(
        STEPS, EPOCHS, checkpoint=tmp_path, on_pairs=steps_drawn.append
    )
    assert steps_drawn == list(range(STEPS // 2, STEPS))
    np.testing.assert_allclose(resumed, history, rtol=1e-5)
    for one, other in zip(resumed_weights, weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_finished_run_is_read_back_without_another_step(unbroken, tmp_path):
    first, _ = training_run.fit(STEPS, EPOCHS, checkpoint=tmp_path)
    steps_drawn = []
    again, _ = training_run.fit(
        STEPS, EPOCHS, checkpoint=tmp_path, on_pairs=steps_drawn.append
    )
    assert again == first
    assert steps_drawn == []
    assert len(list(tmp_path.glob("*.weights.h5"))) == 1


def test_the_checkpoint_of_another_run_is_refused(tmp_path):
    training_run.fit(2, 1, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="belongs to another run"):
        training_run.fit(4, 1, checkpoint=tmp_path)


def test_the_callback_comes_after_every_epoch_with_the_network():
    seen = []
    training_run.fit(4, 2, on_epoch=lambda *arguments: seen.append(arguments))
    assert [epoch for epoch, _ in seen] == [1, 2]
    assert all(network.name == "dense" for _, network in seen)


def test_nan_stops_the_training_and_names_the_step(tmp_path):
    def spoil(batch, step):
        if step == 2:
            batch["moving"][0, 1] = np.nan
        return batch

    with pytest.raises(ValueError, match="not finite at step 3.*Received: nan"):
        training_run.fit(4, 2, checkpoint=tmp_path, change=spoil)
    # What was saved before the bad batch is whole: the run goes on without it.
    resumed, _ = training_run.fit(4, 2, checkpoint=tmp_path)
    assert len(resumed) == 4 and np.isfinite(resumed).all()


def test_an_error_while_pairs_are_drawn_reaches_the_caller():
    def fail(batch, step):
        raise OSError("no such scan")

    with pytest.raises(OSError, match="no such scan"):
        training_run.fit(2, 1, change=fail)


@pytest.mark.parametrize(("steps", "epochs"), [(10, 4), (0, 1), (4, 0)])
def test_steps_that_epochs_do_not_divide_are_refused(steps, epochs):
    with pytest.raises(ValueError, match=f"Received: {steps} and {epochs}"):
        training_run.fit(steps, epochs)


def test_the_loss_of_a_registration_falls_and_sees_all_of_the_batch():
    keras.utils.set_random_seed(0)
    network = networks.registration(networks.affine_network((12, 8), (4, 4), 8))
    fixed = np.repeat(numeric.smooth_image((12, 8)), 2, axis=0)
    shift = np.full((2, 12, 8, 2), 1.5, "float32")
    moving = numeric.array(transforms.warp(fixed, shift))
    weights = np.zeros_like(fixed)
    weights[:, 2:-2, 2:-2] = 1
    batch = {"moving": moving, "fixed": fixed, "weights": weights}

    def loss(batch, outputs):
        assert set(outputs) == {"transform", "moved"}
        return losses.ncc_loss(batch["fixed"], outputs["moved"], batch["weights"])

    options = {"learning_rate": 0.01, "progress": False}
    history = training.fit(network, lambda step: batch, loss, 30, **options)["loss"]
    assert history[-1] < history[0] / 2


def test_without_decay_the_learning_rate_stays():
    keras.utils.set_random_seed(0)
    network = training_run.network()
    before = [numeric.array(w) for w in network.trainable_weights]
    options = {"learning_rate": 0.01, "decay": False, "progress": False}
    training.fit(network, training_run.pairs, training_run.loss, 1, **options)
    steps = [
        np.abs(numeric.array(w) - b)
        for w, b in zip(network.trainable_weights, before, strict=True)
    ]
    # Adam's first step is the learning rate wherever there is a gradient.
    np.testing.assert_allclose(steps[-1].max(), 0.01, rtol=1e-3)


def test_one_progress_bar_counts_the_steps(capsys):
    training_run.fit(2, 1, progress=True)
    printed = capsys.readouterr().out
    assert "training" in printed and "2/2" in printed and "loss" in printed
