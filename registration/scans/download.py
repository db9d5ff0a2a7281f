"""Fetch files in parallel, each verified and each there whole or not at all."""

import concurrent.futures
import ipaddress
import os
import pathlib
import time
import urllib.parse
import uuid

import pooch
import requests

from registration.scans import progress

WORKERS = 8
TRIES = 3
TIMEOUT_SECONDS = (6, 30)
CHUNK = 2**16
STALE_SECONDS = 600
PAUSE_SECONDS = 0.5
PART = ".part-"


def cache_folder():
    """Return the folder of downloaded data.

    `REGISTRATION_DATA` where that variable is set, else a folder of the user's
    own that the operating system keeps for caches.

    Returns:
        A `pathlib.Path`; it need not exist yet.
    """
    chosen = os.environ.get("REGISTRATION_DATA")
    default = pooch.os_cache("registration-notebooks")
    return pathlib.Path(chosen).expanduser() if chosen else pathlib.Path(default)


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


def fetch(folder, base, registry, names=None, shown=True, description="download"):
    """Make sure that files are in a folder, downloading those that are not.

    A file is written beside its place under a temporary name, verified, and
    renamed: a killed process leaves no half-written file under the real name, and
    the next call downloads only what is still missing. Several processes may
    fetch into one folder.

    Args:
        folder: Where the files go, a `pathlib.Path`.
        base: The address that the names are appended to.
        registry: A dict of name to sha256, None where that is not known.
        names: Which of them to fetch; all when None.
        shown: Whether to draw a progress bar.
        description: What the bar says.

    Returns:
        How many files were downloaded.

    Raises:
        ValueError: If the address or a name is not allowed, or the folder cannot
            be written.
        ConnectionError: If a file could not be had, with how many and why.
    """
    base = check_base(base)
    wanted = missing(folder, registry, names)
    if not wanted:
        return 0
    _check_writable(folder, len(wanted))
    _remove_stale_parts(folder)
    done, failures = 0, []
    bar = progress.bar(len(wanted), description, shown)
    pool = concurrent.futures.ThreadPoolExecutor(WORKERS)
    try:
        jobs = [
            pool.submit(_fetch_one, folder, base, name, registry[name])
            for name in wanted
        ]
        for job in concurrent.futures.as_completed(jobs):
            try:
                job.result()
                done += 1
                bar.update()
            except (OSError, ValueError) as error:
                failures.append(error)
                if len(failures) >= WORKERS:
                    break
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        bar.close()
    if failures:
        done = len(wanted) - len(missing(folder, registry, wanted))
        raise ConnectionError(
            f"{len(wanted) - done} of {len(wanted)} files could not be downloaded; the "
            f"next call continues with them. Received: {failures[0]}"
        )
    return done


def _fetch_one(folder, base, name, known_hash):
    """Download one file, with a few tries where another one may help."""
    path = inside(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    url = base + urllib.parse.quote(name)
    part = path.with_name(f"{PART}{uuid.uuid4().hex}")
    for attempt in range(1, TRIES + 1):
        try:
            _download(url, part)
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


def _download(url, part):
    """Stream one address into a file, refusing to be sent elsewhere."""
    get = pooch.HTTPDownloader(
        chunk_size=CHUNK,
        timeout=TIMEOUT_SECONDS,
        allow_redirects=False,
        hooks={"response": _check_response},
    )
    get(url, str(part), None)


def _check_response(response, **_):
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


def _check_writable(folder, count):
    """Raise unless files can be made in `folder`."""
    probe = folder / f"{PART}{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(
            f"{count} files are missing in {folder}, which cannot be written; set "
            f"REGISTRATION_DATA to a folder of yours. Received: {error}"
        ) from error


def _remove_stale_parts(folder):
    """Remove what killed processes left, not what a living one is writing."""
    for part in folder.rglob(f"{PART}*"):
        try:
            if time.time() - part.stat().st_mtime > STALE_SECONDS:
                part.unlink()
        except OSError:
            continue


def _is_loopback(host):
    """Say whether a host name means this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
