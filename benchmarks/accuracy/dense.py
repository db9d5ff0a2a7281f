"""Measure dense registration.

`python benchmarks/accuracy/dense.py` makes the whole table. Scans from elsewhere, each
to the cohort's fixed one: `--moving-dir DIR --labels-dir DIR --csv FILE`.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from benchmarks.accuracy import classical, learned, runner

# Those that start Keras come last; see `runner.main`.
METHODS = {
    "before": classical.before,
    "ants_affine": classical.ants_affine,
    "dipy_affine": classical.dipy_affine,
    "ants_syn": classical.ants_syn,
    "dipy_syn": classical.dipy_syn,
    "ants_syn_cc": classical.ants_syn_cc,
    "refined_affine": learned.refined_affine,
    "voxelmorph_lncc": learned.voxelmorph_lncc,
    "voxelmorph_mse": learned.voxelmorph_mse,
    "voxelmorph_diffeomorphic": learned.voxelmorph_diffeomorphic,
    "learned": learned.learned_dense,
    "refined": learned.refined_dense,
    "command": learned.command,
}
METRICS = (
    "dice",
    "brain_dice",
    "ncc",
    "folding",
    "folding_grid",
    "log_jacobian_sd",
    "inverse_mm",
    "tre_mm",
    "seconds",
    "peak_mb",
)

if __name__ == "__main__":
    sys.exit(runner.main("dense", METHODS, METRICS, __doc__))
