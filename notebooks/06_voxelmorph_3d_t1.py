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
# # A displacement for every voxel: VoxelMorph on heads
#
# ![Mean of 25 heads after twelve numbers and after a field; the fixed head][opening]
#
# [opening]: ../images/dense_heads.png
#
# [Notebook 04](04_affine_3d_t1.ipynb) brought whole heads together with twelve numbers,
# and left the folds of the cortex and the width of the ventricles where they were.
# [Notebook 02](02_deformable_2d_mnist.ipynb) let every pixel of a digit move, and found
# the price: similarity alone proves nothing once everything may move. Here both meet.
# A network sees two heads that an affine has aligned, and answers with a velocity
# for every second voxel.
#
# **What you'll do.** Train VoxelMorph on the heads of a cohort, score it by labels that
# it never saw, refine its answers for the pair at hand, and hold all of it against SyN,
# the classical method that has been the one to beat since 2008.
#
# **What you'll learn**
#
# - how an affine and a field become **one** interpolation, and why that matters;
# - what the local correlation sees that the global one and mean squares do not;
# - why a network learns faster once it is shown the force that the loss will exert;
# - what smoothness costs and buys, measured by folds and by anatomy;
# - how to read a field: grid, determinant, and the way there and back;
# - what a network is worth when seconds of plain descent follow it.
#
# **What you'll need.** Notebooks 02 and 04. In the quick profile it takes about five
# minutes on two CPU cores (the README lists what was measured), and about 45 minutes to
# read. A stored model, trained for longer and for any pair, waits below.

# %% [markdown]
# ## Settings
# `trial` are the steps of five short trainings at 4 mm; `coarse` and `steps` those of
# the long one, at 4 mm and then at 2 mm. `force` is the window of an input that is
# explained below; 0 takes it away. `again` are the test scans that a stored VoxelMorph
# gets. The stored affine network of notebook 05 does the first part of the work.

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
from helpers import (
    backend,
    local_ncc,
    losses,
    metrics,
    networks,
    refinement,
    training,
    transforms,
)
from registration import (
    affine,
    dense,
    masks,
    models,
    profile,
    scorecard,
    show,
    transform,
)
from registration.scans import cohort
from registration.scans import grid as grids

SEED = 0

# %%
settings = profile.choose(
    quick={"coarse": 300, "steps": 128, "force": 5, "trial": 32, "held_back": 4}
    | {"refined": 2, "dipy": 2, "again": 6},
    full={"coarse": 6000, "steps": 6000, "force": 5, "trial": 600, "held_back": 12}
    | {"refined": 25, "dipy": 5, "again": 25},
)
settings

# %%
import functools
import time

import keras
import numpy as np
import pandas as pd
from keras import ops
from scipy import ndimage

scans = cohort.load(voxel_mm=2.0, skull=False, brain=masks.find)

# %% [markdown]
# ## Start from twelve numbers
# VoxelMorph expects scans that are aligned affinely: a field that has to carry a whole
# head over two centimetres has nothing left for the folds. The stored network of
# notebook 04 gives the twelve numbers, at 4 mm, in one pass.

# %%
shrink = functools.partial(grids.block_mean, factors=(1, 2, 2, 2))


def affines_of(split):
    """Return the affine transform of every scan of a split to the fixed one."""
    small = np.concatenate([shrink(split.images(i)) for i in range(len(split))])
    goal = np.broadcast_to(shrink(scans.fixed.images(0)), small.shape)
    found = affine_network.predict([small, goal], batch_size=5, verbose=0)["transform"]
    return [transform.Transform.from_centred(one, scans.grid) for one in found]


# %%
affine_network = models.load("affine_t1").network
train_affines, test_affines = affines_of(scans.train), affines_of(scans.test)

# %% [markdown]
# A field needs no voxels where there is no brain. The network works on a box of 80 × 96
# × 80 voxels around the fixed one: half of the grid, half of the time. The box is a
# `Grid` like any other, and `apply` brings a scan onto it, here through its affine.

# %%
SIZE = (80, 96, 80)
middle = np.argwhere(scans.fixed.masks(0)[0]).mean(axis=0)
low = np.round(middle - np.array(SIZE) / 2).astype(int)
corner = np.eye(4)
corner[:3, 3] = np.clip(low, 0, np.array(scans.shape) - SIZE)
box = grids.Grid(SIZE, scans.affine @ corner)
fixed_scan = transform.Transform().apply(scans.fixed.scan(0), box)
fixed = fixed_scan.image[None, ..., None]


# %%
def aligned(split, found):
    """Return all scans of a split, aligned, in the box, in 8 bits."""
    kept = np.empty((len(split), *SIZE, 1), "uint8")
    for i, one in enumerate(found):
        kept[i, ..., 0] = np.rint(one.apply(split.scan(i), box).image * 255)
    return kept


def unit(images):
    """Return images in [0, 1]."""
    return images.astype("float32") / 255


# %%
train, test = aligned(scans.train, train_affines), aligned(scans.test, test_affines)
held_ids = range(len(train))[-min(settings.held_back, len(train) // 3 or 1) :]
assert held_ids[0], "two scans to train on are needed, one of them to be held back"
show.planes(
    fixed=fixed,
    test_0=unit(test[0]),
    mean_of_the_test_scans=unit(test).mean(axis=0),
    voxel_mm=scans.voxel_mm,
    outline=fixed_scan.mask,
    level=0.5,
    height=2.3,
    alt="The fixed brain, a test brain after its affine, and the mean of all of them",
)


# %% [markdown]
# Outlines agree, the inside does not: look at the ventricles, and at the cortex of the
# mean. What is left is the work of this notebook.
#
# ## One interpolation, not two
# The affine has moved the scan once. If the field moved the *moved* scan again, every
# value would be interpolated twice, and each time is a small blur. Transforms are cheap
# to chain, images are not: so we chain the transforms, and read the scan once. The
# field comes first, since it lives on the fixed grid; the affine then carries the
# displaced point into the moving scan. `@` chains like that: what stands on its right
# comes first.
#
# A field of half a voxel everywhere, the worst case, shows what the second time costs.
# The sharpness below is the mean squared difference between neighbours. How much of it
# will be gone?


# %%
def deformation(displacement):
    """Return the transform of a displacement `(1, *SIZE, 3)` in voxels of the box."""
    field = transform.Field.from_voxels(box, np.asarray(displacement)[0])
    return transform.Transform([field])


# %%
half = deformation(np.full((1, *SIZE, 3), 0.5))
scan = scans.test.scan(0)
affinely = test_affines[0].apply(scan, box)
once, twice = (test_affines[0] @ half).apply(scan, box), half.apply(affinely, box)
sharpness = []
for moved in (affinely, once, twice):
    inside = moved.image[None, 2:-2, 2:-2, 2:-2, None]
    sharpness.append(float(losses.smoothness(inside)[0]))
names = ("affine alone", "field and affine, once", "one after the other")
show.table(("", "sharpness"), zip(names, [f"{s:.5f}" for s in sharpness], strict=True))


# %% [markdown]
# A second interpolation takes off far more than the first. Labels could not be
# interpolated twice at all without eating at thin structures.
#
# ## The judge
# As in notebook 04: the labels of the moving scan go through the transform once, and
# the Dice is the mean over the structures of the fixed scan with at least 200 voxels.
# New is a second number, since a field can do what twelve numbers cannot: **fold**.
# Where the Jacobian determinant is not positive, space is turned inside out.


# %%
def judge(scan, found):
    """Return Dice, brain Dice and the percent of folded voxels of one transform."""
    score = scorecard.overlap(fixed_scan, found.apply(scan, box))
    fields = [metrics.folding(field.voxels()[None]) for field in found.fields]
    return score | {"folded_percent": sum(f["folded_percent"][0] for f in fields)}


# %%
def collect(rows):
    """Turn a list of dicts into a dict of arrays."""
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


scores = [judge(scans.test.scan(i), found) for i, found in enumerate(test_affines)]
results = {"affine": collect(scores)}
if fixed_scan.labels is None:
    print("no label maps here: the Dice of the regions is nan, that of brains remains")
print(f"affine alone: Dice {results['affine']['dice'].mean():.3f}")


# %% [markdown]
# ## What the local correlation sees
# VoxelMorph was published with two losses: mean squares, and the correlation in small
# windows. A scanner's field makes one side of a head brighter than the other; within a
# window of nine voxels this hardly shows, and each window is judged on its own pattern.
# By hand, one line each for mean, variance and covariance of every window:


# %%
def local_correlation(one, other, window=9):
    """Return the correlation of two volumes in a window around every voxel."""
    mean = functools.partial(ndimage.uniform_filter, size=window, mode="nearest")
    covariance = mean(one * other) - mean(one) * mean(other)
    variances = [mean(i * i) - mean(i) ** 2 + 1e-5 for i in (one, other)]
    return covariance / np.sqrt(variances[0] * variances[1])


first, goal = (i[0, ..., 0].astype("float64") for i in (unit(test[:1]), fixed))
shade = np.linspace(0.6, 1.4, SIZE[0])[:, None, None]
by_hand = local_correlation(goal, first)
inside = tuple(slice(4, -4) for _ in range(3))
crop = [np.float32(i)[None, ..., None] for i in (goal, first)]
print(f"by hand {1 - by_hand.mean():.4f}, helper {losses.lncc_loss(*crop)[0]:.4f}")

# %% [markdown]
# (The two treat the border of the box differently, so the last digits differ.) Now one
# side of the moving head is made brighter than the other by a smooth ramp. Which of the
# three measures will notice?

# %%
shaded = np.float32(first * shade)[None, ..., None]
measures = {
    "mean squares": losses.mse,
    "1 − NCC": losses.ncc_loss,
    "1 − local NCC": losses.lncc_loss,
}
rows = [
    (name, *(f"{float(loss(crop[0], m)[0]):.4f}" for m in (crop[1], shaded)))
    for name, loss in measures.items()
]
show.table(("loss of the same pair", "as it is", "one side brighter"), rows)

# %%
show.planes(
    local_NCC=by_hand * fixed_scan.mask,
    voxel_mm=scans.voxel_mm,
    limits=(-1, 1),
    cmap="RdBu",
    label="local NCC",
    height=2.3,
    alt="Map of the local correlation: low along the cortex and around ventricles",
)

# %% [markdown]
# The local correlation hardly moves. Its map is also an answer to *where*: dark where
# the windows agree, pale where they do not, around the ventricles and along much of the
# cortex. That is where the gradient will pull. (The dark rim is the outline of the
# brain, which the affine has brought together.)
#
# ## Show the network the force
# How the local correlation pulls at every voxel is known before anything is trained:
# its slope by the moving image, times the slope of that image. This is the *force* that
# SyN follows. VoxelMorph sees two images and has to find this formula out by itself,
# from examples. We write it down instead, and show the network three more channels. The
# answer is still its own: how far to go, how smoothly, and where the force is wrong.

# %%
level = SIZE[2] // 2


def axial(volume):
    """Return an axial slice as an image, anterior up, left on the left."""
    return np.asarray(volume)[:, :, level].T[::-1]


def in_plane(field):
    """Return the part of a field that lies in the axial slice, as rows and columns."""
    sideways, forward = (axial(field[0, ..., axis]) for axis in (0, 1))
    return np.stack([-forward, sideways], axis=-1)


# %%
force = local_ncc.force(fixed, unit(test[:1]), window=5)
part = (slice(28, 68), slice(20, 60))
picture = show.figure(8, 3.8, "The force as arrows on the fixed ventricles; the moving")
axes = picture.subplots(1, 2)
images = {"fixed, with the force": fixed, "moving": unit(test[:1])}
for ax, (title, image) in zip(axes, images.items(), strict=True):
    ax.imshow(axial(image[0, ..., 0])[part], cmap="gray")
    ax.set(title=title, xticks=[], yticks=[])
arrows = in_plane(force)[part]
lengths = np.linalg.norm(arrows, axis=-1, keepdims=True)
down, right = np.moveaxis(arrows / np.maximum(lengths / 2, 1), -1, 0)
options = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.004}
axes[0].quiver(right, down, color="tab:orange", **options)
picture

# %% [markdown]
# (An axial slice around the ventricles, anterior up, left on the left; arrows are cut
# at two voxels.) Each arrow starts at a voxel of the fixed head and points to where the
# moving one should be read instead: from the fixed ventricles inwards, to the smaller
# ones of the moving head. Elsewhere it is a nervous compass: neighbours disagree,
# because each sees only its own window. And it holds at the start only, for a small
# step. Plain descent, further down, takes many such steps; a network can learn to make
# one large one.
#
# ## The network
# A U-Net looks at both images, on the way down ever coarser, on the way up ever finer,
# with a shortcut at each grid; `networks.unet` is the one of notebook 02 with a third
# axis. The original ends on the full grid. The diffeomorphic one stops at half the
# resolution, reads its answer as a *velocity*, integrates it by seven squarings, and
# refines the displacement to the full grid.

# %%
ORIGINAL = ((32,), (32,), (32,), (32, 32), (16, 16))
builders = {
    "original": lambda size: networks.dense_network(size, squarings=0),
    "diffeomorphic": lambda size: networks.dense_network(
        size, decoder=ORIGINAL[:-1], squarings=7
    ),
    "two looks, force": lambda size: networks.dense_cascade(size, force=5),
}
rows = []
for name, build in builders.items():
    network = build(SIZE)
    field = network.output["velocity"].shape[1:-1]
    rows.append((name, f"{network.count_params():,}", " × ".join(map(str, field))))
show.table(("network", "weights", "grid of the field"), rows)

# %% [markdown]
# The third one is new. As the affine cascade of notebook 04, it looks at 4 mm first and
# then again at 2 mm, at the scan as the first look has moved it; the two velocities
# are added and integrated as one. Both looks are shown the force. Five short trainings
# at 4 mm compare the parts: both losses, the direct and the diffeomorphic field, one
# look and two, with the force and without. Who will be ahead after so few steps?

# %%
small_train = np.concatenate([shrink(unit(image[None])) for image in train])
small_fixed = shrink(fixed)


def pairs(step, images=small_train, goal=small_fixed):
    """Draw the pair of one step."""
    index = np.random.default_rng((SEED, step)).integers(held_ids[0])
    image = images[index : index + 1]
    return {"moving": unit(image) if image.dtype == "uint8" else image, "fixed": goal}


def loss(batch, outputs, window=5, smooth=0.1):
    """Return 1 − local NCC, and the smoothness of the velocity."""
    similarity = losses.lncc_loss(batch["fixed"], outputs["moved"], window)
    return similarity + smooth * losses.smoothness(outputs["velocity"])


def squares(batch, outputs, smooth=0.01):
    """Return the mean squares, and the smoothness."""
    similarity = losses.mse(batch["fixed"], outputs["moved"])
    return similarity + smooth * losses.smoothness(outputs["velocity"])


# %%
SMALL = tuple(side // 2 for side in SIZE)
encoder, decoder = (16, 32, 32), ORIGINAL[1:]
trials = {
    "original, mean squares": (squares, networks.dense_network, decoder, 0, 0),
    "original, local NCC": (loss, networks.dense_network, decoder, 0, 0),
    "diffeomorphic, local NCC": (loss, networks.dense_network, decoder[:-1], 7, 0),
    "two looks, local NCC": (loss, networks.dense_cascade, decoder, 7, 0),
    "two looks, force": (loss, networks.dense_cascade, decoder, 7, settings.force),
}

# %%
scores = [judge(scans.train.scan(i), train_affines[i]) for i in held_ids]
rows = [("affine alone", f"{collect(scores)['dice'].mean():.3f}", "0.000", "")]
gained = {}
for name, (objective, build, *options) in trials.items():
    keras.utils.set_random_seed(SEED)
    network = build(SMALL, encoder, *options)
    model, begin = networks.registration(network), time.perf_counter()
    training.fit(model, pairs, objective, settings.trial, progress=False)
    taken = (time.perf_counter() - begin) / settings.trial
    scores = []
    for i in held_ids:
        out = network.predict_on_batch([small_train[i : i + 1], small_fixed])
        field = transforms.upsample_displacement(out["transform"], 2)
        found = train_affines[i] @ deformation(field)
        scores.append(judge(scans.train.scan(i), found))
    score = collect(scores)
    dice, folds = score["dice"].mean(), score["folded_percent"].mean()
    rows.append((name, f"{dice:.3f}", f"{folds:.3f}", f"{1000 * taken:.0f}"))
    gained[name] = dice

# %%
show.table(("4 mm, short training", "Dice", "folded %", "ms a step"), rows)

# %% [markdown]
# After so few steps a network moves every head in the same way, and most rows of the
# stored run lie below the affine alone; what hardly moves cannot fold. The table says
# who learns fastest, not who ends best. Two looks help: the first works on an eighth of
# the voxels and leaves the second a smaller task. The force helps far more: nobody has
# to learn what can be written down. The last row is trained for longer now.
#
# ## Training, coarse to fine
# The real thing: two looks, one pair a step, all scans to the one fixed head, as in the
# original work. A step at 4 mm costs a third of one at 2 mm, so the first look learns
# alone, on the shrunk scans, and hands its weights over. Three squarings are enough to
# learn by; what was learned is judged with five. Adam, a rate that falls to zero along
# a cosine.

# %%
keras.utils.set_random_seed(SEED)
begin = time.perf_counter()
first_look = networks.dense_network(SMALL, encoder, decoder, 3, settings.force)
model = networks.registration(first_look)
training.fit(model, pairs, loss, settings.coarse, learning_rate=0.002)
network = networks.dense_cascade(SIZE, squarings=3, force=settings.force)
for part, place in (("unet", "coarse"), ("velocity", "coarse_velocity")):
    network.get_layer(place).set_weights(first_look.get_layer(part).get_weights())

# %% [markdown]
# Then both looks together, at 2 mm. The second one begins near zero, so the network
# begins with what the first one knows.

# %%
snapshots = [unit(test[0, ..., 0])]


def keep(epoch, model):
    """Keep what the network makes of one test scan."""
    moved = model.predict_on_batch([unit(test[:1]), fixed])["moved"]
    snapshots.append(np.asarray(moved)[0, ..., 0])


model = networks.registration(network)
keep(0, model)
history = training.fit(
    model,
    functools.partial(pairs, images=train, goal=fixed),
    loss,
    settings.steps,
    epochs=8,
    on_epoch=keep,
)["loss"]
training_minutes = (time.perf_counter() - begin) / 60
print(f"{training_minutes:.1f} minutes")

# %%
show.loss_curve(history, x="step", size=(5.6, 2.4))

# %%
show.epochs(
    snapshots,
    ["affine", "4 mm", *(f"2 mm, {part}/8" for part in range(1, 9))],
    voxel_mm=scans.voxel_mm,
    title="One test head while the network learns",
    description="The ventricles and the cortex move, the outline hardly.",
)


# %% [markdown]
# ## The test scans
# Scans that nobody has looked at. One pass of the network each, field and affine
# chained, labels read once.


# %%
def velocity_of(network, index):
    """Return the velocity of one test scan and the seconds that it took."""
    begin = time.perf_counter()
    pair = [unit(test[index : index + 1]), fixed]
    velocity = network.predict_on_batch(pair)["velocity"]
    return ops.convert_to_tensor(velocity), time.perf_counter() - begin


@backend.traced
def integrate(velocity):
    """Return the displacement of a velocity at half the resolution."""
    field = transforms.integrate_velocity(velocity, 5)
    return transforms.upsample_displacement(field, 2)


def score_all(velocities, seconds):
    """Judge the test scans, with the seconds that each took."""
    rows = []
    for i, (velocity, taken) in enumerate(zip(velocities, seconds, strict=True)):
        found = test_affines[i] @ deformation(integrate(velocity))
        rows.append(judge(scans.test.scan(i), found) | {"seconds": taken})
    return collect(rows)


# %%
velocity_of(network, 0)
found = [velocity_of(network, i) for i in range(len(test))]
velocities, seconds = zip(*found, strict=True)
results["learned"] = score_all(velocities, seconds)
for name in ("affine", "learned"):
    score = results[name]
    print(
        f"{name:8} Dice {score['dice'].mean():.3f} ± {score['dice'].std():.3f}, "
        f"folded {score['folded_percent'].mean():.4f} %"
    )

# %%
displacement = np.asarray(integrate(velocities[0]))
moved = (test_affines[0] @ deformation(displacement)).apply(scan, box)
show.before_after(
    affinely.image,
    moved.image,
    fixed_scan.image,
    voxel_mm=scans.voxel_mm,
    title="Test scan 0: after twelve numbers, and after the field",
    description="Follow the edge of the ventricles across the squares.",
    names=("affine", "affine and field"),
)

# %% [markdown]
# ## VoxelMorph, trained to its end
# What we have trained is not VoxelMorph: it looks twice, and it is shown the force. How
# far does the original way get, one look and two images, if it may train as long as it
# likes? `models/train_voxelmorph.py` has done it: the diffeomorphic network, all
# training scans to the one fixed head, 4,800 steps at 2 mm, in windows of nine. Its log
# and its curve are stored beside the weights. Before you look: will the test scans
# reach what the training scans reach? And after how many steps will it pass the dashed
# line, our two looks?

# %%
TRAINED = "voxelmorph_diffeomorphic"
curve = pd.read_csv(models.FOLDER / f"{TRAINED}.csv")
ours = results["learned"]["dice"].mean()
picture = show.figure(6.4, 3.2, "Dice of VoxelMorph on training and test scans by step")
ax = picture.subplots()
for split, label in (("train", "8 training scans"), ("test", "25 test scans")):
    rows = curve[curve["split"] == split]
    ax.plot(rows["step"], rows["dice"], marker="o", markersize=3, label=label)
ax.axhline(ours, color="0.4", linestyle="--", label="two looks, trained above")
ax.set(xlabel="step", ylabel="Dice")
ax.legend(frameon=False)
picture

# %%
on_test, on_train = (curve[curve["split"] == s]["dice"] for s in ("test", "train"))
steps, middle_row = sorted(set(curve["step"])), len(on_test) // 2
passed = [s for s, dice in zip(steps, on_test, strict=True) if dice > ours]
rows = [
    ("test scans, affine alone", f"{on_test.iloc[0]:.3f}"),
    (f"after {steps[middle_row]:,} steps", f"{on_test.iloc[middle_row]:.3f}"),
    (f"test scans, after {steps[-1]:,} steps", f"{on_test.iloc[-1]:.3f}"),
    (f"training scans, after {steps[-1]:,} steps", f"{on_train.iloc[-1]:.3f}"),
    ("steps until it passed our two looks", str(passed[0] if passed else "never")),
]
show.table(("VoxelMorph", "Dice"), rows)

# %% [markdown]
# It starts from the *refined* affine, ours from one pass: nearly a hundredth of Dice in
# its favour before it begins. The weights are here, too. A network that knows one fixed
# head knows it on one grid and in one gray scale, so `registration` brings the scans
# onto its own box. Two things differ from the curve: a few scans instead of all, and
# labels that had been brought onto the common grid before. Hold the number against the
# rows of the scorecard on the same scans, not against the curve.

# %%
voxelmorph, twelve = (models.load(name) for name in (TRAINED, "affine_t1"))
goal, rows, some = scans.fixed.scan(0), [], range(len(test))[: settings.again]
firsts = [affine.register(scans.test.scan(i), goal, twelve, steps=12) for i in some]
dense.register(scans.test.scan(0), goal, voxelmorph, firsts[0])  # compiles
for i in some:
    begin = time.perf_counter()
    found = dense.register(scans.test.scan(i), goal, voxelmorph, firsts[i])
    taken = {"seconds": time.perf_counter() - begin}
    rows.append(judge(scans.test.scan(i), found) | taken)
results["VoxelMorph, to its end"] = collect(rows)
mean_dice = results["VoxelMorph, to its end"]["dice"].mean()
print(f"Dice of the first {len(rows)} test scans, here: {mean_dice:.3f}")

# %% [markdown]
# The second half of the training brought little: this is what the method gives with
# these knobs. The training scans began a hundredth lower and end a hundredth higher:
# that much is learned by heart, little beside what all gain. The two looks and the
# force get to the same Dice in fewer steps, most of them at 4 mm.
#
# ## What each knob does
# The same network at 4 mm, trained anew for every value of one knob, all else as it
# was: `models/voxelmorph_knobs.py`, 600 steps each, judged on 12 training scans that
# were kept aside. The weight of the smoothness is the knob that every paper tunes. Over
# which range would you search?

# %%
knobs = pd.read_csv(Path(root) / "benchmarks/results/voxelmorph_knobs.csv")
weights = knobs[knobs["knob"] == "smooth"].astype({"value": float})
picture = show.figure(8, 3, "Dice and spread of the Jacobian by weight of smoothness")
axes = picture.subplots(1, 2)
columns = {"dice": "Dice", "log_jacobian_sd": "spread of the log-Jacobian"}
for ax, (column, label) in zip(axes, columns.items(), strict=True):
    ax.plot(weights["value"], weights[column], marker="o")
    ax.axvline(0.1, color="0.4", linestyle="--")
    ax.set(xscale="log", xlabel="weight of the smoothness", ylabel=label)
picture

# %%
others = knobs[knobs["knob"] != "smooth"]
shown_columns = ["knob", "value", "dice", "folded_percent", "log_jacobian_sd"]
show.table(others[[*shown_columns, "minutes"]].round(4))

# %% [markdown]
# The dashed line is the weight that the long training had, taken over from elsewhere
# before this was measured, and not the best one: ten times as much is smoother *and*
# fits better. Smaller windows do better than the nine of the paper, at this grid. The
# squarings hardly matter as long as nothing folds. None of these rows is the end of a
# training; what is best after 600 steps need not be best after 5,000. It is the first
# thing to try, though, and it says what a fair comparison owes to both sides: the same
# search.

# %% [markdown]
# ## Read the field
# A picture that fits is no proof. Three pictures of the field itself, in one axial
# slice: where the lines of the fixed grid are read; the arrows; and the determinant,
# above one where the moving brain is larger, black where it folds.

# %%
determinant = np.asarray(transforms.jacobian_determinant(displacement))[0]
picture = show.figure(10, 4.2, "Warped grid, arrows and determinant in an axial slice")
axes = picture.subplots(1, 3)
slice_image = axial(fixed[0, ..., 0])
flat = in_plane(displacement)
show.grid(displacement=flat, image=slice_image, step=4, ax=axes[0], title="grid")
show.quiver(flat, image=slice_image, step=4, ax=axes[1], title="arrows")
show.jacobian(axial(determinant), ax=axes[2])
picture

# %% [markdown]
# The grid is bent most around the ventricles and at the cortex, and no line crosses
# another. The determinant says how volumes differ: the ventricles of the fixed head are
# wide, so they are read from a smaller region of the moving one.
#
# The same in labels, before and after, beside those of the fixed head. Follow the dark
# ventricles.

# %%
shown = {"affine": affinely, "affine_and_field": moved, "fixed": fixed_scan}
picture = "no label maps here"
if all(one.labels is not None for one in shown.values()):
    picture = show.planes(
        **{name: (one.labels.astype(int) * 7) % 23 for name, one in shown.items()},
        voxel_mm=scans.voxel_mm,
        cmap="nipy_spectral",
        height=2.3,
        alt="Labels of the test head after the affine and the field, and fixed labels",
    )
picture


# %% [markdown]
# ## Which structures gain?
# Dice per structure, mean over the test scans, sorted. Large deep structures are easy;
# what will gain most?


# %%
def per_structure(transforms, wanted):
    """Return the mean Dice of the wanted structures over the test scans."""
    rows = []
    for i, found in enumerate(transforms):
        moved = found.apply(scans.test.scan(i), box)
        rows.append(metrics.dice(fixed_scan.labels, moved.labels, wanted))
    return np.nanmean([[row[k] for k in wanted] for row in rows], axis=0)


def with_field(found):
    """Return the transforms of the test scans, a velocity each before the affine."""
    fields = (deformation(integrate(velocity)) for velocity in found)
    return [a @ field for a, field in zip(test_affines, fields, strict=False)]


# %%
picture = "no label maps here"
if fixed_scan.labels is not None:
    sizes = np.bincount(fixed_scan.labels.ravel())
    names = scans.label_names() or {k: str(k) for k in range(1, len(sizes))}
    large = [int(k) for k in np.flatnonzero(sizes >= 1000) if k in names]
    picture = show.sorted_bars(
        [names[k].replace("_", " ") for k in large],
        affine=per_structure(test_affines, large),
        learned=per_structure(with_field(velocities), large),
        limit=24,
        alt="Dice of each structure after the affine and after the field, sorted",
    )
picture

# %% [markdown]
# ## There and back
# Integrating the *negative* velocity gives the inverse, no search needed. Going there
# and back should end where it began. On a grid it does not quite: the two flows are
# interpolated at different places. A few fixed-point iterations, begun from that
# inverse, close the gap. How far off are we, in voxels?

# %%
back = np.asarray(integrate(-velocities[0]))
errors = [transforms.inverse_error(displacement, back)[0]]
for _ in range(3):
    back = -np.asarray(transforms.warp(displacement, back, fill="edge"))
    errors.append(transforms.inverse_error(displacement, back)[0])
for count, error in enumerate(errors):
    print(f"after {count} iterations: {error:.3f} voxels from the start, in the mean")

# %% [markdown]
# ## Refinement: a few steps for the pair at hand
# The network has learned what helps *on average*. `refinement.velocity` goes on from
# its answer with the same similarity and twice the weight of the smoothness, since a
# few steps on one pair fold more easily, on this one velocity, as the affine refinement
# of notebook 05 did on twelve numbers; `training.refine` is the Adam that both share.

# %%
refine = functools.partial(refinement.velocity, smooth=0.2, steps=30, squarings=5)
refine(unit(test[:1]), fixed, velocities[0], steps=1)
refined, refined_seconds = [], []
for i in range(len(test))[: settings.refined]:
    begin = time.perf_counter()
    refined.append(refine(unit(test[i : i + 1]), fixed, velocities[i]))
    np.asarray(refined[-1])
    refined_seconds.append(time.perf_counter() - begin + seconds[i])
results["learned + refinement"] = score_all(refined, refined_seconds)

# %% [markdown]
# ## Any pair: the stored model
# The network above knows one fixed head. `dense_t1` was trained with the same loss for
# longer, without the force, and on any pair (`models/train_dense.py`; the card beside
# it says how good it is, and what it is not for).

# %%
stored = models.load("dense_t1").network
velocity_of(stored, 0)
found = [velocity_of(stored, i) for i in range(len(test))]
stored_velocities, stored_seconds = zip(*found, strict=True)
results["stored model"] = score_all(stored_velocities, stored_seconds)

# %%
last = min(1, len(test) - 1)
pair = [unit(test[:1]), unit(test[last : last + 1])]
velocity = ops.convert_to_tensor(stored.predict_on_batch(pair)["velocity"])
goal = test_affines[last].apply(scans.test.scan(last), box)
bent = test_affines[0] @ deformation(integrate(velocity))
rows = []
for name, found in (("affine", test_affines[0]), ("affine and field", bent)):
    dice = scorecard.overlap(goal, found.apply(scan, box))["dice"]
    rows.append((name, f"{dice:.3f}"))
show.table((f"test scan 0 to test scan {last}", "Dice"), rows)

# %% [markdown]
# For two scans on their own grids, `registration` does all of this, refinement
# included:
#
# ```python
# from registration import affine, dense
#
# start = affine.register(moving, fixed, models.load("affine_t1"), steps=12)
# found = dense.register(moving, fixed, models.load("dense_t1"), start, steps=30)
# moved = found.apply(moving, fixed.grid)
# ```
#
# ## The classical method, live
# SyN in DIPY, with the correlation in windows of nine voxels as its metric (a radius of
# four, DIPY's default), on the same images after the same affine.

# %%
import logging

from dipy.align import imwarp
from dipy.align import metrics as dipy_metrics

logging.getLogger("dipy").setLevel(logging.WARNING)

classical, classical_seconds = [], []
for i in range(len(test))[: settings.dipy]:
    begin = time.perf_counter()
    search = imwarp.SymmetricDiffeomorphicRegistration(
        dipy_metrics.CCMetric(3), level_iters=[10, 10, 5]
    )
    mapping = search.optimize(fixed[0, ..., 0], unit(test[i, ..., 0]))
    classical_seconds.append(time.perf_counter() - begin)
    field = deformation(np.asarray(mapping.get_forward_field())[None])
    classical.append(judge(scans.test.scan(i), test_affines[i] @ field))
results["DIPY SyN"] = collect(classical) | {"seconds": np.array(classical_seconds)}

# %% [markdown]
# ## The scorecard
# The rows *affine*, *learned* and *stored model* are on every test scan, the others on
# the first few; the line below the table has all of them on the scans that every row
# has. Seconds are those after the affine.

# %%
same = {name: score["dice"][: settings.dipy].mean() for name, score in results.items()}
print(f"training took {training_minutes:.1f} minutes, once for all pairs")
print(f"Dice on the first {settings.dipy}:", {k: f"{v:.3f}" for k, v in same.items()})
scorecard.table("06_voxelmorph_3d_t1", results)

# %% [markdown]
# The whole cohort, with the classical tools at their usual settings, is stored by
# `benchmarks/accuracy/dense.py`, where `learned` and `refined` are the stored model:

# %%
from pathlib import Path

path = Path(root) / "benchmarks/results/dense_summary.csv"
stored_table = pd.read_csv(path)
wanted_columns = ("targets", "input", "method", "pairs", "of", "dice", "dice_sd")
wanted_columns += ("folding", "log_jacobian_sd", "inverse_mm", "tre_mm", "seconds")
shown_columns = [c for c in wanted_columns if c in stored_table]
show.table(stored_table[shown_columns].round(3).dropna(axis=1, how="all"))

# %% [markdown]
# ## The blur becomes a cortex
# Notebook 04 ended with a mean of 25 heads that was sharp in the middle and soft at the
# surface. And now, with the stored model?

# %%
mean_affine, mean_dense = np.zeros((2, *SIZE), "float32")
for i, found in enumerate(with_field(stored_velocities)):
    mean_affine += unit(test[i, ..., 0]) / len(test)
    mean_dense += found.apply(scans.test.scan(i), box).image / len(test)
show.planes(
    fixed=fixed,
    mean_after_affine=mean_affine,
    mean_after_field=mean_dense,
    voxel_mm=scans.voxel_mm,
    height=2.3,
    alt="The fixed head, the mean of all test heads after the affine and the field",
)

# %% [markdown]
# ## A pitfall: the better picture
# Let the field be the displacement itself, take the smoothness away, and descend on
# the similarity alone, from zero. The picture will fit well. And the anatomy?

# %%
start = np.zeros((1, *SIZE, 3), "float32")
free = refinement.velocity(
    unit(test[:1]), fixed, start, smooth=0.0, steps=30, squarings=0
)
pitfall = []
kept = integrate(refined[0])
fields = {"learned": displacement, "learned + refinement": kept, "no smoothness": free}
for name, field in fields.items():
    moved = transforms.warp(unit(test[:1]), field)
    similarity = 1 - float(losses.lncc_loss(fixed, moved, 5)[0])
    score = judge(scan, test_affines[0] @ deformation(field))
    values = f"{score['dice']:.3f}", f"{score['folded_percent']:.2f}"
    pitfall.append((name, f"{similarity:.3f}", *values))
show.table(("test scan 0", "local NCC", "Dice", "folded %"), pitfall)

# %% [markdown]
# Both descents make the picture fit better than one pass of the network, the free one
# by far. Only the other one makes the anatomy fit as well: without smoothness, voxels
# are borrowed where a fitting gray is at hand, and space folds. A similarity that has
# been optimised is no longer a measure. Look at labels, landmarks, folds; at what the
# descent did not see.
#
# ## The notebook checks its claims

# %%
scores = {name: score["dice"].mean() for name, score in results.items()}
print({name: f"{value:.3f}" for name, value in scores.items()})
least = {"ixi": 0.58}.get(scans.source, scores["affine"])
if scans.source != "folder":  # of your scans we cannot know
    assert scores["learned"] >= least
    assert gained["two looks, force"] > gained["two looks, local NCC"]
    assert results["learned"]["folded_percent"].mean() <= 0.1
    assert same["learned + refinement"] > same["learned"]
    assert float(pitfall[2][3]) > 1 and float(pitfall[1][3]) < 0.1
    assert float(pitfall[2][2]) < float(pitfall[1][2])
    assert results["VoxelMorph, to its end"]["dice"].mean() > same["affine"] + 0.05
    assert on_test.iloc[-1] - on_test.iloc[middle_row] < 0.01
    assert on_train.iloc[-1] - on_test.iloc[-1] < 0.02
assert errors[-1] <= min(0.1, errors[0])
dice_of = knobs.set_index(["knob", "value"])["dice"]
assert dice_of["smooth", "1"] > dice_of["smooth", "0.1"] + 0.005
assert dice_of["window", "5"] > dice_of["window", "9"] + 0.005
assert np.ptp(dice_of["squarings"]) < 0.005
assert sharpness[2] < sharpness[1]

# %% [markdown]
# ## Exercises
# **1. The price of smoothness.** Refine test scan 0 with `smooth` of 0.01, 0.1 and 1.
# Which gives the best Dice, and where do folds begin?
#
# <details><summary>Solution</summary>
#
# ```python
# for smooth in (0.01, 0.1, 1.0):
#     found = refine(unit(test[:1]), fixed, velocities[0], smooth=smooth)
#     print(smooth, judge(scan, test_affines[0] @ deformation(integrate(found))))
# ```
# The Dice has a broad top: over a factor of ten it hardly changes. The folds do.
# </details>
#
# **2. No network at all.** Start the refinement at zero instead of at the network's
# answer. How many steps does it need to catch up?
#
# <details><summary>Solution</summary>
#
# ```python
# zero = np.zeros_like(velocities[0])
# for steps in (10, 20, 40, 80):
#     found = refine(unit(test[:1]), fixed, zero, steps=steps)
#     print(steps, judge(scan, test_affines[0] @ deformation(integrate(found))))
# ```
# The network is worth the first steps, the ones that carry furthest. Given enough
# steps the descent gets there alone; what the training buys is time.
# </details>
#
# **3. Only the ventricles.** How large is the displacement at the edge of the
# ventricles, in millimetres, compared with the rest of the brain?
#
# <details><summary>Solution</summary>
#
# ```python
# length = np.linalg.norm(displacement[0], axis=-1) * scans.voxel_mm
# fluid = [k for k, v in names.items() if "LateralVentricle" in v]
# region = np.isin(fixed_scan.labels, fluid)
# edge = ndimage.binary_dilation(region) & ~region
# print(length[edge].mean(), length[fixed_scan.mask].mean())
# ```
# </details>
#
# ## Where to read on
# - Balakrishnan et al., *VoxelMorph*, CVPR 2018 and IEEE TMI 2019: the network, the two
#   losses; Dalca et al., MICCAI 2018: the diffeomorphic variant.
# - Avants et al., *Symmetric diffeomorphic image registration*, Medical Image Analysis
#   2008: SyN, in ANTs and DIPY.
# - Mok and Chung, *Large deformation diffeomorphic image registration with Laplacian
#   pyramid networks*, MICCAI 2020: coarse to fine.
# - Qiu et al., *Embedding gradient-based optimization in image registration networks*,
#   MICCAI 2022: the gradient as an input, step after step.
# - FireANTs: how far plain descent gets when it is fast.
# - Learn2Reg (OASIS, LUMIR): how good the best are, on the same terms for all.
