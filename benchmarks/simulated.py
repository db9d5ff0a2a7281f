"""The simulated test scans, whose landmarks are known, kept as .npz files.

They are those of `cohort.load("simulated", voxel_mm=2)`, made once and kept, so that
measuring a peer does not start the Keras backend that `helpers` starts. They are
made anew when the code that makes them has changed.
"""

import hashlib
import os
import pathlib

import numpy as np

from benchmarks import scans

FIXED = "sim-000"
TEST = tuple(f"sim-{number:03d}" for number in range(41, 51))
SEED = 0
VOXEL_MM = 2.0


def scan(name, keep_skull=False):
    """Return a simulated scan with its landmarks.

    Args:
        name: `"sim-000"`, the fixed one, or `"sim-041"` to `"sim-050"`.
        keep_skull: Return the whole head.

    Returns:
        A `scans.Scan`.
    """
    kind = "skull" if keep_skull else "stripped"
    root = pathlib.Path(os.environ.get("REGISTRATION_BUILD", "build"))
    path = root / "simulated" / f"{name}-{kind}-{_version()}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.stem}.partial.npz")
        np.savez_compressed(partial, **_make(name, keep_skull))
        partial.replace(path)
    with np.load(path, allow_pickle=False) as kept:
        return scans.Scan(name, **{key: kept[key] for key in kept.files})


def _version():
    code = pathlib.Path(__file__).resolve().parents[1] / "helpers/data"
    text = b"".join(path.read_bytes() for path in sorted(code.glob("*.py")))
    return hashlib.sha256(text).hexdigest()[:12]


def _make(name, keep_skull):
    from registration.scans import subjects
    from registration.scans.sources import records
    from registration.scans.sources.simulated import subject as simulate

    record = records.Record(name, "test", None)
    grid = simulate.grid(VOXEL_MM)
    made = subjects.simulated(record, SEED, grid, keep_skull)
    native = subjects.native_of_simulated(made)
    return {
        "image": native.image.astype("float32"),
        "affine": native.affine,
        "labels": native.labels.astype("int32"),
        "landmarks": made.truth.landmarks,
    }
