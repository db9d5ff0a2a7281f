"""Stored networks, each with the contract that it was trained under."""

import dataclasses
import hashlib
import json
import pathlib
import re
import typing

from registration import files

HERE = pathlib.Path(__file__).resolve().parent
# A wheel holds them inside the package, the repository beside it; see setup.py.
INSIDE = HERE / "_models"
FOLDER = INSIDE if INSIDE.is_dir() else HERE.parent / "models"
BUILDERS = ("affine_cascade", "brain_network", "dense_cascade", "dense_network")
INPUTS = ("head", "brain", "either")


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A network, and what it must be given.

    Attributes:
        name: Of its files.
        network: `keras.Model` from `[moving, fixed]`, as its builder describes it.
        voxel_mm: Edge of the voxels that it was trained on.
        expects: What it saw in training: `"head"` with skull, `"brain"` cut out of
            it, or `"either"`.
        training: Dict that says on which data, how long and from which seed.
        options: Dict of its builder's arguments.
    """

    name: str
    network: typing.Any
    voxel_mm: float
    expects: str
    training: dict
    options: dict

    @property
    def shape(self):
        """Shape of the images that it takes, in voxels."""
        return tuple(self.options["shape"])

    @property
    def squarings(self):
        """Squarings that integrate its velocity; 0 where it gives a displacement."""
        return self.options.get("squarings", 0)


def load(name, folder=None):
    """Build a stored network, load its weights and its contract.

    Args:
        name: Name of a file `<name>.json`, for example `"affine_t1"`; the card
            `<name>.md` beside it says how good the network is.
        folder: Where the files lie; the repository's `models` when None.

    Returns:
        `Model`.

    Raises:
        ValueError: If there is no such model, its contract is incomplete, or its
            weights are not the ones whose sha256 was stored.
    """
    # Keras starts with this import; `registration.runtime` does without.
    from helpers import networks

    stored = contract(name, folder)
    weights = whole(f"{name}.weights.h5", stored["sha256"], folder)
    network = getattr(networks, stored["builder"])(**stored["options"])
    network.load_weights(weights)
    names = ("voxel_mm", "expects", "training", "options")
    return Model(name, network, *(stored[key] for key in names))


def contract(name, folder=None):
    """Read what a stored network must be given; starts no Keras.

    Args:
        name: See `load`.
        folder: See `load`.

    Returns:
        Dict with `builder`, `options`, `voxel_mm`, `expects`, `training`, `sha256` and,
        where the network was exported, `onnx_sha256`: a dict of file names.

    Raises:
        ValueError: If there is no such model, or its contract is incomplete.
    """
    folder = FOLDER if folder is None else pathlib.Path(folder)
    _check_name(name)
    path = folder / f"{name}.json"
    if not path.exists():
        names = sorted(p.stem for p in folder.glob("*.json"))
        raise ValueError(f"name must be one of {names}. Received: {name!r}")
    stored = json.loads(path.read_text())
    _check_contract(path, stored)
    return stored


def whole(file, sha256, folder=None):
    """Return the path of a stored file, once it is known to be the one stored.

    Args:
        file: Its name.
        sha256: What its contract says.
        folder: See `load`.

    Returns:
        `pathlib.Path`.

    Raises:
        ValueError: If the file is missing, or another one.
    """
    path = (FOLDER if folder is None else pathlib.Path(folder)) / file
    if not path.exists():
        raise ValueError(f"{path} is missing; fetch it again. Received: no file")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise ValueError(
            f"{path} is damaged or was changed; fetch it again. Its sha256 should be "
            f"{sha256}. Received: {found}"
        )
    return path


def store(network, name, builder, options, contract, folder=None):
    """Write a trained network and its contract where `load` finds them.

    Args:
        network: `keras.Model`, as `builder` makes it from `options`.
        name: Name of the model: letters, digits, `_` and `-`.
        builder: Name of the function of `helpers.networks` that builds it.
        options: Dict of the builder's arguments, as JSON can hold them.
        contract: Dict with `voxel_mm`, `expects` and `training`, see `Model`.
        folder: Where to; the repository's `models` when None.

    Raises:
        ValueError: If the name is no plain name or the contract is incomplete.
    """
    folder = FOLDER if folder is None else pathlib.Path(folder)
    _check_name(name)
    stored = {"builder": builder, "options": options, **contract}
    _check_contract(name, {**stored, "sha256": ""})
    folder.mkdir(parents=True, exist_ok=True)
    with files.whole(folder / f"{name}.weights.h5") as partial:
        network.save_weights(partial, overwrite=True)
        stored["sha256"] = hashlib.sha256(partial.read_bytes()).hexdigest()
    with files.whole(folder / f"{name}.json") as partial:
        partial.write_text(json.dumps(stored, indent=2) + "\n")


def _check_name(name):
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name):
        raise ValueError(
            f"a model's name has letters, digits, _ and - only. Received: {name!r}"
        )


def _check_contract(path, stored):
    """Raise unless a description says all that a caller relies on."""
    needed = {"builder", "options", "voxel_mm", "expects", "training", "sha256"}
    missing = sorted(needed - stored.keys())
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}. Received: {list(stored)}")
    if stored["builder"] not in BUILDERS:
        raise ValueError(
            f"{path}: builder must be one of {BUILDERS}. "
            f"Received: {stored['builder']!r}"
        )
    if stored["expects"] not in INPUTS:
        raise ValueError(
            f"{path}: expects must be one of {INPUTS}. Received: {stored['expects']!r}"
        )
    if not stored["voxel_mm"] > 0:
        raise ValueError(
            f"{path}: voxel_mm must be positive. Received: {stored['voxel_mm']!r}"
        )
