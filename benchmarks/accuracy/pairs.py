"""The pairs of scans on which every method is measured, drawn with shown seeds."""

import collections
import dataclasses

import nibabel
import numpy as np

from registration.scans.sources import ixi, record
from registration.scans.sources.simulated import subject

ANY_SEED = 2020
MOTION_SEED = 40
SIMULATED_FIXED = "sim-000"
SIMULATED_TEST = tuple(f"sim-{number:03d}" for number in range(41, 51))
SIMULATED_SEED = 0
SIMULATED_MM = 2.0

Pair = collections.namedtuple("Pair", "moving fixed")


def split_names(split):
    """Return the participants of `"fixed"`, `"train"` or `"test"`, in file order."""
    names = [one.id for one in ixi.subjects() if one.split == split]
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
    return [Pair(name, SIMULATED_FIXED) for name in SIMULATED_TEST]


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


def scan(name, keep_skull=False):
    """Return a scan of a pair, on its own grid, with the intensities of its file.

    Args:
        name: A participant of the `ixi` cohort, fetched first where the files are not
            there yet, or `"sim-000"`, `"sim-041"` to `"sim-050"`: heads of
            `cohort.load("simulated", voxel_mm=2)` with their landmarks.
        keep_skull: Whether to return the whole head.

    Returns:
        A `scan.Scan` with labels.

    Raises:
        ValueError: If there is no such scan, or its files cannot be trusted.
    """
    found = _simulated(name) if name.startswith("sim-") else _participant(name)
    return found if keep_skull else found.stripped()


def _participant(name):
    chosen = [one for one in ixi.subjects() if one.id == name]
    if not chosen:
        raise ValueError(f"a participant of the cohort is needed. Received: {name!r}")
    if not (chosen[0].image.exists() and chosen[0].labels.exists()):
        ixi.fetch(chosen)
    return record.load(chosen[0])


def _simulated(name):
    seed = [SIMULATED_SEED, int(name.removeprefix("sim-"))]
    made = subject.subject(seed, subject.grid(SIMULATED_MM)).scan
    # In 8 bits, as a cohort keeps it.
    image = np.rint(made.image * 255).astype("uint8") / np.float32(255)
    return dataclasses.replace(made, image=image, name=name)


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
        scan: The `scan.Scan` that will be moved; its brain's centre stays put when
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
    brain = np.argwhere(scan.brain())
    centre = nibabel.affines.apply_affine(scan.affine, brain).mean(0)
    shift = millimetres * direction / np.linalg.norm(direction)
    return rigid_motion(axis, degrees, shift, centre)


def move(scan, motion):
    """Turn and shift a scan by a rigid world motion, through its header alone.

    The voxels stay as they are, so nothing is interpolated and nothing leaves
    the field of view: what changes is where the scan says that it lies.

    Args:
        scan: The `scan.Scan` to move.
        motion: Array `(4, 4)`, from RAS mm to RAS mm.

    Returns:
        A `scan.Scan` with the affine `motion @ scan.affine`.
    """
    return dataclasses.replace(scan, affine=motion @ scan.affine)
