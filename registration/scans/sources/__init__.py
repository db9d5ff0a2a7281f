"""Where a cohort's scans come from: one file a source, and this table of them.

A source is a module (or package) with three functions:

    find(request, shown) -> record.Found
        The subjects that `request`, a `record.Request`, asks for, their files here:
        fetched first where need be, with a progress bar if `shown`. Raises `OSError`
        (`ConnectionError`) where they cannot be had, `ValueError` where what is here
        cannot be trusted or the request makes no sense. One record is of the split
        "fixed"; `record.split_by_seed` deals the others where the data do not say,
        `record.limited` keeps as many as the request wants.
    read(record, skull, voxel_mm) -> scan.Scan
        One subject on its own grid, intensities in [0, 1]; without its skull if asked.
        `record.read` does it for every source that has files; a source that makes its
        heads makes them with voxels of `voxel_mm`.
    label_names() -> dict
        Number to name; empty where the source does not know.

To add one, write its file and name it in `SOURCES`.
"""

from registration import settings
from registration.scans.sources import folder, ixi, openneuro, record, simulated

SOURCES = {
    "ixi": ixi,
    "folder": folder,
    "openneuro": openneuro,
    "simulated": simulated,
}


def find(name, request, shown=True):
    """Find the subjects of a source, or of the first that works.

    Args:
        name: One of `SOURCES`, or `"auto"`: a folder that the request names, else
            what `REGISTRATION_SOURCE` says, else the folder that
            `REGISTRATION_FOLDER` names, else `"ixi"`, else `"simulated"` where the
            scans cannot be had.
        request: A `record.Request`.
        shown: Whether to draw progress bars.

    Returns:
        The name of the source, and its `record.Found`.

    Raises:
        ValueError: If there is no such source, or what it has cannot be trusted; a
            folder that is named and cannot be used gives way to no other source.
        OSError: If the files of the source asked for could not be had.
    """
    asked = "asked for"
    if name == "auto" and request.folder:
        name, asked = "folder", "because folder=... names one"
    elif name == "auto" and settings.value("REGISTRATION_SOURCE"):
        name = settings.value("REGISTRATION_SOURCE")
        asked = "asked for by REGISTRATION_SOURCE"
    if name == "auto" and settings.value("REGISTRATION_FOLDER"):
        name, asked = "folder", "because REGISTRATION_FOLDER names one"
    if name not in (*SOURCES, "auto"):
        raise ValueError(
            f"source must be one of {('auto', *SOURCES)}. Received: {name!r}"
        )
    if name == "folder":
        found = folder.find(request, shown)
        return name, found._replace(why="; ".join(filter(None, (asked, found.why))))
    if name != "auto":
        return name, _explained(SOURCES[name].find(request, shown), asked)
    try:
        return "ixi", ixi.find(request, shown)
    except OSError as error:
        found = simulated.find(request, shown)
        why = f"because the IXI scans cannot be had: {error}"
        return "simulated", _explained(found, why)


def _explained(found, why):
    """Return what was found, with a reason where the source gives none."""
    return found if found.why else found._replace(why=why)


__all__ = ["SOURCES", "find", "record"]
