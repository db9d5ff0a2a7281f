"""Files that are there whole or not at all."""

import contextlib
import os
import pathlib
import tempfile


@contextlib.contextmanager
def whole(path):
    """Give a name to write to; the file takes its place when the block has ended.

    Where the block fails or the process is stopped, nothing stands at `path` that was
    not there before.

    Args:
        path: Where the file shall be; its folder must exist.

    Yields:
        A `pathlib.Path` in the same folder with the same endings.

    Raises:
        ValueError: If the folder cannot be written.
    """
    path = pathlib.Path(path)
    try:
        handle, name = tempfile.mkstemp(f"-{path.name}", ".writing-", path.parent)
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be written there; choose another folder. Received: {error}"
        ) from error
    os.close(handle)
    partial = pathlib.Path(name)
    try:
        yield partial
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
