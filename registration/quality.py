"""How good a registration is, in numbers, and where it looks wrong."""

import numpy as np
from scipy import ndimage

from helpers import metrics
from registration import inputs, transform
from registration.scans import grid as grids

VOXEL_MM = 2.0
RIM_MM = 8.0
WINDOW = 5
SOME = 20_000
LARGE = 200
BRAIN_ML = (700.0, 2200.0)
SHEARED = 1e-3


def box(scan, voxel_mm, rim_mm=RIM_MM):
    """Return a grid around the brain of a scan.

    Args:
        scan: `scan.Scan` with a mask.
        voxel_mm: Edge of its voxels.
        rim_mm: How much more than the brain it holds on every side.

    Returns:
        `grid.Grid` of cubic voxels along right, anterior, superior.
    """
    places = np.argwhere(scan.brain()) @ scan.affine[:3, :3].T + scan.affine[:3, 3]
    low, high = places.min(axis=0) - rim_mm, places.max(axis=0) + rim_mm
    return grids.box((low + high) / 2, np.ceil((high - low) / voxel_mm), voxel_mm)


def measured(found, moving, fixed, moved, inverse=None):
    """Measure a registration inside the fixed scan's brain, on voxels of 2 mm.

    Args:
        found: `transform.Transform`.
        moving: `scan.Scan` with a mask, and labels where there are any.
        fixed: `scan.Scan` the same.
        moved: `scan.Scan`, the moving one on the fixed one's grid.
        inverse: The `transform.Transform` of the way back, or None.

    Returns:
        Dict of `before` and `after`, dicts of `ncc`, `local_ncc`, `brain_dice` and,
        where both scans have labels, `dice`; and of `folded_percent`,
        `log_jacobian_sd`, `volume_ratio`, `outside_percent` (of the fixed brain, where
        the moving scan does not reach), `there_and_back_mm` and
        `there_and_back_worst_mm`, which are None without an inverse.
    """
    grid = box(fixed, VOXEL_MM)
    inside = transform.fetch(fixed.brain(), fixed.affine, grid.points())
    target = grids.resample(fixed.image, fixed.affine, grid)
    points = {"before": grid.points(), "after": found.points(grid.points())}
    images = {
        "before": grids.resample(moving.image, moving.affine, grid),
        "after": grids.resample(moved.image, moved.affine, grid),
    }
    numbers = {
        name: _similarity(target, images[name], inside)
        | {"brain_dice": _overlap(moving, inside, points[name])}
        for name in points
    }
    if moving.labels is not None and fixed.labels is not None:
        still = transform.Transform().apply(moving, fixed.grid).labels
        numbers["before"]["dice"] = mean_dice(fixed.labels, still)
        numbers["after"]["dice"] = mean_dice(fixed.labels, moved.labels)
    determinant = metrics.jacobian_determinant(points["after"], grid.affine)[inside]
    reached = transform.fetch(
        np.ones(moving.image.shape, bool), moving.affine, points["after"][inside]
    )
    numbers |= {
        "folded_percent": 100 * float(np.mean(determinant <= 0)),
        "log_jacobian_sd": float(np.log(determinant[determinant > 0]).std()),
        "volume_ratio": float(np.linalg.det(found.affine[:3, :3])),
        "outside_percent": 100 * float(np.mean(~reached)),
    }
    return numbers | there_and_back(found, inverse, points["before"][inside])


def there_and_back(found, inverse, points):
    """Measure by how much points miss themselves after the way there and back.

    Args:
        found: `transform.Transform`.
        inverse: The one of the way back, or None.
        points: Array `(n, 3)` in RAS mm; of many, some are taken.

    Returns:
        Dict of the mean, `there_and_back_mm`, and the largest,
        `there_and_back_worst_mm`; None without an inverse.
    """
    names = "there_and_back_mm", "there_and_back_worst_mm"
    if inverse is None:
        return dict.fromkeys(names)
    some = points[:: max(1, len(points) // SOME)].astype("float64")
    missed = metrics.tre(some, inverse.points(found.points(some)))
    return dict(zip(names, (float(missed.mean()), float(missed.max())), strict=True))


def local_ncc(fixed, moved, inside):
    """Return the mean squared correlation in windows of 5 voxels.

    Args:
        fixed: Float array `(i, j, k)`.
        moved: Float array of the same shape.
        inside: Bool array of the same shape: the windows' centres that count.

    Returns:
        float in [0, 1]; a window in which an image is constant counts zero.
    """
    fixed, moved = (np.asarray(image, "float64") for image in (fixed, moved))
    means = [ndimage.uniform_filter(image, WINDOW) for image in (fixed, moved)]
    spreads = [
        ndimage.uniform_filter(image**2, WINDOW) - mean**2
        for image, mean in zip((fixed, moved), means, strict=True)
    ]
    shared = ndimage.uniform_filter(fixed * moved, WINDOW) - means[0] * means[1]
    varied = inside.copy()
    for image, spread in zip((fixed, moved), spreads, strict=True):
        varied &= spread > 1e-6 * max(image.var(), 1e-30)
    product = spreads[0] * spreads[1]
    values = np.divide(shared**2, product, out=np.zeros(shared.shape), where=varied)
    return float(values[inside].mean())


def mean_dice(fixed_labels, moved_labels):
    """Return the mean Dice of the labels large enough to judge, of all if none is.

    Args:
        fixed_labels: Integer array.
        moved_labels: Integer array of the same shape.

    Returns:
        float in [0, 1].
    """
    counts = np.bincount(fixed_labels.ravel())[1:]
    few = LARGE if counts.max() >= LARGE else 1
    return metrics.mean_dice(fixed_labels, moved_labels, few)


def _similarity(fixed, moved, inside):
    flat = (image[inside][None] for image in (fixed, moved))
    return {
        "ncc": float(metrics.ncc(*flat)[0]),
        "local_ncc": local_ncc(fixed, moved, inside),
    }


def _overlap(moving, inside, points):
    carried = transform.fetch(moving.brain(), moving.affine, points)
    return metrics.dice(inside.astype("uint8"), carried.astype("uint8"), [1])[1]


def warnings(numbers, moving, fixed, found, masks):
    """Say where a registration looks wrong.

    Args:
        numbers: What `measured` returns.
        moving: `scan.Scan` with a mask.
        fixed: `scan.Scan` with a mask.
        found: `transform.Transform`.
        masks: Dict of `moving` and `fixed`: how the mask was come by.

    Returns:
        List of sentences, empty where nothing does.
    """
    said, after = [], numbers["after"]
    for name, scan in (("moving", moving), ("fixed", fixed)):
        size = inputs.volume_ml(scan.brain(), scan)
        if not BRAIN_ML[0] <= size <= BRAIN_ML[1]:
            said.append(
                f"The brain of the {name} scan ({masks[name]}) holds {size:.0f} ml, "
                f"which is not the size of a brain: give one by --{name}-mask."
            )
        if scan.grid.shear > SHEARED:
            said.append(
                f"The sform of the {name} scan shears it, which ITK, ANTs, SimpleITK "
                "and Slicer cannot: they place the scan by its qform. The transform "
                "files hold, but to move a scan use `apply`, not these tools."
            )
    if after["brain_dice"] < 0.9:
        said.append(
            f"The two brains overlap by a Dice of {after['brain_dice']:.2f} only: the "
            "registration probably failed. Look at the outlines; give masks, or a "
            "rough alignment by --start."
        )
    least = 0.5 if found.is_affine else 0.75
    if after["ncc"] < max(least, numbers["before"]["ncc"]):
        said.append(
            f"The moved scan resembles the fixed one little (NCC {after['ncc']:.2f}, "
            f"before {numbers['before']['ncc']:.2f}): look at the pictures before you "
            "use the result."
        )
    if numbers["folded_percent"] > 0.1:
        said.append(
            f"{numbers['folded_percent']:.2f} % of the brain is folded: there the "
            "transform has no inverse."
        )
    if numbers["log_jacobian_sd"] > 0.57:
        said.append(
            "The deformation is rough (spread of the log-Jacobian "
            f"{numbers['log_jacobian_sd']:.2f}; 0.3 to 0.5 between healthy heads): a "
            "mask or the affine may be wrong. Look at the outlines."
        )
    if numbers["there_and_back_worst_mm"] and numbers["there_and_back_worst_mm"] > 8:
        said.append(
            "Somewhere the way there and back misses by "
            f"{numbers['there_and_back_worst_mm']:.1f} mm."
        )
    stretch = np.linalg.svd(found.affine[:3, :3], compute_uv=False)
    if stretch.max() > 1.6 or stretch.min() < 1 / 1.6:
        said.append(
            f"The affine stretches by a factor of {stretch.min():.2f} to "
            f"{stretch.max():.2f}, more than heads differ."
        )
    if numbers["outside_percent"] > 2:
        said.append(
            f"{numbers['outside_percent']:.0f} % of the fixed brain lies where the "
            "moving scan has no voxels, and is black."
        )
    back = numbers["there_and_back_mm"]
    if back is None:
        said.append("The transform has no inverse that can be found: it folds.")
    elif back > 0.5:
        said.append(f"There and back misses by {back:.2f} mm in the mean.")
    return said
