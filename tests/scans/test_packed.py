import gzip

import nibabel
import numpy as np
import pytest

from registration.scans import packed


@pytest.mark.parametrize("size", [0, 1, packed.BLOCK, 3 * packed.BLOCK + 7])
def test_any_reader_of_gzip_finds_what_was_written(tmp_path, size):
    data = np.random.default_rng(0).integers(9, size=size, dtype="uint8").tobytes()
    path = tmp_path / "data.gz"
    with packed.Gzip(path) as file:
        for start in range(0, size, 100_003):
            file.write(data[start : start + 100_003])
        assert file.tell() == size
    assert gzip.decompress(path.read_bytes()) == data
    # One member, as from gzip itself: what ends the first one ends the file.
    whole = gzip.compress(data)
    assert path.read_bytes()[-8:] == whole[-8:]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_an_image_is_read_back_as_it_was(tmp_path, ending):
    data = np.random.default_rng(1).normal(size=(70, 60, 65, 1, 3)).astype("float32")
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    image = nibabel.Nifti1Image(data, affine)
    image.header.set_intent(1007)
    packed.save(image, tmp_path / f"a{ending}")
    nibabel.save(image, tmp_path / f"b{ending}")
    ours, theirs = (nibabel.load(tmp_path / f"{name}{ending}") for name in "ab")
    assert ours.header == theirs.header
    np.testing.assert_array_equal(ours.get_fdata(dtype="float32"), data)


def test_what_is_written_under_a_failure_can_be_closed(tmp_path):
    with pytest.raises(ValueError, match="stopped"):
        with packed.Gzip(tmp_path / "a.gz") as file:
            file.write(b"some")
            raise ValueError("stopped")
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == b"some"
