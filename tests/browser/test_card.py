"""The page `try` on a graphics card, here one that software plays: the same result."""

import numpy as np
import pytest

from registration import itk
from tests.browser import test_try
from tools import served

CARD = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
CLOSE_MM = 0.05


@pytest.fixture(scope="module")
def page(browser):
    """Open the page in a Chromium that has a card."""
    if not (served.SITE / "try" / "index.html").exists():
        pytest.skip("the page try has not been built: make site, with Node.js")
    flags = [flag for flag in served.FLAGS if flag != "--disable-gpu"] + [*CARD]
    options = {"executable_path": served.chromium(), "args": flags}
    with browser.browser_type.launch(**options) as chromium:
        server = served.Server()
        page = chromium.new_page()
        page.goto(server.address + test_try.PAGE)
        if not page.evaluate("'gpu' in navigator && 'Suspending' in WebAssembly"):
            pytest.skip("this Chromium offers no WebGPU")
        yield page
        server.stop()


def affine(page, device, path):
    """Register the brains on a device; return where the affine carries some points."""
    page.select_option("#device", device)
    assert test_try.registered(page, "brain", kind="affine") == "Done."
    with page.expect_download() as taken:
        page.get_by_role("button", name="affine.tfm").click()
    taken.value.save_as(path)
    points = np.random.default_rng(0).uniform(-60, 60, (500, 3)) + [0, -20, 0]
    print(device, page.locator("#seconds-say").inner_text())
    return itk.read(path).points(points)


def test_the_card_finds_what_the_processor_finds(page, tmp_path):
    page.locator("#device-row").wait_for()
    # Software is slower than the processor, so it is offered and not chosen.
    assert page.locator("#device").input_value() == "processor"
    one, two = (
        affine(page, device, tmp_path / f"{device}.tfm")
        for device in ("processor", "card")
    )
    gaps = np.linalg.norm(one - two, axis=1)
    print(f"apart: {gaps.max():.5f} mm at most")
    assert gaps.max() < CLOSE_MM
