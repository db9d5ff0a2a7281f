"""A folder of results that appears when all of them are complete."""

import contextlib
import os
import pathlib
import shutil
import signal
import tempfile

import nibabel
import numpy as np

from registration.mendable import InputError
from registration.scans import grid as grids


@contextlib.contextmanager
def folder(path, force=False, made=None):
    """Give a folder to write to; its files take their places when the block ends.

    A folder that does not exist yet appears in one step. Where the block fails or the
    process is stopped, nothing stands at `path` that was not there before.

    Args:
        path: The folder of the results.
        force: Whether files of the same names may be replaced.
        made: Function that lists, as names relative to the folder, the files of an
            earlier run that may be removed; called with `path` at the end.

    Yields:
        A `pathlib.Path` of an empty folder on the same disk.

    Raises:
        ValueError: If the folder cannot be written, or a file of the same name is
            there and `force` is not set.
    """
    path = pathlib.Path(path)
    if path.exists() and not path.is_dir():
        raise InputError(
            f"{path}: a file has this name; choose another folder for --out. "
            f"Received: {str(path)!r}"
        )
    near = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    try:
        partial = pathlib.Path(tempfile.mkdtemp("", ".writing-", near))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written there; choose another folder for --out. "
            f"Received: {error}"
        ) from error
    try:
        yield partial
        names = sorted(
            p.relative_to(partial) for p in partial.rglob("*") if p.is_file()
        )
        if not force:
            refuse_existing(path, names)
        with _undisturbed():
            old = set(made(path)) if made and force else set()
            for name in old - set(map(str, names)):
                (path / name).unlink(missing_ok=True)
            _move(partial, path, names)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def refuse_existing(path, names):
    """Raise if a folder holds a file of one of these names.

    Args:
        path: The folder.
        names: Names relative to it.

    Raises:
        ValueError: If there is one.
    """
    there = [str(name) for name in names if os.path.lexists(pathlib.Path(path) / name)]
    if there:
        raise InputError(
            f"{path}: results are there already; choose another folder for --out, or "
            f"replace them with --force. Received: {', '.join(there)}"
        )


def refuse_inputs(targets, inputs):
    """Raise if a file that would be written is one that is read.

    Args:
        targets: Paths to be written.
        inputs: Paths that are read; None among them is passed over.

    Raises:
        ValueError: If there is one.
    """
    read = {pathlib.Path(path).resolve() for path in inputs if path is not None}
    for target in targets:
        if pathlib.Path(target).resolve() in read:
            raise InputError(
                f"{target}: this input would be overwritten; choose another --out. "
                f"Received: {str(target)!r}"
            )


def stored_grid(scan):
    """Return the `grid.Grid` of a scan as its file has it, axes as stored.

    Args:
        scan: `scan.Scan` that was read from a file.
    """
    sides = [int(axis) for axis, _ in _turn(scan)]
    shape = tuple(scan.image.shape[side] for side in sides)
    return grids.Grid(shape, scan.stored.affine)


def as_stored(data, scan):
    """Turn a volume on a scan's grid to the axes of the scan's file.

    Args:
        data: Array `(i, j, k, ...)` on `scan.grid`.
        scan: `scan.Scan` that was read from a file.

    Returns:
        Array whose axes run as in the file.
    """
    back = np.empty((3, 2))
    for stored, (turned, flip) in enumerate(_turn(scan)):
        back[int(turned)] = stored, flip
    return nibabel.orientations.apply_orientation(data, back)


def _turn(scan):
    """Return whereto each stored axis was turned, and whether it was flipped."""
    return nibabel.orientations.io_orientation(scan.stored.affine)


def _move(partial, path, names):
    """Put complete files in their places: at once where there was no folder."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        os.chmod(partial, 0o755)
        os.replace(partial, path)
        return
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(partial / name, path / name)


@contextlib.contextmanager
def _undisturbed():
    """Let Ctrl-C and SIGTERM wait until the files are in their places."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    signals = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
