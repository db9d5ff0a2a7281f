"""Find the affine between two scans."""

import numpy as np
from keras import ops

from helpers import affines, refinement
from helpers.register import preparation


def affine(moving, fixed, network, steps=0, learning_rate=0.01, fixed_mask=None):
    """Find the affine between two scans with a trained network.

    Args:
        moving: Pair (array `(i, j, k)`, `(4, 4)` affine to RAS mm).
        fixed: The same of the fixed scan.
        network: `keras.Model` such as `networks.load("affine_t1")`, at 4 mm.
        steps: Steps of refinement after the network, on the local NCC in windows of 5
            voxels, which leads further than the global NCC it was trained with.
        learning_rate: Of the refinement.
        fixed_mask: Array of the fixed scan's shape, its brain: the refinement then
            looks there and 8 mm around only, for scans that keep their skulls.

    Returns:
        Float64 array `(4, 4)`: fixed RAS mm → moving RAS mm.

    Raises:
        ValueError: If a scan has no two intensities to tell apart.
    """
    pair = preparation.prepare(moving, fixed, network.inputs[0].shape[1:-1])
    found = network.predict_on_batch([pair.moving, pair.fixed])["transform"]
    if steps:
        weights = None
        if fixed_mask is not None:
            brain = np.asarray(fixed_mask, "float32")
            brain = preparation.resample(brain, fixed[1], np.eye(4), pair.grid)
            weights = ops.max_pool(brain, 5, 1, padding="same")
        found = refinement.affine(
            pair.moving,
            pair.fixed,
            found,
            refinement.lncc5,
            steps,
            learning_rate,
            weights=weights,
        )
    found = ops.convert_to_numpy(found)[0]
    place = pair.grid.shape, pair.grid.affine
    return pair.start @ affines.to_world(found, place)
