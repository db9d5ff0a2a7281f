"""Which files of a folder are the T1-weighted scans of BIDS datasets.

A BIDS name is `key-value` pairs and a suffix joined by underscores, such as
`sub-01_ses-2_desc-preproc_T1w.nii.gz`. A dataset is the folder above those called
`sub-...`, `derivatives`, `rawdata` and the like: two sites below one folder are two
datasets, and the raw and the preprocessed files of one site are one.
"""

from registration.scans.sources import record as records

KINDS_OF_FILES = {
    "rawdata", "sourcedata", "raw", "bids", "fmriprep", "smriprep", "preproc",
    "preprocessed",
}  # fmt: skip
PREPROCESSED_FIRST = {"preproc": 0, None: 1}
LABEL_KINDS = ("aparcaseg", "aseg", None)
MASK_KINDS = ("brain", None)
SUBJECT = ("sub", "ses")
RUN = ("acq", "rec", "run")


def scans(files, top=""):
    """Choose one scan for each subject and session of each dataset.

    It is the `T1w` file in the subject's own space, the preprocessed one before the
    raw one. Its mask and labels lie in its folder.

    Args:
        files: A list of paths relative to the reader's folder.
        top: The name of that folder itself.

    Returns:
        A list of `record.Files`; a dict of path to reason for the other files that
        are BIDS; a list of the paths that are not.
    """
    named = {path: entities(path) for path in files}
    weighted = {p: e for p, e in named.items() if e.get("suffix") == "T1w"}
    homes = _homes(named, weighted, top)
    own_space = {p: e for p, e in weighted.items() if "space" not in e}
    sessions = {}
    for path, e in (own_space or weighted).items():
        label = "_".join(f"{key}-{e[key]}" for key in SUBJECT if key in e)
        sessions.setdefault((homes[path], label), []).append(path)
    found, reasons = [], {}
    for (home, label), paths in sessions.items():
        best, *others = sorted(paths, key=lambda path: _rank(path, named[path]))
        why = f"{best.name} of the same subject and session is taken"
        reasons |= dict.fromkeys(others, why)
        found.append(
            records.Files(best, _ids(best, home, label), **_beside(best, named))
        )
    used = {path for one in found for path in (one.image, one.mask, one.labels)}
    others = []
    with_scans = {homes[path] for path in weighted}
    people = {(homes[path], e["sub"]) for path, e in weighted.items()}
    for path, e in named.items():
        if path in used or path in reasons:
            continue
        suffix = e.get("suffix")
        is_of_a_person = suffix or (homes[path], e.get("sub")) in people
        is_inside = not e and any(_is_inside(part) for part in path.parent.parts)
        if homes[path] not in with_scans or not (is_of_a_person or is_inside):
            others.append(path)
        elif path in weighted:
            reasons[path] = "in another space than the subject's own"
        elif suffix in ("mask", "dseg"):
            reasons[path] = "not of a scan that is taken, or not the map preferred"
        else:
            reasons[path] = f"not a T1w scan but {suffix or 'no BIDS name'}"
    return found, reasons, others


def entities(path):
    """Split a BIDS name into its pairs.

    Args:
        path: A `pathlib.PurePath`.

    Returns:
        A dict of the pairs, the suffix under `"suffix"`; empty where the name does
        not begin with `sub-`.
    """
    parts = records.stem(path).split("_")
    if not parts[0].startswith("sub-"):
        return {}
    pairs = dict(part.split("-", 1) for part in parts if "-" in part)
    suffix = parts[-1] if "-" not in parts[-1] else ""
    return {**pairs, "suffix": "T1w" if suffix.lower() == "t1w" else suffix}


def _homes(named, weighted, top):
    """Return the dataset of each file, the parts of its path.

    A preprocessed scan belongs to the raw one of its subject: in its own dataset, in
    one around it, or in the only other one that has this subject.
    """

    def inner(path):
        parts = path.parent.parts
        ends = [n for n, part in enumerate(parts) if _is_inside(part)]
        above = () if _is_inside(top) else parts[: ends[0] if ends else len(parts)]
        return tuple(part for part in above if part.lower() not in KINDS_OF_FILES)

    inners = {path: inner(path) for path in named}
    raws = {(inners[p], e["sub"]) for p, e in weighted.items() if "desc" not in e}
    preprocessed = {(inners[p], e["sub"]) for p, e in weighted.items()} - raws

    def home(path):
        place, subject = inners[path], named[path].get("sub")
        if (place, subject) not in preprocessed:
            return place
        around = [place[:n] for n in range(len(place)) if (place[:n], subject) in raws]
        elsewhere = [other for other, who in raws if who == subject]
        if around or len(elsewhere) == 1:
            return (around or elsewhere)[-1]
        return place

    return {path: home(path) for path in named}


def _is_inside(part):
    """Say whether a folder of this name lies inside a dataset."""
    return part.startswith("sub-") or part.lower() == "derivatives"


def _rank(path, e):
    """Return how far from the best scan of a session this one is."""
    kind = PREPROCESSED_FIRST.get(e.get("desc"), 2)
    return kind, "ce" in e, len(path.parts), path.name


def _ids(path, home, label):
    """Return the ids that a scan may have, the shortest first."""
    long = "_".join((*home, label))
    return label, long, long, "/".join((*path.parent.parts, label))


def _beside(path, named):
    """Return mask and labels that BIDS names for a scan, in its folder and space."""
    own = named[path]
    beside = {
        other: e
        for other, e in named.items()
        if other.parent == path.parent
        and all(e.get(key) == own.get(key) for key in (*SUBJECT, "space"))
        and all(e.get(key) in (None, own.get(key)) for key in RUN)
        and e.get("label") in (None, "brain")
    }

    def best(suffix, kinds):
        maps = {e.get("desc"): p for p, e in beside.items() if e["suffix"] == suffix}
        return next((maps[kind] for kind in kinds if kind in maps), None)

    return {"mask": best("mask", MASK_KINDS), "labels": best("dseg", LABEL_KINDS)}
