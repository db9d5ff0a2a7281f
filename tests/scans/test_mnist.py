import hashlib

import numpy as np
import pytest
from sklearn import datasets

from registration.scans import mnist
from tests.scans import file_server


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Let an empty folder be the cache."""
    monkeypatch.setenv("REGISTRATION_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


def archive(path):
    """Write three training and two test images in MNIST's form; return its arrays."""
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (3, 28, 28), "uint8"),
        "y_train": np.array([7, 2, 7], "uint8"),
        "x_test": rng.integers(0, 256, (2, 28, 28), "uint8"),
        "y_test": np.array([2, 7], "uint8"),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return arrays


def test_a_cached_archive_is_read_scaled_and_filtered_by_class(cache):
    arrays = archive(cache / "mnist.npz")
    data = mnist.load(7)
    assert data["source"] == "mnist"
    expected = arrays["x_train"][[0, 2], ..., None] / np.float32(255)
    assert data["train"].shape == (2, 32, 32, 1)
    np.testing.assert_array_equal(data["train"][:, 2:-2, 2:-2], expected)
    assert data["train"].sum() == data["train"][:, 2:-2, 2:-2].sum()
    inside = data["test"][0, 2:-2, 2:-2, 0] * 255
    np.testing.assert_array_equal(inside, arrays["x_test"][1])
    assert data["train"].dtype == np.float32
    assert data["train_labels"].tolist() == [7, 7]
    assert data["test_labels"].tolist() == [7]


def test_without_a_class_all_images_are_kept_in_order(cache):
    arrays = archive(cache / "mnist.npz")
    assert mnist.load()["train_labels"].tolist() == arrays["y_train"].tolist()


def test_an_empty_cache_is_filled_once_and_the_file_verified(
    cache, tmp_path, monkeypatch
):
    archive(tmp_path / "served" / "mnist.npz")
    content = (tmp_path / "served" / "mnist.npz").read_bytes()
    monkeypatch.setattr(mnist, "SHA256", hashlib.sha256(content).hexdigest())
    with file_server.serving(tmp_path / "served") as server:
        assert mnist.load(base=server.base)["source"] == "mnist"
        assert mnist.load(base=server.base)["source"] == "mnist"
        assert server.asked == ["mnist.npz"]
    assert (cache / "mnist.npz").read_bytes() == content


def test_a_file_with_another_sha256_is_an_error_that_names_it(cache, tmp_path, capsys):
    archive(tmp_path / "served" / "mnist.npz")
    with file_server.serving(tmp_path / "served") as server:
        with pytest.raises(ValueError, match=f"another sha256.*{mnist.SHA256}"):
            mnist.load(base=server.base)
    assert list(cache.iterdir()) == []
    assert "stand in" not in capsys.readouterr().out


def test_without_cache_and_network_the_digits_of_scikit_learn_stand_in(cache, capsys):
    data = mnist.load(3, base="http://127.0.0.1:9/")
    printed = capsys.readouterr()
    assert printed.out.count("\n") == 1
    assert data["source"] == "scikit-learn"
    assert data["train"].shape[1:] == data["test"].shape[1:] == (32, 32, 1)
    count = np.sum(datasets.load_digits().target == 3)
    assert len(data["train"]) + len(data["test"]) == count
    assert 0 <= data["train"].min() < data["train"].max() <= 1


def test_the_stand_in_is_the_digit_enlarged_inside_a_black_frame(cache):
    images = mnist.load(base="http://127.0.0.1:9/")["test"][..., 0]
    small = datasets.load_digits().images[::5] / 16
    inside = images[:, 6:26, 6:26]
    assert images.sum() == inside.sum()
    blocks = inside.reshape(len(images), 4, 5, 4, 5).mean(axis=(2, 4))
    pairs = small.reshape(len(small), 4, 2, 4, 2).mean(axis=(2, 4))
    # Rounding down to 8 bits costs up to 1/255; interpolation blurs block borders.
    assert np.corrcoef(blocks.ravel(), pairs.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("digit", [-1, 10, "7", 1.5])
def test_an_unknown_class_is_refused(cache, digit):
    with pytest.raises(ValueError, match="Received"):
        mnist.load(digit)


def test_a_damaged_archive_is_named(cache):
    cache.mkdir()
    (cache / "mnist.npz").write_bytes(b"not an archive")
    with pytest.raises(ValueError, match="mnist.npz is not MNIST's archive"):
        mnist.load()
