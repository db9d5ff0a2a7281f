"""A reader's own scans: any folder of NIfTI files, BIDS and its derivatives included.

A BIDS name is `key-value` pairs and a suffix joined by underscores, such as
`sub-01_ses-2_desc-preproc_T1w.nii.gz`. Other names are taken as they are, and a
mask or label map is known by the word that follows the name of its scan, such as
`anna.nii.gz` and `anna_mask.nii.gz`.
"""

import pathlib
import re

from registration.scans.sources import records

NAME = re.compile(r"^(?P<stem>.+?)\.nii(\.gz)?$", re.IGNORECASE)
MASK_WORDS = ("mask", "brainmask", "brain_mask")
LABEL_WORDS = ("labels", "label", "dseg", "seg", "aseg", "aparc+aseg", "DLMUSE")
LABEL_KINDS = ("aparcaseg", "aseg", None)
NOT_SCANS = {"mask", "dseg", "probseg", "bold", "boldref", "dwi", "xfm", "sbref"}


def find(folder, fixed=None, seed=0):
    """Find the T1-weighted scans of a folder, their masks, labels and ages.

    In a BIDS dataset these are the `T1w` files in the subject's own space, one for
    each subject and session, the preprocessed one before the raw one. A table
    `participants.tsv` gives age and sex, and the split where it has that column;
    else one scan is fixed and one in six of the others tests.

    Args:
        folder: Where to look, subfolders included.
        fixed: The id of the fixed scan; the first when None.
        seed: Of the deal of the others.

    Returns:
        A list of `records.Record`, sorted by id.

    Raises:
        ValueError: If the folder is none or holds fewer than three scans.
    """
    folder = pathlib.Path(folder).expanduser()
    if not folder.is_dir():
        raise ValueError(f"there is no such folder. Received: {folder}")
    files = sorted(
        path
        for path in folder.rglob("*.nii*")
        if NAME.match(path.name) and path.is_file() and not path.name.startswith(".")
    )
    found = _bids(files) or _plain(files)
    if len(found) < 3:
        raise ValueError(
            f"{folder} must hold three T1-weighted scans or more, named .nii or "
            f".nii.gz. Received: {len(found)} among {len(files)} files"
        )
    table = _participants(folder)
    rows = {name: _row(table, name) for name in found}
    splits = {name: row.get("split") for name, row in rows.items()}
    named = list(splits.values())
    usable = set(named) == set(records.SPLITS) and named.count("fixed") == 1
    if fixed is not None or not usable:
        splits = records.split_by_seed(sorted(found), fixed, seed=seed)
    return [
        records.Record(
            id=name,
            split=splits[name],
            age=records.number(rows[name].get("age")),
            sex=rows[name].get("sex", ""),
            **found[name],
        )
        for name in sorted(found)
    ]


def entities(path):
    """Split a BIDS name into its pairs.

    Args:
        path: A `pathlib.Path`.

    Returns:
        A dict of the pairs, the suffix under `"suffix"`; empty where the name does
        not begin with `sub-`.
    """
    parts = NAME.match(path.name)["stem"].split("_")
    if not parts[0].startswith("sub-"):
        return {}
    pairs = dict(part.split("-", 1) for part in parts if "-" in part)
    return {**pairs, "suffix": parts[-1] if "-" not in parts[-1] else ""}


def _bids(files):
    """Return the files of each subject and session of a BIDS dataset."""
    named = [(path, entities(path)) for path in files]
    scans = [(path, e) for path, e in named if e.get("suffix") == "T1w"]
    own_space = [(path, e) for path, e in scans if "space" not in e]
    found = {}
    for path, e in own_space or scans:
        label = "_".join(f"{k}-{e[k]}" for k in ("sub", "ses") if k in e)
        rank = (e.get("desc") != "preproc", len(path.parts), path.name)
        if label not in found or rank < found[label][0]:
            found[label] = rank, path, e
    out = {}
    for label, (_, path, e) in found.items():
        beside = [
            (other, o)
            for other, o in named
            if other.parent == path.parent
            and all(o.get(k) == e.get(k) for k in ("sub", "ses", "space"))
        ]
        masks = [
            p for p, o in beside if (o["suffix"], o.get("desc")) == ("mask", "brain")
        ]
        maps = {o.get("desc"): p for p, o in beside if o["suffix"] == "dseg"}
        labels = [maps[kind] for kind in LABEL_KINDS if kind in maps]
        out[label] = {
            "image": path,
            "labels": labels[0] if labels else None,
            "mask": masks[0] if masks else None,
        }
    return out


def _plain(files):
    """Return the files of each scan of a folder that is not BIDS."""
    stems = {}
    for path in files:
        stems.setdefault(NAME.match(path.name)["stem"], path)
    words = {w.lower() for w in MASK_WORDS + LABEL_WORDS} | NOT_SCANS

    def companion(stem, kinds):
        names = [f"{stem}{joint}{kind}" for kind in kinds for joint in "_-."]
        return next((stems[name] for name in names if name in stems), None)

    scans = [
        stem for stem in stems if re.split(r"[_\-.]", stem)[-1].lower() not in words
    ]
    return {
        stem: {
            "image": stems[stem],
            "labels": companion(stem, LABEL_WORDS),
            "mask": companion(stem, MASK_WORDS),
        }
        for stem in scans
    }


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
