"""Algebra of affine transforms, in 2D and 3D.

An affine is `(batch, ndim, ndim + 1)` and maps a point of the fixed image to the
point of the moving image where it is fetched. Its coordinates are centred and
isotropically scaled: the origin is the centre of the volume and 1 is half its
longest side in millimetres, on every axis. A rotation matrix so stays a rotation
on a non-cubic volume, and what was found at 4 mm holds at 2 mm.
"""

import numpy as np

from helpers.backend import keras, ops
from helpers.world import from_world, to_world, voxel_to_centred  # noqa: F401

PARAMETRISATIONS = ("exponential", "direct")
KINDS = ("affine", "rigid")


def identity(ndim, batch=1):
    """Return the affine that moves nothing.

    Args:
        ndim: Number of spatial axes.
        batch: Number of copies.

    Returns:
        Float32 tensor `(batch, ndim, ndim + 1)`.
    """
    return ops.tile(ops.eye(ndim, ndim + 1, dtype="float32")[None], (batch, 1, 1))


def homogeneous(affine):
    """Append the row (0 … 0 1), so that affines compose by matrix product.

    Args:
        affine: Float tensor `(batch, ndim, ndim + 1)`.

    Returns:
        Float tensor `(batch, ndim + 1, ndim + 1)`.

    Raises:
        ValueError: If the shape is not an affine's.
    """
    affine = ops.convert_to_tensor(affine)
    shape = tuple(affine.shape)
    if len(shape) != 3 or shape[2] != shape[1] + 1:
        raise ValueError(
            f"affine must be (batch, ndim, ndim + 1). Received: shape {shape}"
        )
    last = ops.zeros_like(affine[:, :1]) + ops.eye(shape[2], dtype=affine.dtype)[-1]
    return ops.concatenate([affine, last], axis=1)


def compose(outer, inner):
    """Return the affine that applies `inner` first and `outer` to its result.

    Args:
        outer: Float tensor `(batch, ndim, ndim + 1)`.
        inner: Float tensor of the same shape.

    Returns:
        Float tensor of the same shape.
    """
    return ops.matmul(homogeneous(outer), homogeneous(inner))[:, :-1]


def invert(affine):
    """Return the affine that undoes `affine`.

    Args:
        affine: Float tensor `(batch, ndim, ndim + 1)`.

    Returns:
        Float tensor of the same shape. A singular affine raises the linear
        algebra error of the backend or gives infinite entries.
    """
    return ops.inv(homogeneous(affine))[:, :-1]


def exponential(generator, squarings=6, terms=7):
    """Return the matrix exponential by scaling, a Taylor series and squaring.

    Exact to float32 rounding for matrices of norm up to about 10.

    Args:
        generator: Float tensor `(batch, n, n)`.
        squarings: Halvings before the series, squarings after it.
        terms: Terms of the series after the identity.

    Returns:
        Float tensor `(batch, n, n)`.

    Reference:
        Moler and Van Loan, SIAM Review 45 (2003), method 3.
    """
    scaled = generator / 2.0**squarings
    result = unit = ops.eye(generator.shape[-1], dtype=generator.dtype)
    for term in range(terms, 0, -1):
        result = unit + ops.matmul(scaled, result) / term
    for _ in range(squarings):
        result = ops.matmul(result, result)
    return result


def from_parameters(parameters, ndim, kind="affine", parametrisation="exponential"):
    """Turn `ndim * (ndim + 1)` numbers into an affine; zeros give the identity.

    The numbers fill a matrix `(ndim, ndim + 1)` row by row. `"exponential"` takes
    it as a generator: the result always keeps its orientation and the inverse has
    the negated numbers. `"direct"` adds it to the identity. With `kind="rigid"`
    the antisymmetric part of the square block is kept, so that only rotation and
    translation remain; this needs the exponential.

    Args:
        parameters: Float tensor `(batch, ndim * (ndim + 1))`, in radians, log
            scales and half sides of the volume.
        ndim: Number of spatial axes.
        kind: `"affine"` or `"rigid"`.
        parametrisation: `"exponential"` or `"direct"`.

    Returns:
        Float tensor `(batch, ndim, ndim + 1)`.

    Raises:
        ValueError: If a name is unknown, the two do not go together or the number
            of parameters is wrong.
    """
    if kind not in KINDS or parametrisation not in PARAMETRISATIONS:
        raise ValueError(
            f"kind must be one of {KINDS} and parametrisation one of "
            f"{PARAMETRISATIONS}. Received: {kind!r} and {parametrisation!r}"
        )
    if kind == "rigid" and parametrisation == "direct":
        raise ValueError(
            "a rigid transform needs parametrisation='exponential'. Received: 'direct'"
        )
    parameters = ops.convert_to_tensor(parameters)
    if parameters.shape[-1] != ndim * (ndim + 1):
        raise ValueError(
            f"an affine in {ndim}D has {ndim * (ndim + 1)} parameters. "
            f"Received: shape {tuple(parameters.shape)}"
        )
    block = ops.reshape(parameters, (-1, ndim, ndim + 1))
    if parametrisation == "direct":
        return block + identity(ndim)
    if kind == "rigid":
        square = block[..., :ndim]
        turn = (square - ops.swapaxes(square, 1, 2)) / 2
        block = ops.concatenate([turn, block[..., ndim:]], axis=-1)
    generator = ops.pad(block, [(0, 0), (0, 1), (0, 0)])
    return exponential(generator)[:, :ndim]


def translation(shift):
    """Return affines that only shift.

    Args:
        shift: Float tensor `(batch, ndim)` in centred coordinates.

    Returns:
        Float tensor `(batch, ndim, ndim + 1)`.
    """
    ndim = shift.shape[-1]
    return identity(ndim) + ops.pad(shift[..., None], [(0, 0), (0, 0), (ndim, 0)])


def barycentre(image, spacing=1.0):
    """Return the centre of mass of an image, its intensities being the mass.

    Args:
        image: Float tensor `(batch, *shape, channels)`, not negative.
        spacing: Voxel size in mm, one number or one per axis.

    Returns:
        Float tensor `(batch, ndim)` in centred coordinates; zero if all is empty.
    """
    image = ops.convert_to_tensor(image)
    shape = tuple(image.shape[1:-1])
    matrix = voxel_to_centred(shape, spacing)
    mass = ops.reshape(ops.sum(image, axis=-1), (-1, *shape))
    total = ops.maximum(ops.sum(mass, axis=tuple(range(1, len(shape) + 1))), 1e-6)
    centre = []
    for axis, size in enumerate(shape):
        others = tuple(a + 1 for a in range(len(shape)) if a != axis)
        position = matrix[axis, axis] * np.arange(size) + matrix[axis, -1]
        profile = ops.sum(mass, axis=others) if others else mass
        centre.append(ops.matmul(profile, position.astype("float32")) / total)
    return ops.stack(centre, axis=-1)


def decompose(affine):
    """Split affines into rotation, scales, shears and translation.

    The square block is rotation × (upper triangular): scales on the diagonal,
    shears above it, divided by the scale of their row.

    Args:
        affine: Array `(batch, ndim, ndim + 1)`.

    Returns:
        Dict of float64 arrays: `rotation` `(batch, ndim, ndim)`, `angle` `(batch,)`
        of the whole rotation in degrees, `scales` `(batch, ndim)`, `shears`
        `(batch, ndim * (ndim - 1) / 2)`, `translation` `(batch, ndim)` in half
        sides of the volume.
    """
    affine = np.asarray(keras.ops.convert_to_numpy(affine), "float64")
    ndim = affine.shape[1]
    rotation, triangle = np.linalg.qr(affine[..., :ndim])
    sign = np.sign(np.diagonal(triangle, axis1=1, axis2=2))
    rotation, triangle = rotation * sign[:, None], triangle * sign[..., None]
    scales = np.diagonal(triangle, axis1=1, axis2=2)
    above = np.triu_indices(ndim, 1)
    trace = np.trace(rotation, axis1=1, axis2=2)
    cosine = trace / 2 if ndim == 2 else (trace - 1) / 2
    return {
        "rotation": rotation,
        "angle": np.degrees(np.arccos(np.clip(cosine, -1, 1))),
        "scales": scales,
        "shears": (triangle / scales[..., None])[:, above[0], above[1]],
        "translation": affine[..., ndim],
    }
