"""What files are by their names, where they follow no standard.

The words of a file's name and of its folders say what it is; without one of them it
is a T1-weighted scan. A mask or label map belongs to the scan whose name it repeats:
in its own folder, in one above, or, from a folder `masks` or `labels`, to the only
such scan beside that folder.
"""

import re

from registration.scans.sources import record as records

JOINT = r"[_\-. ]"
ROLES = {
    "mask": (r"brain[_\-. ]?masks?", r"masks?"),
    "labels": (
        r"labels?", r"dseg", r"segs?\d*", r"segmentations?", r"parcellations?",
        r"(?:.*\+)?aseg", r"label[_\-. ]?maps?", r"dlmuse",
    ),
}  # fmt: skip
OF_IMAGES = {"image", "images", "scan", "scans"}
T1 = {"t1", "t1w", "t1n", "mprage", "mpr", "mp2rage", "unit1", "spgr", "fspgr", "bravo"}
OTHER_CONTRASTS = {
    "pdw", "pdt2", "t1ce", "t1gd", "t1c", "t1map", "inv1", "inv2", "dwi", "dti", "adc",
    "swi", "bold", "boldref", "sbref", "fmri", "func", "asl", "cbf", "perf", "fmap",
    "fieldmap", "phasediff", "magnitude", "magnitude1", "magnitude2", "mra", "angio",
    "pet",
}  # fmt: skip
OTHER_BEGINNING = re.compile(r"t2(?!\d)|flair")
# Groups of people and initials too: Parkinson's disease, controls, epilepsy.
IN_DOUBT = {"pd", "ct", "fa", "md", "epi", "b0"}
MADE = {
    "brain", "stripped", "skullstripped", "bet", "to", "reg", "registered", "coreg",
    "coregistered", "aligned", "warped", "resampled", "norm", "normalized", "mni",
    "probseg", "xfm", "transform", "transforms", "warp", "warps", "field", "jacobian",
    "bias", "pve", "wm", "gm", "csf", "lesion", "lesions", "roi", "rois", "defacemask",
}  # fmt: skip
MADE_PAIR = re.compile(
    r"(t1w?|t2w?|pd|flair|epi|func|anat|struct|ct|pet)(to|2)[a-z]\w*"
)


def scans(files, listed):
    """Find the scans among files and the mask and labels of each.

    Args:
        files: A list of paths relative to the reader's folder.
        listed: Function of a path that gives the name a table has for its subject,
            empty where there is none: the words of that name say no contrast.

    Returns:
        A list of `record.Files`, a dict of path to reason for the other files, and
        the word that begins every name and was not read as a contrast, or "".
    """
    first = {_words(records.stem(path))[0] for path in files}
    shared = first.pop() if len(first) == 1 and first <= IN_DOUBT else ""
    companions, reasons, images = [], {}, []
    for path in files:
        role = _role(path)
        reason = "" if role else _reason(path, listed(path), shared)
        if role:
            companions.append((*role, path))
        elif reason:
            reasons[path] = reason
        else:
            images.append(path)
    parts = {path: {} for path in images}
    for role, base, _, path in sorted(companions, key=lambda one: one[2:]):
        fit = _fitting(path, base, images)
        if len(fit) != 1:
            why = f"{len(fit)} scans fit its name" if fit else "no scan has its name"
            reasons[path] = f"{role} by its name or folder, and {why} where it lies"
        elif role in parts[fit[0]]:
            reasons[path] = f"{parts[fit[0]][role].name} is taken as {role} of its scan"
        else:
            parts[fit[0]][role] = path
    found = [records.Files(path, _ids(path), **parts[path]) for path in images]
    return found, reasons, shared


def _words(text):
    return re.split(JOINT, text.lower())


def _role(path):
    """Return what a mask or label map is and of which scan, None for other files.

    Returns:
        `"mask"` or `"labels"`, the name of its scan, in small letters and empty where
        it names none, and how far down the list its word stands.
    """
    stem = records.stem(path).lower()
    for role, words in ROLES.items():
        for rank, word in enumerate(words):
            match = re.fullmatch(rf"(?:(.+?){JOINT})?{word}", stem) or re.fullmatch(
                rf"{word}{JOINT}(.+)", stem
            )
            if match:
                return role, match[1] or "", rank
    for part in reversed(path.parent.parts):
        if _folder_role(part):
            return _folder_role(part), stem, len(stem)
    return None


def _folder_role(part):
    """Return what a folder of this name holds, `"mask"`, `"labels"` or None."""
    words = {part.lower(), *_words(part)}
    if words & OF_IMAGES:
        return None
    for role, known in ROLES.items():
        for word in known:
            # Challenges call these folders labelsTr and labelsTs.
            if any(re.fullmatch(rf"{word}(tr|ts)?", one) for one in words):
                return role
    return None


def _reason(path, name, shared):
    """Return why a file is no scan by the words of its name and folders, or ""."""
    stem = records.stem(path).lower().removeprefix("sub-")
    name = name.lower().removeprefix("sub-")
    if name and re.match(rf"{re.escape(name)}({JOINT}|$)", stem):
        stem = stem[len(name) :]
    words = [word for word in _words(stem) if word]
    if words[:1] == [shared]:
        words = words[1:]
    for place, word in enumerate(words):
        # As the first of several, such a word may be a title: brain_001.
        is_made = word in MADE and (place or len(words) == 1)
        if is_made or MADE_PAIR.fullmatch(word):
            return (
                f"{word} in its name: made of a scan, not another head; rename it if "
                "it is one"
            )
    for part in path.parent.parts:
        if part.lower().removesuffix("s") in MADE or part.lower() in MADE:
            return (
                f"in a folder {part}: made of scans, not other heads; give that "
                "folder itself if they are the scans"
            )
    return _contrast(path, words)


def _contrast(path, words):
    """Return which other contrast the last word that names one says, or ""."""
    reason = ""
    for part in path.parent.parts:
        for word in _words(part):
            if word in T1:
                reason = ""
            elif _is_other(word) or part.lower() in IN_DOUBT:
                reason = (
                    f"in a folder {part}: not T1-weighted; if it is, give that "
                    "folder itself or end the name in _T1"
                )
    for word in words:
        if word in T1:
            reason = ""
        elif _is_other(word):
            reason = f"{word.upper()} in its name: not T1-weighted"
        elif word in IN_DOUBT:
            reason = (
                f"{word.upper()} in its name: not T1-weighted; if it is, end the name "
                "in _T1 or list it in participants.tsv"
            )
    return reason


def _is_other(word):
    return word in OTHER_CONTRASTS or OTHER_BEGINNING.match(word)


def _fitting(path, base, images):
    """Return the scans that a mask or label map may belong to."""

    def named(some):
        exact = [one for one in some if records.stem(one).lower() == base]
        return exact or [one for one in some if base in _names(one)]

    beside = [one for one in images if one.parent == path.parent]
    if not base or named(beside):
        return named(beside) if base else beside
    parts = path.parent.parts
    places = [n for n, part in enumerate(parts) if _folder_role(part)]
    if not places:
        above = ([o for o in images if o.parent == place] for place in path.parents)
        return next((named(some) for some in above if named(some)), [])
    top, below = parts[: places[-1]], parts[places[-1] + 1 :]
    near = [one for one in images if one.parts[: len(top)] == top]
    if below:
        near = [one for one in near if one.parent.parts[-len(below) :] == below]
    return named(near)


def _names(path):
    """Return the names that a scan's mask may repeat: `anna_T1`, `anna`."""
    names = [records.stem(path).lower()]
    while match := re.fullmatch(rf"(.+){JOINT}([^_\-. ]+)", names[-1]):
        if match[2] not in T1:
            break
        names.append(match[1])
    return names


def _ids(path):
    """Return the ids that a scan may have, the shortest first."""
    stem, places = records.stem(path), path.parent.parts
    return stem, "_".join(places), "_".join((*places, stem)), "/".join((*places, stem))
