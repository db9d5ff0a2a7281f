import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.parse

import numpy as np
import pytest

from registration.scans import cohort, download, progress
from registration.scans.sources import ixi
from tests.scans import file_server

REAL = pathlib.Path(os.environ.get("REGISTRATION_DATA", "nowhere")) / "ixi"
IXI_PATH = urllib.parse.urlsplit(ixi.BASE).path
needs_scans = pytest.mark.skipif(
    not (REAL / "Nifti").is_dir(), reason="REGISTRATION_DATA holds no IXI scans"
)


@pytest.fixture(autouse=True)
def quick_tries(monkeypatch):
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", (1, 1))


@pytest.fixture
def files(tmp_path):
    """Make 20 small files to serve and the registry of them."""
    folder, random = tmp_path / "served", np.random.default_rng(0)
    names = [f"{part}/{number:02d}.bin" for part in "ab" for number in range(10)]
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.bytes(20_000))
    return folder, {name: download.sha256(folder / name) for name in names}


@pytest.fixture
def server(files):
    with file_server.serving(files[0]) as running:
        yield running


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def fetch(cache, server, registry, **options):
    options = {"max_bytes": 10**6, "shown": False} | options
    return download.fetch(cache, server.base, registry, **options)


def content(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_all_files_arrive_and_nothing_else(files, server, cache):
    assert fetch(cache, server, files[1]) == 20
    assert content(cache) == content(files[0])


def test_a_second_call_asks_the_server_for_nothing(files, server, cache):
    fetch(cache, server, files[1])
    server.asked.clear()
    assert fetch(cache, server, files[1]) == 0
    assert server.asked == []


def test_only_what_is_missing_or_damaged_is_fetched(files, server, cache):
    fetch(cache, server, files[1])
    (cache / "a/03.bin").unlink()
    (cache / "b/07.bin").write_bytes(b"half")
    server.asked.clear()
    assert fetch(cache, server, files[1]) == 2
    assert sorted(server.asked) == ["a/03.bin", "b/07.bin"]
    assert content(cache) == content(files[0])


def test_a_wrong_sha256_is_deleted_and_reported(files, server, cache):
    server.faults["a/05.bin"] = "corrupt"
    with pytest.raises(ValueError, match="a/05.bin has another sha256") as caught:
        fetch(cache, server, files[1])
    assert files[1]["a/05.bin"] in str(caught.value)
    assert sorted(content(cache)) == sorted(set(files[1]) - {"a/05.bin"})


@pytest.mark.parametrize(
    "fault, message",
    [
        (404, "refuses. Received: 404"),
        (500, "fails. Received: 500"),
        ("cut", "IncompleteRead|Connection broken"),
        ("stall", "timed out"),
        ("redirect", "points elsewhere. Received: 302"),
    ],
)
def test_one_bad_answer_is_reported_and_the_others_arrive(
    files, server, cache, fault, message
):
    server.faults["b/02.bin"] = fault
    with pytest.raises(ConnectionError, match=message) as caught:
        fetch(cache, server, files[1])
    assert "b/02.bin" in str(caught.value)
    assert sorted(content(cache)) == sorted(set(files[1]) - {"b/02.bin"})
    server.faults.clear()
    assert fetch(cache, server, files[1]) == 1


@pytest.mark.parametrize("fault", [503, "cut"])
def test_a_fault_that_passes_is_tried_again(files, server, cache, fault):
    faults = [fault, fault]
    server.faults["a/00.bin"] = lambda: faults.pop() if faults else None
    assert fetch(cache, server, files[1]) == 20
    assert server.asked.count("a/00.bin") == 3


def test_a_slow_server_is_waited_for(files, server, cache):
    server.delay_seconds = 0.3
    start = time.monotonic()
    assert fetch(cache, server, files[1]) == 20
    assert time.monotonic() - start > 0.6


def test_a_server_gone_half_way_leaves_whole_files_and_the_next_call_goes_on(
    files, server, cache
):
    server.gone_after = 12
    with pytest.raises(ConnectionError, match="the next call continues") as caught:
        fetch(cache, server, files[1])
    first = content(cache)
    assert 0 < len(first) <= 12
    assert f"{20 - len(first)} of 20 files" in str(caught.value)
    assert all(content(files[0])[name] == data for name, data in first.items())
    server.gone_after = None
    assert fetch(cache, server, files[1]) == 20 - len(first)
    assert content(cache) == content(files[0])


def test_no_server_at_all_is_one_clear_error(files, cache):
    with pytest.raises(ConnectionError, match="20 of 20 files could not be downloaded"):
        download.fetch(cache, "http://127.0.0.1:9/", files[1], 10**6, shown=False)
    assert content(cache) == {}


FETCH = """
import concurrent.futures.thread, json, os, pathlib, sys
from registration.scans import download
cache, base, registry, user = sys.argv[1:]
if user:
    os.seteuid(int(user))
download.fetch(pathlib.Path(cache), base, json.loads(registry), 10**6, shown=False)
"""


def start(cache, server, registry, user="", **options):
    command = [sys.executable, "-c", FETCH, str(cache), server.base]
    return subprocess.Popen([*command, json.dumps(registry), user], **options)


def test_a_killed_download_leaves_nothing_half_written(files, server, cache):
    server.delay_seconds = 0.4
    process = start(cache, server, files[1])
    while len(server.asked) < 12:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    left = content(cache)
    parts = [
        name
        for name in left
        if pathlib.Path(name).name.startswith(".registration-part-")
    ]
    done = set(left) - set(parts)
    assert parts and 0 < len(done) < 20
    assert all(content(files[0])[name] == left[name] for name in done)
    for part in parts:
        os.utime(cache / part, (0, 0))
    server.delay_seconds = 0
    assert fetch(cache, server, files[1]) == 20 - len(done)
    assert content(cache) == content(files[0])


def test_two_processes_may_fetch_into_one_folder_at_once(files, server, cache):
    server.delay_seconds = 0.05
    processes = [start(cache, server, files[1]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert content(cache) == content(files[0])


NOBODY = "65534"


@pytest.fixture
def locked(files):
    """Return a folder that a process of `NOBODY` may read but not write."""
    if os.name != "posix":
        pytest.skip("needs POSIX permissions")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        yield folder
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755)


def lock(folder):
    """Take the right to write from a folder; return the user to read it as."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    return NOBODY if os.getuid() == 0 else ""


def test_a_full_cache_that_cannot_be_written_is_used(files, server, locked):
    fetch(locked, server, files[1])
    server.asked.clear()
    assert start(locked, server, files[1], lock(locked)).wait() == 0
    assert server.asked == []


def test_an_empty_cache_that_cannot_be_written_is_one_clear_error(
    files, server, locked
):
    process = start(
        locked, server, files[1], lock(locked), stderr=subprocess.PIPE, text=True
    )
    _, errors = process.communicate()
    assert "20 files are missing" in errors and "REGISTRATION_DATA" in errors
    assert server.asked == []


@pytest.mark.parametrize(
    "base",
    ["http://example.org/", "ftp://a.b/", "file:///etc/", "//a.b/c", "https:///x"],
)
def test_an_address_that_is_not_https_is_refused(cache, base):
    with pytest.raises(ValueError, match="must begin with https"):
        download.fetch(cache, base, {"a": "0" * 64}, 10**6, shown=False)


def test_https_and_this_machine_are_allowed():
    assert download.check_base("https://a.b/c") == "https://a.b/c/"
    assert download.check_base("http://localhost:80/") == "http://localhost:80/"
    assert download.check_base("http://[::1]/x") == "http://[::1]/x/"


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/passwd", "", "c:/x", "..\\x", "a/./../../b"]
)
def test_a_name_cannot_lead_out_of_the_folder(server, cache, name):
    with pytest.raises(ValueError, match="must stay inside"):
        fetch(cache, server, {name: "0" * 64})
    assert server.asked == []


def test_a_file_of_unknown_sha256_is_fetched_once(files, server, cache):
    registry = dict.fromkeys(files[1])
    assert fetch(cache, server, registry) == 20
    assert fetch(cache, server, registry) == 0


def test_one_bar_counts_the_files(files, server, cache, monkeypatch):
    bars = []

    class Bar:
        def __init__(self, total, description, shown):
            self.total, self.count, self.closed, self.shown = total, 0, False, shown
            bars.append(self)

        def update(self, steps=1):
            self.count += steps

        def close(self):
            self.closed = True

    monkeypatch.setattr(progress, "bar", Bar)
    download.fetch(cache, server.base, files[1], 10**6)
    (bar,) = bars
    assert (bar.total, bar.count, bar.closed, bar.shown) == (20, 20, True, True)


def test_the_registry_names_two_files_for_each_of_151_subjects():
    names, subjects = ixi.registry(), ixi.subjects()
    assert len(subjects) == 151 and len(names) == 302
    files = {
        str(p.relative_to(ixi.folder())) for s in subjects for p in (s.image, s.labels)
    }
    assert files == set(names)
    assert all(len(digest) == 64 and int(digest, 16) for digest in names.values())
    splits = [subject.split for subject in subjects]
    assert [splits.count(s) for s in ("fixed", "train", "test")] == [1, 125, 25]


def test_the_default_address_is_the_pinned_commit():
    commit = "494c25e00cbd3fea601f5f27970f2e2de876a8ac"
    assert ixi.BASE.startswith("https://raw.githubusercontent.com/CBICA/")
    assert f"/{commit}/test_data/processed/IXI/" in ixi.BASE


@pytest.fixture
def ixi_server(monkeypatch, cache):
    """Serve the real scans under the paths of the pinned commit, to an empty cache."""
    with file_server.serving(REAL, IXI_PATH) as running:
        monkeypatch.setenv("REGISTRATION_IXI_URL", running.base)
        monkeypatch.setenv("REGISTRATION_DATA", str(cache))
        monkeypatch.delenv("REGISTRATION_SOURCE", raising=False)
        yield running


@needs_scans
def test_the_whole_real_cohort_downloads_and_verifies(ixi_server, cache):
    assert ixi.fetch(ixi.subjects(), shown=False) == 302
    assert download.missing(cache / "ixi", ixi.registry()) == []
    assert ixi.fetch(ixi.subjects(), shown=False) == 0


@needs_scans
def test_a_limited_cohort_downloads_only_its_own_scans(ixi_server, capsys):
    limit = {"train": 2, "test": 1}
    made = cohort.load("ixi", 4.0, limit=limit, progress=False)
    assert len(ixi_server.asked) == 8
    assert "ixi (8 files downloaded)" in capsys.readouterr().out
    again = cohort.load("auto", 4.0, limit=limit, progress=False)
    assert len(ixi_server.asked) == 8
    assert "ixi (found in the cache)" in capsys.readouterr().out
    np.testing.assert_array_equal(made.train.images(), again.train.images())


@needs_scans
def test_auto_says_why_it_simulates_where_the_scans_cannot_be_had(ixi_server, capsys):
    ixi_server.gone_after = 3
    made = cohort.load("auto", 8.0, limit={"train": 1, "test": 1}, progress=False)
    assert made.source == "simulated"
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert "simulated (because the IXI scans cannot be had" in lines[0]


@needs_scans
def test_a_real_scan_that_was_damaged_on_its_way_is_never_used(ixi_server, cache):
    bad = ixi.IMAGE.format(ixi.subjects()[1].id)
    ixi_server.faults[bad] = "corrupt"
    for source in ("ixi", "auto"):
        with pytest.raises(ValueError, match="another sha256"):
            cohort.load(source, 4.0, progress=False)


@needs_scans
def test_a_damaged_file_in_the_cache_is_fetched_again_or_named(ixi_server, cache):
    limit = {"train": 1, "test": 1}
    cohort.load("ixi", 8.0, limit=limit, progress=False)
    bad = ixi.folder() / ixi.IMAGE.format(ixi.subjects()[1].id)
    whole = bad.read_bytes()
    bad.write_bytes(whole[:-1] + b"x")
    assert cohort.load("auto", 8.0, limit=limit, progress=False).source == "ixi"
    assert bad.read_bytes() == whole
    bad.write_bytes(whole[:-1] + b"x")
    ixi_server.gone_after = 0
    with pytest.raises(ValueError, match=f"{bad.name} is damaged.*with a network"):
        cohort.load("auto", 8.0, limit=limit, progress=False)
    assert bad.read_bytes() == whole[:-1] + b"x"


def test_old_files_of_others_are_left_where_they_are(files, server, cache):
    names = (".part-old", "a/.part-other", ".registration-part-mine", "a/thesis.part-1")
    for name in names:
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_text("not ours")
        os.utime(cache / name, (0, 0))
    fetch(cache, server, files[1])
    assert all((cache / name).exists() for name in names)


def test_a_file_larger_than_allowed_is_refused_and_deleted(files, server, cache):
    sizes = {name: len(data) for name, data in content(files[0]).items()}
    most = max(sizes.values()) - 1
    with pytest.raises(ValueError, match=f"the {most} bytes allowed"):
        fetch(cache, server, files[1], max_bytes=most)
    assert all(sizes[name] <= most for name in content(cache))
