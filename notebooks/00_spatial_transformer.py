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
# # A sampling grid that can learn: the spatial transformer
#
# ![Six numbers place a grid on one seven and fetch another][opening]
#
# [opening]: ../images/spatial_transformer.png
#
# Two pictures of the same thing are to be laid over each other. That is *registration*,
# and every method in this series does it with the parts of this notebook: a grid of
# points, six numbers that place the grid on one picture, a rule for reading between the
# pixels, and the slope of the picture, which tells the six numbers where to go.
#
# **What you'll do.** Build these parts by hand, check each against SciPy or against the
# package `helpers`, and let plain gradient descent lay one handwritten seven over
# another.
#
# **What you'll learn**
#
# - why a transform in registration is a *pull*, and which way things then move;
# - what rotation, scaling, shear and translation do to a sampling grid;
# - how a picture is read between its pixels, and why that can be differentiated;
# - why registration can fail although the code is right: no overlap, no slope.
#
# **What you'll need.** NumPy, and the idea of gradient descent. No network is trained
# yet. It takes under a minute to run on a CPU, and about 30 minutes to read.

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
# ## Two sevens
# The first cell has found the repository. The next one loads the parts of `helpers`
# that the notebook compares itself with. `settings` is what the notebook takes from the
# profile; edit it if you like.

# %%
from helpers import affines, backend, layers, losses, metrics, sampling, transforms
from registration import profile, scorecard, show
from registration.scans import mnist

settings = profile.choose(
    quick={"digit": 7, "steps": 150, "pairs": 100},
    full={"digit": 7, "steps": 400, "pairs": 500},
)
settings

# %%
import keras
import numpy as np
from scipy import ndimage

digits = mnist.load(settings.digit)
fixed = digits["test"][0, ..., 0]
moving = digits["test"][6, ..., 0]
print(f"{len(digits['test'])} test images of the digit {settings.digit}")
show.panels(moving=moving, fixed=fixed, alt="Two handwritten digits of one class")


# %% [markdown]
# The words for the rest of the series: the **moving** image is the one that is
# deformed, the **fixed** image stays as it is, and the **moved** image is the result,
# which should look like the fixed one. (DIPY says *static* where we say fixed.)
#
# ## The regular grid
# A picture is a table of numbers, one for each pixel. Where are the pixels? At the
# points (row, column) = (0, 0), (0, 1), and so on. The list of all of them is the
# *regular grid*. It takes one line. The first component counts rows, downwards, the
# second counts columns.


# %% tags=["nbval-check-output"]
def regular_grid(shape):
    """List the position (row, column) of every pixel."""
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)


grid = regular_grid(fixed.shape).astype("float32")
print("shape", grid.shape, " pixel (3, 5) lies at", grid[3, 5])
print("the helper agrees:", np.array_equal(grid, sampling.identity_grid(fixed.shape)))


# %% [markdown]
# ## Reading between the pixels
# Once the grid is turned, its points fall between the pixels. *Bilinear interpolation*
# reads there: take the four pixels around the point, and average them, the nearer the
# heavier.
#
# For the little picture below: what is read in its middle, at (0.5, 0.5)? And what a
# quarter pixel further right? Outside the picture everything is black, so a frame of
# zeros is put around it first.


# %%
def bilinear(image, points):
    """Read `image` at `points` (row, column); outside it is zero."""
    padded = np.pad(image, 1)
    last = np.array(padded.shape) - 1
    points = np.clip(points + 1, 0, last)
    above = np.minimum(points.astype(int), last - 1)
    row, column = above[..., 0], above[..., 1]
    down, right = np.moveaxis(points - above, -1, 0)
    top = (1 - right) * padded[row, column] + right * padded[row, column + 1]
    bottom = (1 - right) * padded[row + 1, column] + right * padded[row + 1, column + 1]
    return (1 - down) * top + down * bottom


# %% tags=["nbval-check-output"]
little = np.array([[0.0, 4.0], [8.0, 12.0]])
for point in ((0.5, 0.5), (0.5, 0.75), (1.5, 0.0), (3.0, 0.0)):
    print(point, "reads", bilinear(little, np.array(point)))

# %% [markdown]
# In the middle stands the mean of the four, 6, and a quarter pixel to the right adds a
# quarter of the step between the columns, 1. Half a pixel below the last row the
# picture has faded to half, and further out it is black.
#
# Does SciPy read the same, at ten thousand points drawn at random, some of them
# outside?

# %% tags=["nbval-check-output"]
rng = np.random.default_rng(0)
points = rng.uniform(-4, 36, (100, 100, 2)).astype("float32")
by_hand = bilinear(moving, points)
by_scipy = ndimage.map_coordinates(
    moving, points.transpose(2, 0, 1), order=1, mode="grid-constant"
)
by_helper = sampling.sample(moving[None, ..., None], points[None])
print("like SciPy: ", np.allclose(by_hand, by_scipy, atol=1e-5))
print("like helper:", np.allclose(by_hand, by_helper[0, ..., 0], atol=1e-5))

# %% [markdown]
# All three agree. SciPy's `mode="grid-constant"` matters: its default, `"constant"`,
# jumps to zero at the border and does not fade. `helpers.sampling.sample` does the same
# as our eleven lines for whole batches, in two or three dimensions, and is compiled;
# from here on it is what the series uses.
#
# ## Which way does the picture go?
# Here is the question that has cost more people more hours than any other in this
# field. We add 6 to the row of every grid point, which moves the grid *down*, and read
# the moving image there. **Before you run it: does the seven sink or rise?**

# %%
sunk = grid + np.array([6, 0])
show.panels(
    moving=moving,
    read_6_rows_further_down=bilinear(moving, sunk),
    alt="A digit, and the same digit six rows higher",
)

# %% [markdown]
# It rises. Row 10 of the new picture shows row 16 of the old one. A transform in
# registration is a **pull**: it lives on the fixed grid and says where in the moving
# image to *fetch* each pixel. What you see therefore does the opposite of the grid.
# Everybody does it this way because every pixel of the result is then written exactly
# once; pushing pixels forward leaves holes and pile-ups.
#
# ## Six numbers
# The *affine* transform is the simplest family that can rotate, scale, shear and shift
# at once. It takes each point $(r, c)$ of the fixed grid to a point $(r', c')$ of the
# moving image:
#
# $$\begin{pmatrix} r' \\ c' \end{pmatrix} =
# \begin{pmatrix} a_{11} & a_{12} & t_1 \\ a_{21} & a_{22} & t_2 \end{pmatrix}
# \begin{pmatrix} r \\ c \\ 1 \end{pmatrix}$$
#
# This is the sampling-grid equation of the spatial transformer (Jaderberg et al.,
# 2015). We measure $r$ and $c$ from the *centre* of the picture, in units of half its
# longest side. So a rotation turns about the middle and not about a corner, and all six
# numbers are of a size: one more of any of them moves the points at the border by half
# a picture.

# %%
HALF = max(fixed.shape) / 2
CENTRE = (np.array(fixed.shape) - 1) / 2


def place(affine, grid):
    """Return where the moving image is read for each point of the fixed grid."""
    centred = (grid - CENTRE) / HALF
    return (centred @ affine[:, :2].T + affine[:, 2]) * HALF + CENTRE


def affine_of(
    rotation=0, scale_rows=1, scale_columns=1, shear=0, shift_rows=0, shift_columns=0
):
    """Build the affine: shear, then scale, then rotation (degrees), then shift."""
    c, s = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    turn = np.array([[c, -s], [s, c]])
    stretch = np.diag([scale_rows, scale_columns]) @ np.array([[1, shear], [0, 1]])
    return np.c_[turn @ stretch, np.array([shift_rows, shift_columns]) / HALF]


# %% [markdown]
# Does `helpers` mean the same by six numbers? There, an affine is written as a
# *displacement*, the difference between where a pixel is read and where it is.

# %% tags=["nbval-check-output"]
example = affine_of(20, 1.2, 0.9, 0.3, 2, -1).astype("float32")
displacement = transforms.affine_displacement(example[None], fixed.shape)
same = np.allclose(grid + np.asarray(displacement)[0], place(example, grid), atol=1e-4)
print(example.round(3))
print("the helper places the grid in the same way:", same)

# %% [markdown]
# ### Each by itself
# The upper row of the next picture shows the grid on the moving digit, the lower row
# what is fetched through it. Predict the lower row first: a positive rotation turns the
# grid anticlockwise, so the digit turns …? A scale of 1.5 spreads the grid over more of
# the picture, so the digit becomes …?

# %%
cases = {
    "identity": {},
    "rotation 30°": {"rotation": 30},
    "scale 1.5": {"scale_rows": 1.5, "scale_columns": 1.5},
    "scale of columns 0.6": {"scale_columns": 0.6},
    "shear 0.5": {"shear": 0.5},
    "shift (4, −4)": {"shift_rows": 4, "shift_columns": -4},
}
picture = show.figure(10.4, 3.9, "Grid on the digit, and what each grid fetches")
for (name, numbers), (top, low) in zip(
    cases.items(), picture.subplots(2, 6).T, strict=True
):
    read_at = place(affine_of(**numbers), grid)
    show.grid(read_at, image=moving, step=3, ax=top, title=name)
    low.imshow(bilinear(moving, read_at), cmap="gray", vmin=0, vmax=1)
    top.set(xlim=(-10, 41), ylim=(41, -10), facecolor="0.85", xlabel="", ylabel="")
    for ax in (top, low):
        ax.set(xticks=[], yticks=[])
picture


# %% [markdown]
# Everything runs against the grid: the grid turns anticlockwise and the digit
# clockwise; the grid grows and the digit shrinks; the grid slides down and to the left,
# and the digit up and to the right. Where the grid leaves the picture, black is
# fetched.
#
# ### Move it yourself
# With a running kernel the sliders combine all six. On a stored page they step through
# one number at a time. Can you bring the seven upright? Can you mirror it?


# %%
def digit_and_grid(**numbers):
    """Draw the grid on the moving digit beside what it fetches."""
    picture = show.figure(5.6, 2.9, "The grid on the digit, and the moved digit")
    left, right = picture.subplots(1, 2)
    read_at = place(affine_of(**numbers), grid)
    show.grid(read_at, image=moving, step=3, ax=left, title="grid on moving")
    left.set(xlim=(-10, 41), ylim=(41, -10), facecolor="0.85", xlabel="", ylabel="")
    right.imshow(bilinear(moving, read_at), cmap="gray", vmin=0, vmax=1)
    right.set_title("moved")
    for ax in (left, right):
        ax.set(xticks=[], yticks=[])
    return picture


show.affine_sliders(
    digit_and_grid,
    title="Six numbers",
    description="The grid says where to fetch; the digit does the opposite.",
)


# %% [markdown]
# ## The slope of a picture
# Now the idea on which the whole series rests. To *learn* the six numbers, a computer
# must know how the moved picture changes when a point of the grid is moved a little.
# Between two pixels, bilinear interpolation is a straight line, and its slope is the
# difference of the two. So the derivative exists, and it is a picture as well, one for
# each direction.
#
# Where will it be zero: on the black ground, on the edges of the stroke, inside the
# stroke?


# %%
def read(points):
    """Read the moving image; written with `helpers`, so that it has a gradient."""
    return sampling.sample(moving[None, ..., None], points)


_, slope = backend.value_and_gradient(read)(grid[None])
slope = np.asarray(slope)[0]
show.panels(
    change_along_the_rows=slope[..., 0],
    change_along_the_columns=slope[..., 1],
    cmap="RdBu_r",
    limits=(-1, 1),
    alt="The derivative of the digit along the rows and along the columns",
)

# %% tags=["nbval-check-output"]
down = np.diff(moving, axis=0, append=0)
right = np.diff(moving, axis=1, append=0)
print("the slope is the difference of neighbours:", np.allclose(slope[..., 0], down))
print("in both directions:", np.allclose(slope[..., 1], right))

# %% [markdown]
# Red: moving the point down (left picture) or right (right picture) makes the pixel
# brighter; blue: darker. The slope lives on the *edges* of the stroke. On the black
# ground it is exactly zero: a point that lies there, away from the stroke, learns
# nothing. Keep that in mind, it comes back as a pitfall.
#
# ### From the points to the six numbers
# The chain rule does the rest. A point at $(r, c)$ moves by $r$ when $a_{11}$ grows by
# one, by $c$ when $a_{12}$ does, and by 1 when $t_1$ does. Multiplied with the slope,
# that gives six pictures: what each number does to each pixel.

# %%
centred = np.concatenate([(grid - CENTRE) / HALF, np.ones((*fixed.shape, 1))], axis=-1)
effect = HALF * slope[..., :, None] * centred[..., None, :]
names = ["a11", "a12", "t1", "a21", "a22", "t2"]
pictures = np.moveaxis(effect.reshape(*fixed.shape, 6), -1, 0)
show.panels(
    **dict(zip(names, pictures, strict=True)),
    cmap="RdBu_r",
    columns=6,
    size=1.6,
    unit=None,
    limits=(-10, 10),
    alt="What each of the six numbers does to each pixel",
)


# %% [markdown]
# Look at `t1` and `a11`: both move points up and down, but the shift `t1` does the same
# everywhere, and the scale `a11` the opposite above and below the centre. All six are
# of comparable strength, so one step size suits all. With the origin in a corner and
# pixels as the unit, the four $a$ would act up to 31 times as strongly as the two $t$.
# The next notebook measures what that costs.
#
# ## Gradient descent on six numbers
# Everything is in place: six numbers place the grid, the grid fetches the moved
# picture, a *loss* compares it with the fixed one, and the slopes lead back to the six
# numbers. As loss we take the mean squared difference. Start at the identity, and go
# downhill.
#
# Predict: the moving seven is larger than the fixed one and leans less. Which of the
# six numbers will change most? (The entries $a_{11}$ and $a_{22}$ start at 1, the
# others at 0.)


# %%
def mismatch(affine, moving, fixed):
    """Return the mean squared difference after moving by `affine`."""
    displacement = transforms.affine_displacement(affine, fixed.shape[1:-1])
    return losses.mse(fixed, transforms.warp(moving, displacement))


slope_of_mismatch = backend.compiled(backend.value_and_gradient(mismatch))


def descend(moving, fixed, steps, rate=0.25):
    """Go downhill from the identity; return the affine and the loss of every step."""
    affine, path, history = affines.identity(2, len(moving)), [], []
    for _ in range(steps):
        loss, slope = slope_of_mismatch(affine, moving, fixed)
        path.append(affine)
        history.append(float(np.mean(loss)))
        affine = affine - rate * slope
    return affine, path, history


# %%
pair = (moving[None, ..., None], fixed[None, ..., None])
affine, path, history = descend(*pair, settings.steps)
print(np.asarray(affine)[0].round(2))
change = np.abs(np.asarray(affine)[0] - np.eye(2, 3))
if digits["source"] == "mnist" and settings.digit == 7:
    assert change[1, 0] == change.max() > 0.3 and change[1, 1] > 0.1
show.loss_curve(history, x="step", y="mean squared difference", size=(4.6, 2.3))


# %%
def move(moving, affine):
    """Return the moved images as an array."""
    shape = moving.shape[1:-1]
    displacement = transforms.affine_displacement(affine, shape)
    return np.asarray(transforms.warp(moving, displacement))


moved = move(pair[0], affine)
show.rows(*pair, moved, alt="Moving, fixed and moved digit, differences before, after")

# %% [markdown]
# For this pair of MNIST, $a_{21}$ changes most: the lower a point lies, the further to
# the right it is read, so that the foot of the seven is pulled to the left. That is the
# slant. $a_{22}$ grows as well, and the broad seven becomes narrower. The differences
# are red where the first picture is brighter than the fixed one, and blue where it is
# darker.
#
# Six numbers cannot make two hands write alike: what is left is the shape and the
# weight of the stroke. Letting every pixel move by itself is the subject of a later
# notebook.
#
# Now step through the descent. The first steps do most of the work.

# %%
stops = np.unique(np.geomspace(1, settings.steps, 12).astype(int)) - 1
show.epochs(
    [
        np.concatenate([move(pair[0], path[i]), pair[1]], axis=2)[0, ..., 0]
        for i in stops
    ],
    [f"step {i}" for i in stops],
    title="The moved digit (left) on its way to the fixed one (right)",
)


# %% [markdown]
# ## The spatial transformer as a layer
# In a network, the part that we have built (affine in, moved picture out) is called a
# *spatial transformer*. As a Keras layer it is one line. It has no weights of its own:
# all it does is to pass the picture forward and the slope back.


# %%
class SpatialTransformer(keras.layers.Layer):
    """Read the moving image where the affine says."""

    def call(self, image, affine):
        """Return the moved image."""
        shape = image.shape[1:-1]
        return transforms.warp(image, transforms.affine_displacement(affine, shape))


layer = SpatialTransformer()
turns = np.stack([affine_of(rotation=a) for a in range(0, 360, 45)]).astype("float32")
turned = layer(np.repeat(pair[0], 8, axis=0), turns)
names = [f"{a}°" for a in range(0, 360, 45)]
show.panels(**dict(zip(names, turned, strict=True)), columns=8, size=1.2, unit=None)

# %% [markdown]
# Eight pictures, eight affines, one call. The layer in `helpers` does the same, and
# more: it also takes a displacement for every pixel, works in 3D, reads label maps by
# nearest neighbour, and can be saved with a model.

# %% tags=["nbval-check-output"]
ours = layers.SpatialTransformer()
again = layers.SpatialTransformer.from_config(ours.get_config())
same = np.allclose(ours(pair[0], example[None]), layer(pair[0], example[None]))
print("same picture:", same)
print("survives saving:", np.allclose(again(pair[0], affine), moved, atol=1e-6))
print("weights to train:", ours.count_params())
volume = np.ones((1, 4, 6, 8, 1), "float32")
print("in 3D:", tuple(ours(volume, affines.identity(3)).shape))

# %% [markdown]
# ## Does it work on more than one pair?
# One good picture proves little. Here are many test digits, each laid over the same
# fixed one by the same descent, all at once. They are compared by the *normalised
# cross-correlation* (NCC): 1 for equal pictures, 0 for unrelated ones. The next
# notebook explains it and uses it as the loss.

# %%
import time

others = digits["test"][1 : settings.pairs + 1]
targets = np.repeat(pair[1], len(others), axis=0)
start = time.perf_counter()
found, _, _ = descend(others, targets, settings.steps)
seconds = (time.perf_counter() - start) / len(others)
aligned = move(others, found)
before, after = metrics.ncc(targets, others), metrics.ncc(targets, aligned)
scorecard.table(
    "00_spatial_transformer",
    {
        "before": {"ncc": before},
        "gradient descent, six numbers": {"ncc": after, "seconds": seconds},
    },
)

# %% [markdown]
# The notebook checks its own claim: on average the descent must gain at least 0.15 of
# NCC on MNIST. scikit-learn's digits are centred and scaled already, so there is less
# to gain and 0.05 will do. And hardly a pair may get worse.

# %%
margin = {"mnist": 0.15, "scikit-learn": 0.05}[digits["source"]]
gain = after - before
print(f"mean gain {gain.mean():.3f}, better in {np.mean(gain > 0):.0%} of the pairs")
assert gain.mean() > margin, f"gained only {gain.mean():.3f}"
assert np.mean(gain > 0) > 0.8, "too many pairs got worse"

# %%
worst, best = np.argmin(gain), np.argmax(gain)
chosen, kinds = [best, worst], ["most gained", "least gained"]
show.rows(
    others[chosen],
    targets[chosen],
    aligned[chosen],
    [f"{k}\nNCC {after[i]:.2f}" for k, i in zip(kinds, chosen, strict=True)],
    alt="The pair that gained most and the pair that gained least",
)

# %%
shrunk = 1 / np.linalg.det(np.asarray(found)[worst, :, :2])
print(f"the area of the digit that gained least became {shrunk:.0%} of what it was")
if digits["source"] == "mnist" and settings.digit == 7:
    assert shrunk < 0.7

# %% [markdown]
# Show the worst as well as the best, always. A stroke that lies beside its partner and
# not on it costs less the smaller it is. So the descent made the digit small instead of
# turning it, and ended where no small change helps.
#
# ## A pitfall: no overlap, no slope
# The slope of a picture is zero on black ground. So what happens to a digit that starts
# beside the fixed one instead of on it? We shift the moving seven further and further
# to the right, and run the same descent each time. A wide black frame around both keeps
# the digit whole, so that the distance is all that changes. Where does it stop working?

# %%
frame = ((0, 0), (16, 16), (16, 16), (0, 0))
roomy, goal = (np.pad(image, frame) for image in pair)
shifts = np.arange(0, 22, 3)
shifted = np.concatenate([np.roll(roomy, s, axis=2) for s in shifts])
goals = np.repeat(goal, len(shifts), axis=0)
reached, _, _ = descend(shifted, goals, settings.steps)
ended = move(shifted, reached)
back = metrics.ncc(goals, ended)
common = [int(np.sum((image > 0.1) & (goal[0] > 0.1))) for image in shifted]
starting = {f"by {s}": image for s, image in zip(shifts, shifted, strict=True)}
ends = {f"{s}: NCC {n:.2f}": i for s, n, i in zip(shifts, back, ended, strict=True)}
show.panels(
    **starting,
    **ends,
    columns=len(shifts),
    size=1.2,
    unit=None,
    alt="Digits shifted further and further, and what the descent makes of each",
)

# %%
print("pixels in common at the start:", dict(zip(shifts.tolist(), common, strict=True)))
assert back[0] > 0.7, "the digit is not found from where it lies"
assert common[-1] == 0 and back[-1] < 0.2, "no stroke in common, and found all the same"


# %% [markdown]
# As long as a good part of the strokes overlaps, the descent finds home, also from many
# pixels away. Beyond that, moving the grid a little changes nothing for the better.
# Black on black costs less than two strokes in different places, so the descent shrinks
# the digit, and from there no slope leads back. The code is right, the loss has fallen,
# and the result is wrong.
#
# This is the **capture range**. It is the reason why registration in practice starts
# from something sensible (the centres of mass, in the notebooks on heads), works from
# coarse to fine, or, as in the next notebook, asks a network that has *seen* where
# sevens lie.
#
# ## Five key points
# 1. A transform in registration is a pull: it lives on the fixed grid and says where to
#    fetch in the moving image. So the picture does the opposite of the grid.
# 2. Six numbers turn, stretch, shear and shift; measured from the centre, in units of
#    half the longest side, all of them are of a size.
# 3. Bilinear interpolation has a slope, the difference of neighbours, and by the chain
#    rule every one of the six numbers gets its own.
# 4. Where nothing overlaps there is no slope: a descent has a capture range, and a
#    falling loss does not say that it was inside.
# 5. Show the worst case beside the best, and check what you built against another tool.
#
# ## Knobs
# What we have seen while building this; the notebook does not measure it.
#
# | knob | raise it, then ... |
# | --- | --- |
# | `steps` of `descend` | the loss falls on; a wrong valley stays wrong |
# | `rate` | it arrives sooner, until it jumps over the valley |
# | `pairs` | the mean is steadier; the seconds a pair hardly change |
# | blur of both pictures | it is caught from farther away, and placed less exactly |
# | `digit` | other strokes; open the worst case before you trust the mean |
#
# ## Exercises
# Each has a solution that this notebook runs, at its very end.
#
# **1. Nearest neighbour.** A map of labels (1 = skull, 2 = brain) must not be averaged:
# 1.5 is no label. Write `nearest(image, points)` and compare it with
# `sampling.sample(..., mode="nearest")`.
#
# **2. There and back.** Move the digit by `example`, and then by
# `affines.invert(example[None])`. Is it the same as before? What was lost, and where?
#
# **3. The capture range of a rotation.** Turn the fixed digit by 0°, 15°, …, 90° and
# descend from there back to itself. Up to which angle does it come back?
#
# ## Where to read on
# - Jaderberg, Simonyan, Zisserman: *Spatial Transformer Networks*, NeurIPS 2015: the
#   layer, and networks that use it to look at the right part of a picture.
# - Kevin Zakka, *Deep Learning Paper Implementations: Spatial Transformer Networks,
#   Part II*, and K. Bhatnagar's explanation of the same paper: the sampling grid, in
#   pictures. TensorFlow's models repository has the original code in
#   `research/transformer`.
# - DIPY's tutorials on affine registration, for the classical way from the centres of
#   mass to the full affine.
#
# Next: [a network that gives the six numbers at once](01_affine_2d_mnist.ipynb).
#
# ## Solutions
# **1.** Its slope is zero everywhere, so nothing can be learned through it: train with
# linear, apply to labels with nearest.


# %% tags=["nbval-check-output"]
def nearest(image, points):
    """Read `image` at the pixel nearest to each point; outside it is zero."""
    index = np.floor(points + 0.5).astype(int)
    inside = np.all((index >= 0) & (index < image.shape), axis=-1)
    row, column = np.moveaxis(np.clip(index, 0, np.array(image.shape) - 1), -1, 0)
    return np.where(inside, image[row, column], 0)


labels = (moving > 0.5).astype("int32")
by_hand = nearest(labels, points)
by_helper = sampling.sample(labels[None, ..., None], points[None], mode="nearest")
print("as the helper:", np.array_equal(by_hand, np.asarray(by_helper)[0, ..., 0]))

# %% [markdown]
# **2.** Nearly, but blurred: each reading averages neighbours, and what the grid had
# left outside is gone. Hence the rule of the series: *compose the transforms first,
# interpolate once*. Composed, the two are the identity.

# %%
way_back = affines.invert(example[None])
there = move(pair[0], example[None])
and_back = move(there, way_back)
both = affines.compose(example[None], way_back)
np.testing.assert_allclose(both, affines.identity(2), atol=1e-5)
lost = 1 - metrics.ncc(pair[0], and_back)[0]
print(f"NCC lost by reading twice: {lost:.3f}")
assert 0.005 < lost < 0.3
show.panels(
    before=pair[0], there=there, and_back=and_back, alt="A digit there and back"
)

# %% [markdown]
# **3.** Less far than one would think. From 15° it comes back most of the way, and from
# 30° on it settles in a valley of its own, far from the digit that it started as.

# %%
angles = np.arange(0, 91, 15)
starts = np.stack([affine_of(rotation=a) for a in angles]).astype("float32")
goals = np.repeat(pair[1], len(angles), axis=0)
turned = move(goals, starts)
reached, _, _ = descend(turned, goals, settings.steps)
returned = metrics.ncc(goals, move(turned, reached))
print({f"{a}°": f"{value:.2f}" for a, value in zip(angles, returned, strict=True)})
assert returned[0] > 0.95 and returned[1] > 0.6 and returned[2:].max() < 0.6
