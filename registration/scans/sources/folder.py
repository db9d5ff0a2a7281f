"""A reader's own scans: any folder of NIfTI files, BIDS and its derivatives included.

A BIDS name is `key-value` pairs and a suffix joined by underscores, such as
`sub-01_ses-2_desc-preproc_T1w.nii.gz`. Other names are taken as they are: a file is a
T1-weighted scan unless a word of its name says otherwise, and its mask and label map
lie in its folder or below and repeat its name, such as `anna.nii.gz` and
`anna_mask.nii.gz`. Every file that is not taken is named with the reason.
"""

import pathlib
import re

from registration import settings
from registration.scans.sources import record as records

NAME = re.compile(r"^(?P<stem>.+?)\.nii(\.gz)?$", re.IGNORECASE)
MASK_WORDS = ("mask", "brainmask", "brain_mask")
LABEL_WORDS = (
    "labels", "label", "dseg", "seg", "segmentation", "parcellation", "aseg",
    "aparc+aseg", "dlmuse",
)  # fmt: skip
LABEL_KINDS = ("aparcaseg", "aseg", None)
OTHER_CONTRASTS = {
    "t2", "t2w", "pd", "pdw", "flair", "dwi", "dti", "bold", "boldref", "sbref", "epi",
    "swi", "adc", "asl", "ct", "pet", "mra", "t2star", "b0", "fa", "md",
}  # fmt: skip
MADE_OF_SCANS = {
    "brain", "stripped", "bet", "probseg", "xfm", "warp", "field", "bias", "pve",
}  # fmt: skip
SUBJECT = ("sub", "ses")

read = records.read


def find(request, shown=True):
    """Find the T1-weighted scans of a folder, their masks, labels and ages.

    In a BIDS dataset these are the `T1w` files in the subject's own space, one for
    each subject and session, the preprocessed one before the raw one. A table
    `participants.tsv` gives age and sex, and the split where it has that column;
    else one scan is fixed and one in six of the others tests.

    Args:
        request: A `record.Request`; `folder`, else `REGISTRATION_FOLDER`, says where
            to look, subfolders included.
        shown: Not used: nothing is fetched.

    Returns:
        A `record.Found`; `left_out` names every other NIfTI file of the folder.

    Raises:
        ValueError: If the folder is none or holds fewer than three scans.
    """
    folder = request.folder or settings.folder("REGISTRATION_FOLDER")
    if not folder:
        raise ValueError(
            "source 'folder' needs folder=... or REGISTRATION_FOLDER. Received: None"
        )
    folder = pathlib.Path(folder).expanduser()
    if not folder.is_dir():
        raise ValueError(f"there is no such folder. Received: {folder}")
    found, reasons = _sorted_out(folder)
    left_out = [
        (str(path.relative_to(folder)), why) for path, why in sorted(reasons.items())
    ]
    if len(found) < 3:
        some = "; ".join(f"{name}: {why}" for name, why in left_out[:5])
        raise ValueError(
            f"{folder} must hold three T1-weighted scans or more, named .nii or "
            f".nii.gz{f' (left out: {some})' if some else ''}. Received: {len(found)} "
            f"among {len(found) + len(left_out)} files"
        )
    table = _participants(folder)
    rows = {name: _row(table, name) for name in found}
    splits = {name: row.get("split") for name, row in rows.items()}
    named = list(splits.values())
    usable = set(named) == set(records.SPLITS) and named.count("fixed") == 1
    if request.fixed is not None or not usable:
        splits = records.split_by_seed(sorted(found), request.fixed, seed=request.seed)
    chosen = [
        records.Record(
            id=name,
            split=splits[name],
            age=records.number(rows[name].get("age")),
            sex=rows[name].get("sex", ""),
            **found[name],
        )
        for name in sorted(found)
    ]
    return records.Found(records.limited(chosen, request.limit), left_out)


def label_names():
    """Return an empty dict: a folder does not say what its numbers mean."""
    return {}


def _sorted_out(folder):
    """Return the files of each scan by id, and why each other file is not taken."""
    reasons, files = {}, {}
    for path in sorted(folder.rglob("*.nii*")):
        if not NAME.match(path.name) or path.name.startswith("."):
            continue
        if not path.is_file():
            reasons[path] = "not a file"
            continue
        key = path.parent, _stem(path)
        if key in files:
            reasons[path] = f"{files[key].name} has the same name"
        else:
            files[key] = path
    named = {path: entities(path) for path in files.values()}
    if any(one.get("suffix") == "T1w" for one in named.values()):
        return _bids(named, reasons)
    return _plain(files, reasons, folder)


def _stem(path):
    return NAME.match(path.name)["stem"]


def entities(path):
    """Split a BIDS name into its pairs.

    Args:
        path: A `pathlib.Path`.

    Returns:
        A dict of the pairs, the suffix under `"suffix"`; empty where the name does
        not begin with `sub-`.
    """
    parts = _stem(path).split("_")
    if not parts[0].startswith("sub-"):
        return {}
    pairs = dict(part.split("-", 1) for part in parts if "-" in part)
    return {**pairs, "suffix": parts[-1] if "-" not in parts[-1] else ""}


def _bids(named, reasons):
    """Return the files of each subject and session of a BIDS dataset."""
    scans = {path: e for path, e in named.items() if e.get("suffix") == "T1w"}
    own_space = {path: e for path, e in scans.items() if "space" not in e}
    best = {}
    for path, e in (own_space or scans).items():
        label = "_".join(f"{key}-{e[key]}" for key in SUBJECT if key in e)
        rank = (e.get("desc") != "preproc", len(path.parts), path.name)
        best.setdefault(label, []).append((rank, path))
    found, used = {}, set()
    for label, ranked in best.items():
        (_, path), *others = sorted(ranked)
        for _, other in others:
            reasons[other] = f"{path.name} of the same subject and session is taken"
        found[label] = {"image": path, **_beside(path, named)}
        used |= {p for p in found[label].values() if p is not None}
    for path, e in named.items():
        if path in used or path in reasons:
            continue
        if path in scans:
            reasons[path] = "in another space than the subject's own"
        elif e.get("suffix") in ("mask", "dseg"):
            reasons[path] = "not of a scan that is taken, or not the map preferred"
        else:
            reasons[path] = f"not a T1w scan but {e.get('suffix') or 'no BIDS name'}"
    return found, reasons


def _beside(path, named):
    """Return mask and labels that BIDS names for a scan, in its folder and space."""
    own = named[path]
    beside = {
        other: e
        for other, e in named.items()
        if other.parent == path.parent
        and all(e.get(key) == own.get(key) for key in (*SUBJECT, "space"))
        and e.get("run") in (None, own.get("run"))
    }
    masks = [
        p
        for p, e in beside.items()
        if (e["suffix"], e.get("desc")) == ("mask", "brain")
    ]
    maps = {e.get("desc"): p for p, e in beside.items() if e["suffix"] == "dseg"}
    labels = [maps[kind] for kind in LABEL_KINDS if kind in maps]
    return {
        "labels": labels[0] if labels else None,
        "mask": masks[0] if masks else None,
    }


def _plain(files, reasons, folder):
    """Return the files of each scan of a folder that is not BIDS."""
    kinds = {path: _kind(path) for path in files.values()}
    scans = [path for path, (kind, _) in kinds.items() if kind == "scan"]
    names, found, used = _ids(scans, folder), {}, set()
    for path in scans:
        parts = {
            part: _companion(path, words, files, scans)
            for part, words in (("labels", LABEL_WORDS), ("mask", MASK_WORDS))
        }
        found[names[path]] = {"image": path, **parts}
        used |= {p for p in parts.values() if p is not None}
    for path, (kind, word) in kinds.items():
        if kind in ("mask", "labels") and path not in used:
            reasons[path] = f"its name ends in {word}, and its scan is not beside it"
        elif kind == "contrast":
            reasons[path] = f"{word} in its name: not T1-weighted"
        elif kind == "made":
            reasons[path] = f"its name ends in {word}: made of a scan, not one"
    return found, reasons


def _kind(path):
    """Return what a file is by its name, and the word that says so."""
    stem = _stem(path).lower()
    for kind, words in (("mask", MASK_WORDS), ("labels", LABEL_WORDS)):
        for word in sorted(words, key=len, reverse=True):
            if re.search(rf"(^|[_\-.]){re.escape(word)}$", stem):
                return kind, word
    words = re.split(r"[_\-.\s]", stem)
    if words[-1] in MADE_OF_SCANS:
        return "made", words[-1]
    others = [word for word in words if word in OTHER_CONTRASTS]
    if others and not {"t1", "t1w"} & set(words):
        return "contrast", others[0].upper()
    return "scan", ""


def _companion(path, words, files, scans):
    """Return the file that is a scan's mask or label map, or None.

    It lies in the scan's folder or below it, where no scan of that name is nearer.
    """
    stem, here = _stem(path).lower(), path.parent
    alone = sum(other.parent == here for other in scans) == 1
    names = [f"{stem}{joint}{word}" for word in words for joint in "_-."]
    nearer = {
        other.parent
        for other in scans
        if _stem(other).lower() == stem and here in other.parent.parents
    }
    found = {}
    for (folder, name), other in files.items():
        inside = here == folder or here in folder.parents
        if not inside or nearer & {folder, *folder.parents}:
            continue
        if name.lower() in names or (
            alone and folder == here and name.lower() in words
        ):
            found.setdefault(name.lower(), []).append(other)
    for name in (*names, *words):
        if name in found:
            return min(found[name], key=lambda other: len(other.parts))
    return None


def _ids(scans, folder):
    """Name each scan by the least of its path that tells it from all others."""

    def joined(parts):
        return "_".join(parts)

    places = {path: path.relative_to(folder).parent.parts for path in scans}
    for name in (
        lambda path: _stem(path),
        lambda path: joined(places[path]),
        lambda path: joined((*places[path], _stem(path))),
        lambda path: "/".join((*places[path], _stem(path))),
    ):
        names = {path: name(path) for path in scans}
        if all(names.values()) and len(set(names.values())) == len(scans):
            return names
    return {path: str(path.relative_to(folder)) for path in scans}


def _participants(folder):
    """Return the rows of the nearest `participants.tsv`, this folder or two above."""
    for place in (folder, *folder.parents[:2]):
        path = place / "participants.tsv"
        if path.is_file():
            return records.read_table(path)
    return []


def _row(table, name):
    """Return the row of a subject, empty where there is none."""
    for row in table:
        label = row.get("participant_id", "")
        if label and re.match(rf"(sub-)?{re.escape(label)}(_|$)", name):
            return row
    return {}
