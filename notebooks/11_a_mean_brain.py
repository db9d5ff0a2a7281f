# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A mean brain: sharp, and nobody's
#
# ![A head, the mean of many by affines, and their mean after deformation][opening]
#
# [opening]: ../images/mean_brain.jpeg
#
# Averaging images blurs them. Averaging *shapes* does not: register all to one, and the
# mean of the images is sharp. But register all to whom? Whoever is chosen gives the
# mean a face. This notebook keeps one idea: **register all to the current mean, and
# take the mean motion out of the motions**, until nothing moves any more.
#
# **What you'll do.** Build that with digits, in two lines; let the tool do it with
# sixteen heads, eight young and eight old; watch the mean sharpen; and map where the
# old differ from the young.
#
# **What you'll learn**
#
# - why a mean on a chosen scan has that scan's shape, and how to see it;
# - what a mean of affines is, and of velocities;
# - what a map of log-Jacobians shows, and how much of it chance shows as well.
#
# **What you'll need.** Velocities ([notebook 02](02_deformable_2d_mnist.ipynb)), heads
# and labels ([notebook 03](03_t1_scans.ipynb)), the tool
# ([notebook 09](09_your_own_scans.ipynb)). Two to three minutes on two CPU cores, and
# 30 minutes to read.

# %% tags=["bootstrap"]
# Find the repository. On Google Colab: fetch it, and install what is missing.
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

url = os.environ.get("REGISTRATION_URL") or "https://github.com/your_name/registration"
marks = ("helpers/backend.py", "registration/settings.py")
places = [Path.cwd(), *Path.cwd().parents, Path.cwd() / "registration"]
root = next((p for p in places if all((p / mark).exists() for mark in marks)), None)
if find_spec("google") and find_spec("google.colab"):
    if root is None:
        root = places[-1]
        if root.exists():
            sys.exit(f"{root} is incomplete. Type !rm -r {root} and run this again.")
        if subprocess.run(["git", "clone", "-q", "--depth=1", url, root]).returncode:
            note = "If you are online, type its right address and run this again:"
            sys.exit(f"{url} cannot be fetched. {note} %env REGISTRATION_URL=...")
    if subprocess.run([sys.executable, root / "tools/install_missing.py"]).returncode:
        sys.exit("Packages could not be installed. Go online and run this again.")
if root is None:
    sys.exit(f"Open this notebook inside its repository, {url}: `make lab` does so.")
sys.path.insert(0, str(root))

# %%
import os
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
from IPython import display

from helpers import losses, refinement, transforms
from helpers.backend import ops
from registration import itk, means, profile, show, template, transform
from registration.scans import cohort, mnist, nifti
from registration.scans import grid as grids

SEED = 0
settings = profile.choose(
    quick={"digits": 32, "rounds": 4, "each": 8, "shuffles": 500},
    full={"digits": 200, "rounds": 6, "each": 25, "shuffles": 5000},
)
settings

# %% [markdown]
# ## The mean of sevens
# Thirty-two sevens, some of them, and the mean of all. Which parts of a seven will be
# gray in it, and which white?

# %%
digits = mnist.load()


def of_class(digit):
    """Return some training images of a class."""
    return digits["train"][digits["train_labels"] == digit][: settings.digits]


sevens = of_class(7)
blurred = sevens.mean(axis=0)
show.panels(
    **{f"seven {n}": sevens[n, ..., 0] for n in range(6)},
    mean=blurred[..., 0],
    size=1.3,
    columns=7,
    unit=None,
    alt="Six handwritten sevens, and the blurred mean of thirty-two",
)

# %% [markdown]
# White is where all agree: near the corner. The foot and the hook are fog, and no seven
# looks like this.
#
# ## Register all to the mean
# Every seven $I_i$ gets a velocity $v_i$ that carries it onto the current mean, by the
# descent of notebook 02; no network is needed for images this small. The new mean is
# the mean of the moved images. `TAKE_OUT` is the line that this notebook is about:
#
# $$v_i \leftarrow v_i - \frac{1}{n} \sum_j v_j$$
#
# Without it every round may pull all sevens the same way, towards the one that the
# first round started from.


# %%
def moved(images, velocities):
    """Return the images, each carried along its velocity."""
    displacement = transforms.integrate_velocity(velocities, 5)
    return ops.convert_to_numpy(transforms.warp(images, displacement))


def mean_shape(images, first, take_out=True):
    """Return the mean after each round, from `first` on."""
    velocities = np.zeros((*images.shape[:-1], 2), "float32")
    found = [first]
    for _ in range(settings.rounds):
        target = np.repeat(found[-1][None], len(images), axis=0)
        velocities = ops.convert_to_numpy(
            refinement.velocity(
                images, target, velocities, losses.ncc_loss, steps=40, learning_rate=0.3
            )
        )
        if take_out:
            velocities = velocities - velocities.mean(axis=0)
        found.append(moved(images, velocities).mean(axis=0))
    return found


# %% [markdown]
# **Predict.** Two runs begin with two different sevens. Will their means be the same?
# With the line, and without it?

# %%
runs = {
    (first, take_out): mean_shape(sevens, sevens[first], take_out)
    for take_out in (False, True)
    for first in (0, 5)
}


def alike(one, two):
    """Return the correlation of two images."""
    return np.corrcoef(one.ravel(), two.ravel())[0, 1]


agreement = {
    take_out: alike(*(runs[first, take_out][-1] for first in (0, 5)))
    for take_out in (False, True)
}
for take_out, value in agreement.items():
    print(
        f"two starts, mean motion {'taken out' if take_out else 'left in'}: {value:.3f}"
    )
assert agreement[True] > agreement[False] + 0.05
rows = {"start": 0, "left in": False, "taken out": True}
picture = show.figure(4.6, 3.0, "Two starts, and the means that come of them")
axes = picture.subplots(2, 3)
for line, first in zip(axes, (0, 5), strict=True):
    images = [
        runs[first, key][index] for key, index in ((True, 0), (False, -1), (True, -1))
    ]
    for ax, image, name in zip(line, images, rows, strict=True):
        ax.imshow(image[..., 0], cmap="gray", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[], title=name if first == 0 else None)
picture

# %% [markdown]
# Left in, each mean is its own start, a little softened: the tall one stays tall. Taken
# out, the two meet in a seven that is neither. It need not be perfect: a descent finds
# a near solution, not the best one, so a little of the start remains.
#
# Now all ten classes, from their blurred means on. Slide through the rounds.

# %%
classes = [of_class(digit) for digit in range(10)]
found = [mean_shape(images, images.mean(axis=0)) for images in classes]
steps = [
    np.stack([one[step] for one in found])[..., 0] for step in range(len(found[0]))
]


def sharpness(image):
    """Return the mean squared slope of an image of deviation 1."""
    return sum(slope**2 for slope in np.gradient(image / image.std())).mean()


gains = [
    sharpness(last) / sharpness(first)
    for first, last in zip(steps[0], steps[-1], strict=True)
]
print("sharper by a factor of", np.round(gains, 1))
assert min(gains) > 1.1
show.epochs(
    steps,
    [f"round {number}" for number in range(len(steps))],
    columns=5,
    limits=(0, 1),
    title="The mean shape of every class",
    description="Round 0 is the plain mean of the images.",
)

# %% [markdown]
# ## Sixteen heads
# The same with brains, by the tool. What it adds: an affine comes first, the network of
# notebook 08 gives the velocities at once, and they are refined at the end. Affines
# cannot be averaged number by number (half of "twice as large" and "half as large" is
# not "as large", see the exercises), so their *logarithms* are: the mean world is the
# one from which all affines lead equally far, and its size is the cohort's geometric
# mean (`means.barycentre`).
#
# The eight youngest and the eight oldest of the training scans, as files:

# %%
scans = cohort.load(voxel_mm=2.0, skull=False)
ages = scans.train.ages
aged = np.isfinite(ages).sum() >= 2 * settings.each
order = np.argsort(ages) if aged else np.arange(len(ages))
order = order[: np.isfinite(ages).sum()] if aged else order
each = min(settings.each, len(order) // 2)
chosen = [*order[:each], *order[-each:]]
old = np.arange(2 * each) >= each
folder = tempfile.TemporaryDirectory()
source, out = (Path(folder.name) / name for name in ("scans", "out"))
source.mkdir()
for number, index in enumerate(chosen):
    head = scans.train.scan(index)
    nifti.save(source / f"{number:02d}.nii.gz", head.image, head.affine)
    nifti.save(source / f"{number:02d}_labels.nii.gz", head.labels, head.affine)
if aged:
    print("young:", ages[chosen[:each]].round(), "old:", ages[chosen[each:]].round())

# %% [markdown]
# In a terminal this is `python -m registration template scans --out out`:

# %%
record = template.template(source, out, command=["template", "scans", "--out", "out"])
rounds = pd.DataFrame(record["rounds"])
print(sorted(path.name for path in out.iterdir()))
shown = ["stage", "moved_mm", "mean_velocity_mm", "sharpness"]
show.table(rounds[shown].round(2))

# %% [markdown]
# `moved_mm` is how far the scans moved on the mean since the round before: with the
# network it falls at once, since the network answers the same to nearly the same. The
# refinement moves them once more, to details that a blurred target did not have.
# Slide: which round brings the most?

# %%
series = nibabel.load(out / "rounds.nii.gz").get_fdata(dtype="float32") / 255
labels = [f"{row.stage}, round {row.round}" for row in rounds.itertuples()]
gain = rounds["sharpness"].iloc[-1] / rounds["sharpness"].iloc[0]
print(f"sharper than the mean of the affines by {100 * (gain - 1):.0f} %")
assert gain > 1.2
show.epochs(
    list(np.moveaxis(series, -1, 0)),
    labels,
    voxel_mm=2.0,
    limits=(0, 1),
    title="The mean of sixteen heads",
)

# %% [markdown]
# ## Is it better than a head?
# Stored, of 24 training scans, with eight *test* scans registered to each mean by the
# same network (`benchmarks/accuracy/template.py`): how well their labels meet there
# (`dice_on`), and in each other's space on the way through the mean (`dice_through`).
# Beside it the mean of the same scans on the cohort's fixed scan. Which of the two will
# be sharper, and which the better place to meet?

# %%
stored = pd.read_csv(root / "benchmarks/results/template.csv")
many = stored[stored["scans"] == 24].set_index("method")
own, fixed = many.loc["template"], many.loc["fixed scan"]
off = many["brain_ml"] / many["scans_ml"] - 1
assert own["dice_on"] > fixed["dice_on"] + 0.01
assert own["dice_through"] > fixed["dice_through"] + 0.01
assert fixed["sharpness"] > own["sharpness"] and abs(off["template"]) < abs(
    off["fixed scan"]
)
assert many.loc["template, other start", "apart_mm"] < 0.2
shown = ["sharpness", "dice_on", "dice_through", "brain_ml", "scans_ml", "apart_mm"]
show.table(many[shown].round(3).reset_index())

# %% [markdown]
# The mean on the fixed scan is the *sharper* one: all were registered to the fine
# details of one head, and the blur that remains is only that of the registration. But
# it is that head, smaller than the cohort's brains are, and new scans meet worse there.
# A sharp mean is no proof of a good one. The mean head begun with another scan
# (`other start`) lies less than a tenth of a millimetre away from the first.
#
# ## Young and old
# What leads from the mean to each head is a field. Its Jacobian determinant says how
# much larger a place is in that head than in the mean, the size of the whole head
# taken out by the affine. The mean of its logarithm over the old, less that over the
# young, is the map that thousands of papers show.

# %%
names = [f"{number:02d}" for number in range(2 * each)]
there = [itk.read(out / f"transforms/{n}_to_template.h5").fields[0] for n in names]
back = [itk.read(out / f"transforms/template_to_{n}.h5").fields[0] for n in names]
volumes = np.stack([field.voxels() for field in there])
volumes = ops.convert_to_numpy(transforms.jacobian_determinant(volumes))
assert volumes.min() > 0
grow = np.log(volumes)
mean = nifti.load(out / "template.nii.gz")
grid = there[0].grid


def on_grid(mask):
    """Return a mask of the mean on the grid of the fields."""
    return grids.resample(mask.astype("float32"), mean.affine, grid) > 0.5


inside = on_grid(nifti.load(out / "template_mask.nii.gz").image > 0)
change = (grow[old].mean(axis=0) - grow[~old].mean(axis=0)) * inside
print(f"{inside.sum()} places of {grid.spacing[0]:.0f} mm in the brain")

# %%
picture_of = {
    "log_volume_old_minus_young": grids.resample(change, grid.affine, mean.grid)
}
show.planes(
    **picture_of,
    voxel_mm=2.0,
    at=(0, -15, 15),
    cmap="RdBu_r",
    limits=(-1, 1),
    outline=mean.image,
    label="difference of the log volume",
    alt="Map of the difference in local volume between old and young",
)

# %% [markdown]
# Red is larger in the old: the ventricles, and the spaces around the brain. To see it
# as a shape, warp the mean along half of the mean difference of the fields, and beyond:
# at −1 is the mean young head, at +1 the mean old one; at ±3 a caricature.

# %%
ways = np.stack([field.displacement for field in back])
way = (ways[old].mean(axis=0) - ways[~old].mean(axis=0)) / 2
times = np.linspace(-3, 3, 13)
steps = [
    transform.Transform([transform.Field(grid, (time * way).astype("float32"))])
    .apply(mean, mean.grid)
    .image
    for time in times
]
show.epochs(
    steps,
    [f"{time:+.1f}" for time in times],
    voxel_mm=2.0,
    limits=(0, 1),
    title="From young (−1) to old (+1), and beyond",
)

# %% [markdown]
# ## How much of it is chance?
# Sixteen heads and thousands of places. At each place a $t$ of 2.14 is passed by chance
# in 5 % of all cases. Shuffle who is old, many times: how many places pass then, and
# how large is the largest $|t|$ anywhere?


# %%
def t_values(values, groups):
    """Return Welch's t of every place, between the groups."""
    one, two = values[groups], values[~groups]
    spread = one.var(axis=0, ddof=1) / len(one) + two.var(axis=0, ddof=1) / len(two)
    return (one.mean(axis=0) - two.mean(axis=0)) / np.sqrt(spread)


values, rng = grow[:, inside], np.random.default_rng(SEED)
true = np.abs(t_values(values, old))
shuffled = np.array(
    [
        (np.mean(some > 2.14), some.max())
        for some in (
            np.abs(t_values(values, rng.permutation(old)))
            for _ in range(settings.shuffles)
        )
    ]
)
level = np.quantile(shuffled[:, 1], 0.95)
share = np.mean(true > 2.14)
beaten = np.mean(shuffled[:, 0] >= share)
chance = shuffled[:, 0].mean()
print(f"above 2.14: {100 * share:.0f} % of the places, shuffled {100 * chance:.0f} %")
print(f"as many in {100 * beaten:.1f} % of the shuffles")
print(f"largest {true.max():.1f}; anywhere above {level:.1f} in 5 % of the shuffles")
print(f"places above that: {np.sum(true > level)} of {true.size}")
if aged:
    assert share > 2 * chance and beaten < 0.05
    assert np.mean(true > level) < 0.01

# %% [markdown]
# Two true sentences. *That* old and young heads differ is beyond doubt: hardly a
# shuffle has as many places. *Where* they differ is another question: the largest of
# twenty thousand shuffled $t$ values is large as well, and next to none of the red and
# blue places passes it. A coloured map of single places from sixteen heads is mostly
# chance. A question asked beforehand, about one structure, has no such price:

# %%
carried = nifti.load(out / "template_labels.nii.gz").image
lateral = [v for v, n in scans.label_names().items() if n.startswith("LateralVent")]
if aged and lateral:
    ventricles = on_grid(np.isin(carried, lateral))
    sizes = grow[:, ventricles].mean(axis=1)
    difference = sizes[old].mean() - sizes[~old].mean()
    draws = [rng.permutation(old) for _ in range(settings.shuffles)]
    chance = [sizes[some].mean() - sizes[~some].mean() for some in draws]
    p = np.mean(np.abs(chance) >= difference)
    print(
        f"ventricles: {np.exp(difference):.1f} times as large in the old, p = {p:.3f}"
    )
    assert difference > 0.4 and p < 0.01
    picture = show.figure(4.6, 2.6, "Size of the lateral ventricles against age")
    ax = picture.subplots()
    ax.scatter(ages[chosen], sizes, c=np.where(old, "C1", "C0"))
    ax.set(xlabel="age in years", ylabel="log volume against the mean")
    display.display(picture)

# %% [markdown]
# And what no such map can say: that anybody's ventricles *grew*. These are different
# people, born half a century apart, in one scanner; the registration is smooth, so a
# place borrows from its neighbours; where it fails alike in all old heads, the map
# shows that as well.
#
# ## Key points
# 1. Averaging images blurs; averaging shapes does not.
# 2. A mean on a chosen scan has that scan's shape and size. Take the mean motion out,
#    and the start is forgotten.
# 3. Average what can be averaged: logarithms of affines, velocities.
# 4. Sharpness is no proof. Ask how well new scans meet there.
# 5. A map of thousands of places needs a level for all of them at once; one question
#    asked beforehand needs none.
#
# ## Knobs
#
# | knob | raise it, then ... |
# | --- | --- |
# | number of scans | a steadier shape; the mean costs linearly more |
# | rounds | less motion left; after three of one pass nothing more comes |
# | refinement | sharper, and the most of the time |
# | smoothness of the velocity | blurrier mean, calmer map |
# | number of shuffles | a finer p value |
#
# ## Exercises
# Each has a solution that this notebook runs, at its very end.
#
# **1. Half of twice and half.** Two affines scale by 2 and by ½. What is the volume of
# their mean, number by number, and by `means.barycentre`?
#
# **2. Nearer every time.** How alike are the means of the two starts after each round?
#
# **3. There and back.** If a place is larger in a head than in the mean, the field back
# must say that it is smaller in the mean. Does it?
#
# ## Where to read on
# - `registration/means.py`, `template.py`: the same for a cohort, on many machines.
# - Joshi et al., NeuroImage 23 (2004), for the unbiased mean; Nichols and Holmes, Human
#   Brain Mapping 15 (2002), for shuffling; Ashburner and Friston, NeuroImage 11 (2000),
#   for what maps of volume mean.
# - The scans: IXI data set, brain-development.org, CC BY-SA 3.0.
#
# ## Solutions
# **1.** Number by number the mean is too large: (2 + ½) / 2 = 1.25 along each axis.

# %%
pair = np.array([np.diag([s, s, s, 1.0]) for s in (2.0, 0.5)])
by_numbers = np.linalg.det(pair.mean(axis=0))
# From the mean world to that in which the affines start.
by_logarithms = np.linalg.det(means.barycentre(pair))
print(f"volume {by_numbers:.2f} and {by_logarithms:.2f}")
assert by_numbers > 1.9 and abs(by_logarithms - 1) < 1e-6

# %% [markdown]
# **2.** Taken out, every round brings them nearer; left in, they stay what they were.

# %%
paths = {
    take_out: [
        alike(*pair) for pair in zip(runs[0, take_out], runs[5, take_out], strict=True)
    ]
    for take_out in (False, True)
}
rows = [(step, *both) for step, both in enumerate(zip(*paths.values(), strict=True))]
assert paths[True][-1] > paths[True][1] > paths[False][-1]
show.table(("round", "left in", "taken out"), rows)

# %% [markdown]
# **3.** It does. The two are taken at neighbouring places, not at the same; and on
# voxels of 4 mm the way back of a ventricle opened wide is too steep to be measured in
# a few places, where even its sign is lost: those are left out, and counted.

# %%
volumes = np.stack([field.voxels() for field in back])
volumes = ops.convert_to_numpy(transforms.jacobian_determinant(volumes))[:, inside]
kept = volumes > 0
both = np.corrcoef(values[kept], np.log(volumes[kept]))[0, 1]
print(f"correlation {both:.2f}, {(~kept).sum()} of {kept.size} places left out")
assert both < -0.7 and np.mean(~kept) < 0.001
