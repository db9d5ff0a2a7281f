"""Registration by the stored networks without Keras: two scans in, a Transform out.

The networks run in ONNX Runtime, as `models/export.py` wrote them; all else is NumPy
and SciPy. A process that registers one pair so saves the seconds that TensorFlow takes
to start and to compile. The answers of one pass are those of `affine.register` and
`dense.register`.
"""

import functools
import typing

import numpy as np
from scipy import linalg

from registration import models, prepare, transform

# Learning rates of the refinements: half sides of the volume, and voxels.
AFFINE_RATE = 0.01
RATE = 0.25


class Exported(typing.NamedTuple):
    """A stored network's contract and its programs.

    Attributes:
        name: Of the model.
        contract: Dict, see `models.contract`.
        folder: Where its files lie; None for the repository's `models`.
    """

    name: str
    contract: dict
    folder: typing.Any = None

    @property
    def shape(self):
        """Shape of the images that it takes, in voxels."""
        return tuple(self.contract["options"]["shape"])

    @property
    def voxel_mm(self):
        """Edge of the voxels that it was trained on."""
        return self.contract["voxel_mm"]

    def run(self, program, outputs, **inputs):
        """Run one of its programs.

        Args:
            program: Ending of its file's name: `""` for the network itself.
            outputs: Names of the results wanted.
            **inputs: Arrays by their names.

        Returns:
            List of arrays.
        """
        file = f"{self.name}{program}.onnx"
        session = _session(file, self.contract["onnx_sha256"].get(file), self.folder)
        return session.run(outputs, inputs)


def load(name, folder=None):
    """Read the contract of a network that was exported.

    Args:
        name: As of `models.load`, for example `"affine_t1"`.
        folder: Where the files lie; the repository's `models` when None.

    Returns:
        `Exported`.

    Raises:
        ValueError: If there is no such model, or it was not exported since it was
            trained.
    """
    stored = models.contract(name, folder)
    if "onnx_sha256" not in stored:
        raise ValueError(
            f"{name} has not been exported since it was trained; run `make export`. "
            f"Received: a contract with {', '.join(sorted(stored))}"
        )
    return Exported(name, stored, folder)


def evidence(image, model="brain"):
    """Say of every voxel of a head how surely it is brain.

    Args:
        image: Float32 array `(1, *shape, 1)` in [0, 1], of the model's shape.
        model: Name of an exported network, or what `load` returns.

    Returns:
        Float32 array of the same shape: above 0 where brain is likelier, its sigmoid
        the probability.

    Raises:
        ValueError: As `load`.
    """
    model = load(model) if isinstance(model, str) else model
    return model.run("", ["evidence"], image=image)[0]


def affine(moving, fixed, model="affine_t1", steps=0):
    """Find the affine between two scans, as `affine.register`.

    Args:
        moving: `scan.Scan`.
        fixed: `scan.Scan`.
        model: Name of an exported network, or what `load` returns.
        steps: Steps of refinement after the network, along `refinement.affine_force`.

    Returns:
        `transform.Transform`, an affine.

    Raises:
        ValueError: If a scan has no two intensities to tell apart, or as `load`.
    """
    model = load(model) if isinstance(model, str) else model
    pair = prepare.from_barycentres(moving, fixed, model.shape, model.voxel_mm)
    images = {"moving": pair.moving, "fixed": pair.fixed}
    (found,) = model.run("", ["transform"], **images)
    if steps:
        found = _refined_affine(model, found, images, steps)
    return pair.start @ transform.Transform.from_centred(found[0], pair.grid)


def descent(moving, fixed, model="affine_t1", steps=60):
    """Find the affine between two scans without a network's answer.

    It begins where the barycentres meet, and climbs along `refinement.affine_force`.

    Args:
        moving: `scan.Scan`.
        fixed: `scan.Scan`.
        model: Name of an exported network or what `load` returns, for its grid.
        steps: Steps of the descent.

    Returns:
        `transform.Transform`, an affine.

    Raises:
        ValueError: If a scan has no two intensities to tell apart, or as `load`.
    """
    model = load(model) if isinstance(model, str) else model
    pair = prepare.from_barycentres(moving, fixed, model.shape, model.voxel_mm)
    images = {"moving": pair.moving, "fixed": pair.fixed}
    found = _refined_affine(model, np.eye(4)[None, :3], images, steps)
    return pair.start @ transform.Transform.from_centred(found[0], pair.grid)


def dense(moving, fixed, start, model="dense_t1", steps=0, use_mask=False):
    """Find the deformation between two scans, as `dense.register`.

    The steps are those of `refinement.descend`: other ones than in `dense.register`,
    of which 15 come near to 30 of those.

    Args:
        moving: `scan.Scan`.
        fixed: `scan.Scan`, without its skull unless `use_mask`.
        start: `transform.Transform`, as `affine` finds it.
        model: Name of an exported network, or what `load` returns.
        steps: Steps of refinement after the network.
        use_mask: Whether to cut both brains out by the fixed scan's mask.

    Returns:
        `transform.Transform`: a field on a box around the fixed brain, then `start`.

    Raises:
        ValueError: If a scan has no two intensities to tell apart, the mask is
            missing, the start is no affine, or as `load`.
    """
    model = load(model) if isinstance(model, str) else model
    pair = prepare.around_brain(
        moving, fixed, start, model.shape, model.voxel_mm, use_mask
    )
    found = velocity(pair.moving, pair.fixed, model)
    found = refined(pair.moving, pair.fixed, found, model, steps)
    there, back = model.run(".field", ["there", "back"], velocity=found)
    turn = pair.grid.affine[:3, :3].T.astype("float32")
    field = transform.Field(pair.grid, there[0] @ turn, back[0] @ turn)
    return start @ transform.Transform([field])


def velocity(moving, fixed, model):
    """Ask the dense network for the velocity between two images on its grid.

    Args:
        moving: Float32 array `(1, *shape, 1)` in [0, 1], aligned by an affine.
        fixed: Float32 array of the same shape.
        model: What `load` returns.

    Returns:
        Float32 array `(1, *coarse, 3)` in voxels of its grid, which spans the box of
        the images.
    """
    (found,) = model.run("", ["velocity"], moving=moving, fixed=fixed)
    return found


def refined(moving, fixed, start, model, steps):
    """Make steps of Adam on a velocity, whose rate falls to zero along a cosine.

    Args:
        moving: As of `velocity`.
        fixed: The same.
        start: Float32 array, as `velocity` returns.
        model: What `load` returns.
        steps: How many; with none the start is returned.

    Returns:
        Float32 array of the same shape.

    Raises:
        ValueError: If the result is not finite.
    """
    names = ("velocity", "first", "second")
    state = [start, *[np.zeros_like(start)] * 2]
    for count in range(steps):
        rate = RATE * (1 + np.cos(np.pi * count / steps)) / 2
        scalars = np.array([rate, count + 1], "float32")
        state = model.run(
            ".step",
            [f"next_{name}" for name in names],
            **dict(zip(names, state, strict=True)),
            scalars=scalars,
            moving=moving,
            fixed=fixed,
        )
    _check_finite("velocity", state[0])
    return state[0]


def _refined_affine(model, found, images, steps):
    """Make steps of Adam on the twelve numbers of a small affine before the found one.

    What the twelve numbers change at a voxel is linear in its place, so the gradient
    is made of the sums of the force, and of the force times the place.
    """
    half = max(model.shape) / 2
    places = np.indices(model.shape).reshape(3, -1).T - (np.array(model.shape) - 1) / 2
    places = np.column_stack([places / half, np.ones(len(places))])
    affine, first, second = np.vstack([found[0], [0, 0, 0, 1]]), 0.0, 0.0
    for count in range(steps):
        now = affine[None, :3].astype("float32")
        (force,) = model.run(".force", ["force"], transform=now, **images)
        gradient = -half * force.reshape(-1, 3).T.astype("float64") @ places
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        mean = first / (1 - 0.9 ** (count + 1))
        scale = np.sqrt(second / (1 - 0.999 ** (count + 1))) + 1e-8
        rate = AFFINE_RATE * (1 + np.cos(np.pi * count / steps)) / 2
        generator = np.vstack([-rate * mean / scale, np.zeros(4)])
        affine = affine @ linalg.expm(generator)
    _check_finite("affine", affine)
    return affine[None, :3]


def _check_finite(name, found):
    if not np.isfinite(found).all():
        raise ValueError(
            "the refinement is not finite: look for NaN in the images. "
            f"Received: {np.count_nonzero(~np.isfinite(found))} such numbers in the "
            f"{name}"
        )


@functools.cache
def _session(file, sha256, folder):
    """Start a program, once a process, if it is the one that the contract names."""
    import onnxruntime

    if sha256 is None:
        raise ValueError(
            f"the contract lists no {file}; run `make export`. Received: no sha256"
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # PyTorch and TensorFlow may run in this process too, or another one beside it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    path = models.whole(file, sha256, folder)
    return onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"]
    )
