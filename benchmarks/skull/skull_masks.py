"""Masks that are wrong, and masks made by tools: what they do to registration."""

import functools
import time

import numpy as np

from benchmarks.skull import skull_scans
from helpers import metrics
from helpers.backend import ops
from registration import masks, models

SIZES_MM = (-8, -6, -4, -2, 0, 2, 4, 6, 8)
NETWORKS = (
    ("affine", "stored"),
    ("affine", "stripped"),
    ("affine", "mixture"),
    ("dense", "stripped"),
    ("dense", "mixture"),
)


class Masks:
    """Masks of the test scans: the cohort's, wrong by some mm, or made by a tool."""

    def __init__(self, heads, folder):
        """Keep the scans, and the folder where tools' masks are kept."""
        self.heads, self.folder = heads, folder
        self.get = functools.lru_cache(maxsize=150)(self._get)

    def _get(self, index, kind):
        """Return a mask on the common 2 mm grid; `kind` is mm or a tool's name."""
        truth = self.heads.scans.test.masks(index)[0]
        if kind in SIZES_MM:
            return skull_scans.resized(truth, kind, 2.0)
        return self.made(index, kind)[0]

    def made(self, index, method):
        """Return the mask that a tool makes of a whole head, and its seconds."""
        scans = self.heads.scans
        path = self.folder / f"{scans.source}_{method}_{index:02d}.npz"
        if not path.exists():
            atlas = scans.fixed.scan(0) if method == "atlas" else None
            head = scans.test.scan(index)
            if not any(self.folder.glob(f"*_{method}_*.npz")):
                masks.brain_mask(head.image, head.affine, method, atlas)
            start = time.process_time()
            mask = masks.brain_mask(head.image, head.affine, method, atlas)
            seconds = time.process_time() - start
            np.savez_compressed(path, mask=mask, seconds=seconds)
        with np.load(path) as kept:
            return kept["mask"], float(kept["seconds"])


def tool_row(masks, index, method):
    """Return how well a tool's mask agrees with the cohort's."""
    mask, seconds = masks.made(index, method)
    truth = masks.heads.scans.test.masks(index)[0]
    overlap = metrics.dice(truth.astype("uint8"), mask.astype("uint8"))[1]
    return {
        "mask_dice": overlap,
        "missing_percent": 100 * float((truth & ~mask).sum() / truth.sum()),
        "too_much_percent": 100 * float((mask & ~truth).sum() / truth.sum()),
        "cpu_seconds": seconds,
    }


def registration_row(answers, masks, index, level, trained, kind):
    """Return the scores of a test scan that was cut out by some mask."""
    heads = answers.heads
    moving, fixed = heads.masked(index, masks.get(index, kind)), heads.fixed["stripped"]
    affine = heads.affines["test"][index : index + 1]
    displacement = np.zeros((1, *heads.shape, 3), "float32")
    if trained == "stored":
        network = _stored()
    else:
        network = answers.network(level, trained)
    if level == "dense":
        moving = skull_scans.move(moving, affine)
    found = network([moving, fixed], training=False)["transform"]
    found = ops.convert_to_numpy(found)
    if level == "dense":
        displacement = found
    else:
        affine = found
    transform = skull_scans.transform_of(heads, affine[0], displacement[0])
    return skull_scans.score(heads, index, transform)


@functools.cache
def _stored():
    return models.load("affine_t1").network
