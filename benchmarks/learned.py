"""Our own methods, in the form of the classical ones.

A first registration of two shapes compiles the programs; it is not counted. The
seconds are those of every later one, from two arrays to a transform, on the threads
that the backend takes.
"""

import functools
import os

from benchmarks import measure, scans, score

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


def _measured(register, moving, fixed, steps):
    """Register, after a first time that compiles the programs for these shapes."""
    key = register, moving.shape, fixed.shape, steps
    if key not in _warm:
        register(moving, fixed, steps)
        _warm.add(key)
    with measure.measured() as taken:
        result = register(moving, fixed, steps)
    found = result(fixed, vars(taken))
    found.threads = len(os.sched_getaffinity(0))
    return found


_warm = set()


def _affine(moving, fixed, steps):
    matrix = _find_affine(moving, fixed, steps)
    return lambda fixed, cost: score.linear(matrix, fixed, **cost)


def _find_affine(moving, fixed, steps):
    from registration import register

    return register.affine(
        (moving.image, moving.affine),
        (fixed.image, fixed.affine),
        _network("affine_t1"),
        steps,
        fixed_mask=_mask(fixed),
    )


def _dense(moving, fixed, steps):
    from registration import register

    matrix = _find_affine(moving, fixed, AFFINE_STEPS if steps else 0)
    found = register.dense(
        (moving.image, moving.affine),
        (fixed.image, fixed.affine),
        _network("dense_t1"),
        matrix,
        steps,
        fixed_mask=_mask(fixed),
    )
    return lambda fixed, cost: score.Registration(
        points=found.points(scans.world_grid(fixed)),
        affine=matrix,
        inverse=found.inverse,
        **cost,
    )


def _mask(fixed):
    """Return the brain of a fixed scan that keeps its skull, else None."""
    has_skull = fixed.labels is not None and (fixed.image[fixed.labels == 0] > 0).any()
    return fixed.mask if has_skull else None


@functools.cache
def _network(name):

    return models.load(name)
