"""Connected pieces of a mask, found in the box around what is set."""

import numpy as np
from scipy import ndimage


def box(mask):
    """Return the smallest box that holds all that is set, a slice an axis.

    Args:
        mask: Bool array `(i, j, k)`.

    Returns:
        Tuple of slices; empty ones where nothing is set.
    """
    slices, rest = [], mask
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        places = np.flatnonzero(rest.any(axis=others))
        ends = (places[0], places[-1] + 1) if len(places) else (0, 0)
        slices.append(slice(*map(int, ends)))
        rest = rest[(slice(None),) * axis + (slices[-1],)]
    return tuple(slices)


def largest(mask):
    """Keep the largest piece; voxels that share a face are of one piece.

    Args:
        mask: Bool array `(i, j, k)`.

    Returns:
        Bool array of the same shape; empty where nothing is set.
    """
    kept, inside = np.zeros(mask.shape, bool), box(mask)
    pieces, count = ndimage.label(mask[inside])
    if count:
        sizes = np.bincount(pieces.ravel())[1:]
        kept[inside] = pieces == np.argmax(sizes) + 1
    return kept


def filled(mask):
    """Set what is enclosed on all sides, as `scipy.ndimage.binary_fill_holes`.

    Args:
        mask: Bool array `(i, j, k)`.

    Returns:
        Bool array of the same shape.
    """
    whole, inside = mask.copy(), box(mask)
    pieces, _ = ndimage.label(np.pad(~mask[inside], 1, constant_values=True))
    # The rim that was added is one piece, and the first.
    whole[inside] = pieces[(slice(1, -1),) * mask.ndim] != 1
    return whole
