"""Export the stored networks to ONNX: `make export`.

What `registration/runtime.py` runs: the network of a stored model and, for a dense one,
two small programs without weights: from a velocity to the displacement there and back,
and a step of refinement. PyTorch writes them, since its
exporter follows Keras' operations one by one, where TensorFlow's stops at compiled
functions. Two things are changed on the way: images are read by the operator
GridSample, and a grid of voxel positions, stored as a constant many times over, is
written as the sum of one ramp an axis.

    python models/export.py [--only dense_t1]
"""

import argparse
import contextlib
import functools
import hashlib
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import onnx
import torch

from helpers import backend, refinement, sampling, transforms
from registration import dense, files, models

OPSET = 20
LARGE = 2**12


def main(argv=None):
    """Write the programs of stored models, and their sha256 into the contracts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = sorted(path.stem for path in models.FOLDER.glob("*.json"))
    names = [name for name in every if "onnx_sha256" in models.contract(name)]
    what = f"this model; {', '.join(names)} if left out"
    parser.add_argument("--only", choices=every, help=what)
    options = parser.parse_args(argv)
    if backend.NAME != "torch":
        parser.error(f"KERAS_BACKEND must be torch. Received: {backend.NAME}")
    for name in [options.only] if options.only else names:
        export(name)
    return 0


def export(name, folder=None):
    """Export one stored model.

    Args:
        name: Of the model.
        folder: Where its files lie; the repository's `models` when None.
    """
    model = models.load(name, folder)
    folder = models.FOLDER if folder is None else pathlib.Path(folder)
    hashes = {}
    for ending, (function, inputs, outputs) in programs(model).items():
        path = folder / f"{name}{ending}.onnx"
        stored = program(function, inputs, outputs).SerializeToString()
        with files.whole(path) as partial:
            partial.write_bytes(stored)
        hashes[path.name] = hashlib.sha256(stored).hexdigest()
        print(f"{path.name}: {len(stored) / 2**20:.2f} MiB")
    contract = models.contract(name, folder) | {"onnx_sha256": hashes}
    with files.whole(folder / f"{name}.json") as partial:
        partial.write_text(json.dumps(contract, indent=2) + "\n")


def programs(model):
    """Return what a model consists of.

    Args:
        model: `models.Model`.

    Returns:
        Dict from the ending of a file's name to a function of tensors, a dict of the
        shapes of its arguments, and the names of its results.
    """
    image, result = (1, *model.shape, 1), model.network.output
    if not isinstance(result, dict):
        inputs = {"image": image}
        return {"": (lambda *x: [model.network(*x)], inputs, ["evidence"])}
    images = {"moving": image, "fixed": image}
    key = "velocity" if "velocity" in result else "transform"
    found = {"": (lambda *x: [model.network(list(x))[key]], images, [key])}
    if key == "transform" and model.network.output[key].shape[-1] == 4:
        inputs = {"transform": (1, 3, 4), **images}
        return found | {".force": (_affine_force, inputs, ["force"])}
    if not model.squarings:
        return found
    velocity = tuple(result[key].shape[1:])
    factor, velocity = model.shape[0] // velocity[0], (1, *velocity)

    def both_ways(velocity):
        there, back = (
            transforms.upsample_displacement(
                transforms.integrate_velocity(field, model.squarings), factor
            )
            for field in (velocity, -velocity)
        )
        return there, dense.polished(there, back)

    step = functools.partial(refinement.descend, squarings=model.squarings)
    state = dict.fromkeys(("velocity", "first", "second"), velocity)
    after = [f"next_{name}" for name in state]
    return found | {
        ".field": (both_ways, {"velocity": velocity}, ["there", "back"]),
        ".step": (step, {**state, "scalars": (2,), **images}, after),
    }


def _affine_force(*tensors):
    return [refinement.affine_force(*tensors)]


def program(function, inputs, outputs):
    """Write a function of tensors as an ONNX model.

    Args:
        function: Function of tensors that returns a list of tensors.
        inputs: Dict from the names of its arguments to their shapes.
        outputs: Names of its results.

    Returns:
        `onnx.ModelProto`.
    """

    class Module(torch.nn.Module):
        """What the exporter takes."""

        def forward(self, *tensors):
            """Call the function."""
            return tuple(function(*tensors))

    some = tuple(torch.rand(shape) * 0.1 + 0.5 for shape in inputs.values())
    with _read_by_grid_sample(), torch.no_grad():
        written = torch.onnx.export(
            Module().eval(), some, input_names=list(inputs), output_names=outputs,
            opset_version=OPSET, dynamo=True, verbose=False,
        )  # fmt: skip
    proto = written.model_proto
    for node in proto.graph.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    for value in proto.graph.value_info:
        value.ClearField("metadata_props")
    _shrink_constants(proto.graph)
    onnx.checker.check_model(proto)
    return proto


@contextlib.contextmanager
def _read_by_grid_sample():
    """Let linear sampling be PyTorch's, which is one operator of ONNX."""
    before = dict(sampling._sample_linear)
    linear = {"zero": _grid_sample("zeros"), "edge": _grid_sample("border")}
    sampling._sample_linear.update(linear)
    try:
        yield
    finally:
        sampling._sample_linear.update(before)


def _grid_sample(beyond):
    def sample(image, points):
        last = torch.tensor([size - 1.0 for size in image.shape[1:-1]])
        # GridSample counts from -1 to 1, and names the axes from the last one on.
        places = torch.flip(points * (2 / last) - 1, [-1])
        found = torch.nn.functional.grid_sample(
            torch.movedim(image, -1, 1), places, "bilinear", beyond, align_corners=True
        )
        return torch.movedim(found, 1, -1)

    return sample


def _shrink_constants(graph):
    """Store each constant once, and grids of voxel positions as ramps."""
    kept, names, sums = {}, {}, []
    for tensor in list(graph.initializer):
        array = onnx.numpy_helper.to_array(tensor)
        key = array.dtype.str, array.shape, array.tobytes()
        first = kept.setdefault(key, tensor.name)
        if first != tensor.name:
            names[tensor.name] = first
            graph.initializer.remove(tensor)
        elif _is_grid(array):
            graph.initializer.remove(tensor)
            sums += _sum_of_ramps(graph, tensor.name, array)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    nodes = [*sums, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _is_grid(array):
    """Say whether an array holds the position of each voxel."""
    ndim = array.shape[-1] if array.ndim else 0
    if array.size < LARGE or array.ndim not in (ndim + 1, ndim + 2):
        return False
    grid = sampling.identity_grid(array.shape[-1 - ndim : -1])
    return array.size == grid.size and np.array_equal(array.reshape(grid.shape), grid)


def _sum_of_ramps(graph, name, array):
    """Add one ramp an axis to a graph; return the nodes that sum them up."""
    ndim, nodes, total = array.shape[-1], [], None
    for axis in range(ndim):
        size = array.shape[axis - ndim - 1]
        ramp = np.zeros((size, ndim), "float32")
        ramp[:, axis] = np.arange(size)
        ramp = ramp.reshape(size, *[1] * (ndim - 1 - axis), ndim)
        if axis == 0:
            ramp = ramp.reshape((1,) * (array.ndim - ndim - 1) + ramp.shape)
        part = f"{name}.{axis}"
        graph.initializer.append(onnx.numpy_helper.from_array(ramp, part))
        if total is not None:
            result = name if axis == ndim - 1 else f"{part}.sum"
            nodes.append(onnx.helper.make_node("Add", [total, part], [result]))
            part = result
        total = part
    return nodes


if __name__ == "__main__":
    sys.exit(main())
