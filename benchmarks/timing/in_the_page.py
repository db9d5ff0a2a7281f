"""The page `try` beside the command, on the same files, in one run.

    make site
    .venv-bench/bin/python -m benchmarks.timing.in_the_page [--scans 3]

Test scans with their skulls are registered to the cohort's fixed scan: by the command,
a process a pair, and in a headless Chromium that opens the page for the first time
(`one thread`) and again (`threads`, which the page's own worker makes possible). What
the page hands out is downloaded and read by SimpleITK, points and scan, and held beside
the command's own files read in the same way.
"""

import argparse
import contextlib
import json
import pathlib
import platform
import re
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import nibabel
import numpy as np
import pandas

from benchmarks import jobs
from benchmarks.accuracy import agreement_tools, pairs
from benchmarks.timing import cohort, measure
from tools import served

WAIT_MS = 600_000
PAGE = "/try/index.html"
KEEPER = "navigator.serviceWorker.ready.then(() => true)"
FILES = ("moved.nii.gz", "warp.nii.gz")
EVERY_S = 0.1
CHUNK = 97  # a point in so many voxels of the brain is carried


class Peak:
    """The most memory that a process and its children held at once, in MiB."""

    def __init__(self, name):
        """Watch the processes whose name contains `name` that this one started."""
        import psutil

        self.me, self.name, self.most = psutil.Process(), name, 0.0
        self.gone = psutil.Error
        self._over = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        while not self._over.wait(EVERY_S):
            held = 0
            for process in self.me.children(recursive=True):
                with contextlib.suppress(self.gone):
                    if self.name in process.name():
                        # Shared pages are counted once.
                        held += process.memory_full_info().pss
            self.most = max(self.most, held / 2**20)

    def stop(self):
        """Watch no more; return the most."""
        self._over.set()
        return self.most


def by_page(page, moving, fixed, refine, folder):
    """Register two files in an open page; return seconds, and keep what it made."""
    page.set_input_files("#file-fixed", fixed)
    page.set_input_files("#file-moving", moving)
    page.locator("#start:enabled").wait_for()
    page.set_checked("#refine", refine)
    started = time.perf_counter()
    page.click("#start")
    said = page.locator("#said", has_text=re.compile("Done|Stopped"))
    said.wait_for(timeout=WAIT_MS)
    seconds = time.perf_counter() - started
    if said.inner_text() != "Done.":
        raise RuntimeError(f"the page said {page.locator('#wrong').inner_text()!r}")
    for name in FILES:
        with page.expect_download() as taken:
            page.get_by_role("button", name=name).click()
        taken.value.save_as(folder / name)
    threads = page.locator("#seconds-say").inner_text()
    return seconds, "one thread" if "one thread" in threads else "threads"


def by_command(moving, fixed, refine, folder):
    """Register two files by the command; return its seconds."""
    words = ["pair", moving, fixed, "--out", folder, "--no-report", "--force"]
    return cohort.timed(words + ["--no-refine"] * (not refine))


def carried(folder, points):
    """Return the points as SimpleITK carries them through the warp of a folder."""
    return agreement_tools.SimpleItk.points(folder / "warp.nii.gz", points)


def brain_points(name):
    """Return points of a scan's brain, RAS mm."""
    scan = pairs.scan(name)
    voxels = np.argwhere(scan.brain())[::CHUNK]
    return nibabel.affines.apply_affine(scan.affine, voxels)


def apart(one, two, points):
    """Return how far two folders' transforms and moved scans differ."""
    gaps = np.linalg.norm(carried(one, points) - carried(two, points), axis=1)
    images = [
        nibabel.load(folder / "moved.nii.gz").get_fdata() for folder in (one, two)
    ]
    off = np.abs(images[0] - images[1]) / np.ptp(images[0])
    return {
        "apart_mm": np.median(gaps),
        "apart_mm_99": np.quantile(gaps, 0.99),
        "percent_99": 100 * np.quantile(off, 0.99),
    }


def measured(browser, scans, fixed, folder):
    """Return a row a registration."""
    server, rows = served.Server(), []
    points = brain_points(pairs.fixed_pairs()[0].fixed)
    for scan in scans:
        for refine in (False, True):
            kind = "refined" if refine else "one pass"
            mine = folder / f"{scan.stem}-{kind}"
            seconds = by_command(scan, fixed, refine, mine)
            record = json.loads((mine / "registration.json").read_text())
            peak = record["peak_memory_mib"]
            seen = {"what": "the command", "kind": kind, "seconds": seconds}
            rows.append(seen | {"peak_mb": peak})
            # What is sent is counted for a reader who was never here.
            server.sent.clear()
            context = browser.new_context()
            page = context.new_page()
            page.goto(server.address + PAGE)
            page.evaluate(KEEPER)
            for number in range(2):
                theirs = folder / f"{mine.name}-{number}"
                theirs.mkdir()
                if number:
                    page.reload()
                peak = Peak("chrom")
                seconds, threads = by_page(page, scan, fixed, refine, theirs)
                seen = {"what": f"the page, {threads}", "kind": kind}
                seen |= {"seconds": seconds, "peak_mb": peak.stop()}
                seen["sent_mb"] = sum(server.sent.values()) / 1e6
                rows.append(seen | apart(mine, theirs, points))
            context.close()
    server.stop()
    return rows


def main(argv=None):
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--scans", type=int, default=3, help="how many are registered")
    add("--csv", type=pathlib.Path, default=jobs.RESULTS / "in_the_page.csv")
    options = parser.parse_args(argv)
    from playwright import sync_api

    if not (served.SITE / "try" / "index.html").exists():
        parser.error("the page has not been built: make site, with Node.js")
    path = served.chromium()
    if not path:
        parser.error("a Chromium is needed on the PATH, or named by CHROMIUM")
    with tempfile.TemporaryDirectory() as name, sync_api.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=path, args=[*served.FLAGS])
        scans, fixed = cohort.write(pathlib.Path(name), options.scans)
        rows = pandas.DataFrame(measured(browser, scans, fixed, pathlib.Path(name)))
        browser.close()
    table = rows.groupby(["what", "kind"], sort=False).median().reset_index()
    table["pairs"] = options.scans
    table["device"] = f"{platform.machine()}, {measure.cores()} cores"
    table.to_csv(options.csv, index=False, float_format="%.4g")
    print(table.to_string(index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
