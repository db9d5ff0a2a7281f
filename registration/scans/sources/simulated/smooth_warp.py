"""Smooth invertible maps of space, exact at every point.

A displacement of cubic B-splines is known in closed form everywhere, not only on
a grid, and has a bound on its slope that is read off its coefficients. Kept below
one, the map `x + displacement(x)` is a diffeomorphism and a fixed-point iteration
inverts it to machine precision.
"""

import numpy as np
from scipy import ndimage

KNOT_MM = 16.0
LOW = np.array([-144.0, -176.0, -208.0])
KNOTS = (19, 23, 23)
STEEPEST = 0.7
FADE_KNOTS = 4


def spline_weights(positions):
    """Return the four cubic B-spline weights at each position, and where they start.

    Args:
        positions: Float array `(n,)` in knots.

    Returns:
        Integer array `(n,)`, the first of four knots, and float array `(n, 4)`.
    """
    floor = np.floor(positions)
    t = positions - floor
    weights = np.stack(
        [
            (1 - t) ** 3 / 6,
            (3 * t**3 - 6 * t**2 + 4) / 6,
            (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
            t**3 / 6,
        ],
        axis=-1,
    )
    return floor.astype(int) - 1, weights


def evaluate(coefficients, points):
    """Evaluate a B-spline field at any points; zero far outside its knots.

    Args:
        coefficients: Float array `(*knots, channels)`.
        points: Float array `(n, 3)` in RAS millimetres.

    Returns:
        Float array `(n, channels)`.
    """
    padded = np.pad(coefficients, [(4, 4)] * 3 + [(0, 0)])
    last = np.array(padded.shape[:3]) - 4
    starts, weights = [], []
    for axis in range(3):
        start, weight = spline_weights((points[:, axis] - LOW[axis]) / KNOT_MM)
        starts.append(np.clip(start + 4, 0, last[axis]))
        weights.append(weight)
    total = np.zeros((len(points), coefficients.shape[-1]))
    for i, j, k in np.ndindex(4, 4, 4):
        share = weights[0][:, i] * weights[1][:, j] * weights[2][:, k]
        values = padded[starts[0] + i, starts[1] + j, starts[2] + k]
        total += share[:, None] * values
    return total


def evaluate_on_axes(coefficients, axes):
    """Evaluate a B-spline field on a grid along the axes; as `evaluate`, but fast.

    Args:
        coefficients: Float array `(*knots, channels)`.
        axes: Three float arrays, the coordinates in RAS millimetres.

    Returns:
        float32 array `(channels, len(x), len(y), len(z))`.
    """
    matrices = []
    for axis, positions in enumerate(axes):
        start, weights = spline_weights((positions - LOW[axis]) / KNOT_MM)
        matrix = np.zeros((len(positions), coefficients.shape[axis]), "float32")
        for k in range(4):
            column = start + k
            held = (column >= 0) & (column < coefficients.shape[axis])
            matrix[np.flatnonzero(held), column[held]] = weights[held, k]
        matrices.append(matrix)
    out = np.moveaxis(coefficients, -1, 0).astype("float32") @ matrices[2].T
    out = matrices[1] @ out
    flat = out.reshape(*out.shape[:2], -1)
    return (matrices[0] @ flat).reshape(-1, *(len(positions) for positions in axes))


def random_field(random, channels, amplitude, smooth_mm):
    """Draw B-spline coefficients of a smooth random field that fades at its border.

    Args:
        random: A NumPy random generator.
        channels: How many fields.
        amplitude: Standard deviation of the coefficients.
        smooth_mm: Width of the Gaussian that smooths them.

    Returns:
        Float array `(*KNOTS, channels)`.
    """
    field = random.standard_normal((*KNOTS, channels))
    sigma = (smooth_mm / KNOT_MM,) * 3 + (0,)
    field = ndimage.gaussian_filter(field, sigma, mode="wrap")
    field *= amplitude / field.std()
    for axis, knots in enumerate(KNOTS):
        to_edge = np.minimum(np.arange(knots), np.arange(knots)[::-1])
        window = np.sin(np.pi / 2 * np.clip(to_edge / FADE_KNOTS, 0, 1)) ** 2
        field *= np.expand_dims(window, [i for i in range(4) if i != axis])
    return field


def steepness(coefficients):
    """Return a bound on the spectral norm of a displacement's derivative.

    At any point, the derivative along an axis is a weighted mean of the nearby
    differences between neighbouring coefficients along that axis, so it is no
    longer than the longest of them. The three lengths together bound the
    Frobenius norm there, which bounds the spectral norm.

    Args:
        coefficients: Float array `(*knots, 3)` in millimetres.

    Returns:
        A float.
    """
    padded = np.pad(coefficients, [(4, 4)] * 3 + [(0, 0)])
    squares = 0.0
    for axis in range(3):
        differences = np.diff(padded, axis=axis, append=0) / KNOT_MM
        lengths = (differences**2).sum(axis=-1)
        squares = squares + ndimage.maximum_filter(lengths, size=5)
    return float(np.sqrt(squares.max()))


def gentle(coefficients):
    """Return the displacement, made smaller where it might fold.

    Args:
        coefficients: Float array `(*knots, 3)` in millimetres.

    Returns:
        The same, scaled so that `steepness` is at most `STEEPEST`.
    """
    return coefficients * min(1.0, STEEPEST / max(steepness(coefficients), 1e-12))


def invert(coefficients, points):
    """Return the points that a displacement moves to `points`.

    Args:
        coefficients: Float array `(*knots, 3)` of a gentle displacement.
        points: Float array `(n, 3)` in RAS millimetres.

    Returns:
        Float array `(n, 3)`; moved by the displacement they are `points` to
        1e-9 mm.

    Raises:
        ValueError: If the displacement is too steep to be inverted so.
    """
    if steepness(coefficients) > STEEPEST + 1e-9:
        raise ValueError(
            f"the displacement may fold. Received: steepness {steepness(coefficients)}"
        )
    found = np.array(points, "float64")
    for _ in range(100):
        new = points - evaluate(coefficients, found)
        gap = np.abs(new - found).max(initial=0.0)
        found = new
        if gap < 1e-10:
            break
    return found
