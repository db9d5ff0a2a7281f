"""The page `try`, as a reader uses it; built by `make site` into build/site/try."""

import gzip
import re
import shutil

import nibabel
import numpy as np
import pytest

from registration import itk
from tools import served

PAGE = "/try/index.html"
DONE = re.compile("Done|Stopped|Cancelled")
TOO_WIDE = "document.documentElement.scrollWidth - window.innerWidth"
FIRST_PAINT = """() => new Promise((done) => {
  new PerformanceObserver((list) => done(list.getEntries()[0].startTime))
    .observe({ type: 'paint', buffered: true });
})"""
KEEPER = "navigator.serviceWorker.ready.then(() => true)"
BLANK = """(canvas) => {
  const { width, height } = canvas;
  const pixels = canvas.getContext('2d').getImageData(0, 0, width, height);
  return pixels.data.every((value, i) => i % 4 === 3 || value === pixels.data[0]);
}"""
REFUSED = """() => fetch('https://example.org/').then(() => 'sent', () => 'refused')"""
SECONDS = 90_000  # the longest wait, in milliseconds
PAINT_MS, MOST_MB, LEAK_MB = 1000, 15, 4


@pytest.fixture(scope="module")
def server(browser):
    """Serve the built site."""
    if not (served.SITE / "try" / "index.html").exists():
        pytest.skip("the page try has not been built: make site, with Node.js")
    server = served.Server()
    yield server
    server.stop()


def ready(page):
    """Wait until the page would start."""
    page.locator("#start:enabled").wait_for(timeout=SECONDS)


def finished(page):
    """Wait for the end of a run; return what the page says of it."""
    said = page.locator("#said", has_text=DONE)
    said.wait_for(timeout=SECONDS)
    return said.inner_text()


def registered(page, pair, refine=False, kind="dense"):
    """Register a built-in pair; return what the page says at the end."""
    page.click(f"[data-pair={pair}]")
    ready(page)
    page.select_option("#kind", kind)
    page.set_checked("#refine", refine)
    page.click("#start")
    return finished(page)


@pytest.fixture(scope="module")
def done(server, open_module_page):
    """Open the page and register the heads, one pass."""
    watched = open_module_page(server.address + PAGE)
    paint = watched.page.evaluate(FIRST_PAINT)
    watched.page.evaluate(KEEPER)
    assert registered(watched.page, "head") == "Done."
    return watched, paint


def test_the_page_is_painted_at_once(done):
    assert done[1] < PAINT_MS


def test_a_pair_is_registered_and_judged(done):
    page = done[0].page
    assert page.locator("#verdict").get_attribute("data-level") == "good"
    assert page.locator("#stage-list li.done").count() == 7
    cells = page.locator("#numbers tbody tr", has_text="Dice").locator("td")
    before, after = map(float, cells.all_inner_texts())
    assert after > 0.95 > before
    print("seconds:", page.locator("#seconds-say").inner_text())


def test_every_picture_shows_something(done):
    page = done[0].page
    for mode in ("before", "sides", "overlay", "grid", "jacobian"):
        for axis in "210":
            page.select_option("#axis", axis)
            page.select_option("#mode", mode)
            assert not page.locator("#plane").evaluate(BLANK), (mode, axis)
    shots = {
        name: page.locator(f"#view-{name}") for name in ("fixed", "moved", "moving")
    }
    assert len({shot.screenshot() for shot in shots.values()}) == 3


def test_the_crosshair_moves_in_all_three_by_a_key(done):
    page = done[0].page
    views = [page.locator(f"#view-{name}") for name in ("fixed", "moved", "moving")]
    before = [view.screenshot() for view in views]
    views[0].focus()
    for _ in range(5):
        page.keyboard.press("PageUp")
    page.wait_for_timeout(300)
    for view, old in zip(views, before, strict=True):
        assert view.screenshot() != old


def test_the_sliders_move_the_picture(done):
    page = done[0].page
    page.select_option("#mode", "before")
    for name in ("wipe", "slice"):
        before = page.locator("#plane").screenshot()
        page.locator(f"#{name}").focus()
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        assert page.locator("#plane").screenshot() != before


def test_the_files_can_be_taken_home(done, tmp_path):
    page = done[0].page
    for name in ("moved.nii.gz", "affine.tfm", "warp.nii.gz", "report.html"):
        with page.expect_download() as taken:
            page.get_by_role("button", name=name).click()
        taken.value.save_as(tmp_path / name)
    fixed = nibabel.load(served.SITE / "try" / "pairs" / "head_fixed.nii.gz")
    moved = nibabel.load(tmp_path / "moved.nii.gz")
    np.testing.assert_array_equal(moved.affine, fixed.affine)
    assert moved.shape == fixed.shape
    warp = itk.read(tmp_path / "warp.nii.gz")
    affine = itk.read(tmp_path / "affine.tfm")
    middle = np.array([[0.0, -20, 0]])
    assert np.linalg.norm(warp.points(middle) - affine.points(middle)) < 15
    report = (tmp_path / "report.html").read_text()
    assert report.count("<img") == 3
    assert "Good: the check" in report


def test_nothing_leaves_the_page(done, server):
    watched = done[0]
    watched.check()
    size = sum(server.sent.values()) / 1e6
    print(f"sent: {size:.1f} MB in {len(server.sent)} files")
    assert size < MOST_MB
    assert all(path.startswith("/try/") for path in server.sent), server.sent
    assert watched.page.evaluate(REFUSED) == "refused"
    watched.errors.clear()


def test_the_worker_is_gone_when_it_has_answered(done):
    assert done[0].page.workers == []


def test_labels_are_carried_along_and_those_of_another_scan_refused(
    server, open_page, tmp_path
):
    page = open_page(server.address + PAGE).page
    moving = nibabel.load(served.SITE / "try" / "pairs" / "digit_moving.nii.gz")
    inked = (np.asarray(moving.dataobj) > 100).astype("uint8")
    for name, data in (("ink.nii.gz", inked), ("other.nii.gz", inked[1:])):
        nibabel.save(nibabel.Nifti1Image(data, moving.affine), tmp_path / name)
    page.click("[data-pair=digit]")
    ready(page)
    page.select_option("#kind", "affine")
    page.set_checked("#refine", False)
    page.set_input_files("#file-labels", tmp_path / "other.nii.gz")
    page.locator("#about-labels", has_text="other").wait_for()
    page.click("#start")
    assert finished(page) == "Stopped."
    assert "grid is not that of digit_moving" in page.locator("#wrong").inner_text()
    page.set_input_files("#file-labels", tmp_path / "ink.nii.gz")
    page.locator("#about-labels", has_text="ink").wait_for()
    page.click("#start")
    assert finished(page) == "Done."
    with page.expect_download() as taken:
        page.get_by_role("button", name="labels.nii.gz").click()
    taken.value.save_as(tmp_path / "carried.nii.gz")
    carried = np.asarray(nibabel.load(tmp_path / "carried.nii.gz").dataobj)
    assert set(np.unique(carried)) == {0, 1}
    assert 0.8 < carried.sum() / inked.sum() < 1.25


def test_it_works_at_once_and_with_threads_when_the_network_is_gone(browser):
    server = served.Server()
    context = browser.new_context()
    page = context.new_page()
    page.goto(server.address + PAGE)
    page.evaluate(KEEPER)
    assert registered(page, "digit") == "Done."
    server.stop()
    page.reload()
    assert page.evaluate("crossOriginIsolated")
    assert registered(page, "digit") == "Done."
    assert "threads" in page.locator("#seconds-say").inner_text()
    context.close()


def heap(page):
    """Return the megabytes that scripts hold after a collection."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    metrics = session.send("Runtime.getHeapUsage")
    session.detach()
    return (metrics["usedSize"] + metrics.get("backingStorageSize", 0)) / 1e6


def test_again_and_again_the_heap_does_not_grow(server, open_page):
    page = open_page(server.address + PAGE).page
    sizes = []
    for _ in range(3):
        assert registered(page, "digit", kind="affine") == "Done."
        page.wait_for_timeout(500)
        sizes.append(heap(page))
    print("heap:", [f"{size:.1f} MB" for size in sizes])
    assert sizes[2] < sizes[1] + LEAK_MB


def test_on_a_phone_by_keyboard_and_cancelled_in_the_middle(server, open_page):
    watched = open_page(server.address + PAGE, width=400, scheme="dark")
    page = watched.page
    page.locator("[data-pair=head]").focus()
    page.keyboard.press("Enter")
    ready(page)
    page.keyboard.press("Enter")
    page.locator("#stage-list li.now", has_text="finding the brains").wait_for()
    assert page.locator("#cancel").evaluate("(b) => b === document.activeElement")
    page.keyboard.press("Enter")
    assert finished(page) == "Cancelled."
    assert page.locator("#start").evaluate("(b) => b === document.activeElement")
    page.wait_for_timeout(200)
    assert page.workers == []
    assert page.evaluate(TOO_WIDE) <= 0
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(19, 20, 22)"
    watched.check()


def volume(path, shape, offset=0.0, dtype="uint8"):
    """Write an empty volume."""
    affine = np.eye(4)
    affine[0, 3] = offset
    nibabel.save(nibabel.Nifti1Image(np.zeros(shape, dtype), affine), path)


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    """Make files that cannot be used, and what the page should say of each."""
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "notes.nii").write_text("no image")
    (folder / "scan.png").write_bytes(b"\x89PNG")
    volume(folder / "series.nii.gz", (8, 8, 8, 5))
    volume(folder / "huge.nii.gz", (512, 512, 512))
    volume(folder / "flat.nii", (8, 8, 8))
    good = served.SITE / "try" / "pairs" / "head_fixed.nii.gz"
    (folder / "cut.nii.gz").write_bytes(good.read_bytes()[:500_000])
    (folder / "short.nii").write_bytes(gzip.decompress(good.read_bytes())[:90_000])
    noise = np.random.default_rng(0).normal(100, 9, (24, 24, 24)).astype("float32")
    nibabel.save(nibabel.Nifti1Image(noise, np.eye(4) * 2), folder / "noise.nii.gz")
    return folder


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("notes.nii", "not a NIfTI file. Convert the scan"),
        ("scan.png", "must end in .nii or .nii.gz"),
        ("series.nii.gz", "more than one volume (8 × 8 × 8 × 5). Take one volume"),
        ("huge.nii.gz", "512 × 512 × 512 voxels are more than a page can hold"),
    ],
)
def test_a_wrong_file_is_refused_at_once(server, wrong, open_page, name, advice):
    watched = open_page(server.address + PAGE)
    watched.page.set_input_files("#file-fixed", wrong / name)
    place = watched.page.locator("#wrong")
    place.wait_for()
    assert place.inner_text().startswith(f"{name}: ")
    assert advice in place.inner_text()
    assert watched.page.locator("#start").is_disabled()
    watched.check()


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("cut.nii.gz", "gzip is cut off or damaged. Fetch or write the file again."),
        ("short.nii", "ends too early"),
        ("flat.nii", "same value. Choose a file with a head in it."),
        ("noise.nii.gz", "No brain is found in it."),
    ],
)
def test_what_cannot_be_registered_ends_with_advice(
    server, wrong, open_page, name, advice
):
    page = open_page(server.address + PAGE).page
    page.click("[data-pair=digit]")
    ready(page)
    page.set_input_files("#file-moving", wrong / name)
    page.locator("#about-moving", has_text=name).wait_for()
    page.click("#start")
    assert finished(page) == "Stopped."
    assert advice in page.locator("#wrong").inner_text()


def test_scans_far_from_each_other_are_told_apart(server, open_page, tmp_path):
    page = open_page(server.address + PAGE).page
    shutil.copy(served.SITE / "try" / "pairs" / "head_fixed.nii.gz", tmp_path)
    near = nibabel.load(tmp_path / "head_fixed.nii.gz")
    far = near.affine.copy()
    far[0, 3] += 1000
    path = tmp_path / "far.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.asarray(near.dataobj), far), path)
    page.click("[data-pair=head]")
    ready(page)
    page.set_input_files("#file-moving", path)
    needs = page.locator("#needs", has_text="do not overlap")
    needs.wait_for()
    assert "MB of memory" in needs.inner_text()
