"""Keras layers around the functions of `transforms`, `affines` and `local_ncc`."""

from helpers.layers.dense import (
    LocalNCCForce,
    UpsampleDisplacement,
    VelocityIntegration,
)
from helpers.layers.linear import (
    AffineFromParameters,
    BarycentreAlignment,
    ComposeAffines,
    UnitBrightness,
)
from helpers.layers.spatial import (
    AffineDisplacement,
    SpatialTransformer,
    as_displacement,
)

__all__ = [
    "AffineDisplacement",
    "AffineFromParameters",
    "BarycentreAlignment",
    "ComposeAffines",
    "LocalNCCForce",
    "UpsampleDisplacement",
    "SpatialTransformer",
    "UnitBrightness",
    "VelocityIntegration",
    "as_displacement",
]
