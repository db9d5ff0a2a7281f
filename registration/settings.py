"""What the environment may decide: every variable of ours is read here.

| variable | decides |
| --- | --- |
| `REGISTRATION_DATA` | the cache folder of downloaded data |
| `REGISTRATION_SOURCE` | which source `auto` takes |
| `REGISTRATION_FOLDER` | a reader's own scans, for `auto` where no source is named |
| `REGISTRATION_IXI_URL`, `REGISTRATION_OPENNEURO_URL` | another server of a source |
| `REGISTRATION_PROFILE` | `quick` or `full` |
| `REGISTRATION_BUILD` | where a run of the notebooks leaves its results |

The first cell of a notebook runs before anything can be imported, and reads
`REGISTRATION_URL`, the repository to fetch, by itself.
"""

import os
import pathlib

NAMES = (
    "REGISTRATION_DATA",
    "REGISTRATION_SOURCE",
    "REGISTRATION_FOLDER",
    "REGISTRATION_IXI_URL",
    "REGISTRATION_OPENNEURO_URL",
    "REGISTRATION_PROFILE",
    "REGISTRATION_BUILD",
)


def value(name):
    """Return the text of a variable.

    Args:
        name: One of `NAMES`.

    Returns:
        str, empty where the variable is not set.

    Raises:
        ValueError: If the name is none of ours.
    """
    if name not in NAMES:
        raise ValueError(f"name must be one of {NAMES}. Received: {name!r}")
    return os.environ.get(name, "")


def folder(name):
    """Return the folder that a variable names.

    Args:
        name: One of `NAMES`.

    Returns:
        A `pathlib.Path`, `~` expanded, or None where the variable is not set.
    """
    text = value(name)
    return pathlib.Path(text).expanduser() if text else None
