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
# # What the skull does to registration
#
# ![Dice of 25 test scans: brains, heads, heads with a loss inside the brain][opening]
#
# [opening]: ../images/skull.png
#
# The work that this series follows trained a network on whole heads, saw it fail, and
# blamed the skull. Is that so? For classical tools it has been measured: they align
# brains better once the skull is off. For networks, nobody seems to have published the
# number. This notebook measures it, with two small experiments that run now and a
# larger one that was stored.
#
# **What you'll do.** Train the same network on heads and on brains, test both on heads
# and on brains, once with twelve numbers and once with a displacement for every voxel;
# look where the similarity gets its signal; strip a scan that has no mask; and find out
# how wrong a mask may be.
#
# **What you'll learn**
#
# - which part of the gradient pulls at scalp, face and neck;
# - what a skull costs, scan by scan, with an interval and a test;
# - what helps if you cannot strip: another loss, or other training scans;
# - how to get a mask from a registration, without another tool;
# - what to do with your own scans.
#
# **What you'll need.** [Notebook 04](04_affine_3d_t1.ipynb) for the affine network; the
# dense one is that of [notebook 06](06_voxelmorph_3d_t1.ipynb), but this notebook says
# what it needs of it. In the quick profile it takes about five minutes on two CPU cores
# (the README lists what was measured), and about 40 minutes to read.

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

# %% [markdown]
# ## Settings
# In the quick profile the networks of this notebook are small and trained for a minute
# or less: enough to see the direction. The numbers to rely on come from
# `python -m benchmarks.skull.skull`, which trains for longer and in more ways; wherever
# they are shown, the text says *stored*. Everything else is computed now.

# %%
from helpers import (
    augmentation,
    backend,
    losses,
    metrics,
    networks,
    training,
    transforms,
)
from registration import masks, models, profile, scorecard, show, transform
from registration.scans import cohort
from registration.scans import grid as grids

SEED = 0
settings = profile.choose(
    quick={"train": 48, "affine_steps": 100, "dense_steps": 90, "masks": 3},
    full={"train": 125, "affine_steps": 1500, "dense_steps": 1500, "masks": 10},
)
settings

# %%
import time

import keras
import numpy as np
import pandas as pd
from scipy import ndimage, stats

scans = cohort.load(voxel_mm=2.0, limit={"train": settings.train}, brain=masks.find)


# %% [markdown]
# Each scan is needed twice: the **head** as it came, and the **brain**, which is the
# head times the mask of its labels. Networks look at them in voxels of 4 mm, which
# quarters the time to wait and more; results are judged at 2 mm.


# %%
def shrink(volume):
    """Average blocks of 2 x 2 x 2 voxels; return a batch of one."""
    return grids.block_mean(volume, (2, 2, 2))[None, ..., None]


def both(split):
    """Return the heads and the brains of a split at 4 mm."""
    found = {"skull": [], "stripped": []}
    for i in range(len(split)):
        scan = split.scan(i)
        found["skull"].append(shrink(scan.image))
        found["stripped"].append(shrink(scan.stripped().image))
    return {name: np.concatenate(images) for name, images in found.items()}


# %%
fixed, train, test = map(both, (scans.fixed, scans.train, scans.test))
fixed_scan = scans.fixed.scan(0)
fixed_brain = shrink(fixed_scan.mask) > 0.5
shape = fixed_brain.shape[1:-1]
show.planes(
    head=fixed["skull"],
    brain=fixed["stripped"],
    voxel_mm=4,
    outline=fixed_brain,
    level=0.5,
    height=2.4,
    alt="The fixed head and the fixed brain, the brain outlined in both",
)


# %% [markdown]
# ## Where does the similarity get its signal?
# A network learns from the gradient of the similarity, and from nothing else. For the
# NCC it can be written down. With both images centred and scaled to length 1, the NCC
# is their product, and
#
# $$\frac{\partial\,\mathrm{NCC}}{\partial m} = \frac{\hat f - \mathrm{NCC}\;\hat m}
# {\lVert m - \bar m \rVert}.$$
#
# Every voxel has a say, in proportion to what does not fit there. A displacement feels
# it times the slope of the moving image: where the image is flat, moving does nothing.


# %%
def unit(image):
    """Centre an image and scale it to length 1; return both."""
    centred = image - image.mean()
    length = np.sqrt((centred**2).sum())
    return centred / length, length


def ncc_gradient(fixed, moved):
    """Return the gradient of the NCC in the moved image."""
    (f, _), (m, length) = unit(fixed), unit(moved)
    return (f - (f * m).sum() * m) / length


def pull(fixed, moved):
    """Return how strongly each voxel pulls at its own displacement."""
    slope = np.linalg.norm(np.gradient(moved[0, ..., 0]), axis=0)
    return np.abs(ncc_gradient(fixed, moved)[0, ..., 0]) * slope


# %%
by_hand = ncc_gradient(fixed["skull"], test["skull"][:1])
_, by_helper = backend.value_and_gradient(
    lambda moved: losses.ncc_loss(fixed["skull"], moved)
)(test["skull"][:1])
by_helper = -np.asarray(by_helper)
apart = np.abs(by_hand - by_helper).max() / np.abs(by_helper).max()
print(f"by hand and by the helper differ by {100 * apart:.2f} % at most")
assert apart < 0.01


# %% [markdown]
# How much of that pull lies in the brain? Take every test scan twice: as it lies, and
# after the affine that the stored network of notebook 05 finds for its brain. A brain
# fills less than half of a head. What do you expect of its share of the pull, and in
# which direction will the affine change it?


# %%
def answers(network, moving, fixed, name="transform"):
    """Return what a network gives for many moving images and one fixed one."""
    goal = np.repeat(fixed, len(moving), axis=0)
    return network.predict([moving, goal], batch_size=5, verbose=0)[name]


def move(images, affine):
    """Return images moved by their affines, five at a time."""
    parts = [
        np.asarray(augmentation.apply(images[i : i + 5], affine[i : i + 5]))
        for i in range(0, len(images), 5)
    ]
    return np.concatenate(parts)


stored_affine = models.load("affine_t1").network
start = {
    name: answers(stored_affine, split["stripped"], fixed["stripped"])
    for name, split in (("train", train), ("test", test))
}
aligned = {kind: move(test[kind], start["test"]) for kind in test}


# %%
def share_outside(heads, brains):
    """Return the share of the pull outside both brains, one number a scan."""
    shares = []
    for head, brain in zip(heads, brains, strict=True):
        outside = ~fixed_brain[0, ..., 0] & (brain[..., 0] < 0.05)
        force = pull(fixed["skull"], head[None])
        shares.append(force[outside].sum() / force.sum())
    return 100 * np.array(shares)


shares = {
    "as they lie": share_outside(test["skull"], test["stripped"]),
    "after the affine": share_outside(aligned["skull"], aligned["stripped"]),
}
for name, share in shares.items():
    print(f"{name:17} {share.mean():.0f} ± {share.std():.0f} % of the pull outside")

# %% [markdown]
# The map shows where it sits, for one test scan after its affine.

# %%
one = aligned["skull"][:1]
force = pull(fixed["skull"], one)
show.planes(
    pull=force / force.mean(),
    voxel_mm=4,
    outline=fixed_brain,
    level=0.5,
    cmap="viridis",
    height=2.6,
    limits=(0, 12),
    label="pull, × its mean",
    alt="Where the NCC pulls: scalp, face and neck, the fixed brain outlined",
)


# %% [markdown]
# Most of what the whole-head NCC says, it says about scalp, face and neck: they are
# bright, their borders are steep, and no two people share them. Does a *local* NCC see
# it differently? It compares windows of 5 voxels, each by itself, so a bright scalp
# cannot drown a dark sulcus. Here is its map, in a few lines.


# %%
def local_ncc(fixed, moved, window=5):
    """Return the NCC of the window around every voxel."""

    def mean(image):
        return ndimage.uniform_filter(image[0, ..., 0], window)

    f, m = fixed - fixed.mean(), moved - moved.mean()
    covariance = mean(f * m) - mean(f) * mean(m)
    variances = [np.maximum(mean(i * i) - mean(i) ** 2, 0) + 1e-5 for i in (f, m)]
    return covariance / np.sqrt(variances[0] * variances[1])


similar = local_ncc(fixed["skull"], one)
inside = fixed_brain[0, ..., 0]
head = (fixed["skull"][0, ..., 0] > 0.05) & ~inside
show.planes(
    local_NCC=similar,
    voxel_mm=4,
    outline=fixed_brain,
    level=0.5,
    cmap="RdBu_r",
    height=2.6,
    label="local NCC",
    alt="The local NCC of a head with the fixed head, the fixed brain outlined",
)

# %%
print(f"local NCC inside the brain {similar[inside].mean():.2f}", end=", ")
print(f"in the rest of the head {similar[head].mean():.2f}")
print(f"voxels: {inside.sum()} of the brain, {head.sum()} of the rest of the head")


# %% [markdown]
# For the local NCC every window has one vote, and the rest of the head has more windows
# than the brain. Neither loss knows which of them you care about. That is the
# suspicion; now the trial.
#
# ## Two by two, twelve numbers
# The cascade of notebook 04, trained twice from the same seed on the same scans in the
# same order, once with the skulls and once without. Then each is tested on heads and on
# brains. The judge is the anatomy alone: labels of the moving scan, fetched once at
# 2 mm, laid over those of the fixed scan. Before you run it: which of the four cells
# will be best, and will the worst be one of those where training and test differ?


# %%
def batches(images, size, kind):
    """Return the function from a step to its batch of one kind of images."""
    goal = np.repeat(fixed[kind], size, axis=0)

    def pairs(step):
        rng = np.random.default_rng((SEED, step))
        chosen = rng.integers(len(images[kind]), size=size)
        return {"moving": images[kind][chosen], "fixed": goal}

    return pairs


def trained(network, pairs, loss, steps):
    """Train a network and return it with the seconds that it took."""
    begin = time.perf_counter()
    model = networks.registration(network)
    training.fit(model, pairs, loss, steps, progress=False)
    return network, time.perf_counter() - begin


# %%
def affine_loss(batch, outputs):
    """Return 1 - NCC of the whole image after the last pass."""
    return losses.ncc_loss(batch["fixed"], outputs["moved"])


affine_networks = {}
for kind in ("skull", "stripped"):
    keras.utils.set_random_seed(SEED)
    network = networks.affine_cascade(shape, scale=0.1, stages=((2, 2), (1, 1)))
    affine_networks[kind], taken = trained(
        network, batches(train, 4, kind), affine_loss, settings.affine_steps
    )
    print(f"trained on {kind:8}: {settings.affine_steps} steps in {taken:.0f} s")
coarse = grids.box(scans.grid.centre, shape, 4.0)


# %% [markdown]
# The judge moves each scan once, through the displacement at 4 mm and the affine
# together. For the twelve numbers there is no displacement.


# %%
def chain(affine, displacement=None):
    """Return the transform of a displacement, if there is one, and an affine."""
    found = transform.Transform.from_centred(affine, coarse)
    if displacement is None:
        return found
    field = transform.Field.from_voxels(coarse, displacement)
    return found @ transform.Transform([field])


def overlap(scan, found):
    """Return the Dice and the brain-mask Dice of a scan after its transform."""
    return [*scorecard.overlap(fixed_scan, found.apply(scan, scans.grid)).values()]


def judge(affines, displacements=None):
    """Return both for every test scan."""
    if displacements is None:
        displacements = [None] * len(affines)
    found = enumerate(map(chain, affines, displacements))
    return np.array([overlap(scans.test.scan(i), one) for i, one in found]).T


if fixed_scan.labels is None:
    print("no label maps here: the Dice of the regions is nan, that of brains remains")

# %%
kinds = ("skull", "stripped")
affine_found, affine_scores = {}, {}
for saw, network in affine_networks.items():
    for given in kinds:
        found = answers(network, test[given], fixed[given])
        affine_found[saw, given] = found
        affine_scores[saw, given] = judge(found)


def two_by_two(scores):
    """Show the four cells as a table of Dice."""
    cells = {k: f"{v[0].mean():.3f} ± {v[0].std():.3f}" for k, v in scores.items()}
    lines = [(f"trained: {saw}", *(cells[saw, g] for g in kinds)) for saw in kinds]
    return show.table(("Dice", *(f"tested: {g}" for g in kinds)), lines)


two_by_two(affine_scores)


# %% [markdown]
# ## Paired differences
# The ± in that table says how much the *scans* differ, and that is the same in all four
# cells. To compare two cells, take the difference scan by scan, its mean, the 95 %
# interval of that mean, and the Wilcoxon signed-rank test, which asks whether plus and
# minus could be chance.


# %%
def paired(one, other):
    """Return the mean difference of paired scores, its 95 % interval, and p."""
    gap = np.asarray(one) - np.asarray(other)
    half = stats.t.ppf(0.975, len(gap) - 1) * stats.sem(gap)
    p = stats.wilcoxon(gap).pvalue
    return gap.mean(), gap.mean() - half, gap.mean() + half, p


def costs(scores):
    """Show what the skull costs, each cell against brain to brain."""
    lines = []
    for cell in (("skull", "skull"), ("stripped", "skull"), ("skull", "stripped")):
        mean, low, high, p = paired(scores[cell][0], scores["stripped", "stripped"][0])
        interval = f"{low:+.3f} to {high:+.3f}"
        lines.append((*cell, f"{mean:+.3f}", interval, f"{p:.1g}"))
    return show.table(("trained", "tested", "Dice", "95 % interval", "p"), lines)


costs(affine_scores)

# %% [markdown]
# Brain to brain is best, and the interval of each difference lies below zero. But look
# where the worst cell is. The network that knows brains and gets a head does worse than
# the one that learned on heads: scalp and face are things that it has never met. Half
# of the story "the skull spoils registration" is this one: a network fails on what it
# was not shown, whatever that is.
#
# ## Two by two, a displacement for every voxel
# A U-Net with a velocity field, local NCC in windows of 5 voxels plus 0.1 × the
# smoothness, as in notebook 06, at 4 mm. Every scan starts from the same affine, found
# by the stored network on its brain, so that only the dense part differs between the
# four cells.

# %%
starts = {
    "train": {kind: move(train[kind], start["train"]) for kind in kinds},
    "test": aligned,
}


def dense_loss(batch, outputs):
    """Return the local dissimilarity and the smoothness of the velocity."""
    similarity = losses.lncc_loss(batch["fixed"], outputs["moved"], window=5)
    return similarity + 0.1 * losses.smoothness(outputs["velocity"])


# %%
dense_networks = {}
for kind in kinds:
    keras.utils.set_random_seed(SEED)
    network = networks.dense_network(shape, squarings=5)
    dense_networks[kind], taken = trained(
        network, batches(starts["train"], 1, kind), dense_loss, settings.dense_steps
    )
    print(f"trained on {kind:8}: {settings.dense_steps} steps in {taken:.0f} s")

# %%
fields, dense_scores = {}, {}
for saw, network in dense_networks.items():
    for given in kinds:
        found = answers(network, starts["test"][given], fixed[given])
        fields[saw, given] = found
        dense_scores[saw, given] = judge(start["test"], found)
before = judge(start["test"])
print(f"the affine alone: Dice {before[0].mean():.3f}")
two_by_two(dense_scores)

# %%
costs(dense_scores)

# %%
as_they_lie = judge(np.tile(np.eye(3, 4, dtype="float32"), (len(test["skull"]), 1, 1)))
gains = {
    "affine": (affine_scores, as_they_lie[0].mean()),
    "dense": (dense_scores, before[0].mean()),
}
for name, (scores, given) in gains.items():
    brains = scores["stripped", "stripped"][0].mean() - given
    heads = scores["skull", "skull"][0].mean() - given
    print(f"{name:6} gains {brains:+.3f} on brains and {heads:+.3f} on heads")


# %% [markdown]
# Two ways to count, and they disagree. In Dice the skull costs the dense part far less
# than the affine: once the brains lie on each other, a local window in the brain sees
# brain, whatever the scalp does. But the dense part has less to give. Of what it adds
# to the affine on brains, after so short a training, nothing is left on heads, while
# the affine keeps a part. Where most of the Dice goes is in bringing two heads together
# in the first place; and the field after it is not safe from the skull either.
#
# ## What the displacement is spent on
# How far does the network move the brain, and how far the rest of the head?


# %%
def millimetres(field):
    """Return the length of a displacement at 4 mm."""
    return 4 * np.linalg.norm(field, axis=-1)


def apart_inside(one, other):
    """Return how far two fields lie apart inside the fixed brain, in mm a scan."""
    return np.array([part[inside].mean() for part in millimetres(one - other)])


same = ("stripped", "stripped")
lines = []
for saw, given in fields:
    length = [millimetres(field) for field in fields[saw, given]]
    spent = [np.mean([part[w].mean() for part in length]) for w in (inside, head)]
    other = apart_inside(fields[saw, given], fields[same]).mean()
    lines.append((saw, given, *(f"{mm:.2f}" for mm in (*spent, other))))
columns = ("trained", "tested", "mm in the brain", "mm in the rest of the head")
show.table((*columns, "mm from brain to brain"), lines)

# %%
show.planes(
    heads=millimetres(fields["skull", "skull"][0]),
    brains=millimetres(fields[same][0]),
    apart=millimetres(fields["skull", "skull"][0] - fields[same][0]),
    voxel_mm=4,
    outline=fixed_brain,
    level=0.5,
    cmap="viridis",
    height=2.3,
    label="mm",
    alt="Length of the displacement with skull and without, and of their difference",
)

# %% [markdown]
# Trained on heads, the network spends its displacement on face and neck, several times
# what it spends on the brain; most of all at the lower end, where one scan shows more
# of the neck than the other and no displacement is right. And it moves the brain *less*
# than the network that knows brains only. That is what the skull does: it does not drag
# the brain along, it takes the attention away from it.

# %%
volume = {
    kind: np.log(np.asarray(transforms.jacobian_determinant(fields[kind, kind][:1]))[0])
    for kind in kinds
}
show.planes(
    heads=volume["skull"],
    brains=volume["stripped"],
    voxel_mm=4,
    outline=fixed_brain,
    level=0.5,
    cmap="PuOr",
    height=2.3,
    label="log of the volume ratio",
    alt="Where the displacement grows and shrinks space, with skull and without",
)


# %% [markdown]
# The volumes say the same. With the skull, growth and shrinkage sit at the neck and in
# the face. Without it, they follow the border of the brain, which is now the strongest
# edge in the picture.
#
# ## The whole experiment, stored
# The same, trained for longer and in four ways, on scans they never saw
# (`benchmarks/skull/skull.py`; `steps` says for how long). Besides *skull* and
# *stripped*: `mixture` saw heads in one half of the batches and brains in the other;
# `brain_loss` saw heads, but its similarity counts inside the fixed brain only: the
# fixed mask is known once and for all, and the moving scan needs none. `none` is the
# start: centres of mass for the affine rows, the common affine for the dense ones.
# `chain` takes affine and dense network of the same training, as you would at home.


# %%
def stored(name):
    """Read a stored table."""
    return pd.read_csv(root / "benchmarks/results" / f"{name}.csv")


table = stored("skull")
wanted = ("source", "level", "trained", "tested", "scans", "dice", "dice_sd")
wanted = (*wanted, "brain_dice", "tre_mm", "tre_mm_sd", "steps")
wanted = [column for column in wanted if column in table]
show.table(table[wanted].round(3).set_index(wanted[:4]))

# %%
differences = stored("skull_differences")
shown = [line for line in differences.to_dict("records") if line["metric"] == "dice"]
picture = show.figure(9.2, 4.4, "Paired differences of Dice with 95 % intervals")
axes = picture.subplots(1, 2, sharex=True)
for ax, source in zip(axes, ("ixi", "simulated"), strict=True):
    lines = [line for line in shown if line["source"] == source]
    for row, line in enumerate(lines):
        colour = {"affine": "#0072B2", "dense": "#D55E00"}.get(line["level"], "0.4")
        ax.plot([line["low"], line["high"]], [row, row], color=colour)
        ax.plot(line["difference"], row, "o", color=colour, markersize=4)
    names = [f"{line['method']}: {line['comparison']}" for line in lines]
    ax.set_yticks(range(len(lines)), names, fontsize=6)
    ax.axvline(0, color="0.7")
    ax.set_title(source)
    ax.set_xlabel("difference of Dice")
    ax.invert_yaxis()
picture


# %% [markdown]
# Read the figure by rows: blue is the affine, orange the dense part, gray both in a
# chain, and what lies left of zero is lost. `skull at both - neither` is what the skull
# costs when heads are trained on and heads are registered. The rows with `affine` or
# `syn` in their names are classical tools, `refined` the stored models of notebooks 04
# and 06 with their refinement, from the tables of the other benchmarks, on the scans
# that were measured
# both ways (`pairs` in the CSV says how many).
#
# Two remedies leave the moving scan as it came. Training on a *mixture* costs next to
# nothing on heads and little on brains, and it takes away the catastrophe of the wrong
# kind of input; but it does not make heads any better. The *brain-only loss* does: for
# the affine it wins back a good part of what the skull costs, and all that it needs is
# the mask of the one fixed scan, in training alone.
#
# The simulated heads agree on the affine and disagree on the dense part: there the
# skull costs the field as much as the twelve numbers, and the loss inside the brain
# wins nothing back. In them the skull varies independently of the brain, more than in
# people; scalp that says nothing about the brain misleads a field as well. Nor do they
# know the catastrophe: on their heads, a network that learned on brains does no worse
# than one that learned on heads. What holds for one cohort need not hold for yours.
#
# ## A mask for a scan that has none
# The simulated cohort and IXI bring masks. Your scans may not. But you have a
# registration that copes with skulls, and *one* head with a mask: register that head to
# the scan, and carry its mask along. This is the oldest trick of all, an **atlas**. By
# hand, with the stored affine network and no refinement:


# %%
def carried_mask(index):
    """Return the fixed mask, carried to a test scan."""
    affine = answers(stored_affine, test["skull"][index : index + 1], fixed["skull"])
    return chain(affine[0]).inverse().apply(fixed_scan, scans.grid).mask


# %%
for i in range(len(test["skull"]))[:3]:
    scan = scans.test.scan(i)
    helped = masks.brain_mask(scan.image, scan.affine, "atlas", fixed_scan)
    alike = [metrics.dice(scan.mask, mask)[1] for mask in (carried_mask(i), helped)]
    print(f"mask Dice by hand {alike[0]:.3f}, helper {alike[1]:.3f}")

# %%
show.planes(
    carried=scan.image * helped,
    own=scan.stripped().image,
    voxel_mm=2,
    outline=scan.mask,
    level=0.5,
    height=2.3,
    alt="A test scan stripped by the carried mask and by its own mask",
)

# %% [markdown]
# Stored, for all test scans: the same against other ways that need no download, judged
# by the Dice against the cohort's masks. `bet` is the Brain Extraction Tool in Python
# (`brainextractor` from PyPI: `pip install -r requirements/stripping.txt`, then
# `masks.brain_mask(image, affine, "bet")`); `median_otsu` is DIPY's, which was made
# for diffusion scans. A neck misleads both, so they are shown the upper 170 mm of the
# head. HD-BET, deepbet, SynthStrip and ANTsPyNet are better known and fetch their
# weights from a server when they first run; they are not measured here.

# %%
tools = stored("skull_tools")
show.table(tools.round(3))


# %% [markdown]
# ## How wrong may a mask be?
# Take the test scans' own masks, shrink or grow them by some millimetres, cut the heads
# out, and register them to the fixed *brain*, whose mask stays right. Which side is the
# dangerous one?


# %%
def resized(mask, mm, voxel_mm=2.0):
    """Grow a mask by some mm; shrink it where they are negative."""
    if mm >= 0:
        return ndimage.distance_transform_edt(~mask, voxel_mm) <= mm
    return ndimage.distance_transform_edt(mask, voxel_mm) > -mm


def with_mask(index, mm):
    """Return the affine and the dense Dice of a scan whose mask is wrong."""
    scan = scans.test.scan(index)
    image = shrink(scan.image * resized(scan.mask, mm))
    affine = answers(affine_networks["stripped"], image, fixed["stripped"])
    given = start["test"][index : index + 1]
    moved = move(image, given)
    field = answers(dense_networks["stripped"], moved, fixed["stripped"])
    found = chain(affine[0]), chain(given[0], field[0])
    return [overlap(scan, one)[0] for one in found]


sizes = (-8, -4, 0, 4, 8)
some = range(len(test["skull"]))[: settings.masks]
curve = np.array([[with_mask(i, mm) for mm in sizes] for i in some])
curve = curve - curve[:, [sizes.index(0)]]

# %%
wrong = stored("skull_masks_pairs")  # one row a scan
wrong = wrong[wrong["source"] == scans.source]
picture = show.figure(6.4, 3.0, "Dice against the error of the mask, in mm")
ax = picture.subplots()
for column, name in enumerate(("affine", "dense")):
    ax.plot(sizes, curve[..., column].mean(axis=0), "o:", label=f"{name}, just now")
for name, rows in wrong.groupby(["level", "trained"]) if len(wrong) else ():
    millimetres_off = pd.to_numeric(rows["mask"], errors="coerce")
    dice = rows.groupby(millimetres_off)["dice"].mean()
    ax.plot(dice.index, dice - dice[0], label=f"{', '.join(name)} (from the table)")
ax.axhline(0, color="0.8")
ax.set_xlabel("mask grown by (mm)")
ax.set_ylabel("change of Dice")
ax.legend()
picture

# %% [markdown]
# Two millimetres cost next to nothing on either side. Further out both sides cost, and
# a mask that is too small costs the more: it cuts away cortex, and it moves the border
# that the network goes by. The dense part minds less, since its affine was found with
# the right mask. (Only the moving mask is wrong here. Two masks that are wrong in the
# same way would agree with each other.) And the carried mask of the section before?
# In the stored table:

# %%
if len(wrong):
    at = wrong[wrong["mask"].isin(["0", "atlas"])]
    at = at.pivot_table(index=["level", "trained"], columns="mask", values="dice")
    at = at.rename(columns={"0": "own mask", "atlas": "carried mask"}).round(3)
show.table(at) if len(wrong) else "not measured for these scans"


# %% [markdown]
# It is as good as the scan's own mask, but for a hundredth.
#
# ## The scorecard
# The rows are those of this run: four small networks. On simulated scans, where it is
# known which point belongs to which, the error at the landmarks stands beside the Dice.


# %%
def landmark_error(index, found):
    """Return the mean error in mm at the landmarks inside a simulated brain."""
    points = found.points(fixed_scan.landmarks)
    return metrics.tre(scans.test.scan(index).landmarks, points).mean()


# %%
rows = {"affine alone (stored network)": {"dice": before[0], "brain_dice": before[1]}}
for saw, given in (("skull", "skull"), ("stripped", "stripped")):
    for level, scores in (("affine", affine_scores), ("dense", dense_scores)):
        dice, brain = scores[saw, given]
        rows[f"{level}, {saw}"] = {"dice": dice, "brain_dice": brain}
        if fixed_scan.landmarks is not None:  # as in simulated heads
            found = map(chain, affine_found[saw, given])
            if level == "dense":
                found = map(chain, start["test"], fields[saw, given])
            errors = [landmark_error(i, one) for i, one in enumerate(found)]
            rows[f"{level}, {saw}"]["tre_mm"] = np.array(errors)
scorecard.table("07_skull_stripping", rows)

# %% [markdown]
# ## What to do with your scans
# From the numbers above, in this order:
#
# 1. **Treat both scans alike.** One stripped and one not is the worst of all; the next
#    section shows it.
# 2. **Strip for the affine part, and train on stripped scans.** There the skull does
#    its damage, to networks as to classical tools. A mask carried over from one atlas
#    head costs one registration and is nearly as good as the scan's own.
# 3. **Do not give a network what it was not trained on.** On real heads that cost more
#    than the skull itself. If you do not know what will arrive, train on a mixture.
# 4. **If you cannot strip the moving scans, keep the loss inside the fixed brain.** One
#    mask is enough, and it is needed in training only. It wins back a part, not all.
# 5. **Do not polish masks, and when in doubt take them too large.** Two millimetres
#    either way change next to nothing; many millimetres too little cost the most.
# 6. **Before you blame the skull for a dense network that fails,** look at the affine
#    that it started from.
#
# How far do these sentences reach? One cohort, one fixed scan, 4 mm, small networks, a
# short training. A network that sees more learns by itself which part of a head to
# trust: the stored affine model, trained on a mixture for longer and with the loss near
# the brain, loses far less to the skull than the small ones here (the affine row
# `refined` of the figure). The stored dense model has seen brains only; its row is the
# price of an input that it does not know.

# %% [markdown]
# ## A pitfall: one of the two
# Somebody strips the new scans and forgets that the template has its skull, or the
# other way round. Both networks are ready; what will they make of a head that is to be
# laid over a brain, and of a brain over a head?

# %%
lines, odd = [], {}
for saw, network in affine_networks.items():
    for moving, goal in (("skull", "stripped"), ("stripped", "skull")):
        found = answers(network, test[moving], fixed[goal])
        odd[saw, moving] = judge(found)[0]
        matched = affine_scores[saw, goal][0].mean()
        lines.append((saw, moving, goal, odd[saw, moving].mean(), matched))
columns = ("trained", "moving scan", "fixed scan", "Dice", "both like the fixed scan")
show.table(columns, lines)

# %% [markdown]
# Hold the last two columns against each other: it fails altogether, with either network
# and either way round. The centres of mass are the first to go wrong, since face and
# neck weigh in on one side only. And nothing warns you: the network answers with twelve
# numbers as always. Strip both or neither.
#
# ## The notebook checks its claims

# %%
cost = {
    name: scores["skull", "skull"][0].mean() - scores[same][0].mean()
    for name, scores in (("affine", affine_scores), ("dense", dense_scores))
}
print({name: f"{value:+.3f}" for name, value in cost.items()})
worst_kind = max(dice.mean() for dice in odd.values())
if scans.source != "folder":  # of your scans we cannot know
    assert worst_kind < affine_scores[same][0].mean() - 0.1
    assert affine_scores["stripped", "skull"][0].mean() < affine_scores[same][0].mean()
if scans.source == "ixi":
    assert shares["after the affine"].mean() > 60
    assert cost["affine"] < -0.03 < -0.02 < cost["dense"]
    assert curve[:, 0].mean() < curve[:, -1].mean() - 0.01

# %% [markdown]
# ## Exercises
# **1. Look at the brain only.** Train the affine network on heads, with the NCC inside
# the fixed brain. What do you expect at a test on heads, and on brains?
#
# <details><summary>Solution</summary>
#
# ```python
# def inside_loss(batch, outputs):
#     return losses.ncc_loss(batch["fixed"], outputs["moved"], brain)
#
# brain = fixed_brain.astype("float32")
# keras.utils.set_random_seed(SEED)
# network = networks.affine_cascade(shape, scale=0.1, stages=((2, 2), (1, 1)))
# pairs = batches(train, 4, "skull")
# network, _ = trained(network, pairs, inside_loss, settings.affine_steps)
# for given in kinds:
#     print(given, judge(answers(network, test[given], fixed[given]))[0].mean())
# ```
# The stored table has the same, trained for longer, as `brain_loss`.
# </details>
#
# **2. Show it both.** Write `mixed`, a function like `batches` that shows heads in one
# half of the steps and brains in the other, and train with it.
#
# <details><summary>Solution</summary>
#
# ```python
# def mixed(images, size):
#     heads, brains = (batches(images, size, kind) for kind in kinds)
#     return lambda step: heads(step) if step % 2 else brains(step)
#
# keras.utils.set_random_seed(SEED)
# network = networks.affine_cascade(shape, scale=0.1, stages=((2, 2), (1, 1)))
# network, _ = trained(network, mixed(train, 4), affine_loss, settings.affine_steps)
# for given in kinds:
#     print(given, judge(answers(network, test[given], fixed[given]))[0].mean())
# ```
# </details>
#
# **3. A better atlas.** One head is one person. Carry the masks of five training scans
# to a test scan and take the majority. Is it worth five registrations?
#
# <details><summary>Solution</summary>
#
# ```python
# scan, atlases = scans.test.scan(0), [scans.train.scan(i) for i in range(5)]
# votes = [masks.brain_mask(scan.image, scan.affine, atlas=one) for one in atlases]
# for mask in (*votes, np.mean(votes, axis=0) > 0.5):
#     print(metrics.dice(scan.mask, mask)[1])
# ```
# The last line is the vote.
# </details>
#
# ## Where to read on
# - Klein et al., NeuroImage 51 (2010): 16,000 classical registrations, with and without
#   the skull.
# - Fein et al., NeuroImage 30 (2006), and Acosta-Cabronero et al., NeuroImage 39
#   (2008): what stripping does to a statistical study.
# - Smith, *Fast robust automated brain extraction*, Human Brain Mapping 17 (2002): BET.
# - Hoopes et al., *SynthStrip*, NeuroImage 260 (2022), and Isensee et al., *HD-BET*,
#   Human Brain Mapping 40 (2019): learned stripping; both download their weights.
# - Hoffmann et al., *SynthMorph*, and Wang et al., *KeyMorph*: networks for heads that
#   keep their skulls.
# - The scans: IXI data set, brain-development.org, CC BY-SA 3.0.
