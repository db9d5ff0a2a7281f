"""Find the affine between two scans."""

import numpy as np

from helpers import refinement
from helpers.backend import ops
from registration import prepare, transform


def register(moving, fixed, model, steps=0, learning_rate=0.01, use_mask=False):
    """Find the affine between two scans with a trained network.

    Args:
        moving: `scan.Scan`.
        fixed: `scan.Scan`.
        model: `models.Model` such as `models.load("affine_t1")`.
        steps: Steps of refinement after the network, on the local NCC in windows of 5
            voxels, which leads further than the global NCC it was trained with.
        learning_rate: Of the refinement.
        use_mask: Whether the refinement looks at the fixed scan's mask and 8 mm
            around only: for scans that keep their skulls.

    Returns:
        `transform.Transform`, an affine.

    Raises:
        ValueError: If a scan has no two intensities to tell apart, or the mask is
            missing.
    """
    pair = prepare.from_barycentres(moving, fixed, model.shape, model.voxel_mm)
    found = model.network.predict_on_batch([pair.moving, pair.fixed])["transform"]
    if steps:
        weights = None
        if use_mask:
            brain = fixed.brain().astype("float32")
            brain = prepare.resample(brain, fixed.affine, np.eye(4), pair.grid)
            weights = prepare.dilated(brain, 5)
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
    return pair.start @ transform.Transform.from_centred(found, pair.grid)
