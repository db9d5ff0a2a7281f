"""Handwritten digits: MNIST, or scikit-learn's where it cannot be had."""

import numpy as np

from registration.scans import download

BASE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
NAME = "mnist.npz"
MAX_BYTES = 12_000_000
SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
FRAME = 2
KEYS = "x_train", "y_train", "x_test", "y_test"


def load(digit=None, base=BASE):
    """Return MNIST as images scaled to [0, 1].

    Looks for `mnist.npz` in the cache folder, `REGISTRATION_DATA` or the user's own,
    and downloads it there otherwise (11 MB). Where there is no network, the 1,797
    digits that scikit-learn ships stand in, enlarged, and a line says so. Either way
    two black pixels are put around the 28 × 28 images: a digit then has room to move,
    and 32 can be halved five times.

    Args:
        digit: Keep this class only, 0 to 9; all if `None`.
        base: Address of the folder to download from; the file is checked by its
            sha256.

    Returns:
        Dict with `train` and `test`, float32 `(n, 32, 32, 1)`; `train_labels` and
        `test_labels`, int `(n,)`; `source`, `"mnist"` or `"scikit-learn"`.

    Raises:
        ValueError: If `digit` is not a class, or a file is not MNIST: in the cache, or
            as the server sends it.
    """
    if digit is not None and digit not in range(10):
        raise ValueError(f"digit must be 0 to 9 or None. Received: {digit!r}")
    path = download.cache_folder() / NAME
    arrays, source = None, "mnist"
    try:
        if not path.exists():
            registry = {NAME: SHA256}
            download.fetch(path.parent, base, registry, MAX_BYTES, description="MNIST")
    except OSError as error:
        print(
            f"MNIST could not be downloaded ({type(error).__name__}): the 1,797 "
            "digits of scikit-learn stand in."
        )
        arrays, source = _from_scikit_learn(), "scikit-learn"
    if arrays is None:
        arrays = _read(path)
    data = {"source": source}
    for split in ("train", "test"):
        images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"].astype(int)
        kept = slice(None) if digit is None else labels == digit
        framed = np.pad(images[kept], ((0, 0), (FRAME, FRAME), (FRAME, FRAME)))
        data[split] = framed[..., None].astype("float32") / 255
        data[f"{split}_labels"] = labels[kept]
    return data


def _read(path):
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in KEYS}
    except Exception as error:
        raise ValueError(
            f"{path} is not MNIST's archive with the arrays {KEYS}; delete it to "
            f"download it again. Received: {error}"
        ) from error


def _from_scikit_learn():
    """Enlarge 8 × 8 digits to 20 × 20 in a frame of 28 × 28; split 4 to 1."""
    from scipy import ndimage
    from sklearn import datasets

    digits = datasets.load_digits()
    small = digits.images / 16 * 255
    large = ndimage.zoom(small, (1, 2.5, 2.5), order=1, grid_mode=True, mode="nearest")
    images = np.pad(large, ((0, 0), (4, 4), (4, 4))).astype("uint8")
    test = np.arange(len(images)) % 5 == 0
    return {
        "x_train": images[~test],
        "y_train": digits.target[~test],
        "x_test": images[test],
        "y_test": digits.target[test],
    }
