"""One type for a scan in space."""

import dataclasses

import numpy as np

from registration.scans import grid as grids


@dataclasses.dataclass(frozen=True, eq=False)
class Scan:
    """A volume, where its voxels lie, and what is known of it.

    Axes run to the right, anterior, superior, as near as permuting and flipping
    them brings an oblique scan.

    Attributes:
        image: Float32 array `(i, j, k)`.
        affine: Float64 array `(4, 4)`, voxel indices to RAS millimetres.
        labels: Integer array `(i, j, k)`, or None where there are none.
        mask: Bool array `(i, j, k)`, the brain; where it is not given, `labels > 0`;
            None where neither is known.
        landmarks: Array `(n, 3)` in RAS mm, the same places in every scan of a
            cohort, or None where they are not known.
        name: Of the person or file.
        stored: `Stored`, how the file had it; None for a scan made here.

    Raises:
        ValueError: If labels or mask have another shape than the image.
    """

    image: np.ndarray
    affine: np.ndarray
    labels: np.ndarray | None = None
    mask: np.ndarray | None = None
    landmarks: np.ndarray | None = None
    name: str = ""
    stored: "Stored | None" = None

    def __post_init__(self):
        """Check the shapes, and take the brain from the labels where that is all."""
        for part in ("labels", "mask"):
            array = getattr(self, part)
            if array is not None and array.shape != self.image.shape:
                raise ValueError(
                    f"the {part} of {self.name or 'a scan'} must have the shape of "
                    f"its image, {self.image.shape}. Received: {array.shape}"
                )
        if self.mask is None and self.labels is not None:
            object.__setattr__(self, "mask", self.labels > 0)

    @property
    def grid(self):
        """The `grid.Grid` of the voxels."""
        return grids.Grid(self.image.shape, self.affine)

    def brain(self):
        """Return the mask, for those who cannot do without.

        Returns:
            Bool array `(i, j, k)`.

        Raises:
            ValueError: If the scan has none.
        """
        if self.mask is None:
            raise ValueError(
                f"{self.name or 'a scan'} has neither a brain mask nor labels. "
                "Received: None"
            )
        return self.mask

    def stripped(self):
        """Set everything outside the brain to zero.

        Returns:
            A `Scan`.

        Raises:
            ValueError: If the scan has neither mask nor labels.
        """
        return dataclasses.replace(self, image=self.image * self.brain())


@dataclasses.dataclass(frozen=True, eq=False)
class Stored:
    """How a file holds its voxels, before its axes are turned.

    Attributes:
        affine: Float64 array `(4, 4)` of the stored voxels, to RAS millimetres.
        axes: Whereto the stored axes run, for example `"PSR"`.
        dtype: The type of the stored voxels.
    """

    affine: np.ndarray
    axes: str
    dtype: np.dtype
