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
# # Every pixel moves: displacement, folding, and the velocity that cannot fold
#
# ![Sevens, the grids that a network warps for them, and what they become][opening]
#
# [opening]: ../images/deformable_digits.png
#
# [Notebook 01](01_affine_2d_mnist.ipynb) laid one seven over another with six numbers.
# What was left had another shape: a longer bar, a bent stem, a hook. Here the network
# may move **every pixel** by itself, and nearly every seven becomes nearly every other.
# That is a lot of freedom. This notebook is about its price.
#
# **What you'll do.** Train a U-Net that answers with a displacement for every pixel,
# watch it fold the picture, cure that twice (with smoothness, and with a velocity), and
# run the result backwards.
#
# **What you'll learn**
#
# - how U-Net, displacement and spatial transformer make VoxelMorph;
# - what smoothness costs and what it buys: the weight λ;
# - how to see a deformation: arrows, grid, Jacobian determinant;
# - what folding is, and why a good similarity proves nothing any more;
# - how scaling and squaring turns a velocity into a deformation with an inverse.
#
# **What you'll need.** Notebooks 00 and 01. On two CPU cores this one runs for a few
# minutes in the quick profile; the README lists what was measured. Reading takes about
# 45 minutes.

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
# The class of notebook 01 again. `LAMBDA` is the weight of the smoothness that most of
# this notebook uses; `LAMBDAS` are those that are compared.

# %%
from helpers import (
    affines,
    losses,
    metrics,
    networks,
    refinement,
    sampling,
    training,
    transforms,
)
from registration import profile, scorecard, show
from registration.scans import mnist

DIGIT = 7
SEED = 0
LAMBDA, LAMBDAS = 0.1, (0.0, 0.01, 0.1, 1.0)

settings = profile.choose(
    quick={"steps": 600, "batch": 16, "test_pairs": 256, "dipy_pairs": 5},
    full={"steps": 3000, "batch": 64, "test_pairs": 1000, "dipy_pairs": 20},
)
settings

# %%
import functools
import time

import keras
import numpy as np

digits = mnist.load(DIGIT)
train_images = digits["train"]
order = np.random.default_rng(SEED).permutation(len(digits["test"]))
test = digits["test"][order][: settings.test_pairs]
goal = np.roll(test, 1, axis=0)
shape = test.shape[1:-1]
print(f"{len(train_images)} images to train, {len(test)} pairs to test")
apart = np.asarray(affines.barycentre(test)) - np.asarray(affines.barycentre(goal))
apart = np.linalg.norm(apart, axis=1) * max(shape) / 2
print(f"centres {np.median(apart):.1f} pixels apart in the median", end=", ")
print(f"{apart.max():.1f} at most")
assert np.median(apart) < 2


# %% [markdown]
# In notebook 01 one fixed seven served for all. Here *any* seven goes to any other, in
# training and in the test: test image $i$ is to become test image $i - 1$. No pair is
# an image with itself, and no test image is ever trained on.
#
# Why no affine first? For heads it comes first, because heads lie centimetres apart and
# a field that should be smooth does not like to carry so much. Digits were centred and
# scaled by whoever made the data set: their centres of mass lie next to each other. For
# heads, [notebook 06](06_voxelmorph_3d_t1.ipynb) composes both.


# %%
def lines(alt, **pictures):
    """Show one line of images for each name."""
    count = len(next(iter(pictures.values())))
    picture = show.figure(0.82 * count + 1.2, 0.84 * len(pictures) + 0.1, alt)
    axes = picture.subplots(len(pictures), count)
    for line, (name, images) in zip(axes, pictures.items(), strict=True):
        line[0].set_ylabel(name.replace("_", " "), rotation=0, ha="right", va="center")
        for ax, image in zip(line, images, strict=True):
            ax.imshow(image[..., 0], cmap="gray", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
    return picture


few = slice(0, 9)
lines("Nine pairs of sevens", moving=test[few], fixed=goal[few])

# %% [markdown]
# ## The framework: one box has changed

# %%
numbers = 2 * shape[0] * shape[1]
show.framework(
    parameters=f"{numbers:,}\nnumbers",
    network="U-Net",
    loss="1 − NCC +\nλ · rough",
    moving=test[0],
    fixed=goal[0],
)

# %% [markdown]
# Instead of six numbers: two for every pixel, how many rows and how many columns away
# its value is to be fetched. It is the **displacement** $u$ of notebook 00, no longer
# made by an affine, and the spatial transformer reads $\text{moved}(x) =
# \text{moving}(x + u(x))$ as before. The loss has a second part, which we come to.
#
# A network that answers for every pixel has to know two things: the large picture
# (which stroke is this?) and the exact place. A *U-Net* goes down to small, coarse
# feature maps for the first, and up again to the full grid for the second; on its way
# up it looks across at what it saw on its way down.

# %%
ENCODER, DECODER = (16, 32, 32), ((32,), (32,), (16,), (16,))
convolution = functools.partial(
    keras.layers.Conv2D, kernel_size=3, padding="same", activation="leaky_relu"
)


def unet(moving, fixed):
    """Go down by strides and up by repeating pixels; look across on every level."""
    features, seen = keras.layers.Concatenate()([moving, fixed]), []
    for width in ENCODER:
        seen.append(features)
        features = convolution(width, strides=2)(features)
    features = convolution(*DECODER[0])(features)
    for widths in DECODER[1:]:
        features = keras.layers.UpSampling2D(2)(features)
        features = keras.layers.Concatenate()([features, seen.pop()])
        features = convolution(*widths)(features)
    return features


pair = [keras.Input((*shape, 1)) for _ in range(2)]
ours, theirs = keras.Model(pair, unet(*pair)), networks.unet(shape, ENCODER, DECODER)
theirs.set_weights(ours.get_weights())
answers = [np.asarray(network([test[:1], goal[:1]])) for network in (ours, theirs)]
print("as the helper's:", np.allclose(*answers, atol=1e-5))


# %% [markdown]
# Three strides take 32 pixels a side down to 4, three repetitions bring them back, and
# each `Concatenate` on the way up joins what was seen on the way down at the same size.
# One more convolution, to two channels, gives the displacement. Its weights start
# almost at zero, for the reason of notebook 01: the first answer is "move nothing".
# `networks.dense_network` puts this last layer on the U-Net.
#
# ## The price of roughness
# With a number for every pixel, a field could fetch each pixel from anywhere. So there
# is a second loss: how much does the displacement *change* from one pixel to the next?
#
# $$\text{rough}(u) = \frac{1}{2} \left( \overline{|\partial_{\text{row}} u|^2} +
# \overline{|\partial_{\text{column}} u|^2} \right)$$
#
# with the mean over pixels and components. It is called *diffusion* regularisation, as
# its gradient flattens a field like heat spreads. Order these four fields by their
# price before you run the cell: a shift by 5 pixels, an enlargement by half, a wave of
# 2 pixels' height over the width of the picture, and noise of 0.5 pixels.


# %%
def rough(field):
    """Return the mean squared step from pixel to pixel."""
    down = field[:, 1:] - field[:, :-1]
    right = field[:, :, 1:] - field[:, :, :-1]
    return (np.mean(down**2, axis=(1, 2, 3)) + np.mean(right**2, axis=(1, 2, 3))) / 2


rng = np.random.default_rng(SEED)
grid = sampling.identity_grid(shape)[None]
fields = {
    "shift": np.full((1, *shape, 2), 5.0),
    "enlargement": 0.5 * (grid - (np.array(shape) - 1) / 2),
    "wave": 2 * np.sin(2 * np.pi * grid[..., ::-1] / shape[0]),
    "noise": rng.normal(0, 0.5, (1, *shape, 2)),
}
for name, field in fields.items():
    print(f"{name:12} {rough(field)[0]:.3f}")
    np.testing.assert_allclose(rough(field), losses.smoothness(field), rtol=1e-4)


# %% [markdown]
# A shift costs nothing, however far; a steady enlargement and a gentle wave cost a
# little; noise costs most, although it moves nothing by more than a pixel or two. The
# price is on *disagreement between neighbours*, not on motion.
#
# ## Training
# The loss of a pair is $1 - \mathrm{NCC} + \lambda \cdot \text{rough}$. Everything else
# is as in notebook 01.


# %%
def pairs(step):
    """Draw the pairs of one step."""
    rng = np.random.default_rng((SEED, step))
    drawn = rng.integers(len(train_images), size=(2, settings.batch))
    return {"moving": train_images[drawn[0]], "fixed": train_images[drawn[1]]}


def train(squarings, weight, **options):
    """Build a network and train it; return it and the loss of every step."""
    keras.utils.set_random_seed(SEED)
    network = networks.dense_network(shape, ENCODER, DECODER, squarings)

    def loss(batch, outputs):
        similarity = losses.ncc_loss(batch["fixed"], outputs["moved"])
        return similarity + weight * losses.smoothness(outputs["velocity"])

    options = {"learning_rate": 3e-3, "progress": False} | options
    model = networks.registration(network)
    return network, training.fit(model, pairs, loss, settings.steps, **options)["loss"]


# %%
trained = {}
start = time.perf_counter()
network, history = train(0, LAMBDA, progress=True)
minutes = (time.perf_counter() - start) / 60
trained["direct", LAMBDA] = network
show.loss_curve(history, x="step", y="loss", size=(5.6, 2.4))


# %% [markdown]
# The second argument of `train` is λ; the first one, `squarings=0`, says that the
# field is the displacement itself. Call that the **direct** network.
#
# ## What did it learn?
# All test pairs now. `answer` collects what the rest of the notebook needs. Before you
# look: an affine network for any pair (the end of notebook 01) left clear rims. Will
# these?


# %%
def answer(network):
    """Return displacement, velocity and moved images of all test pairs."""
    found = network.predict([test, goal], batch_size=256, verbose=0)
    moved = np.asarray(transforms.warp(test, found["transform"]))
    return found | {"moved": moved}


results = {key: answer(network) for key, network in trained.items()}
direct = results["direct", LAMBDA]
before, learned = metrics.ncc(goal, test), metrics.ncc(goal, direct["moved"])
ranks = np.argsort(learned)
chosen = [ranks[-1], 0, 1, 2, 3, ranks[0]]
labels = [f"{learned[i]:.2f}" for i in chosen]
labels[0], labels[-1] = f"best {labels[0]}", f"worst {labels[-1]}"
print(f"NCC before {before.mean():.3f}, after {learned.mean():.3f}")
assert learned.mean() > (1 + before.mean()) / 2
show.rows(
    test[chosen],
    goal[chosen],
    direct["moved"][chosen],
    labels,
    size=1.0,
    alt="Best, first four and worst test pairs: moving, fixed, moved, differences",
)


# %% [markdown]
# Most look nearly perfect, and this is one short pass. Two things should make you
# suspicious. The worst case still has a remainder: strokes that one hand made and the
# other did not. And is everything between those edges *right*? A picture of the moved
# digit cannot tell, since black moved over black is black. We have to look at the
# deformation itself.
#
# ## Three ways to see a deformation
# - **Arrows**: from each pixel of the fixed grid to where it is fetched.
# - **Grid**: the fixed grid's lines, drawn where they are read in the moving image.
# - **Jacobian determinant**: how large is the piece of the moving image that one pixel
#   of the fixed grid is read from? 1 means as large, 2 twice as large, 0.5 half.
#
# The determinant comes from four derivatives of the positions $p(x) = x + u(x)$:


# %%
def determinant(displacement):
    """Return the area that each pixel is read from, in pixels."""
    positions = sampling.identity_grid(displacement.shape[1:-1]) + displacement
    a, b = np.gradient(positions[..., 0], axis=(1, 2))
    c, d = np.gradient(positions[..., 1], axis=(1, 2))
    return a * d - b * c


areas = determinant(direct["transform"])
by_helper = np.asarray(transforms.jacobian_determinant(direct["transform"]))
np.testing.assert_allclose(areas, by_helper, atol=1e-3)
folded = 100 * np.mean(areas <= 0, axis=(1, 2))
good = np.flatnonzero(learned > np.median(learned))
case = int(good[np.argsort(folded[good])[int(0.9 * len(good))]])
least, most = areas[case].min(), areas[case].max()
print(f"pair {case}: NCC {learned[case]:.3f}, determinant {least:.2f} to {most:.2f}")
print(f"{folded[case]:.1f} % of its pixels folded, {folded.mean():.2f} % of all pairs'")
assert learned[case] > np.median(learned) and folded[case] > 0


# %%
def portrait(found, i, title=""):
    """Show what a deformation does: moved digit, arrows, grid, determinant."""
    field = found["transform"][i]
    picture = show.figure(10.6, 2.5, f"Moved digit, arrows, grid, determinant {title}")
    axes = picture.subplots(1, 4, width_ratios=(1, 1.03, 1, 1.03))
    axes[0].imshow(found["moved"][i, ..., 0], cmap="gray", vmin=0, vmax=1)
    axes[0].set(title=title or "moved", xlabel="column (pixels)", ylabel="row (pixels)")
    longest = float(np.linalg.norm(direct["transform"][i], axis=-1).max())
    title = "arrows, on the fixed digit"
    show.quiver(field, image=goal[i], limit=longest, ax=axes[1], title=title)
    show.grid(displacement=field, image=test[i], step=1, ax=axes[2])
    axes[2].set_title("grid, on the moving digit")
    show.jacobian(determinant(field[None])[0], ax=axes[3], limit=1)
    return picture


portrait(direct, case)


# %% [markdown]
# Arrows start on the fixed digit and point to where its strokes are to be found. The
# grid is dense where the digit had to shrink and wide where it had to grow. And there
# are **black pixels** in the last picture: there the determinant is zero or below.
#
# ## Folding
# Along one line, let a pixel be fetched from 10.0, and its neighbour to the right from
# 9.4. The order is reversed; what was left is now right, and on its way the line has
# passed some places three times. In two dimensions the determinant tells: it is
# negative where a small square of the grid is turned inside out, as in a sheet of paper
# that is creased over. In the grid you see it as lines that cross.
#
# No tissue does that. A folded field has no inverse, for a place in the moving image
# belongs to three places of the fixed one. And it may look perfect: this pair was
# chosen among those whose NCC is above the median.
#
# ## The weight λ
# Now the same network with other weights of the smoothness, the same pairs in the same
# order. λ = 0 asks for nothing but a good NCC. Before you run it: which λ has the best
# NCC? Which one would you give to a doctor?


# %%
def judged(found):
    """Return NCC and folded pixels (%) of the test pairs."""
    folds = metrics.folding(found["transform"])["folded_percent"]
    return metrics.ncc(goal[: len(found["moved"])], found["moved"]), folds


for weight in LAMBDAS:
    if ("direct", weight) not in trained:
        trained["direct", weight], _ = train(0, weight)
        results["direct", weight] = answer(trained["direct", weight])
by_weight = [judged(results["direct", weight]) for weight in LAMBDAS]
shares = [folds.mean() for _, folds in by_weight]
if (digits["source"], DIGIT) == ("mnist", 7):
    assert all(np.diff(shares) <= 0) and shares[2] > 0.2
    assert by_weight[0][0].mean() < by_weight[2][0].mean() + 0.03
heads = ("λ, direct network", "NCC", "folded (%)", "pairs that fold (%)")
rows = [("before", f"{before.mean():.3f}", "0.00", "0")]
for weight, (ncc, folds) in zip(LAMBDAS, by_weight, strict=True):
    cells = ncc.mean(), folds.mean(), 100 * np.mean(folds > 0)
    rows.append(
        (f"{weight:g}", "{:.3f}".format(*cells), *map("{:.2f}".format, cells[1:]))
    )
show.table(heads, rows)

# %% [markdown]
# By the NCC alone you would hardly choose the right one. Below is the deformation
# behind one pair, and the moved digit on its left. Move the slider from λ = 0 to the
# right.

# %%
frames = [portrait(results["direct", w], case, f"λ = {w:g}") for w in LAMBDAS]
show.weights(
    frames,
    LAMBDAS,
    title="One pair, four weights of the smoothness",
    description="Black pixels in the last picture are folded.",
)


# %% [markdown]
# Without smoothness the grid is a heap of crossed lines. Wherever the picture is black,
# the network fetches black from anywhere, and nothing tells it that this is wrong. Yet
# the moved digits look as good as any, and the table has hardly a better NCC. Keep
# this:
#
# > Once every pixel may move, a good similarity is no proof of anything. Smoothness is
# > the price of a believable answer, and folding the check.
#
# A larger λ buys fewer folds with similarity, and where the digit has to bend sharply
# it still folds a little. Is there a way that does not fold *at all*?
#
# ## A velocity instead of a displacement
# A displacement is a jump, and nothing keeps two jumps from crossing. Let every point
# *flow* instead: a **velocity** $v$ stands still on the grid, a point at $x$ drifts
# with $v(x)$, and after one unit of time it has arrived at $\varphi(x)$. Two points
# that drift in the same current can come close but never cross, just as leaves on a
# stream. To go back, let the stream run backwards: $-v$ gives the inverse.
#
# Following the stream in 128 small steps would take 128 interpolations. But the way for
# the time $2t$ is the way for $t$, taken twice. So: take a tiny step $v / 2^n$, compose
# it with itself, and the result with itself, $n$ times. This is **scaling and
# squaring**.


# %%
def integrate(velocity, squarings=7):
    """Follow a velocity for one unit of time."""
    displacement = velocity / 2**squarings
    for _ in range(squarings):
        again = np.asarray(transforms.warp(displacement, displacement, fill="edge"))
        displacement = displacement + again
    return displacement


wild = results["direct", 0.01]["transform"]
by_helper = np.asarray(transforms.integrate_velocity(wild, 7))
np.testing.assert_allclose(integrate(wild), by_helper, atol=1e-3)

# %% [markdown]
# The `warp` in it reads the displacement at the places it points to: go there, see how
# it goes on from there. Between pixels a field is only interpolated, so "cannot fold"
# is exact for smooth velocities and nearly so on a grid. Measure it anyway; exercise 3
# asks how many squarings are enough.
#
# ## The diffeomorphic network
# The same U-Net, whose two numbers a pixel now are a velocity, with seven squarings
# behind it. The smoothness is asked of the velocity. A deformation that is smooth and
# has a smooth inverse is a *diffeomorphism*, hence the name. Once with λ as above, once
# with the small λ at which the direct network folded a lot.

# %%
PAIR = (0.01, LAMBDA)
for weight in PAIR:
    start = time.perf_counter()
    trained["diffeomorphic", weight], _ = train(7, weight)
    minutes += (time.perf_counter() - start) / 60 * (weight == LAMBDA)
    results["diffeomorphic", weight] = answer(trained["diffeomorphic", weight])
diffeomorphic = results["diffeomorphic", LAMBDA]
rows, found = [], {}
for weight in PAIR:
    for kind in ("direct", "diffeomorphic"):
        ncc, folds = judged(results[kind, weight])
        found[kind, weight] = ncc.mean(), folds.mean()
        cells = f"{ncc.mean():.3f}", f"{folds.mean():.3f}", f"{folds.max():.2f}"
        rows.append((f"{kind}, λ = {weight:g}", *cells))
for weight in PAIR:
    assert found["diffeomorphic", weight][1] < found["direct", weight][1] / 10
cost = found["direct", LAMBDA][0] - found["diffeomorphic", LAMBDA][0]
assert cost < 0.03 and found["diffeomorphic", LAMBDA][1] < 0.05
show.table(("", "NCC", "folded (%)", "worst pair (%)"), rows)

# %%
portrait(diffeomorphic, case, "diffeomorphic")

# %% [markdown]
# This is the pair whose direct field was shown further up, with the same λ and the same
# scales. The digits look alike; the black pixels are gone, and no two lines cross. The
# table says what that costs in NCC.
#
# ## Watch it flow
# A velocity knows the whole way and not just its end. Integrate $t \cdot v$ for $t$
# from 0 to 1, and the moving digits turn into the moved ones. What would you expect
# halfway?

# %%
velocity = diffeomorphic["velocity"]
times = np.linspace(0, 1, 13)
steps = []
for t in times:
    flow = transforms.integrate_velocity(t * velocity[:8])
    moved = np.asarray(transforms.warp(test[:8], flow))
    steps.append(np.concatenate([moved, goal[:8]])[..., 0])
show.morph(
    steps,
    times,
    columns=8,
    title="From moving (t = 0) to moved (t = 1)",
    description="Upper row: eight test digits on their way. Lower row: the fixed ones.",
)

# %% [markdown]
# Halfway there is a digit between the two, one that nobody wrote. Strokes bend and
# slide; nowhere does one fade out while another fades in, for no brightness is ever
# made. Everything you see has been fetched.
#
# ## There and back
# The displacement brings a point of the fixed grid to the moving image. The inverse
# brings it back. For the velocity it is one minus sign. For the direct network there is
# no such thing; one can only search for the point that arrives where one stands, by the
# fixed-point iteration $w \leftarrow -u(x + w)$. How far from its start will a pixel
# end, on average, with each of them? And what if one simply negates the displacement?

# %%
back = np.asarray(transforms.integrate_velocity(-velocity))
searched = np.asarray(transforms.invert_displacement(direct["transform"], 50))
ways = {
    "diffeomorphic, velocity negated": (diffeomorphic["transform"], back),
    "direct, fixed-point iteration": (direct["transform"], searched),
    "direct, displacement negated": (direct["transform"], -direct["transform"]),
}
errors = {name: transforms.inverse_error(*both) for name, both in ways.items()}
rows = [
    (name, f"{e.mean():.3f} ± {e.std():.3f}", f"{e.max():.2f}")
    for name, e in errors.items()
]
there = [error.mean() for error in errors.values()]
assert there[0] < 0.1 and there[0] < there[1] - 0.02 and there[1] < there[2] - 0.1
show.table(("there and back (pixels)", "mean ± sd of pairs", "worst pair"), rows)

# %% [markdown]
# The velocity comes back to within a small part of a pixel; what is missing is lost by
# interpolation. The search fails where the direct network folds, because there is
# nothing to find. A displacement negated at the *same* point is not an inverse at all:
# it starts from the wrong place.
#
# With the inverse, the fixed digit can be fetched back. Will it look like the moving
# one? Nobody has trained the network for that.

# %%
fetched = np.asarray(transforms.warp(goal, back))
returned = metrics.ncc(test, fetched)
print(f"NCC of moving and the fixed digit fetched back: {returned.mean():.3f}")
assert returned.mean() > (1 + before.mean()) / 2
lines(
    "Nine pairs there and back",
    moving=test[few],
    moved=diffeomorphic["moved"][few],
    fixed=goal[few],
    fixed_back=fetched[few],
)


# %% [markdown]
# It does, if softer: what was squeezed on the way there is stretched on the way back.
#
# ## Refinement and a classical tool
# As in notebook 01, the network's answer can be the start of a descent for each pair by
# itself. `refinement.velocity` runs Adam on the velocity, with the loss used in
# training.
#
# The classical tool is DIPY's `SymmetricDiffeomorphicRegistration` (SyN), live on a few
# pairs: no network, a search from the identity for every pair, with the local NCC (CC)
# in windows of 5 pixels, which did better here than windows of 7 or the squared
# differences.


# %%
def refine(steps=40):
    """Descend from the velocities of all test pairs; return the new ones."""
    options = {"loss": losses.ncc_loss, "smooth": LAMBDA, "squarings": 7}
    options |= {"steps": steps, "learning_rate": 0.05}
    return np.asarray(refinement.velocity(test, goal, velocity, **options))


refine(1)
begin = time.perf_counter()
refined_velocity = refine()
refine_seconds = (time.perf_counter() - begin) / len(test)
field = np.asarray(transforms.integrate_velocity(refined_velocity))
refined = {"transform": field, "moved": np.asarray(transforms.warp(test, field))}

# %%
from dipy.align import VerbosityLevels, imwarp
from dipy.align import metrics as dipy_metrics


def syn(moving, fixed):
    """Register one pair with DIPY; return its displacement and the inverse."""
    metric = dipy_metrics.CCMetric(2, radius=2)
    search = imwarp.SymmetricDiffeomorphicRegistration(metric, level_iters=[100, 50])
    search.verbosity = VerbosityLevels.NONE
    found = search.optimize(fixed[..., 0], moving[..., 0])
    return found.get_forward_field(), found.get_backward_field()


found, dipy_seconds = [], []
for moving, fixed in zip(test, goal[: settings.dipy_pairs], strict=False):
    begin = time.perf_counter()
    found.append(syn(moving, fixed))
    dipy_seconds.append(time.perf_counter() - begin)
fields, inverses = (
    np.stack(side).astype("float32") for side in zip(*found, strict=True)
)
classical = {"transform": fields}
classical["moved"] = np.asarray(transforms.warp(test[: len(fields)], fields))


# %% [markdown]
# ## The scorecard
# Digits have no labels inside. As an overlap, take the Dice of the inked pixels
# (brighter than one half). The folded pixels stand beside the NCC, so that nobody looks
# at one without the other.


# %%
def row(found, **more):
    """Return a line of the scorecard."""
    count = len(found["moved"])
    pairs = zip(goal[:count] > 0.5, found["moved"] > 0.5, strict=True)
    dice = [metrics.dice(*(ink.astype("uint8") for ink in both))[1] for both in pairs]
    ncc, folds = judged(found)
    return {"ncc": ncc, "dice": np.array(dice), "folded_percent": folds} | more


begin = time.perf_counter()
trained["diffeomorphic", LAMBDA].predict([test, goal], batch_size=256, verbose=0)
pass_seconds = (time.perf_counter() - begin) / len(test)
rows = {
    "before": row({"transform": 0 * velocity, "moved": test}),
    "learned, direct": row(direct),
    "learned": row(diffeomorphic, seconds=pass_seconds),
    "learned + refinement": row(refined, seconds=pass_seconds + refine_seconds),
    "DIPY SyN (CC)": row(classical, seconds=np.array(dipy_seconds)),
}
print(f"two trainings took {minutes:.1f} minutes, once for all pairs")
same = {name: values["ncc"][: len(fields)].mean() for name, values in rows.items()}
print(f"NCC on DIPY's {len(fields)} pairs:", {k: f"{v:.3f}" for k, v in same.items()})
scorecard.table("02_deformable_2d_mnist", rows)

# %%
by_syn, all_folds = same["DIPY SyN (CC)"], rows["learned + refinement"]
assert pass_seconds < np.mean(dipy_seconds) / 20
assert same["learned + refinement"] > same["learned"] + 0.005
assert all_folds["folded_percent"].mean() < 0.1
if (digits["source"], DIGIT) == ("mnist", 7):
    assert abs(same["learned"] - by_syn) < 0.04
    assert same["learned + refinement"] > by_syn

# %% [markdown]
# *Learned* is the diffeomorphic network. One pass of it comes close to the classical
# search on the same pairs (the line above the table), in a tiny fraction of the time
# once it is trained, and folds as little. The refinement goes past both, since the
# descent starts close to its end and follows the very NCC that is judged here. (Network
# and refinement take all pairs at once.)
#
# ## A pitfall: a three becomes an eight
# Take threes as moving and eights as fixed images. A right answer does not exist: an
# eight has two closed loops, and no deformation closes a loop that is open. What will
# the NCC be? First a direct descent on the displacement with a small λ, then one on a
# velocity with the λ of this notebook; no network takes part. As a control, the same
# two descents between eights and eights.

# %%
eights = mnist.load(8)["test"]
asked = {"three": mnist.load(3)["test"][:16], "eight": eights[16:32]}
eights = eights[:16]
nothing = np.zeros((16, *shape, 2), "float32")


def descended(moving):
    """Register to the eights without a network; return displacements by name."""
    options = {"loss": losses.ncc_loss, "steps": 150, "learning_rate": 0.1}
    plain = refinement.velocity(
        moving, eights, nothing, smooth=0.005, squarings=0, **options
    )
    flow = refinement.velocity(
        moving, eights, nothing, smooth=LAMBDA, squarings=7, **options
    )
    flow = transforms.integrate_velocity(flow)
    found = {"before": nothing, "direct": plain, "velocity": flow}
    return {name: np.asarray(field) for name, field in found.items()}


cases = {name: descended(moving) for name, moving in asked.items()}

# %%
pictures = {
    kind: np.asarray(transforms.warp(asked["three"], field))
    for kind, field in cases["three"].items()
}
lines(
    "Nine threes turned into eights",
    moving=asked["three"][few],
    direct=pictures["direct"][few],
    velocity=pictures["velocity"][few],
    fixed=eights[few],
)

# %%
rows, warning = [], {}
for digit, fields in cases.items():
    for kind, field in fields.items():
        folds = metrics.folding(field)
        ncc = metrics.ncc(eights, np.asarray(transforms.warp(asked[digit], field)))
        values = ncc, folds["folded_percent"], folds["log_jacobian_sd"]
        warning[digit, kind] = values
        cells = [f"{value.mean():.3f}" for value in values]
        rows.append((f"{digit} to eight, {kind}", *cells))
sds = [warning[digit, "velocity"][2] for digit in asked]
wider = np.mean(sds[0][:, None] > sds[1])
print(f"a three is bent more than an eight in {wider:.0%} of all such pairs of pairs")
if digits["source"] == "mnist":
    assert warning["three", "direct"][0].mean() > 0.9
    folds = [[warning[d, k][1].mean() for d in asked] for k in ("direct", "velocity")]
    assert folds[0][1] > folds[0][0] / 2 and folds[1][0] < folds[0][0] / 5
    assert 0.5 < wider < 1
show.table(("", "NCC", "folded (%)", "sd of log determinant"), rows)

# %% [markdown]
# The direct descent turns threes into eights, with an NCC that the network reaches
# between two sevens: it closes the loops by pulling strokes over each other. The
# velocity folds far less. Every field is meaningless, because the two
# images do not show the same thing, and no NCC says so. The same happens with a tumour
# in one of two brains.
#
# What would warn us? One would like to answer: the folds, and the spread of the
# determinant (the standard deviation of its logarithm). The control says how far that
# goes. Most of the folds come from the direct descent and its small λ: it folds nearly
# as much between two eights. The spread of the velocity is larger for threes, in most
# cases and not in all. So such numbers are worth something only beside those of pairs
# that are known to be right, found in the same way, and even then they may miss. A
# registration program answers any question you ask; whether the question makes sense is
# for you.
#
# ## Five key points
# 1. A U-Net answers with two numbers a pixel, a displacement on the fixed grid; the
#    sampler and the loss stay what they were.
# 2. Once every pixel may move, a good similarity proves nothing. Smoothness is the
#    price of a believable answer, and folding the check.
# 3. Look at the deformation and not at the moved picture only: arrows, grid, Jacobian
#    determinant.
# 4. Scaling and squaring turns a smooth velocity into a field that hardly folds, with
#    an inverse for one minus sign. A displacement negated is no inverse.
# 5. Registration answers any question, also a meaningless one, and no number of one
#    pair alone tells.
#
# ## Knobs
# The first two are measured above; the others are what we have seen while building
# this.
#
# | knob | raise it, then ... |
# | --- | --- |
# | `LAMBDA` | fewer folds, and sharp bends are no longer followed |
# | `squarings` | fewer folds, up to about five; each costs a warp |
# | `steps` | the NCC creeps up; at a small λ the folds grow with it |
# | `batch` | the curve is smoother, a step dearer |
# | `ENCODER`, one more grid | it sees more at once; a digit needs no more |
# | `DECODER`, one tuple less | a coarser, smoother field, and a cheaper step |
# | `steps` of `refine` | NCC rises on; watch the folds |
# | `radius` of `CCMetric` | it carries farther and follows less detail |
#
# ## Exercises
# Each has a solution that this notebook runs, at its very end.
#
# **1. In which order?** Turn the moving digits by 20° first, so that an affine and a
# displacement act one after the other, and compose the two into one displacement. Which
# of the two orders is right, and what does the wrong one cost?
#
# **2. Half the resolution.** Average the velocity over 2 × 2 pixels, as if the network
# had answered on a grid of 16 × 16, integrate it there and refine the field. What does
# that cost? And what if you refine the field but forget to lengthen its vectors?
#
# **3. How many squarings?** The *displacements* of the direct network with λ = 0.01
# fold in many places. Take the very same numbers as *velocities*. With no squaring they
# are what they were. How many squarings until they no longer fold?
#
# ## Where to read on
# - Balakrishnan et al., *An Unsupervised Learning Model for Deformable Medical Image
#   Registration*, CVPR 2018, and *VoxelMorph*, TMI 2019: the network of this notebook.
# - Dalca et al., *Unsupervised Learning for Fast Probabilistic Diffeomorphic
#   Registration*, MICCAI 2018: the velocity inside the network.
# - Arsigny et al., *A Log-Euclidean Framework for Statistics on Diffeomorphisms*,
#   MICCAI 2006: scaling and squaring.
# - Avants et al., Medical Image Analysis 12 (2008): SyN, as in DIPY and ANTs.
# - Chen et al., Medical Physics 35 (2008): the fixed-point inverse.
# - Li and Fan, arXiv 1709.00799 (2017), and de Vos et al., DLMIA 2017: before it.
# - [Notebook 06](06_voxelmorph_3d_t1.ipynb): the same for heads, where labels tell what
#   similarity does not.
#
# ## Solutions
# **1.** A point of the fixed grid goes through the displacement first, which knows the
# turned image, and from there through the turn to the original. The wrong order crashes
# nowhere and looks like a mediocre registration.

# %%
c, s = np.cos(np.radians(20)), np.sin(np.radians(20))
turn = np.tile(np.float32([[c, -s, 0], [s, c, 0]]), (len(test), 1, 1))
turned = transforms.warp(test, transforms.affine_displacement(turn, shape))
pair = [np.asarray(turned), goal]
u = trained["diffeomorphic", LAMBDA].predict(pair, verbose=0)["transform"]
orders = {
    "right": transforms.compose_affine(turn, u),
    "wrong": transforms.compose(u, transforms.affine_displacement(turn, shape)),
}
by_order = {
    name: metrics.ncc(goal, np.asarray(transforms.warp(test, field))).mean()
    for name, field in orders.items()
}
print({name: f"{value:.3f}" for name, value in by_order.items()})
assert by_order["wrong"] < by_order["right"] - 0.02

# %% [markdown]
# **2.** Half the grid follows less of the detail, and costs some NCC. In 3D it saves so
# much that notebook 06 uses it, with a network that learned to answer on it. A vector
# of one coarse pixel is two fine ones long. Forget it, and every point goes only half
# the way, which looks like a network that has not learned enough.

# %%
coarse = keras.ops.average_pool(velocity, 2) / 2
coarse = np.asarray(transforms.integrate_velocity(np.asarray(coarse)))
lengthened = np.asarray(transforms.upsample_displacement(coarse, 2))
halves = {
    "full": diffeomorphic["transform"],
    "half": lengthened,
    "forgotten": lengthened / 2,
}
halves = {
    name: metrics.ncc(goal, np.asarray(transforms.warp(test, one))).mean()
    for name, one in halves.items()
}
print({name: f"{value:.3f}" for name, value in halves.items()})
assert 0 < halves["full"] - halves["half"] < 0.08
assert halves["forgotten"] < halves["half"] - 0.05

# %% [markdown]
# **3.** Each squaring halves the step, and soon nothing folds that folded before; after
# five or so the field itself hardly changes any more. What is left at the end is the
# grid's doing.

# %%
counts = (0, 1, 2, 3, 4, 5, 7)
flows = {n: integrate(wild, n) for n in counts}
shares = [metrics.folding(flow)["folded_percent"].mean() for flow in flows.values()]
off = [np.linalg.norm(flow - flows[7], axis=-1).mean() for flow in flows.values()]
assert shares[-1] < shares[0] / 10 and off[5] < 0.1
rows = [("folded (%)", *(f"{share:.3f}" for share in shares))]
rows += [("distance from 7 squarings (pixels)", *(f"{one:.3f}" for one in off))]
show.table(("squarings", *map(str, counts)), rows)
