"""Let other tools apply what `pair` writes, and measure how far they agree with us.

A synthetic head is seen on pairs of grids of every kind, and `pair` writes its files
for a known affine and a known smooth field, the networks being replaced. SimpleITK,
ANTs and nitransforms then carry points and the scan through these files.

    python -m benchmarks.accuracy.agreement [--only oblique]
"""

import argparse
import pathlib
import tempfile
from unittest import mock

import nibabel
import numpy as np
import pandas

from benchmarks.accuracy import agreement_tools
from registration import apply, finding, itk, pair, report, transform
from registration.scans import grid as grids

CSV = pathlib.Path(__file__).parents[1] / "results" / "agreement.csv"
POINTS = 1000
# Of a point from the border of the volume that is read, in voxels.
BORDER_VOXELS = 2
MIDDLE = np.array([3.0, -12.0, 8.0])
RADII = np.array([62.0, 78.0, 58.0])
FILES = {"affine": "affine.tfm", "field": "transform.h5", "warp": "warp.nii.gz"}
WAYS = {"forward": "", "inverse": "inverse_"}
COLUMNS = [
    "geometry",
    "tool",
    "way",
    "affine_mm",
    "field_mm",
    "warp_mm",
    "affine_percent",
    "field_percent",
    "warp_percent",
]


def rotation(degrees, axis):
    """Return the `(3, 3)` matrix that turns about an axis."""
    x, y, z = np.asarray(axis, "float64") / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def placed(linear, sides, size=1.0):
    """Return a grid whose middle is the head's.

    Args:
        linear: `(3, 3)`, a voxel's edges in RAS mm, one a column.
        sides: What it spans along each axis, in mm.
        size: Factor of these sides.

    Returns:
        `grid.Grid`.
    """
    linear = np.asarray(linear, "float64")
    steps = np.linalg.norm(linear, axis=0)
    shape = np.ceil(size * np.asarray(sides) / steps).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = size * MIDDLE - linear @ (shape - 1) / 2
    return grids.Grid(shape, affine)


def geometries(size=1.0):
    """Return the pairs of grids.

    Args:
        size: Factor of the head's size and of what the grids span.

    Returns:
        Dict of name → (moving, fixed), each a `grid.Grid`.
    """
    sides = np.array([170.0, 200.0, 165.0])
    plain, coarse = np.diag([2.5, 2.5, 2.5]), np.diag([4.5, 4.5, 4.5])
    oblique = rotation(25, (1, 2, 3)) @ np.diag([2.0, 2.5, 3.0])
    other = rotation(-18, (3, -1, 1)) @ np.diag([2.5, 2.0, 2.5])
    # Columns: to the left, to the back, up; and with the axes in another order.
    turned = np.array([[-2.5, 0, 0], [0, -2.5, 0], [0, 0, 2.5]])
    shuffled = np.array([[0, 0, 2.5], [-2.5, 0, 0], [0, -2.5, 0]])
    left_handed = np.diag([-2.5, 2.5, 2.5])
    shear = np.array([[1.0, 0.12, 0.0], [0.0, 1.0, -0.08], [0.05, 0.0, 1.0]])
    pairs = {
        "isotropic": (plain, plain),
        "anisotropic": (np.diag([3.0, 2.0, 2.5]), np.diag([2.5, 2.5, 3.5])),
        "oblique": (oblique, other),
        "flipped": (shuffled, turned),
        "different sizes": (plain, np.diag([2.2, 2.2, 2.2])),
        "left-handed": (left_handed, rotation(10, (0, 1, 1)) @ left_handed),
        "sheared": (plain, shear @ plain),
        "coarse fixed scan": (plain, coarse),
    }
    spans = {"different sizes": (sides, sides * [0.85, 0.8, 0.9])}
    return {
        name: tuple(
            placed(linear, span, size)
            for linear, span in zip(pair, spans.get(name, (sides, sides)), strict=True)
        )
        for name, pair in pairs.items()
    }


def head(points, size=1.0):
    """Return a smooth head at points `(..., 3)` in RAS mm: float32, 0 to about 100."""
    places = (np.asarray(points, "float64") / size - MIDDLE) / RADII
    inside = 1 / (1 + np.exp(10 * (np.linalg.norm(places, axis=-1) - 1)))
    waves = [np.cos(4.0 * places[..., axis] + axis) for axis in range(3)]
    texture = 0.6 + 0.4 * waves[0] * waves[1] * waves[2] + 0.15 * places[..., 0]
    return (100 * inside * texture).astype("float32")


def brain(points, size=1.0):
    """Return which points lie in the brain of `head`."""
    places = (np.asarray(points, "float64") / size - MIDDLE) / RADII
    return np.linalg.norm(places, axis=-1) < 0.85


def save(path, grid, size=1.0):
    """Write the head on a grid; its qform has right angles where its sform has none."""
    image = nibabel.Nifti1Image(head(grid.points(), size), grid.affine)
    image.set_sform(grid.affine, code="scanner")
    image.set_qform(grid.affine, code="scanner")
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def known(kind, size=1.0):
    """Return the transform that stands for what the networks find.

    Args:
        kind: `"affine"`, or `"dense"` for a field before the same affine.
        size: Factor of the head's size.

    Returns:
        `transform.Transform`.
    """
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(9, (2, 1, -2)) @ np.array(
        [[1.06, 0.04, 0], [0, 0.95, 0.03], [-0.02, 0, 1.02]]
    )
    matrix[:3, 3] = size * np.array([4.0, -3.0, 5.0])
    rough = transform.Transform([matrix])
    if kind == "affine":
        return rough
    middle = size * MIDDLE
    grid = grids.box(middle, np.ceil(size * 2.3 * RADII / 2), 2.0)
    places = (grid.points().astype("float64") - middle) / size
    waves = [
        np.sin(2 * np.pi * places[..., (axis + 1) % 3] / 105 + axis)
        * np.cos(2 * np.pi * places[..., axis] / 150)
        for axis in range(3)
    ]
    # A smaller head bends as much in a voxel as a large one.
    vectors = 3.5 * size**2 * np.stack(waves, axis=-1)
    return rough @ transform.Transform([transform.Field(grid, vectors.astype("f4"))])


def written(folder, moving, fixed, kind, size=1.0):
    """Let `pair` write its files for a pair of grids, the networks being replaced.

    Args:
        folder: An existing folder; receives `moving.nii.gz`, `fixed.nii.gz` and the
            results, in `affine` or `dense`.
        moving: `grid.Grid`.
        fixed: `grid.Grid`.
        kind: `"affine"` or `"dense"`.
        size: Factor of the head's size.

    Returns:
        `pathlib.Path` of the results.
    """
    for name, grid in (("moving", moving), ("fixed", fixed)):
        save(folder / f"{name}.nii.gz", grid, size)

    def find(one, other, *rest):
        """Answer as `finding.find`."""
        masks = tuple(brain(scan.grid.points(), size) for scan in (one, other))
        given = {"moving": "given", "fixed": "given"}
        return finding.Found(known(kind, size), masks, given, 0.0, {}, "agreement")

    out = folder / kind
    with (
        mock.patch.object(finding, "find", find),
        mock.patch.object(report, "can_draw", lambda: False),
    ):
        pair.pair(
            folder / "moving.nii.gz",
            folder / "fixed.nii.gz",
            out,
            transform=kind,
            inverse=True,
            retry=False,
        )
    return out


def compared(tool, folder, way, size=1.0, count=POINTS):
    """Hold a tool's points and scans beside ours, for one pair and one way.

    Args:
        tool: Module or object with `points(path, points)` and
            `moved(path, source, reference)`, see `agreement_tools`.
        folder: Where `written` has put both kinds.
        way: Key of `WAYS`.
        size: Factor of the head's size.
        count: How many points.

    Returns:
        Dict of `affine_mm`, `affine_percent` and so on: the largest distance of a
        point from ours, and the largest difference of a voxel in percent of the
        scan's range.
    """
    source, reference = ("moving", "fixed") if way == "forward" else ("fixed", "moving")
    source, reference = (folder / f"{name}.nii.gz" for name in (source, reference))
    grid = _grid(reference)
    places = random_points(grid, size, count)
    found = {}
    for name, file in FILES.items():
        out = folder / ("affine" if name == "affine" else "dense")
        path = out / f"{WAYS[way]}{file}"
        ours = itk.read(out / f"{WAYS[way]}transform.h5")
        expected = nibabel.load(out / f"{WAYS[way]}moved.nii.gz").get_fdata()
        apart = tool.points(path, places) - ours.points(places)
        found[f"{name}_mm"] = float(np.linalg.norm(apart, axis=1).max())
        theirs = tool.moved(path, source, reference)
        inside = away_from_border(ours.points(grid.points()), _grid(source))
        difference = np.abs(theirs - expected)[inside].max()
        span = np.ptp(nibabel.load(source).get_fdata())
        found[f"{name}_percent"] = float(100 * difference / span)
    return found


def random_points(grid, size=1.0, count=POINTS, seed=0):
    """Return points at random places in the brain, float64 `(count, 3)` in RAS mm."""
    random = np.random.default_rng(seed)
    voxels = random.uniform(0, np.array(grid.shape) - 1, (20 * count, 3))
    points = nibabel.affines.apply_affine(grid.affine, voxels)
    return points[brain(points, size)][:count]


def away_from_border(points, grid):
    """Return which points lie in a volume, away from its border."""
    voxels = nibabel.affines.apply_affine(np.linalg.inv(grid.affine), points)
    last = np.array(grid.shape) - 1 - BORDER_VOXELS
    return ((voxels >= BORDER_VOXELS) & (voxels <= last)).all(axis=-1)


def chained(folder, tool, size=1.0):
    """Measure a chain of two transforms that do not commute.

    Args:
        folder: Where `written` has put a dense result.
        tool: As in `compared`.
        size: Factor of the head's size.

    Returns:
        Dict as of `compared`, and `swapped_mm`, by how much half of the points change
        at least where the two change places.
    """
    second = np.eye(4)
    second[:3, :3] = rotation(30, (0, 0, 1))
    second[:3, 3] = size * np.array([10.0, 0, -6.0])
    itk.save(folder / "second.tfm", transform.Transform([second]))
    chain = [folder / "dense" / "transform.h5", folder / "second.tfm"]
    reference, source = folder / "fixed.nii.gz", folder / "moving.nii.gz"
    grid = _grid(reference)
    places = random_points(grid, size)
    ours = apply.read_chain(chain)
    apart = tool.points(chain, places) - ours.points(places)
    out = folder / "chained.nii.gz"
    apply.apply(source, chain, reference, out, force=True)
    inside = away_from_border(ours.points(grid.points()), _grid(source))
    expected = nibabel.load(out).get_fdata()
    difference = np.abs(tool.moved(chain, source, reference) - expected)[inside].max()
    swapped = apply.read_chain(chain[::-1]).points(places) - ours.points(places)
    span = np.ptp(nibabel.load(source).get_fdata())
    return {
        "field_mm": float(np.linalg.norm(apart, axis=1).max()),
        "field_percent": float(100 * difference / span),
        "swapped_mm": float(np.median(np.linalg.norm(swapped, axis=1))),
    }


def _grid(path):
    image = nibabel.load(path)
    return grids.Grid(image.shape[:3], image.affine)


def main(argv=None):
    """Measure all tools on all pairs, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of a geometry's name")
    parser.add_argument("--csv", type=pathlib.Path, default=CSV)
    options = parser.parse_args(argv)
    rows = []
    for name, (moving, fixed) in geometries().items():
        if options.only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for kind in ("affine", "dense"):
                written(folder, moving, fixed, kind)
            for title, tool in agreement_tools.TOOLS.items():
                for way in WAYS:
                    found = compared(tool, folder, way)
                    rows.append({"geometry": name, "tool": title, "way": way} | found)
                    print(rows[-1], flush=True)
                if name == "oblique":
                    found = chained(folder, tool)
                    apart = found.pop("swapped_mm")
                    text = f"two in a chain; swapped, {apart:.0f} mm away"
                    rows.append({"geometry": text, "tool": title, "way": "forward"})
                    rows[-1] |= found
                    print(rows[-1], flush=True)
    table = pandas.DataFrame(rows, columns=COLUMNS)
    table = table.sort_values("geometry", key=_order(table), kind="stable")
    options.csv.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.csv, index=False, float_format="%.3g", lineterminator="\n")


def _order(table):
    """Return a key that puts the chain after the geometries."""
    names = list(dict.fromkeys(table["geometry"]))
    names.sort(key=lambda name: name.startswith("two in a chain"))
    return lambda column: column.map(names.index)


if __name__ == "__main__":
    main()
