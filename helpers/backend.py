"""The one file that knows which Keras backend runs."""

import contextlib
import functools
import logging
import os
import subprocess
import sys
import threading

_tracing = threading.local()
# What TensorFlow's C++ side tells and nobody has to act on. A remapper that fails
# leaves a program as it was.
_CHATTER = (
    r"^([IW][0-9]{4} |[-0-9]+ [.:0-9]+: [IW] |WARNING: All log messages before absl"
    r"|E[0-9]{4} .*remapper failed"
    r"|.*(cuInit|Unable to register cu)|[[:space:]]*$)"
)
_IN_NOTEBOOK = "ipykernel" in sys.modules


def _filtered():
    """Let what is written to stderr pass through grep from now on.

    Some lines ignore TF_CPP_MIN_LOG_LEVEL and would stand in every notebook. The filter
    is a process of its own, so that an error is shown even where TensorFlow ends this
    one.

    Returns:
        A function that takes the filter away, or None where there is no grep: better
        every line than none.
    """
    stderr = os.dup(2)
    command = ["grep", "--line-buffered", "-v", "-E", _CHATTER]
    try:
        shown = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stderr)
    except OSError:
        os.close(stderr)
        return None
    os.dup2(shown.stdin.fileno(), 2)
    shown.stdin.close()

    def end():
        os.dup2(stderr, 2)
        os.close(stderr)
        shown.wait()

    return end


@contextlib.contextmanager
def _without_startup_chatter():
    """Filter what is written to stderr while TensorFlow starts."""
    end = None if _IN_NOTEBOOK else _filtered()
    try:
        yield
    finally:
        if end:
            end()


# In a kernel only C++ writes there, so that the filter may stay.
_FILTER = _filtered() if _IN_NOTEBOOK else None

with _without_startup_chatter():
    import keras
    from keras import ops  # noqa: F401 - every file of helpers takes both from here

NAME = keras.backend.backend()

if NAME == "tensorflow":
    import tensorflow as tf

    with _without_startup_chatter():
        tf.config.list_physical_devices()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
elif NAME == "jax":
    import jax
elif NAME == "torch":
    import torch
else:
    raise ValueError(
        "helpers needs the Keras backend tensorflow, jax or torch; set "
        f"KERAS_BACKEND before Python starts. Received: {NAME}"
    )


def compiled(function):
    """Compile `function` of tensors with XLA where the backend has it.

    TensorFlow and JAX compile once for every new set of argument shapes; inside
    a larger compiled program the function becomes a part of it. PyTorch runs it
    as it is. Arguments must be tensors or nested lists, tuples and dicts of them.

    Args:
        function: Callable of tensors that returns tensors.

    Returns:
        Callable with the same arguments and results.
    """
    if NAME == "tensorflow":
        return _compiled_by_tensorflow(function)
    if NAME == "jax":
        return jax.jit(function)
    return function


def _compiled_by_tensorflow(function):
    """Compile, unless a compiled function is being traced already.

    A compiled function nested in another would make TensorFlow take the outer
    arguments for compile-time constants, and compile anew for every image.
    """

    def trace(*arguments):
        _tracing.depth = getattr(_tracing, "depth", 0) + 1
        try:
            return function(*arguments)
        finally:
            _tracing.depth -= 1

    program = tf.function(trace, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*arguments):
        inside = getattr(_tracing, "depth", 0)
        return function(*arguments) if inside else program(*arguments)

    return call


def traced(function):
    """Turn a whole step of an optimisation, or a chain of warps, into one program.

    The parts marked by `compiled` stay programs of their own on a CPU, where they
    run faster so, side by side; see `compile_whole_step`. As one program of XLA, a
    chain of warps would compute an earlier one anew for every value that a later one
    reads: five squarings took 25 times as long. Arguments as of `compiled`.

    Args:
        function: Callable of tensors that returns tensors.

    Returns:
        Callable with the same arguments and results.
    """
    if compile_whole_step() is False:
        return tf.function(function, autograph=False)
    return compiled(function)


def value_and_gradient(function):
    """Return a function that gives the value of `function` and its gradient.

    Args:
        function: Callable whose first argument is a float tensor, or a list of them
            such as a network's weights, and whose result is a scalar or a tensor; a
            tensor is summed for the gradient.

    Returns:
        Callable `(tensors, *rest) -> (value, gradient)`; the gradient is shaped as
        the first argument, a list if that is one.
    """

    def with_gradient(tensors, *rest):
        many = isinstance(tensors, (list, tuple))
        given = tensors if many else [tensors]
        given = [keras.ops.convert_to_tensor(tensor) for tensor in given]

        def inner(given):
            return function(given if many else given[0], *rest)

        if NAME == "tensorflow":
            with tf.GradientTape() as tape:
                tape.watch(given)
                value = inner(given)
            gradient = tape.gradient(value, given)
        elif NAME == "jax":
            value, pullback = jax.vjp(inner, given)
            (gradient,) = pullback(jax.numpy.ones_like(value))
        else:
            given = [tensor.detach().clone().requires_grad_(True) for tensor in given]
            with torch.enable_grad():
                value = inner(given)
                gradient = list(torch.autograd.grad(value.sum(), given))
            value = value.detach()
        return value, gradient if many else gradient[0]

    return with_gradient


def compile_whole_step():
    """Tell whether `model.fit` should compile the whole step with XLA.

    On a CPU, TensorFlow's own convolutions (oneDNN) beat XLA's, so only the
    islands marked by `compiled` are; elsewhere Keras decides.

    Returns:
        `False` for TensorFlow on a CPU, else `"auto"`.
    """
    return False if NAME == "tensorflow" and not has_gpu() else "auto"


@contextlib.contextmanager
def data_parallel(devices):
    """Split the batches of a training over several devices, each with all weights.

    Args:
        devices: How many, two or more.

    Raises:
        ValueError: If the backend is not JAX, the only one for which Keras has this, or
            there are fewer devices.

    Reference:
        https://keras.io/guides/distribution
    """
    there = keras.distribution.list_devices() if NAME == "jax" else []
    if not 2 <= devices <= len(there):
        raise ValueError(
            "several devices need KERAS_BACKEND=jax, and as many of them. "
            f"Received: {devices} devices, {len(there)} of the backend {NAME}"
        )
    before = keras.distribution.distribution()
    parallel = keras.distribution.DataParallel(devices=there[:devices])
    keras.distribution.set_distribution(parallel)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def lay_out(variables):
    """Put the weights where `data_parallel` wants them, or back on one device.

    Args:
        variables: List of `keras.Variable`, made before or after it began.
    """
    parallel = keras.distribution.distribution() if NAME == "jax" else None
    for variable in variables:
        value = ops.convert_to_numpy(variable)
        if parallel is not None:
            layout = parallel.get_variable_layout(variable)
            value = keras.distribution.distribute_tensor(value, layout)
        variable.assign(value)


def has_gpu():
    """Tell whether the backend sees a GPU.

    Returns:
        bool.
    """
    if NAME == "tensorflow":
        return bool(tf.config.list_physical_devices("GPU"))
    if NAME == "jax":
        return jax.default_backend() in ("gpu", "cuda", "rocm")
    return torch.cuda.is_available()


def device_name():
    """Name the device on which the backend computes.

    Returns:
        str, for example `"CPU, 2 cores"` or the name of the GPU.
    """
    if not has_gpu():
        cores = (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count()
        )
        return f"CPU, {cores} cores"
    if NAME == "tensorflow":
        device = tf.config.list_physical_devices("GPU")[0]
        details = tf.config.experimental.get_device_details(device)
        return details.get("device_name", "GPU")
    if NAME == "jax":
        return jax.devices()[0].device_kind
    return torch.cuda.get_device_name()
