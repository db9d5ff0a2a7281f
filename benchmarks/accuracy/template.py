"""The mean head of `python -m registration template`, beside other means.

`python -m benchmarks.accuracy.template`. Brains of training scans, cut out by their
label maps, are averaged: by the command, from two first scans; by `antspyx`'s
`build_template` as it comes; and on the cohort's fixed scan, where each is registered
as `pair` does it. Test scans are then registered to each mean by the same networks and
steps, and their labels meet there, and in each other's space on the way through it.
What was made is kept in `build/template`, and rows that are there are not made again.
"""

import argparse
import functools
import json
import os
import pathlib
import resource
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import numpy as np

from benchmarks import jobs
from benchmarks.accuracy import pairs
from registration import inputs, itk, means, pieces, quality, runtime
from registration import transform as transforms
from registration.scans import grid as grids
from registration.scans import intensity, nifti
from registration.scans import scan as scans

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEYS = ("method", "scans")
COLUMNS = (
    *KEYS, "sharpness", "entropy", "brain_ml", "scans_ml", "dice_on", "dice_through",
    "apart_mm", "alike", "minutes", "cpu_minutes",
)  # fmt: skip
STEPS = {"affine": 12, "dense": 15}
TESTS = 8
MANY, FEW, ALL = 24, 6, 100
SOME = 4000


def command(folder, count, *words):
    """Make a mean by the command; return its folder."""
    out = folder / "out"
    words = ["-m", "registration", "template", sources(count), "--out", out, *words]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, *map(str, words)], check=True, env=env)
    return nifti.load(out / "template.nii.gz")


def other_start(folder, count):
    """Make a mean by the command that begins with another scan."""
    return command(folder, count, "--start", pairs.split_names("train")[count - 1])


def one_pass(folder, count):
    """Make a mean by the command without refinement."""
    return command(folder, count, "--no-refine")


def fixed_scan(folder, count):
    """Average the scans where each is registered to the cohort's fixed scan."""
    fixed = brain(*pairs.split_names("fixed"))
    model = runtime.load("dense_t1")
    middle = intensity.barycentre(fixed.image, fixed.affine)
    grid = grids.box(middle, model.shape, model.voxel_mm)
    sums = means.Sums(grid.shape)
    for name in pairs.split_names("train")[:count]:
        scan = brain(name)
        bare = scans.Scan(intensity.scaled(scan.image), scan.affine, mask=scan.mask)
        moved = registered(scan, fixed).apply(bare, grid)
        sums.add(moved.image, moved.mask, grid.spacing)
    image, _ = sums.mean()
    return scans.Scan(image, grid.affine)


def ants(folder, count):
    """Make a mean by the template script of ANTs as `antspyx` has it."""
    import ants

    names = pairs.split_names("train")[:count]
    images = [ants.image_read(str(source(name))) for name in names]
    found = ants.build_template(image_list=images)
    path = folder / "mean.nii.gz"
    ants.image_write(found, str(path))
    mean = nifti.load(path)
    return scans.Scan(np.maximum(mean.image, 0), mean.affine)


METHODS = {
    "fixed scan": fixed_scan,
    "template": command,
    "template, other start": other_start,
    "template, one pass": one_pass,
    "ANTs": ants,
}
ROWS = (
    ("template", MANY),
    ("fixed scan", MANY),
    ("template, one pass", MANY),
    ("template, other start", MANY),
    ("template", FEW),
    ("ANTs", FEW),
    ("template", ALL),
)


def row(method, count, build):
    """Make a mean and measure it.

    Args:
        method: Key of `METHODS`.
        count: Of the training scans.
        build: Folder for what is made.

    Returns:
        Dict of the columns without the keys.
    """
    folder = build / f"{method.replace(', ', '_').replace(' ', '_')}_{count}"
    folder.mkdir(parents=True, exist_ok=True)
    sources(count)
    taken = folder / "seconds.json"
    if not taken.exists():
        before, start = processor_seconds(), time.perf_counter()
        mean = METHODS[method](folder, count)
        seconds = time.perf_counter() - start, processor_seconds() - before
        nifti.save(folder / "kept.nii.gz", mean.image, mean.affine)
        taken.write_text(json.dumps(seconds))
    seconds = json.loads(taken.read_text())
    mean = nifti.load(folder / "kept.nii.gz")
    mask = brain_of(mean.image)
    image, spacing = intensity.scaled(mean.image), mean.grid.spacing
    sizes = [brain_ml(name) for name in pairs.split_names("train")[:count]]
    return {
        "sharpness": means.sharpness(image, mask, spacing),
        "entropy": means.entropy(image, mask),
        "brain_ml": float(mask.sum() * np.prod(spacing) / 1000),
        "scans_ml": float(np.exp(np.mean(np.log(sizes)))),
        **overlaps(scans.Scan(mean.image * mask, mean.affine, mask=mask)),
        **apart(folder, build / f"template_{count}"),
        "minutes": seconds[0] / 60,
        "cpu_minutes": seconds[1] / 60,
    }


def overlaps(mean):
    """Return the Dice of test scans on a mean, and through it in each other's space."""
    names = pairs.split_names("test")[:TESTS]
    heads = [brain(name) for name in names]
    found = [registered(head, mean) for head in heads]
    on, through = [], []
    for place, head in enumerate(heads):
        other, way = heads[place - 1], found[place - 1]
        labels = [
            one.apply(scan, mean.grid).labels
            for one, scan in ((found[place], head), (way, other))
        ]
        on.append(quality.mean_dice(*labels))
        # From the head to the mean, and from there to the other one.
        chain = way @ found[place].inverse()
        carried = chain.apply(other, head.grid).labels
        through.append(quality.mean_dice(head.labels, carried))
    return {"dice_on": np.mean(on), "dice_through": np.mean(through)}


def apart(folder, other):
    """Return how far two means of the same scans lie apart, and how alike they are.

    A point of the one mean goes to every scan and back to the other mean; the mean of
    where it arrives is where it lies there.
    """
    nothing = {"apart_mm": float("nan"), "alike": float("nan")}
    if folder == other or not (folder / "out").exists() or not other.exists():
        return nothing
    one, two = (nifti.load(f / "out/template.nii.gz") for f in (folder, other))
    places = np.argwhere(brain_of(one.image))
    places = places[:: max(1, len(places) // SOME)].astype("float64")
    points = transforms.Transform([one.affine]).points(places)
    arrived = []
    for path in sorted((folder / "out/transforms").glob("*_to_template.h5")):
        name = path.name.removesuffix("_to_template.h5")
        back = itk.read(other / f"out/transforms/template_to_{name}.h5")
        arrived.append(back.points(itk.read(path).points(points)))
    gap = np.linalg.norm(np.mean(arrived, axis=0) - points, axis=1)
    moved = transforms.Transform().apply(two, one.grid).image
    inside = brain_of(one.image)
    alike = np.corrcoef(one.image[inside], moved[inside])[0, 1]
    return {"apart_mm": float(gap.mean()), "alike": float(alike)}


def registered(moving, fixed):
    """Register two brains as the command `pair` does."""
    start = runtime.affine(moving, fixed, steps=STEPS["affine"])
    return runtime.dense(moving, fixed, start, steps=STEPS["dense"])


def brain_of(image):
    """Return where a mean is brain: what is brighter than half of the dark tissue."""
    return pieces.filled(pieces.largest(image > 0.25 * np.quantile(image, 0.98)))


def brain(name):
    """Return a scan of the cohort, cut out by its labels."""
    return pairs.scan(name)


@functools.cache
def brain_ml(name):
    """Return the size of a scan's brain."""
    scan = brain(name)
    return inputs.volume_ml(scan.mask, scan)


def source(name):
    """Write a brain as a file, once; return its path."""
    path = options.build / "brains" / f"{name}.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        scan = brain(name)
        nifti.save(path, scan.image, scan.affine)
    return path


def sources(count):
    """Write the first training brains; return a table of them."""
    table = options.build / f"scans_{count}.csv"
    paths = [source(name) for name in pairs.split_names("train")[:count]]
    lines = [f"{path.name.removesuffix('.nii.gz')},{path}" for path in paths]
    table.write_text("\n".join(["name,scan", *lines]) + "\n")
    return table


def processor_seconds():
    """Return what this process and those that it waited for have used."""
    uses = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(use)[:2]) for use in uses)


def main(argv=None):
    """Measure what has no row yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=pathlib.Path, default=jobs.RESULTS)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/template")
    parser.add_argument("--most", type=int, default=ALL, help="of the scans of a row")
    parser.add_argument("--methods", help="some, with ; between them")
    parser.parse_args(argv, namespace=options)
    path = options.results / "template.csv"
    todo = [
        (key, functools.partial(row, *key, options.build))
        for key in ROWS
        if key[1] <= options.most
        and (options.methods is None or key[0] in options.methods.split(";"))
    ]
    jobs.run(todo, path, KEYS, COLUMNS)
    return 0


options = argparse.Namespace()

if __name__ == "__main__":
    sys.exit(main())
