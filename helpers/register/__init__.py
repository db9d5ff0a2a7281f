"""Register one scan to another: two arrays in, a transform between worlds out."""

from helpers.register.deformable import Deformation, dense
from helpers.register.linear import affine
from helpers.register.preparation import Pair, around_brain, prepare

__all__ = ["Deformation", "Pair", "affine", "around_brain", "dense", "prepare"]
