"""Draw images/mean_brain.jpeg: a head, and two means of 24 heads.

The mean of the affines, from which `registration template` starts, and the mean at
which it ends, made anew of training scans cut out by their label maps.
"""

import tempfile
from pathlib import Path

import nibabel
import numpy as np

from benchmarks.accuracy import pairs
from registration import itk, template, transform
from registration.scans import nifti
from registration.show import geometry, style

ROOT = Path(__file__).resolve().parents[2]
IMAGE = ROOT / "images/mean_brain.jpeg"
SCANS = 24


def made(folder):
    """Make the mean of some scans; return it after every round, and one of them."""
    folder = Path(folder)
    (folder / "scans").mkdir()
    heads = [pairs.scan(name) for name in pairs.split_names("train")[:SCANS]]
    for number, head in enumerate(heads):
        nifti.save(folder / f"scans/{number:02d}.nii.gz", head.image, head.affine)
    out = folder / "out"
    template.template(folder / "scans", out, command=["template"])
    rounds = nibabel.load(out / "rounds.nii.gz")
    one = nifti.load(out / "template.nii.gz")
    way = template.TRANSFORMS[0].format("00")
    return np.moveaxis(rounds.get_fdata(), -1, 0), heads[0], one.grid, out / way


def main():
    """Draw the head, carried to the mean by its affine alone, and the two means."""
    with tempfile.TemporaryDirectory() as folder:
        rounds, head, grid, way = made(folder)
        rough = transform.Transform([itk.read(way).affine])
        own = rough.apply(head, grid).image
    volumes = {
        "one head": own,
        f"mean of {SCANS}, affines": rounds[0],
        f"mean of {SCANS}, velocities": rounds[-1],
    }
    picture, axes = style.subplots(2, 3, 7.6, 5.6, "A head and two means of heads")
    for column, (name, volume) in zip(axes.T, volumes.items(), strict=True):
        top = np.quantile(volume[volume > 0], 0.995)
        for ax, plane, part in zip(column, (2, 1), (0.55, 0.45), strict=True):
            index = int(part * volume.shape[geometry.PLANES[plane].axis])
            cut = geometry.cut(volume, geometry.PLANES[plane], index)
            ax.imshow(cut, cmap="gray", vmin=0, vmax=top)
            ax.set_axis_off()
        column[0].set_title(name)
    picture.save(IMAGE)


if __name__ == "__main__":
    main()
