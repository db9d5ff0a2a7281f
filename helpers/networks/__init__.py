"""Functional builders of the networks: moving and fixed in, transform out."""

from helpers.networks.affine import affine_cascade, affine_network
from helpers.networks.dense import dense_cascade, dense_network, unet
from helpers.networks.parts import registration
from helpers.networks.segmentation import brain_network

__all__ = [
    "affine_cascade",
    "affine_network",
    "brain_network",
    "dense_cascade",
    "dense_network",
    "registration",
    "unet",
]
