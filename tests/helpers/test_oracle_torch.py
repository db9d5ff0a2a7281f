"""PyTorch's `affine_grid` and `grid_sample` as oracles, where PyTorch is installed."""

import numpy as np
import pytest
from keras import ops

from helpers import affines, sampling, transforms
from tests.helpers import numeric

torch = pytest.importorskip("torch")

# PyTorch scales each axis to [-1, 1]; ours agree with that on a cube.
SHAPES = {2: (6, 6), 3: (5, 5, 5)}
OBLONG = {2: (7, 5), 3: (6, 4, 5)}
PADDING = {"zero": "zeros", "edge": "border"}
both_dimensions = pytest.mark.parametrize("ndim", [2, 3])


def channels_first(image):
    return torch.tensor(np.moveaxis(image, -1, 1).copy())


def their_points(points, shape):
    """Voxel positions in PyTorch's coordinates: xyz, and the border at -1 and 1."""
    scaled = (2 * points + 1) / torch.tensor(shape, dtype=torch.float32) - 1
    return torch.flip(scaled, [-1])


def grid_sample(image, points, mode, fill):
    return torch.nn.functional.grid_sample(
        image,
        their_points(points, image.shape[2:]),
        mode=mode,
        padding_mode=PADDING[fill],
        align_corners=False,
    )


def image_and_points(ndim, beyond=1.5):
    generator = np.random.default_rng(0)
    shape = OBLONG[ndim]
    image = generator.normal(size=(2, *shape, 3)).astype("float32")
    size = (2, *OBLONG[ndim], ndim)
    points = generator.uniform(-beyond, np.array(shape) - 1 + beyond, size)
    return image, points.astype("float32")


@both_dimensions
@pytest.mark.parametrize("fill", sampling.FILLS)
def test_sampling_agrees_with_grid_sample_inside_and_outside(ndim, fill):
    image, points = image_and_points(ndim)
    theirs = grid_sample(channels_first(image), torch.tensor(points), "bilinear", fill)
    ours = numeric.array(sampling.sample(image, points, fill=fill))
    # Their coordinates round off in float32 on the way to [-1, 1] and back.
    np.testing.assert_allclose(ours, np.moveaxis(theirs.numpy(), 1, -1), atol=1e-5)


@both_dimensions
@pytest.mark.parametrize("fill", sampling.FILLS)
def test_both_gradients_of_sampling_agree_with_those_of_grid_sample(ndim, fill):
    image, points = image_and_points(ndim)
    weights = np.random.default_rng(1).normal(size=(*points.shape[:-1], 3))
    weights = weights.astype("float32")
    their_image = channels_first(image).requires_grad_(True)
    positions = torch.tensor(points, requires_grad=True)
    moved = grid_sample(their_image, positions, "bilinear", fill)
    with torch.enable_grad():
        (moved * channels_first(weights)).sum().backward()
    in_points = numeric.gradient(
        lambda p: ops.multiply(weights, sampling.sample(image, p, fill=fill)), points
    )
    in_image = numeric.gradient(
        lambda i: ops.multiply(weights, sampling.sample(i, points, fill=fill)), image
    )
    # As above; the gradients are sums over three channels, or over many points.
    np.testing.assert_allclose(in_points, positions.grad.numpy(), atol=3e-5)
    theirs = np.moveaxis(their_image.grad.numpy(), 1, -1)
    np.testing.assert_allclose(in_image, theirs, atol=3e-5)


@both_dimensions
def test_an_affine_on_a_cube_gives_the_grid_of_affine_grid(ndim):
    parameters = 0.3 * np.random.default_rng(2).normal(size=(2, ndim * (ndim + 1)))
    affine = numeric.array(affines.from_parameters(parameters.astype("float32"), ndim))
    shape = SHAPES[ndim]
    field = transforms.affine_displacement(affine, shape)
    ours = torch.tensor(numeric.array(transforms.points(field)).copy())
    # Their axes run the other way round, in rows and in columns.
    theta = affine.copy()
    theta[..., :ndim] = theta[..., :ndim][:, ::-1, ::-1]
    theta[..., ndim] = affine[..., ndim][:, ::-1]
    theirs = torch.nn.functional.affine_grid(
        torch.tensor(theta), (2, 1, *shape), align_corners=False
    )
    np.testing.assert_allclose(
        their_points(ours, shape).numpy(), theirs.numpy(), atol=1e-5
    )
