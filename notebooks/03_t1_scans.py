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
# # Meet the data: T1-weighted scans of heads
#
# ![The average of unaligned heads is a ghost, roughly aligned it is a head][opening]
#
# [opening]: ../images/t1_scans.jpeg
#
# From here on the pictures are heads. Before a network may align them it pays to look:
# most failed registrations are not failures of the method but of the reading. An array
# was taken for millimetres, left for right, one scanner's white for another's gray.
#
# **What you'll do.** Load a cohort of head scans, step through one, turn a scan that is
# stored on its side the right way up, scale its intensities, take its skull off, and
# measure how much heads differ before anything aligns them.
#
# **What you'll learn**
#
# - what voxel size, orientation and the affine of a scan mean, and who needs them;
# - why intensities are scaled by percentiles of the head;
# - how far apart two unaligned heads are, in millimetres and in overlap;
# - how to point this whole series at scans of your own.
#
# **What you'll need.** The notion of a displacement from
# [notebook 00](00_spatial_transformer.ipynb). It takes about a minute to run on two CPU
# cores once the scans are on disk, and 20 minutes to read.

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
import dataclasses

import nibabel
import numpy as np

from helpers import metrics
from registration import masks, profile, scorecard, show, transform
from registration.scans import cohort, intensity, nifti
from registration.scans import grid as grids

settings = profile.choose(
    quick={"voxel_mm": 2.0, "train": 16, "test": 6},
    full={"voxel_mm": 2.0, "train": 125, "test": 25},
)
settings

# %% [markdown]
# ## One fixed head, many moving ones
# `cohort.load` takes the scans from the cache, else downloads them, else simulates
# heads, and says in one line which and why. The real ones come from the
# [IXI dataset](https://brain-development.org/ixi-dataset) (Hammersmith Hospital,
# CC BY-SA 3.0): 151 healthy people, ages 20 to 82, with skull and face. One is *fixed*,
# 125 are to train on, 25 to test on. The quick profile takes some of each.

# %%
limit = {"train": settings.train, "test": settings.test}
scans = cohort.load(voxel_mm=settings.voxel_mm, limit=limit, brain=masks.find)

# %% [markdown]
# The scans stay in memory as stored, in 8 bits a voxel, and become floats when they are
# asked for. `images` takes an index, a slice or a list, and gives what a network eats,
# `(batch, right, anterior, superior, channel)`. `scan` gives one of them with all that
# is known of it: image, labels, brain mask, and where its voxels lie.

# %%
print("a batch of two:", scans.train.images([0, 1]).shape)
fixed = scans.fixed.scan(0)
print("a scan:", fixed.image.shape, "up to", fixed.image.max())
print(f"{fixed.mask.sum() * settings.voxel_mm**3 / 1e6:.2f} litres inside the skull")

# %% [markdown]
# Step through it. Each plane shows with two lines where the others cut. Before you do:
# the letters L and R stand beside the coronal and the axial plane. Is the left side of
# the picture the left side of the *person*?

# %%
show.slices(
    fixed.image,
    settings.voxel_mm,
    centre=fixed.grid.centre,
    title="The fixed head",
    description="Sagittal, coronal and axial slices of the scan all others move to.",
)

# %% [markdown]
# Here it is: this series shows the subject's left on the left, as if we stood behind
# them. Radiologists often show it the other way round, as if they faced the patient.
# Nothing in the picture itself says which, so the letters must.
#
# ## Where a voxel lies
# A scan is an array of numbers *and* an affine, a 4 × 4 matrix that takes the indices
# of a voxel to millimetres in the world: how far to the **R**ight, **A**nterior (front)
# and **S**uperior (top). The axes of the pictures here count these millimetres; where
# zero lies, the scanner decided. The matrix' columns are the steps from one voxel to
# the next, so their lengths are the voxel sizes and their directions the orientation.
# Its determinant is the volume of a voxel, and the sign says whether the array is
# right-handed as R, A, S is (plus) or mirrored (minus), which the affine undoes.

# %%
native = scans.fixed.native(0)
stored = native.stored.affine if native.stored else native.affine
print(stored)
print("voxel size in mm:", nibabel.affines.voxel_sizes(stored))
print("the array's axes run to:", *nibabel.aff2axcodes(stored))
print(f"determinant: {np.linalg.det(stored[:3, :3]):.2f} mm³")

# %% [markdown]
# Scanners store arrays in any order. To see what that does we write the fixed head to
# two files: once with its axes along R, A, S, and once along P, S, R (back, top,
# right), as the IXI files have it. Both are the same head in the same place. What will
# the *arrays* look like, shown as they are?

# %%
import tempfile

folder = tempfile.TemporaryDirectory()
files, ras = {}, nibabel.orientations.axcodes2ornt("RAS")
for axes in ("RAS", "PSR"):
    image = nibabel.Nifti1Image(native.image, native.affine)
    wanted = nibabel.orientations.axcodes2ornt(axes)
    image = image.as_reoriented(nibabel.orientations.ornt_transform(ras, wanted))
    files[axes] = f"{folder.name}/{axes}.nii.gz"
    nifti.save(files[axes], image.get_fdata(), image.affine, f"stored as {axes}")

arrays = {axes: nibabel.load(path).get_fdata() for axes, path in files.items()}
middles = {axes: array[array.shape[0] // 2] for axes, array in arrays.items()}
print({axes: array.shape for axes, array in arrays.items()})
show.panels(**middles, unit="voxels", alt="The middle slice of each array as it is")


# %% [markdown]
# The middle of the first axis is a sagittal slice of one array and a coronal slice of
# the other, and neither stands upright. A network fed with both would have to learn
# this first. The affine already knows it: for each world axis, find the array axis that
# runs along it, put it there, and flip it if it runs the wrong way.


# %%
def to_ras(array, affine):
    """Turn an array so that its axes run to Right, Anterior, Superior."""
    steps = affine[:3, :3] / nibabel.affines.voxel_sizes(affine)
    order = np.abs(steps).argmax(axis=1)
    signs = np.sign(steps[range(3), order]).astype(int)
    turned = array.transpose(order)[:: signs[0], :: signs[1], :: signs[2]]
    turned_affine = affine.copy()
    turned_affine[:3, :3] = affine[:3, order] * signs
    corner = np.where(signs > 0, 0, np.array(turned.shape) - 1)
    turned_affine[:3, 3] += affine[:3, order] @ corner
    return turned, turned_affine


# %% [markdown]
# The last two lines are the ones that are forgotten: when an axis is flipped, voxel
# (0, 0, 0) is another corner of the head, and the affine has to say so. We compare with
# `nifti.load`, which does this for every scan of the series and refuses files that it
# cannot trust.

# %% tags=["nbval-check-output"]
read = {axes: nifti.load(path) for axes, path in files.items()}
for axes, path in files.items():
    image = nibabel.load(path)
    turned, affine = to_ras(image.get_fdata(dtype="float32"), image.affine)
    same = np.array_equal(turned, read[axes].image)
    same_place = np.allclose(affine, read[axes].affine, atol=1e-4)
    print(axes, "same array:", same, "- same place:", same_place)
print("both files, once read:", np.array_equal(read["RAS"].image, read["PSR"].image))

# %%
show.planes(
    read["PSR"].image,
    read["PSR"].grid.spacing,
    centre=read["PSR"].grid.centre,
    alt="Three planes of the head that was stored as PSR, now the right way up",
)

# %% [markdown]
# ## One grid for all
# Networks need arrays of one shape. Every scan of the cohort is therefore read on one
# *common grid*: the box of the fixed scan, a little enlarged, its axes along R, A, S.
# Each voxel of the grid has a place in the world, and each scan's own affine says which
# of its voxels lies there. Two things to note:
#
# - the grid's shape is divisible by 16, so that a network may halve it four times;
# - the grids of 4 and 2 mm span the same box, so that an affine found on the coarse one
#   holds on the fine one.

# %%
for voxel_mm in (4.0, 2.0, 1.0):
    grid = grids.around(native.grid, voxel_mm)
    corner = nibabel.affines.apply_affine(grid.affine, [-0.5, -0.5, -0.5])
    print(f"{voxel_mm:g} mm: {grid.shape}, first corner at {corner.round(1)} mm")
print("this cohort:", scans.shape)


# %% [markdown]
# ## What an intensity means
# In a CT scan a number is a density. In a T1-weighted scan it means nothing by itself:
# coil, sequence and gain decide it. Only the order holds: fat and white matter bright,
# gray matter darker, fluid dark, air darkest. So we scale. The obvious way is from the
# smallest to the largest value. Let one artery in the neck shine ten times as bright as
# everything else. What happens to the brain?


# %%
def by_range(image):
    """Scale the smallest value to 0 and the largest to 1."""
    return (image - image.min()) / (image.max() - image.min())


def by_percentiles(image):
    """Scale air to 0 and all but the brightest 0.5 % of the head to 1."""
    air = np.percentile(image, 1)
    head = image[image > intensity.otsu(image.ravel())]
    return np.clip((image - air) / (np.percentile(head, 99.5) - air), 0, 1)


shining = 1000 * native.image
shining[40:43, 60:63, 4:12] = 10_000
show.planes(
    voxel_mm=native.grid.spacing,
    centre=native.grid.centre,
    range=by_range(shining),
    percentiles=by_percentiles(shining),
    limits=(0, 1),
    alt="Scaled by its range the head is nearly black; by percentiles it is not",
)

# %% [markdown]
# The brain has gone dark because of a few voxels that nobody looks at. Percentiles do
# not care how far out an outlier is, only how many there are. Why percentiles of the
# *head* and not of the whole picture? Because otherwise the amount of air around a head
# would decide how bright its brain is. `intensity.scaled` does the same, with the two
# numbers taken from a sample of the voxels.

# %%
ours, theirs = by_percentiles(shining), intensity.scaled(shining)
print(f"largest difference {np.abs(ours - theirs).max():.3f} of the scale")

# %% [markdown]
# After scaling, different heads use the same range. Here are the intensities inside
# three skulls. Where do you expect fluid, gray matter and white matter?

# %%
picture = show.figure(7.0, 2.6, "Histograms of three scaled heads, inside the skull")
ax = picture.subplots()
for place in range(3):
    one = scans.train.scan(place)
    ax.hist(one.image[one.mask], bins=25, range=(0, 1), histtype="step", density=True)
ax.set(xlabel="scaled intensity", ylabel="density", yticks=[])
picture

# %% [markdown]
# Fluid is the tail on the left, then comes gray matter, then white. In real scans they
# melt into one hill: a voxel of 2 mm mixes tissues, and the coil makes one side of a
# head brighter than the other. And the hills of different heads do not lie in one
# place: even scaled, an intensity is no measurement. Correlation, the loss of the next
# notebooks, forgives some of that: it does not change when a picture gets brighter or
# gains contrast.
#
# ## Skull and mask
# The label map of a scan says which region of the brain each voxel belongs to; zero
# means outside. Every voxel with a label together make the *brain mask*, orange below.
# How much of the head that we see would you guess lies outside it?

# %%
middle = np.argwhere(fixed.mask).mean(axis=0)
middle_mm = nibabel.affines.apply_affine(fixed.affine, middle)
world = {"centre": fixed.grid.centre, "at": middle_mm}
seen = fixed.image > intensity.otsu(fixed.image.ravel())
outside = np.mean(~fixed.mask[seen])
print(f"{outside:.0%} of the voxels that are brighter than air lie outside the brain")
show.planes(
    fixed.image,
    settings.voxel_mm,
    **world,
    outline=fixed.mask,
    level=0.5,
    alt="The fixed head with the brain mask outlined",
)

# %% [markdown]
# Scalp, jaw, neck and eyes are most of what a similarity measure sees, and they move
# and grow without regard to the brain. Multiplying a scan by its mask *strips* it.
# `cohort.load(skull=False)` gives every scan so. What that does to registration is
# a question for a later notebook.

# %%
show.planes(
    voxel_mm=settings.voxel_mm,
    **world,
    whole=fixed.image,
    stripped=fixed.stripped().image,
    alt="The fixed head with skull, and stripped of everything but the brain",
)


# %% [markdown]
# ## How heads differ
# Where does each brain lie in the scanner, and how large is it? Two numbers for each
# axis say it roughly: the centre of mass of the mask, and the standard deviation of its
# voxels about that centre, in millimetres.


# %%
def place_and_size(mask):
    """Return centre and spread of a mask along R, A and S, in world mm."""
    where = nibabel.affines.apply_affine(scans.affine, np.argwhere(mask))
    return where.mean(axis=0), where.std(axis=0)


fixed_centre, fixed_size = place_and_size(fixed.mask)
moments = [place_and_size(mask) for mask in scans.train.masks()]
shifts = np.array([centre - fixed_centre for centre, _ in moments])
scales = np.array([size / fixed_size for _, size in moments])
for axis, name in enumerate(("right", "anterior", "superior")):
    shift, scale = shifts[:, axis], scales[:, axis]
    print(f"{name:9s} shift {shift.min():+5.1f} to {shift.max():+5.1f} mm", end=", ")
    print(f"size {scale.min():.0%} to {scale.max():.0%} of the fixed")


# %% [markdown]
# A centimetre or two of shift, and a tenth in size: against folds of a few millimetres
# that is a lot. So what will the average of all heads look like, voxel by voxel?
#
# For comparison we align them in the crudest way that is honest to call an alignment:
# move each centre of mass onto the fixed one, and stretch each axis to the fixed size.
# No rotation, no shear, and **it looks at the masks, which a registration must do
# without**. It is a pull, as always: for a point of the fixed head it says where to
# read the moving one.


# %%
def by_moments(mask):
    """Return the transform that matches centre and size along each axis."""
    centre, size = place_and_size(mask)
    world = np.diag([*(size / fixed_size), 1.0])
    world[:3, 3] = centre - world[:3, :3] @ fixed_centre
    return transform.Transform([world])


def align(scan):
    """Return a scan aligned by moments: image, labels and mask, each read once."""
    return by_moments(scan.mask).apply(scan, fixed.grid)


train = range(len(scans.train))
before = sum(scans.train.scan(i).image for i in train) / len(train)
after = sum(align(scans.train.scan(i)).image for i in train) / len(train)

# %%
show.planes(
    voxel_mm=settings.voxel_mm,
    **world,
    fixed=fixed.image,
    unaligned=before,
    centred_and_scaled=after,
    alt="The fixed head, the average of unaligned heads, and of roughly aligned ones",
)


# %% [markdown]
# The unaligned average is a ghost: one can tell that it is a head. Six numbers a scan
# bring back the ventricles, the border of the brain and the skull. What is still
# blurred is what the rest of the series is about: rotation and shear
# ([notebook 04](04_affine_3d_t1.ipynb)), then every fold by itself.
#
# ## How far there is to go
# The scorecard ends every notebook of this series. On the test scans, it compares each
# with the fixed one by correlation (NCC), by the overlap of the regions (Dice, the mean
# over those with at least 200 voxels) and by the overlap of the whole brain.


# %%
def ncc(one, other):
    """Return the correlation of two scans on one grid."""
    images = [scan.image[None, ..., None] for scan in (one, other)]
    return float(metrics.ncc(*images)[0])


def judge(scan):
    """Compare a scan on the common grid with the fixed one."""
    return {"ncc": ncc(fixed, scan), **scorecard.overlap(fixed, scan)}


test = range(len(scans.test))
unaligned = [judge(scans.test.scan(i)) for i in test]
by_masks = [judge(align(scans.test.scan(i))) for i in test]
rows = {
    name: {key: np.array([one[key] for one in found]) for key in found[0]}
    for name, found in (("before", unaligned), ("centre and size of masks", by_masks))
}
scorecard.table("03_t1_scans", rows)

# %% [markdown]
# The regions overlap little before and better after: where two heads lie and how large
# they are is a good part of what keeps them apart. The rest is the hard part. Do not
# take our word for it: this cell fails if what was claimed is not so.

# %%
gain = {
    k: rows["centre and size of masks"][k] - rows["before"][k] for k in rows["before"]
}
assert np.array_equal(read["RAS"].image, read["PSR"].image), "orientation matters"
assert np.abs(ours - theirs).max() < 0.05, "the two scalings differ"
if scans.source != "folder":  # of your scans we cannot know
    assert outside > 0.3, f"only {outside:.0%} lies outside the brain"
    assert np.abs(shifts).max() > 5, "the heads lie in one place"
    assert gain["brain_dice"].mean() > 0.05, "the masks overlap no better"
    assert gain["dice"].mean() > 0.05, "the regions overlap no better"
    assert after.std() > before.std(), "the average is no sharper"
print({key: f"{value.mean():+.2f}" for key, value in gain.items()})

# %% [markdown]
# ## Your own scans
# Put `.nii` or `.nii.gz` files into a folder, write its name between the quotes, run
# the next two cells, and then the notebook again from its top in the same kernel:
# everything above uses your scans. A BIDS dataset works as it is, fMRIPrep's
# derivatives included: `T1w` files are the scans, `desc-brain_mask` the masks, `dseg`
# the labels. In any other folder the names `anna.nii.gz`, `anna_mask.nii.gz` and
# `anna_labels.nii.gz` belong together; `masks/anna.nii.gz` works too. A word such as
# `T2`, `FLAIR` or `brain` in a file's or folder's name says that it is no T1 scan. A
# file that cannot be trusted is listed with the reason, and the others are used. Scans
# must show what this cohort shows, heads at T1.
#
# Neither mask nor labels? Then `masks.find` asks a small network that knows brains; its
# card, `models/brain.md`, says how good it is. Without labels the regions cannot be
# compared: where a table speaks of their Dice it says `nan` or nothing, and the Dice of
# the brains is what remains.
#
# Left empty, the cell makes such a folder from four scans of this cohort and reads it.

# %%
my_folder = ""

example = tempfile.TemporaryDirectory()
if not my_folder:
    for name, place in (("anna", 0), ("ben", 1), ("clara", 2), ("dora", 3)):
        one = scans.train.native(place)
        start = f"{example.name}/{name}"
        nifti.save(f"{start}.nii.gz", one.image, one.affine)
        nifti.save(f"{start}_mask.nii.gz", one.mask, one.affine)
mine = cohort.load(
    "folder", 4.0, limit=10, folder=my_folder or example.name, brain=masks.find
)
print("fixed:", mine.fixed.ids, "train:", mine.train.ids, "test:", mine.test.ids)

# %%
import os

if my_folder:
    os.environ["REGISTRATION_SOURCE"] = "folder"
    os.environ["REGISTRATION_FOLDER"] = my_folder


# %% [markdown]
# The two variables hold for this kernel. Set them before Jupyter starts, and they hold
# for every notebook of the series that has heads in it.
#
# ## A pitfall: the mirror
# Flip the array of the first axis and leave the affine as it is. Which of these two
# heads is the true one?


# %%
def brain_ncc(scan):
    """Return the correlation of a stripped scan with the stripped fixed one."""
    return ncc(fixed.stripped(), scan.stripped())


mirrored = dataclasses.replace(fixed, image=fixed.image[::-1], mask=fixed.mask[::-1])
to_others = [brain_ncc(align(scans.test.scan(i))) for i in test]
to_mirror = brain_ncc(mirrored)
print(f"NCC of the fixed brain with its mirror image: {to_mirror:.2f}")
print(f"with the most alike of the aligned test brains: {max(to_others):.2f}")
show.planes(
    voxel_mm=settings.voxel_mm,
    **world,
    one=mirrored.image,
    other=fixed.image,
    alt="A head and its mirror image; nothing in the picture tells which is which",
)

# %% [markdown]
# It is the second. Nobody can tell, and hardly a similarity measure: compare the two
# numbers. A brain is about as much like its own mirror image as like the most similar
# of the others, so no registration will flip it back. The only thing that knows left
# from right is the affine: never touch an array without touching its affine, and
# distrust a pipeline that exports arrays alone.
#
# ## Five key points
# 1. A scan is an array *and* an affine. Axes, voxel size and left from right stand in
#    the affine alone; turn both or neither.
# 2. Networks want arrays of one shape: one common grid, each scan read on it through
#    its own affine.
# 3. An intensity of T1 is no measurement. Scale by percentiles of the head, so that
#    neither an outlier nor the air decides.
# 4. More than half of what a similarity measure sees of a head is not brain.
# 5. Centre and size alone bring two brains a good part of the way; a brain and its
#    mirror image, nothing in the picture tells apart.
#
# ## Knobs
# What we have seen while building this; the notebook does not measure it.
#
# | knob | raise it, then ... |
# | --- | --- |
# | `voxel_mm` | memory falls with its cube, and thin folds disappear |
# | `train` | the average of all heads is smoother; loading takes longer |
# | `test` | the scorecard is steadier |
# | the upper percentile of the head | fat stays below 1, and the brain gets darker |
# | `level` of an outline | of a mask nothing, of probabilities the outline shrinks |
#
# ## Exercises
# Each has a solution that this notebook runs, at its very end.
#
# **1. Aliasing.** `fixed.image[::2, ::2, ::2]` also gives 4 mm voxels. Compare it with
# the mean of blocks of 2 × 2 × 2 voxels. Where do they differ, and why?
#
# **2. Older brains.** Plot the share of the fluid inside the skull against `ages`. Take
# as fluid what is darker than 0.3 inside the mask.
#
# **3. A better average.** Align the centres and sizes of all scans to their own *mean*
# centre and size instead of those of one person. Does the average get sharper? Would it
# with a deformable registration?
#
# ## Where to read on
# - [Coordinate systems and affines](https://nipy.org/nibabel/coordinate_systems.html)
#   and [image orientation](https://nipy.org/nibabel/image_orientation.html) in
#   NiBabel's documentation.
# - [The NIfTI-1 header](https://nifti.nimh.nih.gov/nifti-1), field by field, and
#   [BIDS](https://bids-specification.readthedocs.io), how to name files so that
#   programs find them.
# - The IXI dataset, and DLMUSE, whose automatic segmentation gave the label maps: the
#   Dice values of this series are therefore indicative.
#
# Next: [twelve numbers from a network](04_affine_3d_t1.ipynb).
#
# ## Solutions
# **1.** Picking every second voxel keeps detail too fine for the grid, as jagged edges
# and false texture, and shifts the picture by half a small voxel on each axis. The
# loader averages blocks.

# %%
picked = fixed.image[::2, ::2, ::2]
blocks = fixed.image.reshape(*np.stack([picked.shape, (2, 2, 2)], axis=1).ravel())
averaged = blocks.mean(axis=(1, 3, 5))
rough = [np.abs(np.diff(image, axis=0)).mean() for image in (picked, averaged)]
print(f"mean step to the next voxel: picked {rough[0]:.4f}, averaged {rough[1]:.4f}")
assert rough[0] > 1.05 * rough[1]
show.planes(
    voxel_mm=4.0,
    centre=fixed.grid.centre,
    picked=picked,
    averaged=averaged,
    alt="Every second voxel, and the mean of blocks of eight",
)

# %% [markdown]
# **2.** Brains lose volume with age and fluid fills the room: deformable registration
# of an old brain to a young one has to close ventricles. Yet these dots tell little of
# it. Few people, and a threshold on an intensity, which is no measurement: the same 0.3
# cuts each head at another place. Counted labels would do better. Simulated heads have
# no age.

# %%
people = [scans.train.scan(i) for i in train]
share = np.array([np.mean(one.image[one.mask] < 0.3) for one in people])
known = np.isfinite(scans.train.ages)
picture = show.figure(5, 2.6, "Share of dark voxels inside the brain mask against age")
ax = picture.subplots()
ax.plot(scans.train.ages, share, "o", color="#0072B2")
ax.set(xlabel="age in years", ylabel="share darker than 0.3")
if scans.source == "ixi" and known.sum() < 20:
    correlation = np.corrcoef(scans.train.ages[known], share[known])[0, 1]
    print(f"correlation with age {correlation:.2f} in {known.sum()} people")
    assert correlation < 0.5
picture

# %% [markdown]
# **3.** No: the same numbers are matched, to another target. With a deformable
# registration it matters, because less has to be bent when the target is in the middle.
# That is how templates such as MNI152 are made.

# %%
fixed_centre = np.mean([centre for centre, _ in moments], axis=0)
fixed_size = np.mean([size for _, size in moments], axis=0)
again = sum(align(scans.train.scan(i)).image for i in train) / len(train)
sharpness = [np.abs(np.diff(image, axis=1)).mean() for image in (before, after, again)]
for name, value in zip(("unaligned", "one", "mean"), sharpness, strict=True):
    print(f"{name:10} {value:.4f} a voxel")
if scans.source == "ixi":
    assert abs(sharpness[2] / sharpness[1] - 1) < 0.25
    assert sharpness[2] > sharpness[0]
