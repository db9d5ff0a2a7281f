"""Fetch files in parallel, each verified and each there whole or not at all.

Who fetches states how large a file may be. What cannot be had is an `OSError`, a
`ConnectionError` mostly: another source may help. What was had and is not what it
should be is a `ValueError`: nothing may take its place unasked.
"""

import concurrent.futures
import functools
import ipaddress
import os
import pathlib
import re
import time
import urllib.parse
import uuid

import pooch
import requests

from registration import settings
from registration.scans import progress

WORKERS = 8
TRIES = 3
TIMEOUT_SECONDS = (6, 30)
CHUNK = 2**16
STALE_SECONDS = 600
PAUSE_SECONDS = 0.5
PART = re.compile(r"\.registration-part-[0-9a-f]{32}")


def cache_folder():
    """Return the folder of downloaded data.

    `REGISTRATION_DATA` where that variable is set, else a folder of the user's
    own that the operating system keeps for caches.

    Returns:
        A `pathlib.Path`; it need not exist yet.
    """
    default = pathlib.Path(pooch.os_cache("registration-notebooks"))
    return settings.folder("REGISTRATION_DATA") or default


def check_base(base):
    """Return a base address that ends in a slash, https or on this machine.

    Args:
        base: The address that relative paths are appended to.

    Returns:
        The same address, with exactly one slash at its end.

    Raises:
        ValueError: If it is neither https nor http on the loopback interface.
    """
    parts = urllib.parse.urlsplit(base)
    if parts.scheme == "https" and parts.hostname:
        return base.rstrip("/") + "/"
    if parts.scheme == "http" and _is_loopback(parts.hostname):
        return base.rstrip("/") + "/"
    raise ValueError(f"a base address must begin with https://. Received: {base}")


def inside(folder, name):
    """Return `folder / name`, refusing a name that leads out of the folder.

    Args:
        folder: A `pathlib.Path`.
        name: A relative path with forward slashes.

    Returns:
        A `pathlib.Path`.

    Raises:
        ValueError: If the name is absolute, has a drive or climbs with `..`.
    """
    parts = pathlib.PurePosixPath(name).parts
    leads_out = not parts or parts[0] == "/" or ".." in parts
    if leads_out or "\\" in name or ":" in name:
        raise ValueError(f"a file must stay inside {folder}. Received: {name!r}")
    return pathlib.Path(folder, *parts)


def sha256(path):
    """Return the sha256 of a file as 64 hexadecimal digits.

    Args:
        path: The file.

    Returns:
        A string.
    """
    return pooch.file_hash(str(path), alg="sha256")


def missing(folder, registry, names=None):
    """Return the names whose file is absent or has another sha256.

    Args:
        folder: Where the files lie.
        registry: A dict of name to sha256, None where that is not known.
        names: Which of them to look at; all when None.

    Returns:
        A list of names in the order given.
    """
    names = list(registry if names is None else names)

    def is_missing(name):
        path = inside(folder, name)
        try:
            return registry[name] not in (None, sha256(path))
        except OSError:
            return True

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        gone = list(pool.map(is_missing, names))
    return [name for name, is_gone in zip(names, gone, strict=True) if is_gone]


def fetch(
    folder, base, registry, max_bytes, names=None, shown=True, description="download"
):
    """Make sure that files are in a folder, downloading those that are not.

    A file is written beside its place under a temporary name, verified, and
    renamed: a killed process leaves no half-written file under the real name, and
    the next call downloads only what is still missing. A file that is there with
    another sha256 is damaged and fetched again. Several processes may fetch into one
    folder.

    Args:
        folder: Where the files go, a `pathlib.Path`.
        base: The address that the names are appended to.
        registry: A dict of name to sha256, None where that is not known.
        max_bytes: The most that one file may hold.
        names: Which of them to fetch; all when None.
        shown: Whether to draw a progress bar.
        description: What the bar says.

    Returns:
        How many files were downloaded.

    Raises:
        ValueError: If the address or a name is not allowed, a file that was received
            is not the one in the registry or larger than allowed, or a damaged file
            could not be replaced.
        PermissionError: If the folder cannot be written.
        ConnectionError: If a file could not be had, with how many and why.
    """
    base = check_base(base)
    wanted = missing(folder, registry, names)
    if not wanted:
        return 0
    damaged = [name for name in wanted if os.path.isfile(inside(folder, name))]
    bar = progress.bar(len(wanted), description, shown)
    try:
        failures = _fetch_all(folder, base, registry, max_bytes, wanted, bar)
    except PermissionError as error:
        if not damaged:
            raise
        failures = dict.fromkeys(damaged, error)
    finally:
        bar.close()
    if not failures:
        return len(wanted)
    left = missing(folder, registry, wanted)
    _check_replaced(folder, [name for name in damaged if name in left], failures)
    untrusted = [e for e in failures.values() if isinstance(e, ValueError)]
    if untrusted:
        raise untrusted[0]
    raise ConnectionError(
        f"{len(left)} of {len(wanted)} files could not be downloaded; the next call "
        f"continues with them. Received: {next(iter(failures.values()))}"
    )


def _fetch_all(folder, base, registry, max_bytes, wanted, bar):
    """Download files side by side; return the errors, a dict of name to error."""
    _check_writable(folder, len(wanted))
    _remove_stale_parts({folder, *(inside(folder, name).parent for name in wanted)})
    failures = {}
    pool = concurrent.futures.ThreadPoolExecutor(WORKERS)
    try:
        jobs = {
            pool.submit(_fetch_one, folder, base, name, registry[name], max_bytes): name
            for name in wanted
        }
        for job in concurrent.futures.as_completed(jobs):
            try:
                job.result()
                bar.update()
            except (OSError, ValueError) as error:
                failures[jobs[job]] = error
                if len(failures) >= WORKERS:
                    break
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return failures


def _check_replaced(folder, damaged, failures):
    """Raise if files that are damaged here could not be replaced by whole ones."""
    if not damaged:
        return
    why = failures.get(damaged[0]) or next(iter(failures.values()))
    others = f" and {len(damaged) - 1} others" if len(damaged) > 1 else ""
    raise ValueError(
        f"{inside(folder, damaged[0])}{others} is damaged, its sha256 is not the one "
        "known, and could not be fetched again; call again with a network, or put a "
        f"whole file in its place. Received: {why}"
    )


def _fetch_one(folder, base, name, known_hash, max_bytes):
    """Download one file, with a few tries where another one may help."""
    path = inside(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    url = base + urllib.parse.quote(name)
    part = path.with_name(part_name())
    for attempt in range(1, TRIES + 1):
        try:
            _download(url, part, max_bytes)
            received = sha256(part)
            if known_hash is not None and received != known_hash:
                raise ValueError(
                    f"{url} has another sha256 than the registry, {known_hash}; the "
                    f"download was deleted. Received: {received}"
                )
            os.replace(part, path)
            return
        except requests.HTTPError as error:
            raise ConnectionError(str(error)) from error
        except requests.RequestException as error:
            if attempt == TRIES:
                raise ConnectionError(f"{url}: {error}") from error
            time.sleep(PAUSE_SECONDS * attempt)
        finally:
            part.unlink(missing_ok=True)


class _Limited:
    """A file that takes no more bytes than are allowed."""

    def __init__(self, file, url, max_bytes):
        self._file, self._url, self._left = file, url, max_bytes
        self._most, self.flush = max_bytes, file.flush

    def write(self, piece):
        """Write a piece, or raise where it would be too much."""
        self._left -= len(piece)
        if self._left < 0:
            raise ValueError(
                f"{self._url} sends more than the {self._most} bytes allowed; the "
                f"download was deleted. Received: {self._most - self._left} bytes"
            )
        return self._file.write(piece)


def _download(url, part, max_bytes):
    """Stream one address into a file, refusing to be sent elsewhere."""
    get = pooch.HTTPDownloader(
        chunk_size=CHUNK,
        timeout=TIMEOUT_SECONDS,
        allow_redirects=False,
        # What is sent packed may unpack to more than its length says.
        headers={"Accept-Encoding": "identity"},
        hooks={"response": functools.partial(_check_response, max_bytes=max_bytes)},
    )
    with part.open("wb") as file:
        get(url, _Limited(file, url, max_bytes), None)


def _check_response(response, *_, max_bytes, **__):
    """Raise for an answer that is not the file itself."""
    code, url = response.status_code, response.url
    if 300 <= code < 400:
        raise requests.HTTPError(
            f"{url}: the server points elsewhere. Received: {code}"
        )
    if code >= 500:
        raise requests.ConnectionError(f"the server fails. Received: {code}")
    if code != 200:
        raise requests.HTTPError(f"{url}: the server refuses. Received: {code}")
    length = response.headers.get("Content-Length", "0")
    if not length.isdecimal() or int(length) > max_bytes:
        raise ValueError(
            f"{url} is said to be larger than the {max_bytes} bytes allowed. "
            f"Received: Content-Length {length}"
        )


def _check_writable(folder, count):
    """Raise unless files can be made in `folder`."""
    probe = folder / part_name()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise PermissionError(
            f"{count} files are missing in {folder}, which cannot be written; set "
            f"REGISTRATION_DATA to a folder of yours. Received: {error}"
        ) from error


def part_name():
    """Return a new name for a file that is being written, as nobody else has them.

    Returns:
        A string; `fetch` removes what killed processes left under such names.
    """
    return f".registration-part-{uuid.uuid4().hex}"


def _remove_stale_parts(folders):
    """Remove what killed processes of ours left, not what a living one is writing."""
    for part in (path for folder in folders for path in folder.glob(".*")):
        try:
            age = time.time() - part.lstat().st_mtime
            if PART.fullmatch(part.name) and age > STALE_SECONDS:
                part.unlink()
        except OSError:
            continue


def _is_loopback(host):
    """Say whether a host name means this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
