"""The rounds in which a mean head is made; see `template`."""

import typing

import numpy as np

from registration import means, runtime, template_steps
from registration.mendable import InputError
from registration.scans import grid as grids
from registration.scans import scan as scans

ROUNDS = 3
SETTLED_MM = 0.1
REFINED = (10, 5)
AFFINE_STEPS = 12
# A scan that resembles the mean less than this part of what is usual is left out.
ODD = 0.75
# Of fewer scans none can be told from the others.
FEWEST = 4
AT_ONCE = 8
COLUMNS = (
    "round", "stage", "moved_mm", "worst_mm", "mean_velocity_mm", "ncc", "sharpness",
    "entropy", "brain_ml", "seconds",
)  # fmt: skip
SCANS = (
    "name", "state", "brain_ml", "masks_from", "ncc", "local_ncc", "brain_dice",
    "folded_percent", "log_jacobian_sd", "volume_ratio", "there_and_back_mm", "reason",
)  # fmt: skip


class Mean(typing.NamedTuple):
    """A mean head and what it is the mean of.

    Attributes:
        scan: `scan.Scan` of the mean, its brain cut out.
        members: List of `template_steps.Member`.
        velocity: The mean velocity that was taken off; None for a mean of affines.
    """

    scan: scans.Scan
    members: list
    velocity: typing.Any = None


class Making:
    """The work of one run: its workers, where scans are kept, and what was measured.

    Args:
        do: What `workers.pool` gives.
        work: Folder for what the steps leave for each other.
        stages: `provenance.Stages`.
    """

    def __init__(self, do, work, stages):
        self.do, self.work, self.stages = do, work, stages
        self.rounds, self.pictures, self.labels = [], [], []
        self._last = None

    def each(self, function, tasks):
        """Do tasks; return the results in order."""
        found = dict(self.do(function, tasks))
        return [found[place] for place in range(len(tasks))]

    def sure(self, function, tasks):
        """Do tasks that must not fail; return the results in order."""
        found = self.each(function, tasks)
        for result in found:
            if isinstance(result, BaseException):
                raise result
        return found

    def read(self, entries, start):
        """Read all scans; return members, the one to start with first, and rows."""
        places = [self.work / f"{number:05d}" for number in range(len(entries))]
        with self.stages("reading, and finding the brains"):
            found = self.each(
                template_steps.read, list(zip(entries, places, strict=True))
            )
        rows, members, sizes = {}, [], []
        for entry, place, result in zip(entries, places, found, strict=True):
            row = dict.fromkeys(SCANS) | {"name": entry.name, "state": "used"}
            if isinstance(result, BaseException):
                row |= _refused(result)
            else:
                row |= {key: result[key] for key in ("brain_ml", "masks_from")}
                members.append(template_steps.Member(entry.name, place))
                sizes.append(result["brain_ml"])
                self.labels.append((place, result["labels"]))
            rows[entry.name] = row
        _check_enough(members, rows)
        names = [member.name for member in members]
        if start is not None and start not in names:
            raise InputError(
                f"--start must name a scan that can be used, such as {names[0]}. "
                f"Received: {start!r}"
            )
        first = int(np.argsort(sizes)[len(sizes) // 2])
        first = first if start is None else names.index(start)
        return [members[first], *members[:first], *members[first + 1 :]], rows

    def aligned(self, members, rows):
        """Find the affines to their mean; return the mean of the scans there."""
        with self.stages("affine, to the first scan"):
            found = self.affines(members, members[0].place, 0)
            usual = [m for m, one in zip(members, found, strict=True) if one.like]
            near = [one for one in found if one.like]
            mean = self.averaged(*_centred(usual, near))
        target = self.work / "mean"
        with self.stages("affine, to their mean"):
            template_steps.keep_scan(target, mean.scan)
            found = self.affines(members, target, AFFINE_STEPS)
            usual = np.median([one.resemblance for one in found])
            kept = []
            for member, one in zip(members, found, strict=True):
                if one.like:
                    kept.append((member, one))
                    continue
                rows[member.name] |= {
                    "state": "odd",
                    "reason": "resembles the mean of the others far less than they do "
                    f"(correlation {one.resemblance:.2f}, theirs {usual:.2f}): look at "
                    "its orientation and its brain mask",
                }
            _check_enough([member for member, _ in kept], rows)
            mean = self.averaged(*_centred(*map(list, zip(*kept, strict=True))))
        self.note(mean, "affine", None, [one.resemblance for _, one in kept])
        return mean

    def affines(self, members, target, steps):
        """Find the affine of every scan; say which of them resemble the target."""
        tasks = [(member, target, steps) for member in members]
        found = self.sure(template_steps.affine, tasks)
        least = ODD * np.median([one.resemblance for one in found])
        least = least if len(found) >= FEWEST else -1.0
        return [
            one._replace(like=bool(one.like and one.resemblance > least))
            for one in found
        ]

    def averaged(self, members, grid, velocity=None):
        """Return the mean of scans that are moved to it."""
        chunks = [
            members[first : first + AT_ONCE]
            for first in range(0, len(members), AT_ONCE)
        ]
        sums = means.Sums(grid.shape)
        # In the order of the scans, whoever was first: the same bytes every time.
        for part in self.sure(
            template_steps.summed, [(chunk, grid, velocity) for chunk in chunks]
        ):
            sums.join(part)
        image, mask = sums.mean()
        scan = scans.Scan(image, grid.affine, mask=mask, name="template")
        return Mean(scan, members, velocity)

    def settled(self, mean, rounds, refine):
        """Register all to the mean and move it, until it stops."""
        for count in range(rounds):
            with self.stages(f"round {count + 1}"):
                mean = self.moved(mean, "one pass", 0)
            if self.rounds[-1]["moved_mm"] < SETTLED_MM:
                break
        for steps in REFINED if refine else ():
            with self.stages("refining"):
                mean = self.moved(mean, "refined", steps)
        return mean

    def moved(self, mean, stage, steps):
        """Register all to the mean once; return the mean that comes of it."""
        target = self.work / "mean"
        template_steps.keep_scan(target, mean.scan)
        again = mean.velocity if self.rounds[-1]["stage"] == "refined" else None
        tasks = [(member, target, steps, again) for member in mean.members]
        alike = self.sure(template_steps.velocity, tasks)
        velocity = sum(map(_velocity, mean.members)) / len(mean.members)
        mean = self.averaged(mean.members, mean.scan.grid, velocity)
        self.note(mean, stage, velocity, alike)
        return mean

    def note(self, mean, stage, velocity, alike):
        """Keep what is to be told of a mean."""
        row = dict.fromkeys(COLUMNS) | {
            "round": len(self.rounds),
            "stage": stage,
            "ncc": float(np.mean(alike)),
            "sharpness": means.sharpness(
                mean.scan.image, mean.scan.mask, mean.scan.grid.spacing
            ),
            "entropy": means.entropy(mean.scan.image, mean.scan.mask),
            "brain_ml": float(
                mean.scan.mask.sum() * np.prod(mean.scan.grid.spacing) / 1000
            ),
            "seconds": round(self.stages.total, 1),
        }
        if velocity is not None:
            row |= self.change(mean, velocity)
        self.rounds.append(row)
        self.pictures.append(mean.scan.image)

    def change(self, mean, velocity):
        """Return by how many mm the scans moved on the mean since the last round."""
        grid = mean.scan.grid
        factor = grid.shape[0] // velocity.shape[0]
        step = factor * grid.spacing[0]
        inside = grids.block_mean(mean.scan.mask.astype("float32"), (factor,) * 3) > 0.5
        now = [_velocity(member) - velocity for member in mean.members]
        last = self._last or [0.0] * len(now)
        far = np.array(
            [
                np.linalg.norm((one - other)[inside], axis=-1).mean()
                for one, other in zip(now, last, strict=True)
            ]
        )
        self._last = now
        taken = np.linalg.norm(velocity[inside], axis=-1).mean()
        return {
            "moved_mm": step * float(far.mean()),
            "worst_mm": step * float(far.max()),
            "mean_velocity_mm": step * float(taken),
        }

    def finish(self, mean, folder, paths, rows):
        """Write every scan's transforms, and measure them."""
        (folder / "transforms").mkdir()
        target = self.work / "mean"
        template_steps.keep_scan(target, mean.scan)
        tasks = [
            (
                member,
                target,
                mean.velocity,
                [folder / path for path in paths[member.name]],
            )
            for member in mean.members
        ]
        with self.stages("writing the transforms"):
            found = self.sure(template_steps.finished, tasks)
        for member, numbers in zip(mean.members, found, strict=True):
            known = {key: numbers[key] for key in SCANS if key in numbers}
            rows[member.name] |= known


def _velocity(member):
    return template_steps.kept(member.place, "velocity")["velocity"]


def _centred(members, found):
    """Give each scan its affine from the mean of all; return the mean's grid too."""
    mean = means.barycentre([one.matrix for one in found])
    matrices = [one.matrix @ mean for one in found]
    back = [np.linalg.inv(matrix) for matrix in matrices]
    places = [
        matrix[:3, :3] @ one.barycentre + matrix[:3, 3]
        for matrix, one in zip(back, found, strict=True)
    ]
    model = runtime.load(template_steps.DENSE)
    grid = grids.box(np.mean(places, axis=0), model.shape, model.voxel_mm)
    members = [
        member._replace(matrix=matrix)
        for member, matrix in zip(members, matrices, strict=True)
    ]
    return members, grid


def _refused(error):
    """Return what is listed of a scan that could not be read."""
    if isinstance(error, (ValueError, OSError)):
        return {"state": "refused", "reason": " ".join(str(error).split())}
    return {"state": "fault", "reason": f"a fault of the program: {error!r}"}


def _check_enough(members, rows):
    """Raise where fewer than two scans are left."""
    if len(members) < 2:
        bad = [f"{n}: {r['reason']}" for n, r in rows.items() if r["reason"]]
        raise InputError(
            "a mean needs two scans or more that can be used; mend the files, or add "
            f"some. Received: {len(members)}" + "".join(f"; {text}" for text in bad[:3])
        )
