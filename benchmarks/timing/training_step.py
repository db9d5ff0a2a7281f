"""Time one training step of VoxelMorph: forward, backward, Adam.

Ours has the widths of the original (16-32-32-32, 32-32-32-32-32-16-16); `half` is
the same with the velocity integrated at half the resolution, as in the diffeomorphic
original. The peer is the network of PyPI's `voxelmorph`, 16-32-32-32 and as many
halvings of the grid; it has its first and last convolution on the full grid, where
the original strides. Both use their own local NCC of window 9, their own smoothness
and five squarings. Every step gets another pair.

    python -m benchmarks.training_step [--rounds 5] [--only 64]
"""

import itertools

import numpy as np

from benchmarks import side_by_side

CASES = {
    f"{' x '.join(map(str, shape))}, {loss}, {squarings} squarings": {
        "shape": shape,
        "loss": loss,
        "squarings": squarings,
    }
    for shape in ((64, 64, 64), (96, 112, 96))
    for loss in ("MSE", "local NCC")
    for squarings in (0, 5)
}


def pairs(case):
    """Return an endless iterator of pairs of images `(1, *shape, 1)`."""
    generator = np.random.default_rng(0)
    sets = generator.random((3, 2, 1, *case["shape"], 1), "float32")
    return itertools.cycle(map(tuple, sets))


def ours(case, half=False):
    """Prepare a step of `networks.dense_network` as `training.fit` makes it."""
    import keras

    from helpers import backend, losses, networks, training
    from helpers.networks import dense

    def loss(batch, outputs):
        images = batch["fixed"], outputs["moved"]
        local = case["loss"] == "local NCC"
        similarity = losses.lncc_loss(*images) if local else losses.mse(*images)
        return similarity + losses.smoothness(outputs["velocity"])

    decoder = dense.DECODER[:-1] if half else dense.DECODER
    network = networks.dense_network(
        case["shape"], decoder=decoder, squarings=case["squarings"]
    )
    trainer = training.Trainer(networks.registration(network), loss)
    trainer.compile(
        keras.optimizers.Adam(1e-4), jit_compile=backend.compile_whole_step()
    )
    turn = pairs(case)

    def call():
        moving, fixed = map(keras.ops.convert_to_tensor, next(turn))
        return float(trainer.train_on_batch({"moving": moving, "fixed": fixed}))

    return call


def ours_half(case):
    """Prepare the same with the velocity at half the resolution."""
    if not case["squarings"]:
        raise side_by_side.Absent("only a velocity is integrated at half resolution")
    return ours(case, half=True)


def voxelmorph(case):
    """Prepare a step of PyPI's `voxelmorph`, on PyTorch."""
    import neurite
    import torch
    import voxelmorph

    network = voxelmorph.nn.models.VxmPairwise(
        3, 1, 1, (16, 32, 32, 32), integration_steps=case["squarings"]
    )
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)
    local = case["loss"] == "local NCC"
    ncc, mse = neurite.nn.modules.NCC(9), neurite.nn.modules.MSE()
    smoothness = neurite.nn.modules.SpatialGradient("l2")
    turn = pairs(case)

    def call():
        moving, fixed = (torch.tensor(np.moveaxis(i, -1, 1)) for i in next(turn))
        field, moved = network(
            moving, fixed, return_warped_source=True, return_field_type="velocity"
        )
        similarity = 1 - ncc(fixed, moved).mean() if local else mse(fixed, moved)
        loss = similarity + smoothness(field)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return call


PEERS = {"ours": ours, "ours, half": ours_half, "voxelmorph": voxelmorph}

if __name__ == "__main__":
    side_by_side.main(__file__, "training_step", __doc__, PEERS, CASES, rounds=5)
