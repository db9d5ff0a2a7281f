"""Keep the affine transforms that take long to find, as small .npz files.

A file is named after the content of the two scans, so a transform found once is
found again by whoever registers the same two arrays. Its seconds are kept with
it: a transform read back counts as much time as finding it took.
"""

import functools
import hashlib
import pathlib

import numpy as np

from benchmarks.accuracy import score
from registration import settings, transform

COST = ("seconds", "cpu_seconds", "peak_mb")


def affine(method):
    """Let an affine method look first whether its transform was found before.

    Args:
        method: Function `(moving, fixed) -> score.Registration` with an affine.

    Returns:
        A function of the same form.
    """

    @functools.wraps(method)
    def cached(moving, fixed):
        path = _path(method.__name__, moving, fixed)
        if not path.exists():
            found = method(moving, fixed)
            _write(path, found)
            return found
        with np.load(path, allow_pickle=False) as stored:
            cost = {name: float(stored[name]) for name in COST}
            return score.Registration(transform.Transform([stored["affine"]]), **cost)

    return cached


def folder():
    """Return where what takes long to make is kept, a `pathlib.Path`."""
    return settings.folder("REGISTRATION_BUILD") or pathlib.Path("build")


def _write(path, found):
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.stem}.partial.npz")
    cost = {name: getattr(found, name) for name in COST}
    np.savez(partial, affine=found.transform.affine, **cost)
    partial.replace(path)


def _path(name, moving, fixed):
    digest = hashlib.sha256()
    for scan in (moving, fixed):
        digest.update(np.ascontiguousarray(scan.image))
        digest.update(np.ascontiguousarray(scan.affine))
    return folder() / "transforms" / f"{name}-{digest.hexdigest()[:24]}.npz"
