"""Which pairs a cohort holds: from a folder, a BIDS data set, or a table of paths."""

import csv
import pathlib
import typing

from registration import bids
from registration.mendable import InputError
from registration.scans.sources import folder as folders

TABLES = (".csv", ".tsv")
FILES = ("moving", "fixed", "moving_mask", "fixed_mask", "labels", "fixed_labels")
# Shorter heads of a list of scans.
SHORT = {"mask": "moving_mask", "scan": "moving"}


class Entry(typing.NamedTuple):
    """One pair of a cohort.

    Attributes:
        name: Of the moving scan, no other pair's with the same fixed scan.
        onto: Name of the fixed scan.
        moving: `pathlib.Path` of the scan to be moved.
        fixed: Path of the scan it is moved onto.
        moving_mask: Path of its brain mask, or None.
        fixed_mask: Path of the fixed scan's, or None.
        labels: Path of its label map, or None.
        fixed_labels: Path of the fixed scan's, or None.
    """

    name: str
    onto: str
    moving: pathlib.Path
    fixed: pathlib.Path
    moving_mask: pathlib.Path | None = None
    fixed_mask: pathlib.Path | None = None
    labels: pathlib.Path | None = None
    fixed_labels: pathlib.Path | None = None


def entries(source, fixed=None, fixed_mask=None, fixed_labels=None):
    """List the pairs of a source.

    Args:
        source: A folder of scans or BIDS data set, or a `.csv` or `.tsv` file with a
            head. Its columns are `moving` and, where they are needed, `name`, `fixed`,
            `moving_mask`, `fixed_mask`, `labels`, `fixed_labels`; a path that is not
            absolute begins where the table lies.
        fixed: Path of the scan that all are moved onto; None where the table names one
            for each.
        fixed_mask: Path of its brain mask, or None.
        fixed_labels: Path of its label map, or None.

    Returns:
        A list of `Entry` and a list of `(name, reason)` of what is left out.

    Raises:
        ValueError: If the source cannot be read, holds no pair, or two pairs would
            have the same results.
    """
    source = pathlib.Path(source).expanduser()
    onto = {"fixed": fixed, "fixed_mask": fixed_mask, "fixed_labels": fixed_labels}
    onto = {role: path and pathlib.Path(path) for role, path in onto.items()}
    if source.suffix.lower() in TABLES:
        found, left_out = _of_table(source, onto), []
    elif source.is_dir():
        if fixed is None:
            raise InputError(
                "a folder needs --fixed, the scan that all others are moved onto. "
                "Received: none"
            )
        found, left_out = _of_folder(source, onto)
    else:
        raise InputError(
            f"{source}: name a folder of scans, or a table that ends in .csv or .tsv. "
            f"Received: {str(source)!r}"
        )
    if not found:
        raise InputError(
            f"{source}: no scan to register is there. Received: "
            f"{'; '.join(f'{n}: {why}' for n, why in left_out[:5]) or 'nothing'}"
        )
    _check_names(source, found)
    return found, left_out


def _of_folder(folder, onto):
    scans, left_out = folders.scans(folder)
    same = onto["fixed"].resolve()
    found = []
    for name, files in scans.items():
        if (folder / files.image).resolve() == same:
            left_out.append((name, "is the fixed scan"))
            continue
        found.append(
            Entry(
                name=name,
                onto=_stem(onto["fixed"]),
                moving=folder / files.image,
                moving_mask=files.mask and folder / files.mask,
                labels=files.labels and folder / files.labels,
                **onto,
            )
        )
    return found, left_out


def _of_table(path, onto):
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            mark = "\t" if path.suffix.lower() == ".tsv" else ","
            reader = csv.DictReader(file, delimiter=mark)
            heads, rows = list(reader.fieldnames or ()), list(reader)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not a table in UTF-8; store it again as CSV. Received: {error}"
        ) from error
    heads = [SHORT.get(head, head) for head in heads]
    needed = {"moving"} | ({"fixed"} if onto["fixed"] is None else set())
    if missing := sorted(needed - set(heads)):
        raise InputError(
            f"{path}: the table needs a column {' and '.join(missing)}. Received: "
            f"{', '.join(heads) or 'an empty file'}"
        )
    found = []
    for number, row in enumerate(rows, start=2):
        row = {SHORT.get(head, head): text for head, text in row.items() if head}
        files = {
            role: path.parent / pathlib.Path(row[role]).expanduser()
            for role in FILES
            if row.get(role)
        }
        files = {role: one for role, one in onto.items() if one} | files
        if lacks := [role for role in ("moving", "fixed") if role not in files]:
            raise InputError(
                f"{path}: line {number} names no {lacks[0]} scan. Received: {row}"
            )
        # A mask or label map belongs to its own fixed scan.
        if files["fixed"] != onto["fixed"]:
            for role in ("fixed_mask", "fixed_labels"):
                if not row.get(role):
                    files.pop(role, None)
        name = row.get("name") or _stem(files["moving"])
        found.append(Entry(name=name, onto=_stem(files["fixed"]), **files))
    return found


def _stem(path):
    return path.name.removesuffix(".gz").removesuffix(".nii")


def _check_names(source, found):
    """Raise where two pairs would be written to the same place."""
    places = {}
    for entry in found:
        place = bids.names(entry.name, entry.onto)["numbers"]
        if place in places:
            raise InputError(
                f"{source}: two scans would have the same results; list the scans in a "
                "table with a column name that tells them apart. Received: "
                f"{places[place]} and {entry.moving}"
            )
        places[place] = entry.moving
