"""What the workers do for a mean head, one scan at a time.

What a step leaves for the next ones lies in files beside each other, whole or not
there: any worker may go on with any scan.
"""

import os
import typing

import nibabel
import numpy as np

from registration import (
    inputs,
    itk,
    masks,
    means,
    mendable,
    pieces,
    prepare,
    quality,
    runtime,
    transform,
)
from registration.scans import grid as grids
from registration.scans import intensity
from registration.scans import scan as scans

AFFINE, DENSE = "affine_t1", "dense_t1"
MODELS = (AFFINE, DENSE)
RIM_VOXELS = 2
# A field is rounded to such parts of a millimetre, a power of two: it packs better.
STEPS_PER_MM = np.float32(4096)


class Member(typing.NamedTuple):
    """A scan and what is known of it so far.

    Attributes:
        name: Of the scan.
        place: `pathlib.Path` to which endings are added, see `keep`.
        matrix: Float64 array `(4, 4)` from the mean world to the scan's, or None.
    """

    name: str
    place: typing.Any
    matrix: typing.Any = None


def keep(place, ending, **arrays):
    """Write arrays that a later step reads; the file is whole or not there."""
    path = place.with_name(f"{place.name}.{ending}.npz")
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    np.savez(partial, **arrays)
    os.replace(partial, path)


def kept(place, ending):
    """Read what `keep` wrote, a dict of arrays."""
    with np.load(place.with_name(f"{place.name}.{ending}.npz")) as stored:
        return dict(stored)


def keep_scan(place, scan):
    """Write a scan that a later step reads."""
    parts = {"image": scan.image, "affine": scan.affine, "mask": scan.mask}
    if scan.labels is not None:
        parts["labels"] = scan.labels
    keep(place, "scan", **parts)


def kept_scan(place):
    """Read what `keep_scan` wrote, a `scan.Scan`."""
    return scans.Scan(**kept(place, "scan"))


def read(task):
    """Read a scan, cut its brain out and keep it.

    Args:
        task: `listing.Entry` and where to keep it.

    Returns:
        Dict of `brain_ml`, `masks_from`, `labels` (a list of those that it has, or
        None) and `spacing`.

    Raises:
        ValueError: If a file cannot be used, or has no brain; it says what to do.
    """
    entry, place = task
    scan = inputs.scan(entry.moving, entry.moving_mask)
    labels = entry.labels and inputs.labels(entry.labels, scan)
    mask, how = scan.mask, "given"
    if mask is None:
        mask, how = inputs.stripped_mask(scan), "the scan has no skull"
    with mendable.inputs():
        if mask is None:
            mask, how = masks.find(scan), "found by us"
        image = intensity.scaled(scan.image * mask)
    box = pieces.box(mask if labels is None else mask | (labels > 0))
    box = tuple(
        slice(max(0, part.start - RIM_VOXELS), part.stop + RIM_VOXELS) for part in box
    )
    affine = scan.affine.copy()
    affine[:3, 3] = nibabel.affines.apply_affine(affine, [part.start for part in box])
    part = None if labels is None else labels[box]
    keep_scan(place, scans.Scan(image[box], affine, part, mask[box]))
    return {
        "brain_ml": inputs.volume_ml(mask, scan),
        "masks_from": how,
        "labels": None if labels is None else np.unique(labels[labels > 0]).tolist(),
        "spacing": scan.grid.spacing.tolist(),
    }


class Affine(typing.NamedTuple):
    """What is found of a scan by an affine.

    Attributes:
        matrix: Float64 array `(4, 4)` from the target's world to the scan's.
        barycentre: Of the scan, `(3,)` in RAS mm.
        resemblance: Correlation of the scan with the target in the target's brain.
        like: Whether the scan may be one of the cohort.
    """

    matrix: np.ndarray
    barycentre: np.ndarray
    resemblance: float
    like: bool


def affine(task):
    """Find the affine from a target to a scan.

    Args:
        task: `Member`, where the target is kept, and the steps of refinement.

    Returns:
        `Affine`, alike unless its matrix has no logarithm.
    """
    member, target, steps = task
    moving, fixed = kept_scan(member.place), kept_scan(target)
    matrix = runtime.affine(moving, fixed, AFFINE, steps).affine
    middle = intensity.barycentre(moving.image, moving.affine)
    image = prepare.resample(moving.image, moving.affine, matrix, fixed.grid)
    resemblance = _correlation(image[0, ..., 0], fixed)
    try:
        means.logarithms(matrix[None])
    except ValueError:
        return Affine(matrix, middle, resemblance, False)
    return Affine(matrix, middle, resemblance, True)


def velocity(task):
    """Find the velocity from the mean to a scan, and keep it.

    What the network answers to the scans exchanged is taken off, and halved: to a
    blurred mean it has a bias of its own, which the other way has as well.

    Args:
        task: `Member`, where the mean is kept, the steps of refinement, and the mean
            velocity that was taken off the last one, which is then refined further;
            None to ask the network.

    Returns:
        float: the correlation of the scan with the mean, in its brain, before.
    """
    member, target, steps, taken_off = task
    mean, moving = kept_scan(target), kept_scan(member.place)
    image = prepare.resample(moving.image, moving.affine, member.matrix, mean.grid)
    fixed, model = intensity.scaled(mean.image)[None, ..., None], runtime.load(DENSE)
    if taken_off is None:
        there = runtime.velocity(image, fixed, model)
        start = (there - runtime.velocity(fixed, image, model)) / 2
    else:
        start = (kept(member.place, "velocity")["velocity"] - taken_off)[None]
    found = runtime.refined(image, fixed, start, model, steps)
    keep(member.place, "velocity", velocity=found[0])
    return _correlation(image[0, ..., 0], mean)


def _correlation(image, target):
    inside = target.mask
    return float(np.corrcoef(image[inside], target.image[inside])[0, 1])


def found(member, grid, mean_velocity, both=False):
    """Return the transform of a scan from the mean that was moved.

    Args:
        member: `Member`.
        grid: `grid.Grid` of the mean.
        mean_velocity: Float array, to be taken off the scan's; None for the affine.
        both: Whether the way back is integrated too.

    Returns:
        `transform.Transform`.
    """
    rough = transform.Transform([member.matrix])
    if mean_velocity is None:
        return rough
    own = kept(member.place, "velocity")["velocity"] - mean_velocity
    coarse = means.coarser(grid, grid.shape[0] // own.shape[0])
    squarings = runtime.load(DENSE).contract["options"]["squarings"]
    return rough @ transform.Transform([means.flow(own, coarse, squarings, both)])


def summed(task):
    """Move some scans to the mean and sum them.

    Args:
        task: List of `Member`, `grid.Grid`, and the mean velocity or None.

    Returns:
        `means.Sums`.
    """
    members, grid, mean_velocity = task
    sums = means.Sums(grid.shape)
    for member in members:
        scan = _bare(kept_scan(member.place))
        moved = found(member, grid, mean_velocity).apply(scan, grid)
        sums.add(moved.image, moved.mask, grid.spacing)
    return sums


def _bare(scan):
    """Return a scan without its labels."""
    return scans.Scan(scan.image, scan.affine, mask=scan.mask)


def finished(task):
    """Write a scan's transforms, keep its labels on the mean, and measure it.

    Args:
        task: `Member`, where the mean is kept, the mean velocity, and the paths of
            the two transforms: to the mean, and from it.

    Returns:
        Dict of numbers.
    """
    member, target, mean_velocity, paths = task
    mean, scan = kept_scan(target), kept_scan(member.place)
    whole = found(member, mean.grid, mean_velocity, both=True)
    moved = whole.apply(scan, mean.grid)
    if moved.labels is not None:
        keep(member.place, "labels", labels=moved.labels)
    *fields, matrix = whole.parts
    whole = transform.Transform([*map(_written, fields), matrix])
    itk.save(paths[0], whole)
    itk.save(paths[1], whole.inverse())
    bare = _bare(scan)
    measured = quality.measured(
        whole, bare, mean, moved=_bare(moved), inverse=whole.inverse()
    )
    after = measured.pop("after")
    del measured["before"]
    return after | measured


def _written(field):
    """Return a field as it is stored: it ends in nothing, and packs well."""
    faded = field.faded()
    parts = [
        np.round(part * STEPS_PER_MM) / STEPS_PER_MM
        for part in (faded.displacement, faded.back)
    ]
    return transform.Field(grids.Grid(faded.grid.shape, faded.grid.affine), *parts)
