"""Our own methods, in the form of the classical ones.

A first registration of two shapes compiles the programs; it is not counted. The
seconds are those of every later one, from two arrays to a transform, on the threads
that the backend takes.
"""

import functools
import os

from benchmarks import measure, score

REFINEMENT_STEPS = 20


def learned_affine(moving, fixed):
    """Register with the stored affine network: one forward pass."""
    return _affine(moving, fixed, 0)


def refined_affine(moving, fixed):
    """Register with the stored affine network, then refine its 12 numbers.

    Where the scans keep their skulls, the similarity is taken around the fixed
    scan's brain mask.
    """
    return _affine(moving, fixed, REFINEMENT_STEPS)


def _affine(moving, fixed, steps):
    run = functools.partial(_register, moving, fixed, steps)
    if (moving.shape, fixed.shape, steps) not in _warm:
        run()
        _warm.add((moving.shape, fixed.shape, steps))
    with measure.measured() as taken:
        matrix = run()
    found = score.linear(matrix, fixed, **vars(taken))
    found.threads = len(os.sched_getaffinity(0))
    return found


_warm = set()


def _register(moving, fixed, steps):
    from helpers import register

    has_skull = fixed.labels is not None and (fixed.image[fixed.labels == 0] > 0).any()
    return register.affine(
        (moving.image, moving.affine),
        (fixed.image, fixed.affine),
        _network("affine_t1"),
        steps,
        fixed_mask=fixed.mask if has_skull else None,
    )


@functools.cache
def _network(name):
    from helpers import networks

    return networks.load(name)
