"""The pairs of scans on which every method is measured, drawn with shown seeds."""

import collections
import csv
import pathlib

import numpy as np

from benchmarks import scans, simulated

PARTICIPANTS = (
    pathlib.Path(__file__).resolve().parents[1] / "helpers/data/ixi_participants.tsv"
)
ANY_SEED = 2020
MOTION_SEED = 40

Pair = collections.namedtuple("Pair", "moving fixed")


def split_names(split):
    """Return the participants of `"fixed"`, `"train"` or `"test"`, in file order."""
    with open(PARTICIPANTS, newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    names = [row["participant_id"] for row in rows if row["split"] == split]
    if not names:
        raise ValueError(f"split must be fixed, train or test. Received: {split!r}")
    return names


def fixed_pairs():
    """Return the 25 pairs (test scan, the cohort's one fixed scan)."""
    (fixed,) = split_names("fixed")
    return [Pair(name, fixed) for name in split_names("test")]


def any_pairs(seed=ANY_SEED):
    """Return 25 pairs of two test scans; each scan moves once and is fixed once.

    The scans are put in a random circle and each is paired with the next, so
    that no scan is paired with itself.

    Args:
        seed: Seed of the circle.

    Returns:
        List of `Pair`, in the order of the moving scans' names.
    """
    names = split_names("test")
    circle = np.random.default_rng(seed).permutation(names).tolist()
    return sorted(
        Pair(moving, fixed)
        for moving, fixed in zip(circle, circle[1:] + circle[:1], strict=True)
    )


def simulated_pairs():
    """Return the 10 pairs (simulated test scan, the simulated fixed scan)."""
    return [Pair(name, simulated.FIXED) for name in simulated.TEST]


def pairs(targets):
    """Return the pairs called `"fixed"`, `"any"` or `"simulated"`.

    Raises:
        ValueError: If `targets` is none of them.
    """
    kinds = {"fixed": fixed_pairs, "any": any_pairs, "simulated": simulated_pairs}
    if targets not in kinds:
        raise ValueError(
            f"targets must be one of {', '.join(kinds)}. Received: {targets!r}"
        )
    return kinds[targets]()


def rigid_motion(axis, degrees, shift, centre):
    """Return the `(4, 4)` motion that turns about an axis through a point, and shifts.

    Args:
        axis: Direction of the axis `(3,)`, of any length but zero.
        degrees: Angle, right-handed.
        shift: Shift after the turn `(3,)` in mm.
        centre: Point that the turn leaves where it is `(3,)` in mm.

    Returns:
        Float64 array `(4, 4)`.

    Reference:
        Rodrigues' rotation formula.
    """
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(degrees)
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    motion = np.eye(4)
    motion[:3, :3] = turn
    motion[:3, 3] = centre - turn @ centre + shift
    return motion


def random_motion(scan, degrees, millimetres, index, seed=MOTION_SEED):
    """Turn by `degrees` about a random axis through the brain, shift by a length.

    The axis and the direction of the shift depend on `seed` and `index` alone:
    at every level a pair is moved along the same directions, only further.

    Args:
        scan: The `Scan` that will be moved; its brain's centre stays put when
            `millimetres` is zero.
        degrees: Angle of the turn.
        millimetres: Length of the shift.
        index: Number of the pair, which chooses its directions.
        seed: Seed of all directions.

    Returns:
        Float64 array `(4, 4)` from RAS mm to RAS mm.
    """
    random = np.random.default_rng([seed, index])
    axis, direction = random.normal(size=(2, 3))
    centre = scans.transform_points(scan.affine, np.argwhere(scan.mask)).mean(0)
    shift = millimetres * direction / np.linalg.norm(direction)
    return rigid_motion(axis, degrees, shift, centre)
