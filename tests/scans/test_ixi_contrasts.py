"""Scans taken out of an archive on a server that sends parts of files."""

import gzip
import http.server
import io
import re
import tarfile
import threading

import nibabel
import numpy as np
import pytest

from registration.scans import ranges
from registration.scans.sources import ixi_contrasts

NAMES = ("IXI012-HH-1211", "IXI013-HH-1212", "IXI014-HH-1236")


class _Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        """Keep quiet."""

    def do_GET(self):  # noqa: N802
        """Answer with the part asked for, or as the server was told to fail."""
        server = self.server
        content, part = server.content, self.headers.get("Range", "")
        if server.whole:
            self.send_response(200)
            self.end_headers()
            return
        start, end = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", part).groups())
        end = min(end, len(content) - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{end}/{len(content)}")
        self.send_header("Content-Length", str(end + 1 - start))
        self.end_headers()
        piece = content[start : end + 1]
        server.sent += len(piece)
        self.wfile.write(piece[:10] if server.cut and len(piece) > 600 else piece)


@pytest.fixture
def server():
    """Serve bytes in parts."""
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    made.content, made.whole, made.cut, made.sent = b"", False, False, 0
    made.base = f"http://127.0.0.1:{made.server_port}/"
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Keep what is fetched in a folder of the test."""
    monkeypatch.setenv("REGISTRATION_DATA", str(tmp_path))
    return tmp_path


def archive(**members):
    """Return the bytes of an uncompressed archive."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def scan(seed):
    """Return the bytes of a small packed scan of noise."""
    noise = np.random.default_rng(seed).normal(100, 9, (24, 24, 24)).astype("float32")
    image = nibabel.Nifti1Image(noise, np.diag([1.0, 1, 1, 1]))
    return gzip.compress(image.to_bytes())


def test_only_the_scans_asked_for_are_sent(server, cache):
    scans = {f"{name}-T2.nii.gz": scan(i) for i, name in enumerate(NAMES)}
    server.content = archive(**scans)
    found = ixi_contrasts.fetch("T2", NAMES[:2], server.base, shown=False)
    assert list(found) == list(NAMES[:2])
    for name, path in found.items():
        assert path.read_bytes() == scans[f"{name}-T2.nii.gz"]
        assert path.parent == cache / "ixi" / "Nifti" / "T2"
    assert server.sent < 0.8 * len(server.content)
    before = server.sent
    ixi_contrasts.fetch("T2", NAMES[:2], server.base, shown=False)
    assert server.sent == before


def test_who_is_not_in_the_archive_is_left_out(server, cache):
    server.content = archive(**{f"IXI-PD/{NAMES[1]}-PD.nii.gz": scan(1)})
    found = ixi_contrasts.fetch("PD", NAMES, server.base, shown=False)
    assert list(found) == [NAMES[1]]


@pytest.mark.parametrize("fault", ["whole", "cut"])
def test_a_server_that_cannot_send_parts_is_told(server, cache, fault):
    server.content = archive(**{f"{NAMES[0]}-T2.nii.gz": scan(0)})
    setattr(server, fault, True)
    with pytest.raises(ConnectionError, match="parts of a file|broke off"):
        ixi_contrasts.fetch("T2", NAMES[:1], server.base, shown=False)
    assert not list(cache.rglob("*.gz"))


@pytest.mark.parametrize("content", [b"no scan", scan(0)[:2000]])
def test_a_member_that_is_no_scan_is_not_kept(server, cache, content):
    server.content = archive(**{f"{NAMES[0]}-T2.nii.gz": content})
    with pytest.raises(ValueError, match="Received|corrupt"):
        ixi_contrasts.fetch("T2", NAMES[:1], server.base, shown=False)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_what_is_no_archive_is_told(server, cache):
    server.content = b"<html>moved</html>" * 200
    with pytest.raises(ConnectionError, match="no archive"):
        ixi_contrasts.fetch("T2", NAMES[:1], server.base, shown=False)


@pytest.mark.parametrize(
    ("contrast", "names"), [("FLAIR", NAMES[:1]), ("T2", ["../../etc"])]
)
def test_an_unknown_contrast_or_person_is_refused(cache, contrast, names):
    with pytest.raises(ValueError, match="Received"):
        ixi_contrasts.fetch(contrast, names, shown=False)


def test_a_ranged_file_is_read_as_one_that_is_here(server):
    server.content = bytes(range(256)) * 10
    with ranges.Ranged(server.base + "file") as file:
        assert file.size == 2560
        assert file.seek(-4, io.SEEK_END) == 2556
        assert file.read(100) == bytes([252, 253, 254, 255])
        assert file.read(1) == b""
        file.seek(300)
        assert (file.read(3), file.tell()) == (bytes([44, 45, 46]), 303)
