"""A reader's own scans: any folder of NIfTI files, BIDS and its derivatives included.

The name of a file and of the folders it lies in says what it is: a T1-weighted scan,
unless a word such as `T2`, `mask` or `brain` says otherwise. A mask or label map
belongs to the scan whose name it repeats, `anna_mask.nii.gz` or `masks/anna.nii.gz` to
`anna.nii.gz`; in a BIDS dataset the standard decides instead. Hidden files are not
looked at, and every other file that is not taken is named with the reason.
"""

import functools
import os
import pathlib
import re

from registration import settings
from registration.scans.sources import bids, plain
from registration.scans.sources import record as records

FOREIGN = re.compile(
    r"\.(mgz|mgh|img|hdr|nrrd|nhdr|mha|mhd|mnc|mif|dcm|par)(\.gz)?$", re.IGNORECASE
)
TABLE = "participants.tsv"

read = records.read


def find(request, shown=True):
    """Find the T1-weighted scans of a folder, their masks, labels and ages.

    In a BIDS dataset these are the `T1w` files in the subject's own space, one for
    each subject and session, the preprocessed one before the raw one. A table
    `participants.tsv` gives age and sex, and the split where its column `split` says
    `fixed` of one scan and `train` or `test` of every other, both of them; else one
    scan is fixed and one in six of the others tests.

    Args:
        request: A `record.Request`; `folder`, else `REGISTRATION_FOLDER`, says where
            to look, subfolders included.
        shown: Not used: nothing is fetched.

    Returns:
        A `record.Found`; `left_out` names every other scan or map of the folder.

    Raises:
        ValueError: If the folder is none or holds fewer than three scans.
    """
    folder = _folder(request)
    read_table = functools.cache(records.read_table)

    def row(path, label=""):
        return _row(folder, path, label, read_table)

    found, left_out, shared, count = _scans(folder, row)
    if len(found) < 3:
        some = "; ".join(f"{name}: {why}" for name, why in left_out[:5])
        some = f" (left out: {some})" if some else ""
        raise ValueError(
            f"{folder} must hold three T1-weighted scans or more, named .nii or "
            f".nii.gz; mend their names, or name another folder or none{some}. "
            f"Received: {len(found)} among {count} files"
        )
    told = {name: row(scan.image, scan.ids[0]) for name, scan in found.items()}
    splits, why_not = _splits(told, request)
    if why_not:
        left_out.insert(0, (TABLE, why_not))
    chosen = [
        records.Record(
            id=name,
            split=splits[name],
            image=folder / scan.image,
            labels=scan.labels and folder / scan.labels,
            mask=scan.mask and folder / scan.mask,
            age=records.number(told[name].get("age")),
            sex=told[name].get("sex", ""),
        )
        for name, scan in found.items()
    ]
    why = f"{shared.upper()} begins every name, so it names no contrast"
    return records.Found(
        records.limited(chosen, request.limit), left_out, why if shared else ""
    )


def scans(folder):
    """List the T1-weighted scans of a folder, however few they are.

    Args:
        folder: A `pathlib.Path`.

    Returns:
        Dict of id to `record.Files`, sorted, and a list of `(name, reason)` for every
        other scan or map.
    """
    read_table = functools.cache(records.read_table)
    found, left_out, _, _ = _scans(
        folder, lambda path: _row(folder, path, "", read_table)
    )
    return found, left_out


def label_names():
    """Return an empty dict: a folder does not say what its numbers mean."""
    return {}


def _scans(folder, row):
    """Return the scans, what is left out, the word of all names, and how many files."""
    files, reasons = _files(folder)
    found, of_bids, others = bids.scans(files, folder.name)
    more, of_plain, shared = plain.scans(others, lambda path: _listed(row(path)))
    reasons |= of_bids | of_plain
    left_out = [(path.as_posix(), why) for path, why in sorted(reasons.items())]
    return _named([*found, *more]), left_out, shared, len({*files, *reasons})


def _folder(request):
    """Return the folder asked for, which must be there."""
    folder = request.folder or settings.folder("REGISTRATION_FOLDER")
    if not folder:
        raise ValueError(
            "source 'folder' needs folder=... or REGISTRATION_FOLDER. Received: None"
        )
    folder = pathlib.Path(folder).expanduser()
    if not folder.is_dir():
        which = "folder=..." if request.folder else "REGISTRATION_FOLDER"
        raise ValueError(
            f"there is no such folder; mend {which} or leave it out to have another "
            f"source. Received: {folder}"
        )
    return folder


def _files(folder):
    """List the NIfTI files below a folder, hidden ones aside, each once.

    Returns:
        A list of paths relative to the folder, and a dict of path to reason for what
        cannot be read.
    """
    found, reasons, seen = [], {}, {}

    def cannot(error):
        path = pathlib.PurePath(error.filename).relative_to(folder)
        reasons[path] = f"cannot be read: {error.strerror}"

    for place, below, names in os.walk(folder, onerror=cannot, followlinks=True):
        here = pathlib.PurePath(place).relative_to(folder)
        below[:] = sorted(name for name in below if not name.startswith("."))
        real = pathlib.Path(place).resolve()
        above = here.parts and real in folder.resolve().parents
        if real in seen or above:
            reasons[here] = f"the same folder as {seen.get(real, 'one above')}"
            below.clear()
            continue
        seen[real] = here
        for name in sorted(names):
            whole, path = pathlib.Path(place, name), here / name
            if name.startswith("."):
                continue
            if FOREIGN.search(name):
                reasons[path] = "not NIfTI; convert it"
            elif records.NAME.match(name):
                why = _unusable(whole, path, seen)
                reasons |= {path: why} if why else {}
                found += [] if why else [path]
    return found, reasons


def _unusable(whole, path, seen):
    """Say why a NIfTI file cannot be taken; else note it as seen and return ""."""
    if not whole.exists():
        return "a link to a file that is not here; fetch it (`datalad get`)"
    if not whole.is_file():
        return "not a file"
    real, name = whole.resolve(), path.parent / records.stem(path)
    if real in seen:
        return f"the same file as {seen[real]}"
    if name in seen:
        return f"{seen[name].name} has the same name"
    seen[real] = seen[name] = path
    return ""


def _named(scans):
    """Name each scan by the least of its path that tells it from all others.

    Returns:
        A dict of id to `record.Files`, sorted.
    """
    for level in range(4):
        names = [scan.ids[level] for scan in scans]
        if all(names) and len(set(names)) == len(names):
            break
    else:
        names = [scan.image.as_posix() for scan in scans]
    return dict(sorted(zip(names, scans, strict=True), key=lambda pair: pair[0]))


def _splits(told, request):
    """Deal the scans as the table says, where it can be used, else by the seed.

    Args:
        told: A dict of id to row of the table.
        request: The `record.Request`.

    Returns:
        A dict of id to split, and why the column of the table was not used, or "".
    """
    given = {name: row.get("split", "").strip().lower() for name, row in told.items()}
    values = list(given.values())
    usable = set(values) == set(records.SPLITS) and values.count("fixed") == 1
    if usable and request.fixed is None:
        return given, ""
    dealt = records.split_by_seed(list(told), request.fixed, seed=request.seed)
    if not any(values):
        return dealt, ""
    if usable:
        return dealt, "its column split is not used: fixed=... deals the scans anew"
    counts = ", ".join(f"{values.count(v)} {v or 'empty'}" for v in sorted({*values}))
    return dealt, (
        "its column split is not used: it must say fixed of one scan, and train or "
        f"test of every other, both of them. Received: {counts}"
    )


def _row(folder, image, label, read_table):
    """Return a scan's row of the nearest `participants.tsv`, empty without one.

    It lies in a folder of the scan or in two above them all. The row is the one of
    the longest name that a part of the scan's path begins with.
    """
    places = [*(folder / place for place in image.parents), *folder.parents[:2]]
    table = next((p / TABLE for p in places if (p / TABLE).is_file()), None)
    rows = read_table(table) if table else []
    parts = [label, records.stem(image), *image.parent.parts]
    best = {}
    for row in rows:
        name = row.get("participant_id", "")
        begins = re.compile(rf"(sub-)?{re.escape(name)}({plain.JOINT}|$)")
        if len(name) > len(_listed(best)) and any(map(begins.match, parts)):
            best = row
    return best


def _listed(row):
    return row.get("participant_id", "")
