import nibabel
import numpy as np
import pytest
import scipy.io
import SimpleITK

from registration import itk, transform
from registration.scans import grid as grids
from tests.registration import heads

MATRIX = np.array(
    [[1.1, 0.2, 0, 3], [-0.1, 0.9, 0.05, -2], [0, 0.1, 1, 5], [0, 0, 0, 1]]
)
GRIDS = {
    "cubic": grids.box(np.zeros(3), (20, 18, 16), 2.0),
    "turned": heads.oblique((16, 20, 12)),
    "flipped": grids.Grid((16, 20, 12), np.diag([-2.0, 1.5, 3.0, 1.0])),
    "two axes flipped": grids.Grid((16, 20, 12), np.diag([-2.0, -1.5, 3.0, 1.0])),
}


def inner_points(grid, count=1000):
    """Return points of a grid, two voxels away from its border."""
    random = np.random.default_rng(0)
    voxels = random.uniform(2, np.array(grid.shape) - 3, (count, 3))
    return nibabel.affines.apply_affine(grid.affine, voxels)


def by_simpleitk(path, points):
    """Carry RAS points through a transform file by SimpleITK, which thinks in LPS."""
    found = SimpleITK.ReadTransform(str(path))
    flip = np.array([-1, -1, 1])
    return np.array([found.TransformPoint((p * flip).tolist()) for p in points]) * flip


@pytest.mark.parametrize("name", ["a.h5", "a.tfm", "a.txt"])
def test_an_affine_is_read_back_and_is_the_one_that_simpleitk_sees(tmp_path, name):
    points = inner_points(GRIDS["turned"])
    itk.save(tmp_path / name, transform.Transform([MATRIX]))
    np.testing.assert_allclose(itk.read(tmp_path / name).affine, MATRIX, atol=1e-12)
    expected = points @ MATRIX[:3, :3].T + MATRIX[:3, 3]
    np.testing.assert_allclose(
        by_simpleitk(tmp_path / name, points), expected, atol=1e-9
    )


@pytest.mark.parametrize("kind", GRIDS)
def test_a_chain_that_does_not_commute_is_the_one_that_simpleitk_sees(tmp_path, kind):
    grid = GRIDS[kind]
    chain = transform.Transform(
        [heads.bump(grid, [3, -2, 1.5]), MATRIX, heads.bump(grid, [-1, 2, 2])]
    )
    path, points = tmp_path / "chain.h5", inner_points(grid)
    itk.save(path, chain)
    expected, inside = chain.points(points), _stay_inside(chain, points, grid)
    assert inside.sum() > 300
    # float32 vectors of a few mm.
    np.testing.assert_allclose(
        by_simpleitk(path, points[inside]), expected[inside], atol=1e-5
    )
    np.testing.assert_allclose(itk.read(path).points(points), expected, atol=1e-5)
    swapped = transform.Transform(reversed(chain.parts))
    assert np.abs(swapped.points(points) - expected).max() > 1


def _stay_inside(chain, points, grid):
    """Return which points meet the second field inside its grid, as ITK needs."""
    middle = transform.Transform(chain.parts[:2]).points(points)
    voxels = nibabel.affines.apply_affine(np.linalg.inv(grid.affine), middle)
    return ((voxels > 0) & (voxels < np.array(grid.shape) - 1)).all(axis=1)


@pytest.mark.parametrize("kind", GRIDS)
def test_a_warp_holds_the_whole_chain_and_simpleitk_sees_it(tmp_path, kind):
    grid = GRIDS[kind]
    chain = transform.Transform([heads.bump(grid, [3, -2, 1.5]), MATRIX])
    path, points = tmp_path / "warp.nii.gz", inner_points(grid)
    itk.save(path, chain, grid)
    image = nibabel.load(path)
    assert image.header.get_intent()[0] == "vector"
    assert image.shape == (*grid.shape, 1, 3)
    field = SimpleITK.ReadImage(str(path), SimpleITK.sitkVectorFloat64)
    found = SimpleITK.DisplacementFieldTransform(field)
    flip = np.array([-1, -1, 1])
    seen = np.array([found.TransformPoint((p * flip).tolist()) for p in points]) * flip
    # Between its voxels the chain is curved, and the warp is not.
    np.testing.assert_allclose(seen, chain.points(points), atol=0.03)
    # The same file, read by both: NIfTI keeps its affine in float32.
    np.testing.assert_allclose(seen, itk.read(path).points(points), atol=1e-4)


def test_what_simpleitk_writes_is_read(tmp_path):
    points = inner_points(GRIDS["turned"])
    affine = SimpleITK.AffineTransform(3)
    affine.SetMatrix(MATRIX[:3, :3].ravel().tolist())
    affine.SetTranslation([3.0, -2.0, 5.0])
    affine.SetCenter([10.0, 20.0, -30.0])
    for name in ("its.tfm", "its.h5"):
        SimpleITK.WriteTransform(affine, str(tmp_path / name))
        np.testing.assert_allclose(
            itk.read(tmp_path / name).points(points),
            by_simpleitk(tmp_path / name, points),
            atol=1e-6,
        )
    composite = SimpleITK.CompositeTransform(3)
    shift = SimpleITK.TranslationTransform(3, [1.0, 2.0, 3.0])
    for part in (affine, shift, affine):
        composite.AddTransform(part)
    SimpleITK.WriteTransform(composite, str(tmp_path / "chain.h5"))
    np.testing.assert_allclose(
        itk.read(tmp_path / "chain.h5").points(points),
        by_simpleitk(tmp_path / "chain.h5", points),
        atol=1e-6,
    )


def test_the_affine_that_ants_writes_is_read(tmp_path):
    lps = np.diag([-1.0, -1, 1, 1]) @ MATRIX @ np.diag([-1.0, -1, 1, 1])
    centre = np.array([4.0, 5.0, 6.0])
    shift = lps[:3, 3] - centre + lps[:3, :3] @ centre
    scipy.io.savemat(
        tmp_path / "0GenericAffine.mat",
        {
            "AffineTransform_double_3_3": np.r_[lps[:3, :3].ravel(), shift][:, None],
            "fixed": centre[:, None],
        },
        format="4",
    )
    found = itk.read(tmp_path / "0GenericAffine.mat")
    np.testing.assert_allclose(found.affine, MATRIX, atol=1e-12)


def test_the_identity_is_saved_and_read(tmp_path):
    itk.save(tmp_path / "none.h5", transform.Transform())
    np.testing.assert_array_equal(itk.read(tmp_path / "none.h5").affine, np.eye(4))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tfm", b"", "an empty file"),
        ("a.tfm", b"hello\n", "first line should be.*'hello'"),
        ("a.tfm", b"#Insight Transform File V1.0\n", "no transform is in it"),
        (
            "a.tfm",
            b"#Insight Transform File V1.0\nTransform: BSplineTransform_double_3_3\n"
            b"Parameters: 1\nFixedParameters: 1\n",
            "only affines.*Received: BSplineTransform",
        ),
        (
            "a.tfm",
            b"#Insight Transform File V1.0\nTransform: AffineTransform_double_3_3\n"
            b"Parameters: 1 2 x\nFixedParameters: 0 0 0\n",
            "could not convert",
        ),
        ("a.h5", b"not hdf5", "not a transform of ITK"),
        ("a.mat", b"", "not a .mat of ITK"),
        ("a.xfm", b"", r"must end in .h5.*Received: 'a.xfm'"),
    ],
)
def test_a_file_that_is_no_transform_is_refused_by_name(
    tmp_path, name, content, message
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"(?s){name}.*({message})"):
        itk.read(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="gone.h5: there is no such file"):
        itk.read(tmp_path / "gone.h5")


def test_what_a_file_cannot_hold_is_refused_and_nothing_is_written(tmp_path):
    bent = transform.Transform([heads.bump(GRIDS["cubic"], [1, 1, 1])])
    sheared = grids.Grid((4, 4, 4), MATRIX)
    crooked = transform.Transform([heads.bump(sheared, [1, 1, 1])])
    for name, found, grid, message in (
        ("a.tfm", bent, None, "an affine fits in text.*Received: 1 fields"),
        ("a.mat", transform.Transform(), None, "read only"),
        ("a.nii.gz", bent, None, "a grid goes with.*Received: grid missing"),
        ("a.h5", bent, GRIDS["cubic"], "Received: grid given"),
        ("a.h5", crooked, None, "right angles"),
        ("none/a.h5", bent, None, "choose another folder"),
    ):
        with pytest.raises(ValueError, match=message):
            itk.save(tmp_path / name, found, grid)
    assert list(tmp_path.iterdir()) == []
