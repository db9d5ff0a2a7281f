"""Store trained networks, and load them by name."""

import hashlib
import json
import pathlib

from helpers.networks import affine, dense

MODELS = pathlib.Path(__file__).resolve().parents[2] / "models"
BUILDERS = {
    "affine_cascade": affine.affine_cascade,
    "dense_cascade": dense.dense_cascade,
    "dense_network": dense.dense_network,
}


def load(name):
    """Build a stored network and load its trained weights.

    Args:
        name: Name of a file `models/<name>.json`, for example `"affine_t1"`; the
            card `models/<name>.md` says what it was trained on and how good it is.

    Returns:
        `keras.Model`, as its builder describes it.

    Raises:
        ValueError: If there is no such model, or its weights are not the ones
            whose sha256 was stored.
    """
    path = MODELS / f"{name}.json"
    if not path.exists():
        names = sorted(p.stem for p in MODELS.glob("*.json"))
        raise ValueError(f"name must be one of {names}. Received: {name!r}")
    stored = json.loads(path.read_text())
    weights = path.with_name(stored["weights"])
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    if found != stored["sha256"]:
        raise ValueError(
            f"{weights} is damaged or was changed; fetch it again. Its sha256 should "
            f"be {stored['sha256']}. Received: {found}"
        )
    network = BUILDERS[stored["builder"]](**stored["options"])
    network.load_weights(weights)
    return network


def store(network, name, builder, options):
    """Write a trained network where `load` finds it.

    Args:
        network: `keras.Model`, as `builder` makes it from `options`.
        name: Name of the model.
        builder: Name of the function that builds it, one of `BUILDERS`.
        options: Dict of the builder's arguments, as JSON can hold them.
    """
    MODELS.mkdir(exist_ok=True)
    weights = MODELS / f"{name}.weights.h5"
    network.save_weights(weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    stored = {"builder": builder, "options": options}
    stored |= {"weights": weights.name, "sha256": digest}
    (MODELS / f"{name}.json").write_text(json.dumps(stored, indent=2) + "\n")
