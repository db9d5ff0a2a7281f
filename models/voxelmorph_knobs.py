"""Turn one knob of VoxelMorph at a time: `python models/voxelmorph_knobs.py`.

The diffeomorphic network at 4 mm, trained anew for every value of the weight of the
smoothness, the window of the local NCC, the squarings and the resolution of the field,
all else as in `BASE`; measured on the training scans that are kept aside. Rows that
`benchmarks/results/voxelmorph_knobs.csv` holds are skipped, so a run that was stopped
goes on.
"""

import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import functools

from benchmarks import jobs
from helpers import networks, training
from helpers.backend import keras
from models import train_voxelmorph
from registration.scans import cohort

SHAPE, VOXEL_MM = (48, 48, 48), 4.0
KEPT_ASIDE = 12
BASE = {"smooth": 0.1, "window": 9, "squarings": 7, "resolution": "half"}
KNOBS = {
    "smooth": (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
    "window": (3, 5, 9, 15),
    "squarings": (0, 1, 3, 5, 7),
    "resolution": ("quarter", "half", "full"),
}
LEVELS = {"full": 0, "half": 1, "quarter": 2}
KEYS = ("knob", "value")
COLUMNS = (*KEYS, "steps", "dice", "folded_percent", "log_jacobian_sd", "minutes")


def network(squarings, resolution):
    """Build VoxelMorph with its field on the grid of this resolution."""
    options = train_voxelmorph.UNET | {"shape": SHAPE, "squarings": squarings}
    decoder = options["decoder"]
    options["decoder"] = decoder[: len(decoder) - LEVELS[resolution]]
    return networks.dense_network(**options)


def measure(aligned, steps, smooth, window, squarings, resolution):
    """Train with these values; return the row without its keys."""
    keras.utils.set_random_seed(train_voxelmorph.SEED)
    made = network(squarings, resolution)
    scans = range(len(aligned.images))
    started = time.monotonic()
    training.fit(
        networks.registration(made),
        train_voxelmorph.make_pairs(aligned, scans[:-KEPT_ASIDE]),
        train_voxelmorph.loss("lncc", smooth, window),
        steps=steps,
        learning_rate=train_voxelmorph.RATE,
        progress=False,
    )
    minutes = (time.monotonic() - started) / 60
    scores = train_voxelmorph.measured(aligned, made, squarings, scans[-KEPT_ASIDE:])
    return {"steps": steps, **scores, "minutes": minutes}


def main():
    """Measure every value that has no row yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    path = jobs.RESULTS / "voxelmorph_knobs.csv"
    parser.add_argument("--csv", type=pathlib.Path, default=path)
    given = parser.parse_args()
    scans = cohort.load(voxel_mm=2.0, skull=True, progress=False)
    aligned, _ = train_voxelmorph.prepared(scans, SHAPE, VOXEL_MM, ("train",))
    todo = [
        (
            (knob, value),
            functools.partial(measure, aligned, given.steps, **BASE | {knob: value}),
        )
        for knob, values in KNOBS.items()
        for value in values
    ]
    jobs.run(todo, given.csv, KEYS, COLUMNS, quiet=True)


if __name__ == "__main__":
    main()
