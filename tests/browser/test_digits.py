"""Two digits that are drawn on a page, registered while they are drawn."""

import json
import re
import subprocess
import time

import numpy as np
import pytest

from helpers import transforms
from registration import models
from registration.scans import mnist
from tools import notebooks, try_page

CLOSE = 1e-3
LEAST_RATE = 20
MOVES = 60


@pytest.fixture
def digits(site, open_page):
    """Return a function that opens the page of the digits, its networks ready."""

    def open_(**options):
        watched = open_page(f"{site}/try/digits.html", **options)
        if not watched.page.locator("#draw-moving").count():
            pytest.skip("the page of drawn digits has not been built")
        answered(watched.page)
        return watched

    return open_


def answered(page):
    """Wait until the page has registered something."""
    page.locator("#said", has_text="a registration").wait_for(timeout=60_000)


def ncc(page, name):
    """Return the similarity that stands under a picture."""
    return float(re.search(r"-?\d\.\d\d", page.inner_text(f"#{name}-says"))[0])


def answers(page):
    """Return how many registrations were shown."""
    return int(page.get_attribute("#said", "data-answers"))


def test_the_networks_bring_a_ready_pair_together(digits):
    watched = digits()
    assert ncc(watched.page, "affine") > ncc(watched.page, "before")
    assert ncc(watched.page, "dense") > ncc(watched.page, "before")
    watched.check()


def test_a_stroke_is_registered_while_it_is_drawn(digits):
    page = digits().page
    page.click("#clear-moving")
    box = page.locator("#draw-moving").bounding_box()
    left, top, side = box["x"], box["y"], box["width"]
    page.mouse.move(left + 0.3 * side, top + 0.3 * side)
    page.mouse.down()
    before, begin = answers(page), time.perf_counter()
    for step in range(MOVES):
        share = 0.4 * step / MOVES
        page.mouse.move(left + (0.3 + share) * side, top + (0.3 + share) * side)
    seconds = time.perf_counter() - begin
    page.mouse.up()
    rate = (answers(page) - before) / seconds
    print(f"{rate:.0f} registrations a second")
    assert rate >= LEAST_RATE


def test_the_smoothness_is_chosen_by_keys(digits):
    page = digits().page
    page.locator("#weight").focus()
    for key, weight in (("End", "1"), ("Home", "0.01")):
        page.keyboard.press(key)
        page.get_by_text(f"λ = {weight}", exact=True).wait_for(timeout=5000)


def test_a_digit_is_chosen_from_a_list_without_drawing(digits):
    page = digits().page
    before = answers(page)
    page.locator("#digit-moving").select_option("7")
    page.locator(f"#said:not([data-answers='{before}'])").wait_for()
    page.locator("#clear-fixed").press("Enter")
    page.locator("#said", has_text="Draw a digit on both sides").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(digits, scheme):
    watched = digits(width=400, scheme=scheme)
    wide = watched.page.locator("body").evaluate("(body) => body.scrollWidth")
    assert wide <= 400
    watched.check()


@pytest.fixture(scope="session")
def node_script():
    """Build the script that registers two digits in Node."""
    if try_page.missing():
        pytest.skip(f"the page try cannot be built here: {try_page.missing()}")
    if not (notebooks.ROOT / "models" / "digits_affine.onnx").exists():
        pytest.skip("the networks of the digits are not stored: make export")
    folder = try_page.SOURCE / "build"
    return try_page.node_script(folder).with_name("agree-digits.mjs")


@pytest.mark.parametrize("name", ["digits_loose", "digits_even", "digits_stiff"])
def test_the_page_finds_the_places_that_python_finds(node_script, name, tmp_path):
    moving, fixed = mnist.load(7)["test"][:2, None]
    pair = {"moving": moving.ravel().tolist(), "fixed": fixed.ravel().tolist()}
    (tmp_path / "pair.json").write_text(json.dumps(pair))
    words = [node_script, notebooks.ROOT / "models", tmp_path / "pair.json", name]
    found = json.loads(subprocess.check_output(["node", *map(str, words)]))
    rough, fine = (models.load(one).network for one in ("digits_affine", name))
    affine = np.asarray(rough.predict_on_batch([moving, fixed])["transform"])
    still = transforms.affine_displacement(affine, moving.shape[1:-1])
    aligned = np.asarray(transforms.warp(moving, still))
    bent = fine.predict_on_batch([aligned, fixed])["transform"]
    whole = transforms.compose_affine(affine, bent)
    places = np.asarray(transforms.points(whole))
    np.testing.assert_allclose(found["places"], places.ravel(), atol=CLOSE)
    moved = np.asarray(transforms.warp(moving, whole))
    np.testing.assert_allclose(found["moved"], moved.ravel(), atol=CLOSE)
