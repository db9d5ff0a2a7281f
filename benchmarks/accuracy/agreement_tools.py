"""Other tools as two functions each: carry points, and move a scan.

`points(paths, points)` takes RAS millimetres and returns them; `moved(paths, source,
reference)` returns an array on the reference's stored grid. `paths` is one transform
file of ITK, or several in the order in which a point of the reference passes them.
"""

import pathlib

import nibabel
import numpy as np

FLIP = np.array([-1.0, -1.0, 1.0])


def _listed(paths):
    one = isinstance(paths, str | pathlib.Path)
    return [str(path) for path in ([paths] if one else paths)]


def _is_field(path):
    return path.endswith((".nii", ".nii.gz"))


class SimpleItk:
    """SimpleITK."""

    @staticmethod
    def transform(paths):
        """Read transforms as one; a composite applies what was added last first."""
        import SimpleITK

        chain = SimpleITK.CompositeTransform(3)
        for path in reversed(_listed(paths)):
            if _is_field(path):
                field = SimpleITK.ReadImage(path, SimpleITK.sitkVectorFloat64)
                chain.AddTransform(SimpleITK.DisplacementFieldTransform(field))
            else:
                chain.AddTransform(SimpleITK.ReadTransform(path))
        return chain

    @classmethod
    def points(cls, paths, points):
        """Carry points."""
        found = cls.transform(paths)
        lps = (points * FLIP).tolist()
        return np.array([found.TransformPoint(point) for point in lps]) * FLIP

    @classmethod
    def moved(cls, paths, source, reference):
        """Move a scan."""
        import SimpleITK

        scans = [
            SimpleITK.ReadImage(str(path), SimpleITK.sitkFloat32)
            for path in (source, reference)
        ]
        found = SimpleITK.Resample(*scans, cls.transform(paths), SimpleITK.sitkLinear)
        return SimpleITK.GetArrayFromImage(found).T


class Ants:
    """ANTs, by antspyx."""

    @staticmethod
    def points(paths, points):
        """Carry points."""
        import ants
        import pandas

        lps = pandas.DataFrame(points * FLIP, columns=list("xyz"))
        found = ants.apply_transforms_to_points(3, lps, _listed(paths))
        return found[list("xyz")].to_numpy() * FLIP

    @staticmethod
    def moved(paths, source, reference):
        """Move a scan."""
        import ants

        moving, fixed = (ants.image_read(str(path)) for path in (source, reference))
        return ants.apply_transforms(
            fixed, moving, _listed(paths), interpolator="linear"
        ).numpy()


class Nitransforms:
    """nitransforms."""

    @staticmethod
    def transform(paths):
        """Read transforms as one."""
        from nitransforms import linear, manip, nonlinear

        parts = []
        for path in _listed(paths):
            if _is_field(path):
                parts.append(nonlinear.load(path, fmt="itk"))
            elif path.endswith(".h5"):
                parts += manip.load(path, fmt="itk").transforms
            else:
                parts.append(linear.load(path, fmt="itk"))
        return parts[0] if len(parts) == 1 else manip.TransformChain(parts)

    @classmethod
    def points(cls, paths, points):
        """Carry points."""
        return cls.transform(paths).map(points)

    @classmethod
    def moved(cls, paths, source, reference):
        """Move a scan."""
        from nitransforms import resampling

        found = resampling.apply(
            cls.transform(paths), nibabel.load(source), nibabel.load(reference),
            order=1, prefilter=False,
        )  # fmt: skip
        return found.get_fdata()


TOOLS = {"SimpleITK": SimpleItk, "ANTs": Ants, "nitransforms": Nitransforms}
