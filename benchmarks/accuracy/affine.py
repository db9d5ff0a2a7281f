"""Measure affine registration.

`python benchmarks/accuracy/affine.py` makes the whole table. Scans from elsewhere, each
to the cohort's fixed one: `--moving-dir DIR --labels-dir DIR --csv FILE`.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from benchmarks.accuracy import classical, learned, runner

# Those that start Keras come last; see `runner.main`.
METHODS = {
    "before": classical.before,
    "centre_of_mass": classical.centre_of_mass,
    "ants_affine": classical.ants_affine,
    "dipy_affine": classical.dipy_affine,
    "learned": learned.learned_affine,
    "refined": learned.refined_affine,
}
METRICS = ("dice", "brain_dice", "ncc", "tre_mm", "seconds")

if __name__ == "__main__":
    sys.exit(runner.main("affine", METHODS, METRICS, __doc__))
