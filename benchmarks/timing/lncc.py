"""Time the local NCC of a volume, window 9, its value and gradient.

The peer is the same by a dense convolution of 9 x 9 x 9 in PyTorch, five of them,
which is how it is usually written. Every call gets other images.

    python -m benchmarks.lncc [--rounds 5]
"""

import itertools

import numpy as np

from benchmarks import side_by_side

WINDOW = 9
CASES = {
    "48 x 56 x 48": {"shape": (48, 56, 48)},
    "96 x 112 x 96": {"shape": (96, 112, 96)},
}


def pairs(case):
    """Return an endless iterator of pairs of images `(1, *shape, 1)`."""
    generator = np.random.default_rng(0)
    sets = generator.random((3, 2, 1, *case["shape"], 1), "float32")
    return itertools.cycle(map(tuple, sets))


def ours(case):
    """Prepare `helpers.losses.lncc_loss`."""
    from keras import ops

    from helpers import backend, losses

    program = backend.compiled(
        backend.value_and_gradient(
            lambda moved, fixed: losses.lncc_loss(fixed, moved, WINDOW)
        )
    )
    turn = pairs(case)

    def call():
        fixed, moved = map(ops.convert_to_tensor, next(turn))
        return [ops.convert_to_numpy(result) for result in program(moved, fixed)]

    return call


def dense_convolution(case):
    """Prepare the same with box sums by dense convolution in PyTorch."""
    import torch

    ones = torch.ones(1, 1, WINDOW, WINDOW, WINDOW)
    turn = pairs(case)

    def box(image):
        return torch.nn.functional.conv3d(image, ones, padding="same")

    count = box(torch.ones(1, 1, *case["shape"]))

    def call():
        fixed, moved = (torch.tensor(np.moveaxis(i, -1, 1)) for i in next(turn))
        moved.requires_grad_(True)
        mean_fixed, mean_moved = box(fixed) / count, box(moved) / count
        cross = box(fixed * moved) / count - mean_fixed * mean_moved
        variances = [
            box(image * image) / count - mean * mean + 1e-5
            for image, mean in ((fixed, mean_fixed), (moved, mean_moved))
        ]
        loss = 1 - (cross / torch.sqrt(variances[0] * variances[1])).mean()
        loss.backward()
        return loss.item(), moved.grad

    return call


PEERS = {"ours": ours, "torch": dense_convolution}

if __name__ == "__main__":
    side_by_side.main(__file__, "lncc", __doc__, PEERS, CASES, rounds=5)
