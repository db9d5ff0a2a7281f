"""Train a network without ground truth, and refine what it answers."""

import collections
import concurrent.futures
import contextlib
import functools
import json
import os
import pathlib
import sys

import numpy as np
from tqdm import tqdm

from helpers import backend
from helpers.backend import keras, ops


def fit(
    network,
    pairs,
    loss,
    steps,
    epochs=1,
    learning_rate=1e-3,
    decay=True,
    checkpoint=None,
    on_epoch=None,
    progress=True,
    ahead=1,
    devices=1,
):
    """Train a network on pairs of images; the loss sees no ground truth.

    With `checkpoint`, the state is saved after every epoch, and a run that was
    killed goes on where its last epoch ended, with the same pairs as an unbroken
    one, since pairs depend on the step alone.

    Args:
        network: `keras.Model` from a list of inputs to a tensor or dict of tensors.
        pairs: Callable `step -> dict` of float32 arrays. The network's inputs are
            taken from it by name (`moving`, `fixed`); the loss sees all of it.
            The same step must always give the same arrays.
        loss: Callable `(batch dict, outputs) -> (batch,)` tensor, lower is better.
        steps: Steps in all.
        epochs: Number of equal parts after each of which `on_epoch` is called and
            the state saved.
        learning_rate: Of Adam, at the start.
        decay: Whether the rate falls to zero along a cosine.
        checkpoint: Folder for the state, or `None`.
        on_epoch: Callable `(epoch, network)`, epoch counted from 1, or `None`.
        progress: Whether to show one progress bar.
        ahead: How many batches are made at once, each in a thread of its own, while
            the network learns: more where a batch takes longer than a step.
        devices: How many devices share a batch, see `backend.data_parallel`. The
            losses are those of one device, but for rounding.

    Returns:
        Dict with `loss`, the loss of every step.

    Raises:
        ValueError: If the loss is not finite, with the step; if steps is not a
            multiple of epochs; if a checkpoint belongs to another run; if there are
            not so many devices, or a batch cannot be split over them.
    """
    if steps < 1 or epochs < 1 or steps % epochs:
        raise ValueError(
            f"steps must be a multiple of epochs. Received: {steps} and {epochs}"
        )
    schedule = learning_rate
    if decay:
        schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    with _spread(network, devices):
        trainer = Trainer(network, loss)
        trainer.compile(
            keras.optimizers.Adam(schedule), jit_compile=backend.compile_whole_step()
        )
        plan = {"steps": steps, "epochs": epochs}
        plan |= {"learning_rate": learning_rate, "decay": decay}
        history = [] if checkpoint is None else _restore(checkpoint, trainer, plan)
        bar = tqdm(
            total=steps,
            initial=len(history),
            desc="training",
            unit="step",
            file=sys.stdout,
            mininterval=1.0,
            ncols=80,
            disable=not progress,
        )
        with bar, concurrent.futures.ThreadPoolExecutor(ahead) as pool:
            first = range(len(history), min(steps, len(history) + ahead))
            coming = collections.deque(pool.submit(pairs, step) for step in first)
            while len(history) < steps:
                step, batch = len(history) + 1, coming.popleft().result()
                if step + ahead <= steps:
                    coming.append(pool.submit(pairs, step + ahead - 1))
                history.append(_step(trainer, batch, step, devices))
                bar.set_postfix_str(f"loss {np.mean(history[-50:]):.4f}", refresh=False)
                bar.update()
                if step % (steps // epochs) == 0:
                    if checkpoint is not None:
                        _save(checkpoint, trainer, plan, history)
                    if on_epoch is not None:
                        on_epoch(step * epochs // steps, network)
    return {"loss": history}


class Trainer(keras.Model):
    """Wrap a network, so that the loss may look at every input and output."""

    def __init__(self, network, objective):
        super().__init__(name="trainer")
        self.network, self.objective = network, objective
        self.built = True

    def call(self, batch):
        """Return the network's answer to the inputs of a batch dict."""
        inputs = [batch[tensor.name] for tensor in self.network.inputs]
        return self.network(inputs if len(inputs) > 1 else inputs[0])

    def compute_loss(self, x=None, y=None, y_pred=None, *unused, **also_unused):
        """Return the mean of the objective over the batch."""
        return ops.mean(self.objective(x, y_pred))


@contextlib.contextmanager
def _spread(network, devices):
    """Keep a copy of the weights on each device, and in the end on one again."""
    if devices == 1:
        yield
        return
    with backend.data_parallel(devices):
        backend.lay_out(network.variables)
        yield
    backend.lay_out(network.variables)


def stacked(pairs, count):
    """Return a function that makes batches of `count` times as many pairs.

    Args:
        pairs: As of `fit`.
        count: How many steps of it make one.

    Returns:
        Function from a step to a dict of arrays, as of `fit`.
    """

    def together(step):
        made = [pairs(count * step + number) for number in range(count)]
        return {name: np.concatenate([one[name] for one in made]) for name in made[0]}

    return together if count > 1 else pairs


def _step(trainer, batch, step, devices):
    sizes = {len(array) for array in batch.values()}
    if any(size % devices for size in sizes):
        raise ValueError(
            f"a batch of {max(sizes)} cannot be split over {devices} devices; take a "
            f"multiple of their number. Received: batches of {sorted(sizes)}"
        )
    trainer.reset_metrics()
    batch = {name: ops.convert_to_tensor(array) for name, array in batch.items()}
    loss = float(trainer.train_on_batch(batch))
    if not np.isfinite(loss):
        raise ValueError(
            f"the loss is not finite at step {step}: look for NaN in the images, or "
            f"lower the learning rate. Received: {loss}"
        )
    return loss


def _save(folder, trainer, plan, history):
    """Save so that a kill at any moment leaves the last or this state, whole."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / f"step_{len(history):07d}.weights.h5"
    trainer.save_weights(weights)
    state = {"plan": plan, "weights": weights.name, "loss": history}
    partial = folder / "state.json.part"
    partial.write_text(json.dumps(state))
    os.replace(partial, folder / "state.json")
    for old in folder.glob("step_*.weights.h5"):
        if old != weights:
            old.unlink()


def _restore(folder, trainer, plan):
    """Load the saved state if there is one; return the losses so far."""
    path = pathlib.Path(folder) / "state.json"
    if not path.exists():
        return []
    state = json.loads(path.read_text())
    if state["plan"] != plan:
        raise ValueError(
            f"the checkpoint in {folder} belongs to another run ({state['plan']}); "
            f"delete it or choose another folder. Received: {plan}"
        )
    trainer.optimizer.build(trainer.network.trainable_variables)
    trainer.load_weights(path.with_name(state["weights"]))
    return state["loss"]


def refine(objective, start, data, steps, learning_rate):
    """Refine the transforms of pairs at hand: Adam on their numbers, not on weights.

    What `fit` does to the weights of a network for all pairs, this does to whatever
    describes a transform, for each pair of a batch by itself; the rate falls to zero
    along a cosine, and the whole step is one program. `refinement` has the
    objectives of affines and velocities.

    Args:
        objective: Function `(parameters, *data) -> (batch,)` tensor; define it once
            and call this often, since each objective is compiled once a shape.
        start: Float tensor `(batch, …)`, where to begin.
        data: List of tensors that the objective needs.
        steps: Number of steps.
        learning_rate: At the start.

    Returns:
        Float tensor like `start`.

    Raises:
        ValueError: If the objective is not finite at the last step.
    """
    step = _adam_step(objective)
    parameters = ops.convert_to_tensor(start)
    data = [ops.convert_to_tensor(array) for array in data]
    first = second = ops.zeros_like(parameters)
    value = ops.zeros(1)
    for count in range(steps):
        rate = learning_rate * (1 + np.cos(np.pi * count / steps)) / 2
        scalars = ops.convert_to_tensor(np.array([rate, count + 1], "float32"))
        parameters, first, second, value = step(
            parameters, first, second, scalars, *data
        )
    if not np.isfinite(ops.convert_to_numpy(value)).all():
        raise ValueError(
            "the loss of the refinement is not finite: look for NaN in the images, "
            f"or lower the learning rate. Received: {ops.convert_to_numpy(value)}"
        )
    return parameters


@functools.lru_cache(8)
def _adam_step(objective):
    """Compile a step: the objective, its gradient, Adam."""

    def step(parameters, first, second, scalars, *data):
        rate, count = scalars[0], scalars[1]
        value, gradient = backend.value_and_gradient(objective)(parameters, *data)
        moved = adam(parameters, gradient, first, second, rate, count)
        return *moved, value

    return backend.traced(step)


def adam(parameters, gradient, first, second, rate, count):
    """Make one step of Adam.

    Args:
        parameters: Float tensor.
        gradient: Float tensor of the same shape.
        first: Running mean of the gradient, zeros at the start.
        second: Running mean of its square, zeros at the start.
        rate: Learning rate, a scalar tensor.
        count: Number of this step from 1, a scalar tensor.

    Returns:
        The new parameters, first and second.

    Reference:
        Kingma and Ba, ICLR 2015.
    """
    first = 0.9 * first + 0.1 * gradient
    second = 0.999 * second + 0.001 * ops.square(gradient)
    corrected = first / (1 - 0.9**count)
    # No sum: an exporter takes x + 1e-8 for x, and where nothing pulls 0 / 0 is left.
    scale = ops.maximum(ops.sqrt(second / (1 - 0.999**count)), 1e-8)
    return parameters - rate * corrected / scale, first, second
