"""The built site: served from one folder, with no kernel anywhere."""

import statistics

import pytest

from tests.browser import actions

WIDTHS = (390, 1440)
OTHERS = ("gallery", "glossary", "results", "claims", "built")
TOO_WIDE = "document.documentElement.scrollWidth - window.innerWidth"
SHAPES = """(images) => images.map((image) => [
  image.clientWidth / image.clientHeight, image.naturalWidth / image.naturalHeight
])"""
LONGEST = 50  # milliseconds from a key press to the painted frame


@pytest.fixture(scope="session")
def pages(site, browser):
    """Return the addresses of the contents page and of the notebooks' pages."""
    page = browser.new_page()
    page.goto(f"{site}/index.html")
    links = page.locator("a.sd-stretched-link").evaluate_all(
        "(links) => links.map((link) => link.href)"
    )
    page.close()
    assert links
    return [f"{site}/index.html", *links]


@pytest.fixture
def slider_page(pages, open_page):
    """Open the first page that has a slider; the test then finds no error on it."""
    for address in pages[1:]:
        watched = open_page(address)
        if watched.page.locator(".reg-control").count():
            yield watched
            watched.check()
            return
    pytest.skip("no page of the site has a slider yet")


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_overflows_reports_an_error_or_asks_another_machine(
    site, pages, open_page, width
):
    for address in (*pages, *(f"{site}/{name}.html" for name in OTHERS)):
        watched = open_page(address, width=width)
        watched.page.wait_for_load_state("networkidle")
        assert watched.page.evaluate(TOO_WIDE) <= 0, address
        watched.check()


def test_every_picture_of_the_gallery_leads_to_its_section(site, open_page):
    page = open_page(f"{site}/gallery.html").page
    links = page.locator("a.sd-stretched-link").evaluate_all(
        "(links) => links.map((link) => link.href)"
    )
    assert len(links) == page.locator(".sd-card img").count() > 50
    for address in sorted({link.split("#")[0] for link in links}):
        there = open_page(address).page
        for link in links:
            if link.startswith(f"{address}#"):
                section = there.locator(f"section[id='{link.split('#')[1]}']")
                assert section.count() == 1, link


def test_every_slider_of_every_page_moves_by_keyboard_without_a_kernel(
    pages, open_page
):
    for address in pages[1:]:
        watched = open_page(address)
        controls = watched.page.locator(".reg-control")
        for number in range(controls.count()):
            control = controls.nth(number)
            control.scroll_into_view_if_needed()
            actions.moves_by_keyboard(watched.page, control)
        watched.check()


def test_a_slider_moves_by_mouse(slider_page):
    control = slider_page.page.locator(".reg-control").first
    control.scroll_into_view_if_needed()
    actions.moves_by_mouse(slider_page.page, control)


def test_a_frame_is_painted_within_fifty_milliseconds_of_a_key_press(slider_page):
    control = slider_page.page.locator(".reg-control").first
    control.scroll_into_view_if_needed()
    # Another program may hold the processor: the best of three medians counts.
    for _ in range(3):
        middle = statistics.median(actions.frame_times(slider_page.page, control))
        print(f"frame change, median of 20: {middle:.0f} ms")
        if middle <= LONGEST:
            break
    assert middle <= LONGEST


def test_a_slider_says_its_value_to_a_screen_reader(slider_page):
    for range_ in slider_page.page.locator(".reg-control input[type=range]").all():
        assert range_.get_attribute("aria-label")
        assert range_.get_attribute("aria-valuetext")


def test_without_scripts_the_frames_stand_as_a_strip(pages, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    for address in pages[1:]:
        page.goto(address)
        for control in page.locator(".reg-control").all():
            control.scroll_into_view_if_needed()
            assert control.locator(".reg-screen img:visible").count() >= 2
            assert control.locator("input:visible").count() == 0
    context.close()


def test_no_page_speaks_of_trust_and_every_figure_keeps_its_shape(pages, open_page):
    for address in pages[1:]:
        page = open_page(address, width=390).page
        notes = page.get_by_text("Trust Notebook")
        assert not any(note.is_visible() for note in notes.all()), address
        shapes = page.locator(".cell_output > .output > img").evaluate_all(SHAPES)
        for shown, stored in shapes:
            assert shown == pytest.approx(stored, 0.03), address


def test_dark_mode_leaves_the_gray_values_of_scans(pages, open_page):
    for address in pages[1:]:
        page = open_page(address, scheme="dark").page
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        filters = page.locator(".cell_output img").evaluate_all(
            "(images) => images.map((image) => getComputedStyle(image).filter)"
        )
        assert set(filters) == {"none"}, address


def test_search_finds_a_page_on_the_site_itself(site, open_page):
    watched = open_page(f"{site}/search.html?q=grid")
    watched.page.wait_for_selector("#search-results li a", timeout=20000)
    watched.check()
