"""Two sizes, one notebook: what runs on a laptop and what runs on a GPU."""

from helpers import backend
from registration import settings, show

NAMES = ("quick", "full")


class Settings:
    """Hold the settings of one profile as attributes; shows itself as a table.

    Below it, where the notebook is not trusted, stands how its sliders are woken: the
    settings are the first thing that every notebook shows.

    Args:
        profile: Name of the profile.
        values: Dict of the settings, which become attributes and may be changed.
    """

    def __init__(self, profile, values):
        self.profile = profile
        self.__dict__.update(values)

    def _repr_html_(self):
        rows = [(key, str(value)) for key, value in self.__dict__.items()]
        return show.table(("setting", "value"), rows).html + show.TRUST_NOTE.html

    def __repr__(self):
        """Return one line a setting."""
        width = max(map(len, self.__dict__))
        return "\n".join(f"{k:{width}}  {v}" for k, v in self.__dict__.items())


def choose(quick, full):
    """Return the settings of the profile in force.

    `REGISTRATION_PROFILE` names it; where it is not set, it is `full` with a GPU
    and `quick` without.

    Args:
        quick: Dict of settings for two CPU cores and five minutes.
        full: Dict with the same keys for a GPU.

    Returns:
        `Settings`, with `profile` and one attribute a key.

    Raises:
        ValueError: If the variable names no profile or the keys differ.
    """
    if quick.keys() != full.keys():
        raise ValueError(
            "both profiles need the same settings. Received: "
            f"{sorted(quick)} and {sorted(full)}"
        )
    name = settings.value("REGISTRATION_PROFILE")
    name = name or ("full" if backend.has_gpu() else "quick")
    if name not in NAMES:
        raise ValueError(
            f"REGISTRATION_PROFILE must be one of {NAMES}. Received: {name!r}"
        )
    return Settings(name, full if name == "full" else quick)
