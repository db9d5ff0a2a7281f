import numpy as np
import pytest

from helpers import losses, mind
from tests.helpers import numeric

SHAPES = {2: (9, 7), 3: (6, 7, 5)}
both_dimensions = pytest.mark.parametrize("ndim", [2, 3])


def noise(ndim, seed, batch=2):
    generator = np.random.default_rng(seed)
    return generator.random((batch, *SHAPES[ndim], 1)).astype("float32")


def by_loops(image, window, radius):
    """The descriptor of one image `(*shape)`, a voxel and a patch at a time."""
    half, shape = window // 2, image.shape
    offsets = [
        tuple(step if a == axis else 0 for a in range(image.ndim))
        for axis in range(image.ndim)
        for step in (-radius, radius)
    ]
    last = np.array(shape) - 1
    away = np.zeros((*shape, len(offsets)))
    for centre in np.ndindex(*shape):
        cut = [range(max(c - half, 0), min(c + half, e) + 1) for c, e in
               zip(centre, last, strict=True)]  # fmt: skip
        patch = np.stack(np.meshgrid(*cut, indexing="ij"), -1).reshape(-1, image.ndim)
        for number, offset in enumerate(offsets):
            there = np.clip(patch + offset, 0, last)
            values = image[tuple(patch.T)] - image[tuple(there.T)]
            away[(*centre, number)] = (values**2).mean()
    variance = away.mean(-1, keepdims=True)
    typical = variance.mean() + 1e-6
    return np.exp(-away / np.clip(variance, 1e-3 * typical, 1e3 * typical))


@both_dimensions
@pytest.mark.parametrize(("window", "radius"), [(3, 2), (1, 1), (5, 3)])
def test_the_descriptor_is_the_one_that_loops_find(ndim, window, radius):
    image = noise(ndim, 0)
    found = numeric.array(mind.mind(image, window, radius))
    expected = [
        by_loops(one[..., 0].astype("float64"), window, radius) for one in image
    ]
    assert found.shape == (2, *SHAPES[ndim], 2 * ndim)
    np.testing.assert_allclose(found, expected, atol=2e-5)


@both_dimensions
def test_brightness_contrast_and_inversion_drop_out(ndim):
    image = noise(ndim, 0)
    for changed in (0.4 * image + 0.3, 1 - image):
        np.testing.assert_allclose(
            numeric.array(mind.mind(changed)),
            numeric.array(mind.mind(image)),
            atol=1e-4,
        )
        loss = numeric.array(losses.mind_loss(image, changed))
        np.testing.assert_allclose(loss, 0, atol=1e-6)


def test_it_finds_its_place_where_another_contrast_has_none_for_the_ncc():
    x = np.linspace(0, 1, 48)
    waves = 0.5 + 0.5 * np.sin(9 * x[:, None] + 4 * x**2) * np.cos(7 * x)
    image = np.round(waves * 4).astype("float32") / 4
    # Tissues in another order of brightness.
    other = np.take([1.0, 0.1, 0.9, 0.2, 0.3], np.rint(4 * image).astype(int))
    other = other.astype("float32")
    shifts = range(-4, 5)

    def best(loss):
        moved = [np.roll(other, shift, 0)[None, 8:-8, :, None] for shift in shifts]
        fixed = image[None, 8:-8, :, None]
        values = [numeric.array(loss(fixed, one))[0] for one in moved]
        return shifts[int(np.argmin(values))]

    assert best(losses.mind_loss) == 0
    assert best(losses.ncc_loss) != 0


def test_a_flat_image_counts_nothing_and_pulls_finitely():
    flat = np.full((1, 8, 8, 1), 0.5, "float32")
    np.testing.assert_allclose(numeric.array(mind.mind(flat)), 1)
    assert numeric.array(losses.mind_loss(flat, flat)) == 0
    for moved in (flat, noise(2, 1, 1)[:, :8, :7]):
        fixed = flat[:, :, : moved.shape[2]]
        slope = numeric.gradient(lambda m, f=fixed: losses.mind_loss(f, m), moved)
        assert np.isfinite(slope).all()


@both_dimensions
def test_the_gradient_is_the_slope(ndim):
    fixed, moved = noise(ndim, 0, 1), noise(ndim, 1, 1)
    numeric.assert_gradient(lambda m: losses.mind_loss(fixed, m), moved, step=1e-3)


def test_voxels_without_weight_count_nothing():
    fixed, moved = noise(2, 0), noise(2, 1)
    weights = np.zeros_like(fixed)
    weights[:, 2:5] = 1
    apart = numeric.array(mind.mind(fixed)) - numeric.array(mind.mind(moved))
    expected = (apart**2)[:, 2:5].mean(axis=(1, 2, 3))
    found = numeric.array(losses.mind_loss(fixed, moved, weights=weights))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("radius", [0, 7])
def test_a_radius_that_leaves_the_image_is_refused(radius):
    with pytest.raises(ValueError, match="Received"):
        mind.mind(noise(2, 0), radius=radius)
