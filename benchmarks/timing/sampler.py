"""Time linear sampling, forward and with its gradient in the points.

Every call gets other inputs than the one before, so that nothing can be computed
once and kept. Ours and Keras' are compiled by XLA; SciPy gives no gradient.

    python -m benchmarks.sampler [--rounds 20] [--only 3D]
"""

import itertools

import numpy as np

from benchmarks import side_by_side

SHAPES = {
    "2D 64 x 28 x 28": (64, 28, 28),
    "2D 64 x 128 x 128": (64, 128, 128),
    "3D 96 x 112 x 96": (1, 96, 112, 96),
}
CASES = {
    f"{name}, {what}": {"shape": shape, "gradient": what != "forward"}
    for name, shape in SHAPES.items()
    for what in ("forward", "forward + gradient")
}


def inputs(shape, count=3):
    """Return images, points smoothly displaced by some voxels, upstream gradients."""
    generator = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*map(np.arange, shape[1:]), indexing="ij"), -1)
    for _ in range(count):
        image, upstream = generator.random((2, *shape, 1), "float32")
        shift = generator.uniform(-4, 4, (shape[0], *[1] * len(grid.shape)))
        wave = 3 * np.sin(grid / 9 + generator.uniform(0, 6, grid.shape[-1]))
        yield image, (grid + shift + wave).astype("float32"), upstream


def through(sets, function):
    """Return a call that takes the next set of inputs each time."""
    turn = itertools.cycle(sets)
    return lambda: function(*next(turn))


def ours(case):
    """Prepare `helpers.sampling.sample`."""
    from helpers import sampling

    return _keras(case, sampling.sample)


def keras_map_coordinates(case):
    """Prepare `keras.ops.image.map_coordinates`, the batch as one more axis."""
    from keras import ops

    def sample(image, points):
        batch = np.arange(image.shape[0], dtype="float32")
        batch = batch.reshape(-1, *[1] * (len(image.shape) - 2))
        coordinates = [ops.broadcast_to(batch, points.shape[:-1])]
        coordinates += [points[..., axis] for axis in range(points.shape[-1])]
        stacked = ops.stack(coordinates)
        return ops.image.map_coordinates(image[..., 0], stacked, order=1)[..., None]

    return _keras(case, sample)


def _keras(case, sample):
    from keras import ops

    from helpers import backend

    gradient = backend.value_and_gradient(
        lambda points, image, upstream: upstream * sample(image, points)
    )

    @backend.compiled
    def program(image, points, upstream):
        if case["gradient"]:
            return gradient(points, image, upstream)
        return [sample(image, points)]

    def call(*arguments):
        return [ops.convert_to_numpy(result) for result in program(*arguments)]

    tensors = (map(ops.convert_to_tensor, arrays) for arrays in inputs(case["shape"]))
    return through([tuple(arrays) for arrays in tensors], call)


def grid_sample(case):
    """Prepare PyTorch's `grid_sample`, its points converted beforehand."""
    import torch

    def convert(image, points, upstream):
        image, upstream = (np.moveaxis(array, -1, 1) for array in (image, upstream))
        scaled = (2 * points + 1) / np.float32(case["shape"][1:]) - 1
        arrays = image, scaled[..., ::-1], upstream
        return tuple(torch.tensor(np.ascontiguousarray(array)) for array in arrays)

    def call(image, points, upstream):
        points = points.detach().requires_grad_(case["gradient"])
        moved = torch.nn.functional.grid_sample(image, points, align_corners=False)
        if case["gradient"]:
            moved.backward(upstream)

    return through([convert(*arrays) for arrays in inputs(case["shape"])], call)


def scipy_map_coordinates(case):
    """Prepare SciPy's `map_coordinates`, image by image."""
    from scipy import ndimage

    if case["gradient"]:
        raise side_by_side.Absent("SciPy gives no gradient")

    def call(image, points, upstream):
        for one, at in zip(image[..., 0], np.moveaxis(points, -1, 1), strict=True):
            ndimage.map_coordinates(one, at, order=1, mode="grid-constant")

    return through(list(inputs(case["shape"])), call)


PEERS = {
    "ours": ours,
    "torch": grid_sample,
    "keras": keras_map_coordinates,
    "scipy": scipy_map_coordinates,
}

if __name__ == "__main__":
    side_by_side.main(__file__, "sampler", __doc__, PEERS, CASES, rounds=20)
