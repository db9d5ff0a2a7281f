"""Sliders in JupyterLab: with a kernel, after its restart, and not trusted."""

import statistics

import pytest

from tests.browser import actions

KINDS = ("slices", "both", "What the network", "From moving", "The effect")
NATURAL = "(image) => [image.naturalWidth, image.naturalHeight]"
LONGEST = 50  # milliseconds from a key press to the painted frame


@pytest.fixture(scope="module")
def notebook(lab, open_module_page):
    """Open the notebook in JupyterLab with a kernel and run all its cells."""
    watched = open_module_page(f"{lab}/sliders.ipynb")
    page = watched.page
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60000)
    actions.run_all(page)
    page.wait_for_selector(".widget-slider", timeout=300000, state="attached")
    return watched


def test_every_slider_moves_by_mouse_and_keyboard(notebook):
    for kind in KINDS:
        control = actions.control(notebook.page, kind)
        actions.moves_by_keyboard(notebook.page, control)
        actions.moves_by_mouse(notebook.page, control)
    notebook.check()


def test_a_frame_is_painted_within_fifty_milliseconds_of_a_key_press(notebook):
    control = actions.control(notebook.page, "slices")
    # Another program may hold the processor: the best of three medians counts.
    for _ in range(3):
        middle = statistics.median(actions.frame_times(notebook.page, control))
        print(f"frame change in JupyterLab, median of 20: {middle:.0f} ms")
        if middle <= LONGEST:
            break
    assert middle <= LONGEST


def test_a_live_slider_computes_a_new_picture(notebook):
    page = notebook.page
    handle = page.locator(".widget-slider .noUi-handle").first
    handle.scroll_into_view_if_needed()
    before = page.locator("img.widget-image").get_attribute("src")
    handle.focus()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "(before) => document.querySelector('img.widget-image').src !== before",
        arg=before,
    )
    notebook.check()


def test_play_steps_through_the_frames_and_pause_stops(notebook):
    control = actions.control(notebook.page, "From moving")
    range_ = control.locator("input[type=range]")
    before = range_.input_value()
    control.locator("button").click()
    notebook.page.wait_for_function(
        "([range, before]) => range.value !== before",
        arg=[range_.element_handle(), before],
    )
    control.locator("button").click()
    stopped = range_.input_value()
    notebook.page.wait_for_timeout(500)
    assert range_.input_value() == stopped


def test_every_slider_still_moves_after_the_kernel_was_restarted(notebook):
    actions.restart_kernel(notebook.page)
    for kind in KINDS:
        control = actions.control(notebook.page, kind)
        actions.moves_by_keyboard(notebook.page, control)
        actions.moves_by_mouse(notebook.page, control)
    notebook.check()


def test_a_notebook_that_runs_says_nothing_of_trust(notebook):
    note = notebook.page.locator(".reg-trust")
    assert note.count() == 1
    assert not note.is_visible()


@pytest.fixture
def stored(lab, open_page):
    """Open a notebook with stored outputs, which JupyterLab does not trust."""
    page = open_page(f"{lab}/stored.ipynb").page
    page.wait_for_selector(".reg-control img", timeout=60000)
    return page


def test_a_notebook_that_is_not_trusted_shows_the_frames_as_a_strip(stored):
    control = stored.locator(".reg-control").first
    boxes = [image.bounding_box() for image in control.locator("img:visible").all()]
    assert len(boxes) == 5
    assert len({round(box["y"]) for box in boxes}) == 1
    assert control.locator("input:visible").count() == 0


def test_a_notebook_that_is_not_trusted_says_so_once_above_its_sliders(stored):
    notes = stored.get_by_text("Trust Notebook")
    assert notes.count() == 1
    note, control = notes.bounding_box(), stored.locator(".reg-control").first
    assert note["y"] < control.bounding_box()["y"]


def test_a_figure_takes_half_its_pixels_and_keeps_its_shape_when_narrow(stored):
    image = stored.locator(".jp-RenderedImage img")
    image.scroll_into_view_if_needed()
    for width in (1440, 700):
        stored.set_viewport_size({"width": width, "height": 1000})
        box, size = image.bounding_box(), image.evaluate(NATURAL)
        assert box["width"] <= size[0] / 2
        assert box["height"] / box["width"] == pytest.approx(size[1] / size[0], 0.02)


def test_a_table_has_its_texts_and_no_border_of_its_own(stored):
    table = stored.locator("table.reg-table")
    assert table.locator("td").all_inner_texts() == ["before", "0.5", "after", "–"]
    sides = table.locator("td").evaluate_all(
        "(cells) => cells.map((cell) => getComputedStyle(cell).textAlign)"
    )
    assert sides == ["left", "right"] * 2
