"""Names and sidecars of a BIDS derivative.

Reference: https://bids-specification.readthedocs.io, Derivatives.
"""

import re

import registration

VERSION = "1.10.0"
# What a validator of BIDS need not look at, since the standard does not name it yet.
IGNORE = "*_xfm.*\n*_report.html\n*_report.json\n*_coordinates.csv\n"


def names(moving, fixed):
    """Return where each result lies in a derivative data set.

    Args:
        moving: Name of the moving scan, BIDS or not; without its endings.
        fixed: Name of the fixed scan.

    Returns:
        Dict of role → path relative to the data set, see `pair.NAMES`.
    """
    one, other = _subject(moving), _subject(fixed)
    session = re.search(r"(?:^|_)(ses-[A-Za-z0-9]+)", moving)
    parts = [f"sub-{one}", *(session.groups() if session else ())]
    home = "/".join([*parts, "anat"]) + "/" + "_".join(parts)
    back = f"sub-{other}/anat/sub-{other}"
    here, there = (other, one) if other != one else ("fixed", "moving")
    suffix = moving.rpartition("_")[2]
    suffix = suffix if re.fullmatch(r"[A-Z][A-Za-z0-9]+", suffix) else "T1w"
    forward, backward = f"_from-{there}_to-{here}", f"_from-{here}_to-{there}"
    found = {
        "moved": f"{home}_space-{here}_desc-preproc_{suffix}.nii.gz",
        "labels": f"{home}_space-{here}_dseg.nii.gz",
        "points": f"{home}_space-{here}_desc-points_coordinates.csv",
        "report": f"{home}_space-{here}_desc-registration_report.html",
        "numbers": f"{home}_space-{here}_desc-registration_report.json",
        "inverse_moved": f"{back}_space-{there}_desc-preproc_{suffix}.nii.gz",
        "inverse_labels": f"{back}_space-{there}_dseg.nii.gz",
    }
    for prefix, way in (("", forward), ("inverse_", backward)):
        found[f"{prefix}transform"] = f"{home}{way}_mode-image_xfm.h5"
        found[f"{prefix}affine"] = f"{home}{way}_mode-image_desc-affine_xfm.tfm"
        found[f"{prefix}affine_text"] = f"{home}{way}_mode-image_desc-affine_xfm.txt"
        found[f"{prefix}warp"] = f"{home}{way}_mode-image_desc-warp_xfm.nii.gz"
    return found


def description():
    """Return the content of `dataset_description.json`."""
    return {
        "Name": "Registered scans",
        "BIDSVersion": VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [
            {
                "Name": "registration",
                "Version": registration.__version__,
                "Description": "python -m registration",
            }
        ],
    }


def sidecar(role, record, stripped):
    """Return the content of the JSON file beside a result.

    Args:
        role: Key of `names`.
        record: What `provenance.record` returns.
        stripped: Whether the scan that was moved has no skull.

    Returns:
        Dict.
    """
    inputs = {name: part["path"] for name, part in record["inputs"].items()}
    towards = ("fixed", "moving")[role.startswith("inverse_")]
    content = {
        "Sources": list(inputs.values()),
        "SpatialReference": inputs[towards],
        "Description": f"{role.replace('_', ' ')}, by python -m registration",
        "CommandLine": " ".join(record["command"]),
    }
    if role.endswith("moved"):
        content["SkullStripped"] = bool(stripped)
    return content


def _subject(name):
    found = re.match(r"sub-([A-Za-z0-9]+)", name)
    return found.group(1) if found else re.sub(r"[^A-Za-z0-9]", "", name) or "scan"
