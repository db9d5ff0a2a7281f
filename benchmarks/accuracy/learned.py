"""Our own methods, in the form of the classical ones.

A first registration of two shapes compiles the programs; it is not counted. The
seconds are those of every later one, from two arrays to a transform, on the threads
that the backend takes. Keras starts when the first of them runs, not before: the
processes that measure peers stay without it.
"""

import functools

from benchmarks.accuracy import score
from benchmarks.timing import measure

AFFINE_STEPS = 12
DENSE_STEPS = 30


def learned_affine(moving, fixed):
    """Register with the stored affine network: one forward pass."""
    return _measured(_affine, moving, fixed, 0)


def refined_affine(moving, fixed):
    """Register with the stored affine network, then refine its 12 numbers.

    Where the scans keep their skulls, the similarity is taken around the fixed
    scan's brain mask.
    """
    return _measured(_affine, moving, fixed, AFFINE_STEPS)


def learned_dense(moving, fixed):
    """Register with the stored networks, affine and dense: one forward pass each.

    Where the scans keep their skulls, the fixed scan's mask cuts both brains out.
    """
    return _measured(_dense, moving, fixed, 0)


def refined_dense(moving, fixed):
    """Register with the stored networks, refining first the affine, then the field."""
    return _measured(_dense, moving, fixed, DENSE_STEPS)


def command(moving, fixed):
    """Register brains as the command `pair` does: no Keras, fewer steps."""
    return _measured(_command, moving, fixed, 15)


def voxelmorph_lncc(moving, fixed):
    """Register with VoxelMorph, which knows one fixed scan, after the refined affine.

    The networks of `models/train_voxelmorph.py`; this one gives a displacement and
    learned from the local NCC.
    """
    return _measured(_voxelmorph["lncc"], moving, fixed, AFFINE_STEPS)


def voxelmorph_mse(moving, fixed):
    """As `voxelmorph_lncc`, having learned from mean squares."""
    return _measured(_voxelmorph["mse"], moving, fixed, AFFINE_STEPS)


def voxelmorph_diffeomorphic(moving, fixed):
    """As `voxelmorph_lncc`, with a velocity at half the resolution."""
    return _measured(_voxelmorph["diffeomorphic"], moving, fixed, AFFINE_STEPS)


def _measured(register, moving, fixed, steps):
    """Register, after a first time that compiles the programs for these shapes."""
    key = register, moving.image.shape, fixed.image.shape, steps
    if key not in _warm:
        register(moving, fixed, steps)
        _warm.add(key)
    with measure.measured() as taken:
        found = register(moving, fixed, steps)
    return score.Registration(found, **vars(taken), threads=measure.cores())


_warm = set()


def _affine(moving, fixed, steps):
    from registration import affine

    model = _model("affine_t1")
    return affine.register(moving, fixed, model, steps, use_mask=_keeps_skull(fixed))


def _dense(moving, fixed, steps):
    from registration import dense

    start = _affine(moving, fixed, AFFINE_STEPS if steps else 0)
    model, use_mask = _model("dense_t1"), _keeps_skull(fixed)
    return dense.register(moving, fixed, model, start, steps, use_mask=use_mask)


def _command(moving, fixed, steps):
    from registration import runtime

    start = runtime.affine(moving, fixed, steps=AFFINE_STEPS)
    return runtime.dense(moving, fixed, start, steps=steps)


def _by_voxelmorph(moving, fixed, steps, kind):
    from registration import dense

    start = _affine(moving, fixed, steps)
    model, use_mask = _model(f"voxelmorph_{kind}"), _keeps_skull(fixed)
    return dense.register(moving, fixed, model, start, use_mask=use_mask)


_voxelmorph = {
    kind: functools.partial(_by_voxelmorph, kind=kind)
    for kind in ("lncc", "mse", "diffeomorphic")
}


def _keeps_skull(scan):
    """Say whether there is more in a scan than its brain."""
    return scan.mask is not None and bool((scan.image[~scan.mask] > 0).any())


@functools.cache
def _model(name):
    from registration import models

    return models.load(name)
