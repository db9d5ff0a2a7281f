"""How well two images are aligned, as plain floats and arrays; NumPy alone."""

import numpy as np


def ncc(fixed, moved):
    """Return the normalised cross-correlation of each pair.

    Args:
        fixed: Array `(batch, *shape, channels)`.
        moved: Array of the same shape.

    Returns:
        Float64 array `(batch,)` in [-1, 1]; 0 where an image is constant.

    Raises:
        ValueError: If the shapes differ.
    """
    fixed, moved = (np.asarray(image, "float64") for image in (fixed, moved))
    if fixed.shape != moved.shape:
        raise ValueError(
            f"fixed and moved must have one shape. Received: {fixed.shape} and "
            f"{moved.shape}"
        )
    fixed, moved = (image.reshape(len(image), -1) for image in (fixed, moved))
    fixed = fixed - fixed.mean(axis=1, keepdims=True)
    moved = moved - moved.mean(axis=1, keepdims=True)
    norm = np.sqrt((fixed**2).sum(axis=1) * (moved**2).sum(axis=1))
    product = (fixed * moved).sum(axis=1)
    return np.divide(product, norm, out=np.zeros(len(norm)), where=norm > 1e-12)


def dice(fixed_labels, moved_labels, labels=None):
    """Return the overlap of every label of two label maps.

    Args:
        fixed_labels: Integer array `(*shape)`.
        moved_labels: Integer array of the same shape.
        labels: The labels to compare; all of `fixed_labels` but 0 if `None`.

    Returns:
        Dict label → float in [0, 1]; a label absent from both maps is NaN.

    Raises:
        ValueError: If the shapes differ or an array is not of integers.
    """
    fixed_labels, moved_labels = np.asarray(fixed_labels), np.asarray(moved_labels)
    if fixed_labels.shape != moved_labels.shape:
        raise ValueError(
            "the label maps must have one shape. Received: "
            f"{fixed_labels.shape} and {moved_labels.shape}"
        )
    if fixed_labels.dtype.kind not in "iub" or moved_labels.dtype.kind not in "iub":
        raise ValueError(
            "labels must be integers; warp them with mode='nearest'. Received: "
            f"{fixed_labels.dtype} and {moved_labels.dtype}"
        )
    size = 1 + int(max(fixed_labels.max(), moved_labels.max()))
    both = np.bincount(fixed_labels[fixed_labels == moved_labels], minlength=size)
    in_fixed = np.bincount(fixed_labels.ravel(), minlength=size)
    total = in_fixed + np.bincount(moved_labels.ravel(), minlength=size)
    if labels is None:
        labels = np.flatnonzero(in_fixed)[np.flatnonzero(in_fixed) > 0]
    return {
        int(label): float(2 * both[label] / total[label])
        if label < size and total[label]
        else float("nan")
        for label in labels
    }


def mean_dice(fixed_labels, moved_labels, min_voxels=200):
    """Return the project's Dice: the mean over the labels large enough to judge.

    Args:
        fixed_labels: Integer array `(*shape)` on the fixed scan's grid.
        moved_labels: Integer array of the same shape, warped once by nearest.
        min_voxels: Labels with fewer voxels in `fixed_labels` do not count.

    Returns:
        float in [0, 1].

    Raises:
        ValueError: If no label is large enough, or as `dice`.
    """
    counts = np.bincount(np.asarray(fixed_labels).ravel())
    labels = [label for label in np.flatnonzero(counts >= min_voxels) if label > 0]
    if not labels:
        raise ValueError(
            f"no label of the fixed map has {min_voxels} voxels. "
            f"Received: {len(counts)} labels, the largest {counts[1:].max(initial=0)}"
        )
    return float(np.mean(list(dice(fixed_labels, moved_labels, labels).values())))


def tre(fixed_points, moved_points):
    """Return the target registration error of corresponding points.

    Args:
        fixed_points: Array `(n, ndim)` in world millimetres: where each landmark is.
        moved_points: Array `(n, ndim)` in world millimetres: where it was found.

    Returns:
        Float64 array `(n,)` in millimetres.

    Raises:
        ValueError: If the shapes differ.
    """
    fixed_points, moved_points = np.asarray(fixed_points), np.asarray(moved_points)
    if fixed_points.shape != moved_points.shape:
        raise ValueError(
            "the points must correspond one to one. Received: "
            f"{fixed_points.shape} and {moved_points.shape}"
        )
    return np.linalg.norm(fixed_points - moved_points, axis=-1).astype("float64")


def jacobian_determinant(points, affine=None):
    """Return by how much a transform stretches the volume around each voxel.

    Central differences, one-sided at the border.

    Args:
        points: Array `(*shape, ndim)`, where each voxel is carried to, `ndim` 2 or 3.
        affine: Array `(ndim + 1, ndim + 1)` from voxels to the units of the points;
            `None` for points in voxels.

    Returns:
        Array `(*shape)`: 1 where nothing changes, at or below 0 where it folds.
    """
    axes = range(points.shape[-1])
    columns = [np.gradient(points, axis=axis) for axis in axes]
    determinant = np.linalg.det(np.stack(columns, axis=-1))
    return (
        determinant if affine is None else determinant / np.linalg.det(affine[:-1, :-1])
    )


def folding(displacement):
    """Measure where a displacement turns space inside out.

    Args:
        displacement: Array `(batch, *shape, ndim)` in voxels.

    Returns:
        Dict of float64 arrays `(batch,)`: `folded_percent`, the share of voxels
        whose Jacobian determinant is at or below 0; `log_jacobian_sd`, the standard
        deviation of the logarithm of the determinant over all other voxels.
    """
    displacement = np.asarray(displacement)
    grid = np.moveaxis(np.indices(displacement.shape[1:-1]), 0, -1)
    found = [jacobian_determinant(grid + field) for field in displacement]
    upright = [d[~(d <= 0)] for d in found]
    return {
        "folded_percent": np.array([100 * (d <= 0).mean() for d in found]),
        "log_jacobian_sd": np.array(
            [np.log(d).std() if d.size else np.nan for d in upright]
        ),
    }
