"""The classical peers: DIPY's and ANTs' affine and SyN registration.

Every method is a function `(moving, fixed) -> score.Registration`. Seconds are
those from two arrays in memory to a transform, one thread; ANTs writes its
transforms to files, and that is part of its time.
"""

import os
import tempfile

for _switch in ("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_switch, "1")

import numpy as np  # noqa: E402  (the switches act when a library is loaded)

from benchmarks.accuracy import cache, score  # noqa: E402
from benchmarks.timing import measure  # noqa: E402
from registration import transform  # noqa: E402
from registration.scans import intensity  # noqa: E402

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def before(moving, fixed):
    """Leave the scans where their headers say that they lie."""
    return score.Registration(transform.Transform([np.eye(4)]))


def centre_of_mass(moving, fixed):
    """Shift the moving scan so that the two centres of mass meet."""
    with measure.measured() as taken:
        there, here = (intensity.barycentre(s.image, s.affine) for s in (moving, fixed))
        matrix = np.eye(4)
        matrix[:3, 3] = there - here
    return score.Registration(transform.Transform([matrix]), **vars(taken))


@cache.affine
def dipy_affine(moving, fixed):
    """Register with DIPY: centre of mass, translation, rigid, affine.

    The settings are those of DIPY's tutorial on affine registration: mutual
    information, 32 bins, every voxel, 10,000 / 1,000 / 100 steps at a quarter,
    half and full resolution.
    """
    from dipy import align

    with measure.measured() as taken:
        _, matrix = align.affine_registration(
            moving.image,
            fixed.image,
            moving_affine=moving.affine,
            static_affine=fixed.affine,
            nbins=32,
            metric="MI",
            pipeline=["center_of_mass", "translation", "rigid", "affine"],
            level_iters=[10000, 1000, 100],
            sigmas=[3.0, 1.0, 0.0],
            factors=[4, 2, 1],
        )
    return score.Registration(transform.Transform([matrix]), **vars(taken))


def dipy_syn(moving, fixed):
    """Register with DIPY's SyN after its affine: CC of radius 4, 10 / 10 / 5 steps.

    The settings are those of DIPY's tutorial on 3D diffeomorphic registration;
    the seconds of the affine are part of this method's.
    """
    from dipy.align import imwarp, metrics

    start = dipy_affine(moving, fixed)
    with measure.measured() as taken:
        optimizer = imwarp.SymmetricDiffeomorphicRegistration(
            metrics.CCMetric(3), level_iters=[10, 10, 5]
        )
        mapping = optimizer.optimize(
            fixed.image,
            moving.image,
            static_grid2world=fixed.affine,
            moving_grid2world=moving.affine,
            prealign=start.transform.affine,
        )
    field = transform.Field(
        fixed.grid,
        np.asarray(mapping.get_forward_field()),
        np.asarray(mapping.get_backward_field()),
    )
    return score.Registration(
        start.transform @ transform.Transform([field]),
        taken.seconds + start.seconds,
        taken.cpu_seconds + start.cpu_seconds,
        max(taken.peak_mb, start.peak_mb),
    )


@cache.affine
def ants_affine(moving, fixed):
    """Register with ANTs, `type_of_transform="Affine"` (from the centres of mass)."""
    return _ants(moving, fixed, "Affine")


def ants_syn(moving, fixed):
    """Register with ANTs, `type_of_transform="SyN"`: affine, then SyN with MI."""
    return _ants(moving, fixed, "SyN")


def ants_syn_cc(moving, fixed):
    """Register with ANTs, `type_of_transform="SyNCC"`: affine, then SyN with CC."""
    return _ants(moving, fixed, "SyNCC")


def ants_image(image, affine):
    """Turn an array with a RAS affine into an ANTs image, whose world is LPS."""
    import ants

    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    return ants.from_numpy(
        np.ascontiguousarray(image, "float32"),
        origin=lps[:3, 3].tolist(),
        spacing=spacing.tolist(),
        direction=lps[:3, :3] / spacing,
    )


def _ants(moving, fixed, kind):
    import ants

    ants.config.set_ants_deterministic(True, seed_value=1)
    with tempfile.TemporaryDirectory() as folder:
        with measure.measured() as taken:
            found = ants.registration(
                fixed=ants_image(fixed.image, fixed.affine),
                moving=ants_image(moving.image, moving.affine),
                type_of_transform=kind,
                outprefix=os.path.join(folder, "ants_"),
            )
        return score.Registration(_read_ants(found, fixed.grid), **vars(taken))


def _read_ants(found, grid):
    """Turn the files that ANTs wrote into one transform of the RAS world."""
    parts = [_read_ants_affine(found["fwdtransforms"][-1])]
    if len(found["fwdtransforms"]) > 1:
        both = found["fwdtransforms"][0], found["invtransforms"][-1]
        parts.insert(0, transform.Field(grid, *map(_read_ants_field, both)))
    return transform.Transform(parts)


def _read_ants_affine(path):
    """Read ITK's `A (x - c) + t + c`, LPS, as one `(4, 4)` RAS matrix."""
    import ants

    stored = ants.read_transform(path)
    linear = np.reshape(stored.parameters[:9], (3, 3))
    centre, shift = np.asarray(stored.fixed_parameters), stored.parameters[9:]
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = shift + centre - linear @ centre
    return LPS @ matrix @ LPS


def _read_ants_field(path):
    """Read a displacement field in LPS mm as one in RAS mm, `(*shape, 3)`."""
    import ants

    field = ants.image_read(path).numpy()
    return field * np.float32([-1, -1, 1])
