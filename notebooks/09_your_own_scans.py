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
# # Your own scans: two files in, files out that other tools open
#
# ```
# python -m registration pair moving.nii.gz fixed.nii.gz --out result
# python -m registration apply labels.nii.gz --labels -t result/transform.h5 \
#     --reference fixed.nii.gz --out labels_moved.nii.gz
# ```
#
# The first line registers two heads and writes all that it found into a folder. The
# second carries anything else along the same way. The scans may lie in any orientation,
# have any voxel size, and keep their skulls. This notebook makes two such files, runs
# the lines, opens every file that comes out, and then does what one should not do, to
# see what the tool says, and where it says nothing.
#
# **What you'll do.** Store two heads as awkwardly as files come, register them, read
# the results with other programs, carry labels and points both ways, give it bad files,
# a wrong mask and a mirrored head, start it by hand, and train a network on.
#
# **What you'll learn**
#
# - which file is for what, and for which program;
# - that a transform leads from the *fixed* scan to the *moving* one, and that ITK's
#   world points the other way on two axes;
# - what to check first in a result, and the one error that nothing reports.
#
# **What you'll need.** What an affine and a displacement are
# ([notebook 00](00_spatial_transformer.ipynb)) and what the Dice is
# ([notebook 03](03_t1_scans.ipynb)). It takes about two minutes on two CPU cores, and
# 25 minutes to read.

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
import base64
import contextlib
import csv
import importlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile

import nibabel
import numpy as np
from matplotlib import image as image_files

from helpers import metrics
from registration import __main__ as command_line
from registration import itk, masks, pair, show, transform
from registration.scans import cohort
from registration.scans import grid as grids

SEED = 0

# %% [markdown]
# ## Two files as they come
# A person of the cohort is the moving scan, its fixed head the other. To make it less
# convenient, the moving one is turned by 12°, cut into slices of 3 mm, and stored with
# its axes in another order; the fixed one is stored left to right mirrored *in memory*,
# as many scanners do, with an affine that says so. The label maps go along. Everything
# lies in a temporary folder, which is this notebook's working folder from here on.

# %%
folder = tempfile.TemporaryDirectory()
os.chdir(folder.name)
scans = cohort.load(voxel_mm=2.0, limit={"train": 3, "test": 2}, brain=masks.find)
heads = {"moving": scans.test.scan(0), "fixed": scans.fixed.scan(0)}
known = all(head.labels is not None for head in heads.values())


def turned(degrees):
    """Return the world matrix that turns about the axis from feet to head."""
    angle, matrix = np.radians(degrees), np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return matrix


def store(name, data, affine, axes):
    """Write a volume with its axes in a given order."""
    image = nibabel.Nifti1Image(data, affine)
    now = nibabel.orientations.io_orientation(affine)
    wanted = nibabel.orientations.axcodes2ornt(axes)
    turn = nibabel.orientations.ornt_transform(now, wanted)
    nibabel.save(image.as_reoriented(turn), f"{name}.nii.gz")


# %%
size = np.round(np.array(scans.shape) * [1, 1, 2 / 3]).astype(int)
place = np.eye(4)
place[:3, 3] = scans.grid.centre
slices = np.diag([2.0, 2.0, 3.0, 1.0]) @ grids.box([0, 0, 0], size, 1).affine
thick = grids.Grid(size, place @ turned(12) @ slices)
odd = transform.Transform().apply(heads["moving"], thick)
store("moving", 1000 * odd.image, thick.affine, "PIR")
store("fixed", (1000 * heads["fixed"].image).astype("int16"), scans.affine, "LAS")
if known:
    store("moving_labels", odd.labels.astype("uint8"), thick.affine, "PIR")
    store("fixed_labels", heads["fixed"].labels.astype("uint8"), scans.affine, "LAS")
point = nibabel.affines.apply_affine(thick.affine, np.argwhere(odd.mask).mean(axis=0))
with open("points.csv", "w") as file:
    file.write(f"name,x,y,z\nmiddle,{','.join(map(str, point))}\n")
rows = []
for name in ("moving", "fixed"):
    file = nibabel.load(f"{name}.nii.gz")
    axes = "".join(nibabel.aff2axcodes(file.affine))
    zooms = " × ".join(f"{edge:g}" for edge in file.header.get_zooms())
    rows.append((name, " × ".join(map(str, file.shape)), zooms, axes))
show.table(("file", "shape", "voxel, mm", "axes run to"), rows)


# %% [markdown]
# ## The first line
# Typed into a terminal, it would be the line at the top with a few more words: labels
# and points to carry along, the fixed scan's labels to measure the overlap with, and
# `--inverse` for the way back. Here a process of its own runs it, as a terminal
# would. No brain mask is given, and both heads keep their skulls. Which of the numbers
# below do you expect to rise?


# %%
def run(words):
    """Run a command as a terminal does; return its exit code and what it printed."""
    command = [sys.executable, "-m", "registration", *words.split()]
    env = os.environ | {"PYTHONPATH": str(root), "MPLBACKEND": "agg"}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    return done.returncode, done.stdout.strip()


line = "pair moving.nii.gz fixed.nii.gz --out result --inverse --points points.csv"
line += " --labels moving_labels.nii.gz --fixed-labels fixed_labels.nii.gz" * known
code, _ = run(line)
with open("result/registration.json") as file:
    record = json.load(file)
numbers = record["numbers"]
after, before = numbers["after"], numbers["before"]
print("exit code", code, "· warnings:", record["warnings"] or "none")
if scans.source != "folder":  # of your scans we cannot know
    assert code == 0 and after["brain_dice"] > 0.9
    assert after["ncc"] > before["ncc"] + 0.1
    assert not known or after["dice"] > before["dice"] + 0.2
rows = [(key, before[key], after[key]) for key in after]
show.table(("inside the fixed brain", "before", "after"), rows)

# %% [markdown]
# Everything that says how alike the heads are has risen: the correlation, the overlap
# of the brains and, where labels were given, that of every region, which no network and
# no step of the descent has seen.
#
# ## What came out

# %%
WHAT = {
    "moved": "the moving scan on the fixed scan's own grid",
    "labels": "its labels there, by nearest neighbour",
    "points": "its points there, RAS mm",
    "transform": "the whole transform: ITK, ANTs, SimpleITK, Slicer",
    "affine": "its affine part for the same programs",
    "affine_text": "the same as a plain matrix, RAS mm",
    "warp": "the whole transform as one displacement a voxel",
    "numbers": "numbers, versions, hashes, the command",
    "report": "the page to look at",
}
rows = []
for role, file in pair.NAMES.items():
    if os.path.exists(f"result/{file}"):
        what = WHAT.get(role) or "the way back: " + WHAT[role.removeprefix("inverse_")]
        rows.append((file, f"{os.path.getsize(f'result/{file}') / 1e3:.0f}", what))
assert {row[0] for row in rows} == set(os.listdir("result"))
show.table(("file", "kB", "what it holds"), rows)

# %% [markdown]
# ## The page
# `report.html` holds all its pictures, so it can be mailed, and needs no network. Open
# it first, before any number. One of its pictures: the outline of the fixed brain over
# the moving scan as its header places it, over the moved scan, and over the fixed scan
# itself. Does the line follow the edge of the brain in the lower two rows alike?

# %%
with open("result/report.html", encoding="utf-8") as file:
    page = file.read()
drawn = re.findall(r'src="data:image/(?:png|jpeg);base64,([^"]+)"', page)
outlines = page[page.index("<h2>Outlines") :]
first = re.search(r'src="data:image/(png|jpeg);base64,([^"]+)"', outlines)
print(len(drawn), "pictures;", len(page) // 1000, "kB; links to fetch:",
      len(re.findall(r'(?:src|href)="https?:', page)))  # fmt: skip
pixels = image_files.imread(io.BytesIO(base64.b64decode(first[2])), first[1])
picture = show.figure(
    8,
    8 * pixels.shape[0] / pixels.shape[1],
    "The outline of the fixed brain over the moving scan before and after, and over "
    "the fixed scan",
)
ax = picture.subplots()
ax.imshow(pixels)
ax.set_axis_off()
picture

# %% [markdown]
# ## A volume: `moved.nii.gz`
# It lies on the grid of the fixed *file*, voxel by voxel, with its order of axes, so
# that any program lays one over the other without resampling again.

# %%
moved, fixed = (nibabel.load(f"{name}.nii.gz") for name in ("result/moved", "fixed"))
assert moved.shape == fixed.shape and np.allclose(moved.affine, fixed.affine, atol=1e-3)
upright = {
    "fixed": nibabel.as_closest_canonical(fixed).get_fdata(),
    "moved": nibabel.as_closest_canonical(moved).get_fdata(),
    "as the header places it": 1000
    * transform.Transform().apply(odd, scans.grid).image,
}
order = ("as the header places it", "moved", "fixed")
show.planes(
    **{name.replace(" ", "_"): upright[name] / upright[name].max() for name in order},
    voxel_mm=2.0,
    outline=heads["fixed"].mask,
    height=2.4,
    alt="Three planes of the moving head as its header places it, of the moved head "
    "and of the fixed one, each with the outline of the fixed brain",
)

# %% [markdown]
# ## Two worlds: `affine.txt` and `affine.tfm`
# Both hold the same twelve numbers. One is for a reader, in RAS: x grows to the right,
# y to the front, z upwards. The other is for ITK, whose x grows to the *left* and whose
# y to the *back*. What happens to the entries of a matrix when two axes change sign?

# %%
plain = np.loadtxt("result/affine.txt")
with open("result/affine.tfm") as file:
    parameters = next(row for row in file if row.startswith("Parameters"))
theirs = np.array(parameters.split()[1:], float)
flip = np.diag([-1.0, -1.0, 1.0, 1.0])
ours = flip @ plain @ flip
assert np.allclose(np.r_[ours[:3, :3].ravel(), ours[:3, 3]], theirs, atol=1e-6)
read = np.column_stack([theirs[:9].reshape(3, 3), theirs[9:]])
rows = [(*map("{:.3f}".format, a), *map("{:.3f}".format, b))
        for a, b in zip(plain[:3], read, strict=True)]  # fmt: skip
show.table(("RAS", "", "", "shift", "ITK, LPS", "", "", "shift "), rows)

# %% [markdown]
# Where one of the two axes is involved the sign changes, where both or none are it
# stays. Whoever reads an ITK matrix as RAS gets a rotation the wrong way round, which
# looks nearly right on a head that hardly turns.
#
# ## The whole of it: `transform.h5`, `warp.nii.gz`, and the way back
# `itk.read` reads each of these, and what ANTs and SimpleITK wrote. The transform maps
# a point of the *fixed* world to where the *moving* scan is to be read. A thousand
# points of the fixed brain go through it as a chain, through the same as one field, and
# there and back. How far apart should they end?

# %%
inside = nibabel.affines.apply_affine(scans.affine, np.argwhere(heads["fixed"].mask))
some = np.random.default_rng(SEED).permutation(inside)[:1000]
there = itk.read("result/transform.h5")
field, back = itk.read("result/warp.nii.gz"), itk.read("result/inverse_transform.h5")
goal = there.points(some)
apart = {
    "moved by the transform": metrics.tre(goal, some),
    "the field beside the chain": metrics.tre(goal, field.points(some)),
    "there and back": metrics.tre(some, back.points(goal)),
    "the affine alone": metrics.tre(goal, itk.read("result/affine.tfm").points(some)),
}
if scans.source != "folder":
    assert apart["the field beside the chain"].max() < 0.1
    assert apart["there and back"].mean() < 0.5 < apart["the affine alone"].mean()
rows = [(name, mm.mean(), mm.max()) for name, mm in apart.items()]
show.table(("mm", "mean", "worst"), rows)

# %% [markdown]
# The two files say the same, and in the mean the way back undoes the way there to a
# part of a voxel; the worst point misses by more. The affine alone ends some
# millimetres elsewhere: that is what the deformation adds.
#
# ## Does another program agree?
# SimpleITK knows nothing of us. It reads the two scans and the transform, and resamples
# once; `tests/` and `benchmarks/accuracy/agreement.py` do so with ANTs and nitransforms
# as well, on seven more kinds of grids. (Where SimpleITK is not installed, nibabel and
# our own `apply` take its place.)

# %%
if importlib.util.find_spec("SimpleITK"):
    sitk = importlib.import_module("SimpleITK")
    names = ("moving.nii.gz", "fixed.nii.gz")
    images = [sitk.Cast(sitk.ReadImage(name), sitk.sitkFloat32) for name in names]
    found = sitk.ReadTransform("result/transform.h5")
    result = sitk.Resample(*images, found, sitk.sitkLinear)
    sitk.WriteImage(result, "theirs.nii.gz")
    who = "SimpleITK"
else:
    run("apply moving.nii.gz -t result/warp.nii.gz --reference fixed.nii.gz "
        "--out theirs.nii.gz")  # fmt: skip
    who = "nibabel, our apply"
same = nibabel.load("theirs.nii.gz").get_fdata()
volume = moved.get_fdata()
brain = nibabel.as_closest_canonical(fixed).get_fdata() * heads["fixed"].mask
gap = np.abs(np.flip(same - volume, 0))[brain > 0] / np.ptp(volume)
worst = np.quantile(gap, 0.99)
print(f"{who}: in {len(gap):,} voxels of the brain, 99 % of them at most")
print(f"{100 * worst:.2g} % of the range apart")
assert len(gap) > 1e4 and worst < 0.02

# %% [markdown]
# ## Labels, there and back
# Label maps go through the same transform by nearest neighbour. `labels.nii.gz` has the
# moving scan's regions on the fixed scan. With `--inverse` the fixed scan's regions lie
# on the moving one as well, on its turned and thick slices: that is how an atlas labels
# a patient. `apply` does it for any file and any transform; how well do the regions of
# the atlas meet those of the patient?

# %%
line = "apply fixed_labels.nii.gz --labels -t result/inverse_transform.h5 "
line += "--reference moving.nii.gz --out carried.nii.gz"
if known:
    print(run(line))
    names = ("moving_labels", "result/inverse_labels", "carried")
    maps = [np.asarray(nibabel.load(f"{n}.nii.gz").dataobj) for n in names]
    assert np.mean(maps[1] == maps[2]) > 0.999
    moved_back = metrics.mean_dice(maps[0].astype(int), maps[2].astype(int), 200)
    print(f"Dice of the atlas' regions on the patient: {moved_back:.3f}")
    if scans.source != "folder":
        assert moved_back > before["dice"] + 0.2
with open("result/points.csv") as file:
    row = next(csv.DictReader(file))
place = np.array([[float(row[axis]) for axis in "xyz"]])
print(row["name"], "of the moving brain, on the fixed one:", place.round(1).tolist())
assert metrics.tre(there.points(place), point[None]).max() < 0.02

# %% [markdown]
# The file of points went the *other* way than images do: an image is fetched, a point
# is sent. The tool turns the transform around by itself, and keeps other columns.
#
# ## What it refuses
# A file that cannot be used ends the command with exit code 2, one line that says what
# to do, and no file written. Ten of them; in a script, the same text is an
# `InputError`.

# %%
image, affine = fixed.get_fdata(dtype="float32"), fixed.affine
holed = image.copy()
holed[2, 3, 4] = np.nan
some_of_it = image > 100
bad = {"nan": holed, "series": np.stack([image] * 2, -1), "empty": 0 * image}
bad |= {"halves": some_of_it * 0.5, "other_grid": some_of_it[1:] * 1.0}
for name, data in bad.items():
    nibabel.save(nibabel.Nifti1Image(data.astype("float32"), affine), f"{name}.nii")
with open("text.nii.gz", "w") as text, open("far.csv", "w") as far:
    text.write("no image")
    far.write("x,y,z\n9000,0,0\n")

# %%
given = ["gone.nii fixed.nii.gz", "text.nii.gz fixed.nii.gz", "nan.nii fixed.nii.gz",
         "series.nii fixed.nii.gz"]  # fmt: skip
more = ["--moving-mask empty.nii", "--moving-mask other_grid.nii",
        "--labels halves.nii", "--points far.csv", "--start gone.h5"]  # fmt: skip
given += [f"fixed.nii.gz moving.nii.gz {words}" for words in more]


def refused(words):
    """Run a command that starts no network in this process; return what it said."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = command_line.main(words.split())
    return code, said.getvalue().strip()


rows = []
for words in given:
    code, said = refused(f"pair {words} --out new")
    assert code == 2 and "\n" not in said and not os.path.exists("new"), said
    rows.append((words, said.split("error: ")[1]))
code, said = refused("pair moving.nii.gz fixed.nii.gz --out result")
rows.append(("the first line again", said.split("error: ")[1]))
assert code == 2
show.table(("pair ...", "what it says"), rows)


# %% [markdown]
# The last is a good pair: results that are there are never replaced unless you say
# `--force`, and then only files that an earlier run made and nobody changed since.
#
# ## What it warns of
# A wrong mask is a good file. The command runs, ends with 0, and the page begins with
# what looks wrong. Here the mask covers one side of the head and some air.


# %%
def register(moving, more=""):
    """Register a file to the fixed one by an affine, in one pass.

    Returns the record and the folder.
    """
    out = tempfile.mkdtemp(dir=".") + "/result"
    words = f"pair {moving} fixed.nii.gz --out {out} --transform affine --no-refine"
    code, said = run(f"{words} --no-report --json {more}")
    assert code == 0
    return json.loads(said), out


side = np.zeros(nibabel.load("moving.nii.gz").shape, "uint8")
side[:, :, : side.shape[2] // 3] = 1
affine = nibabel.load("moving.nii.gz").affine
nibabel.save(nibabel.Nifti1Image(side, affine), "side.nii.gz")
wrong, _ = register("moving.nii.gz", "--moving-mask side.nii.gz")
right, _ = register("moving.nii.gz")
for text in wrong["warnings"]:
    print("·", text)
assert wrong["warnings"] and len(wrong["warnings"]) > len(right["warnings"])

# %% [markdown]
# ## Where it says nothing: left and right
# Suppose a converter lost the sign of one axis. The head in the file is then a mirror
# image, and a head is nearly its own mirror image. The labels are mirrored with it, as
# if they had been drawn on that file. What will the similarity say, and what the Dice?

# %%
for name in ("moving", "moving_labels")[: 1 + known]:
    file = nibabel.load(f"{name}.nii.gz")
    lost = file.affine @ np.diag([1.0, 1.0, -1.0, 1.0])
    lost[:3, 3] += file.affine[:3, 2] * (file.shape[2] - 1)
    nibabel.save(
        nibabel.Nifti1Image(np.asarray(file.dataobj), lost), f"lost_{name}.nii"
    )
labels = "--fixed-labels fixed_labels.nii.gz --labels " * known
good, _ = register("moving.nii.gz", labels + "moving_labels.nii.gz" * known)
mirrored, _ = register("lost_moving.nii", labels + "lost_moving_labels.nii" * known)
cells = []
for name, one in {"as it is": good, "mirrored": mirrored}.items():
    after = one["numbers"]["after"]
    cells.append((name, after["ncc"], after.get("dice", "–"), len(one["warnings"])))
if scans.source != "folder":
    assert cells[1][1] > cells[0][1] - 0.1
if scans.source == "ixi":
    assert cells[1][2] < cells[0][2] - 0.1 and cells[1][3] <= cells[0][3]
show.table(("affine", "NCC", "Dice", "warnings"), cells)

# %% [markdown]
# The similarity hardly moves, and no warning comes. Only regions with a side can tell,
# or you: a scan of which you know the side, a capsule on the skin, or the letters L and
# R in the report held against another program.
#
# ## A start by hand
# The stored networks look for heads that lie more or less as people lie in scanners.
# Should a header place one upside down, give a rough alignment: `--start FILE`, any
# affine of ITK, for example drawn by hand in ITK-SNAP or Slicer. Here the header is
# turned by half a circle; the start undoes all of it but 8°.

# %%
about = np.eye(4)
about[:3, 3] = scans.grid.centre
half = about @ turned(180) @ np.linalg.inv(about)
file = nibabel.load("moving.nii.gz")
nibabel.save(nibabel.Nifti1Image(file.get_fdata(dtype="float32"), half @ file.affine),
             "upside.nii.gz")  # fmt: skip
rough = about @ turned(172) @ np.linalg.inv(about)
itk.save("start.tfm", transform.Transform([rough]))
alone, _ = register("upside.nii.gz")
started, out = register("upside.nii.gz", "--start start.tfm")
three = {"as it lay": right, "turned": alone, "turned, with a start": started}
rows = []
for name, one in three.items():
    after = one["numbers"]["after"]
    rows.append((name, after["ncc"], after["brain_dice"], len(one["warnings"])))
if scans.source != "folder":
    assert rows[2][1] > rows[0][1] - 0.1 and rows[2][2] > rows[0][2] - 0.06
show.table(("affine", "NCC", "brain-mask Dice", "warnings"), rows)

# %% [markdown]
# With the start the head comes home nearly as if it had never been turned, and what is
# written holds the start too. The second line tells what the stored network
# makes of half a turn by itself, and whether a warning comes.
#
# ## Train on, for your own folder
# If your scans differ from what a network has seen, let it see them: the stored weights
# are the start, your own heads the batches, and nothing has to be labelled. Three
# heads and a few steps show the way; a real run takes a hundred heads and some thousand
# steps (`models/train_affine.py`). `prepare` brings two scans onto the network's grid.
# Only here TensorFlow starts; the command does without.

# %%
from helpers import losses, networks, training
from registration import models, prepare, profile

settings = profile.choose(quick={"steps": 12}, full={"steps": 300})
settings

# %%
stored = models.load("affine_t1")
mine = [scans.train.scan(i).stripped() for i in range(len(scans.train))]
goal = heads["fixed"].stripped()
onto = stored.shape, stored.voxel_mm
ready = [prepare.from_barycentres(one, goal, *onto) for one in mine]


def batch(step):
    """Give one head after the other."""
    one = ready[step % len(ready)]
    return {"moving": one.moving, "fixed": one.fixed}


def loss(batch, outputs):
    """Return 1 − NCC."""
    return losses.ncc_loss(batch["fixed"], outputs["moved"])


# %%
network, count = networks.registration(stored.network), len(ready)
options = {"learning_rate": 1e-5, "progress": False}
history = training.fit(network, batch, loss, settings.steps, **options)["loss"]
ends = np.mean(history[:count]), np.mean(history[-count:])
print(f"1 − NCC of the first {count} steps {ends[0]:.4f}, of the last {ends[1]:.4f}")
if scans.source != "folder":
    assert ends[1] < ends[0] + 0.01

# %% [markdown]
# It goes on from where it was and does not fall apart, which is all that so few steps
# can show. `models.store` writes what you trained, `make export` makes the files that
# the command runs, and a folder of your own is a `cohort.load("folder", folder=...)`.
#
# ## What to check first
# 1. The outlines in `report.html`, in all three planes.
# 2. The warnings at its top; none is no proof.
# 3. Left and right, once for each source of your files.
# 4. Folded voxels and the way there and back: near nothing, or the deformation is not
#    to be trusted where they are.
# 5. If you have labels, their Dice; it is the one number that the registration has not
#    been made to raise.
#
# ## Five key points
# 1. Two files in, a folder out: a volume on the fixed grid, the transform for other
#    programs, a page to look at, the numbers with their provenance.
# 2. The transform leads from the fixed scan to the moving one. Images are fetched
#    through it, points are sent the other way.
# 3. ITK counts x to the left and y to the back. Let a program turn the signs, and test
#    it with a point that you know.
# 4. Carry everything through the stored transform, once: labels by nearest neighbour,
#    chains in one interpolation.
# 5. Exit code 2 means that a file cannot be used, a warning that a result may not be.
#    Of a mirrored head neither tells.
#
# ## Knobs
#
# | knob | raise it, then ... |
# | --- | --- |
# | `--transform` affine → dense | every voxel moves by itself; a field is written |
# | `--no-refine` left out | more accurate for this pair, some seconds more |
# | `--inverse` | the way back as files too; more to write |
# | `--no-report` left out | the page with its pictures; more seconds |
# | voxels of the fixed scan, finer | more to move and to write, same network |
# | `--moving-mask` given | nothing has to be found; a wrong one misleads |
# | `--start` given | a head that lies oddly is found; for dense, no affine after it |
#
# ## Exercises
# Each has a solution that this notebook runs, at its very end.
#
# **1. A chain.** Send the moved scan back with `apply` through two transforms, there
# and back, in one call. How far is the result from the moved scan itself?
#
# **2. Twelve numbers only.** What does `--transform affine` leave out of the folder?
#
# **3. Names of a data set.** What are the files called with `--bids`?
#
# ## Where to read on
# - Before this one: [notebook 07](07_skull_stripping.ipynb) on skulls and masks,
#   [notebook 06](06_voxelmorph_3d_t1.ipynb) on the deformation itself.
# - `python -m registration pair --help`, and `apply --help`.
# - The ITK software guide on transforms; the BIDS standard on derivatives.
# - The scans: IXI data set, brain-development.org, CC BY-SA 3.0.
#
# ## Solutions
# **1.** Through a way and its inverse a scan comes back to itself, up to the one
# interpolation. The order is that in which a point of the reference passes them.

# %%
line = "apply result/moved.nii.gz -t result/inverse_transform.h5 -t result/transform.h5"
print(run(f"{line} --reference moving.nii.gz --out again.nii.gz")[0])
line = "apply result/moved.nii.gz -t result/transform.h5 -t result/inverse_transform.h5"
print(run(f"{line} --reference fixed.nii.gz --out again.nii.gz --force")[0])
again = nibabel.load("again.nii.gz").get_fdata()
inner = np.flip(heads["fixed"].mask, 0)
correlation = np.corrcoef(again[inner], volume[inner])[0, 1]
print(f"correlation with the moved scan, in the brain: {correlation:.4f}")
assert correlation > 0.98

# %% [markdown]
# **2.** The field is missing, and the warp is made of twelve numbers: its second
# differences are nothing but rounding.

# %%
_, out = register("moving.nii.gz")
straight = itk.read(f"{out}/transform.h5")
warp = itk.read(f"{out}/warp.nii.gz").fields[0].displacement
bend = np.abs(np.diff(warp, 2, axis=0)).max()
print(f"fields in it: {len(straight.fields)}; the warp bends by {bend:.4f} mm")
assert straight.is_affine and bend < 0.01

# %% [markdown]
# **3.** Those of a derivative data set, with a JSON file beside each.

# %%
_, out = register("moving.nii.gz", "--bids")
for top, _, files in sorted(os.walk(f"{out}")):
    for name in sorted(files):
        print(os.path.relpath(os.path.join(top, name), f"{out}"))
