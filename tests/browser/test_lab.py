"""Sliders in JupyterLab: with a kernel, after its restart, and not trusted."""

import pytest

from tests.browser import actions

KINDS = ("slices", "both", "What the network", "From moving", "The effect")


@pytest.fixture
def notebook(lab, open_page):
    """Open the notebook in JupyterLab with a kernel and run all its cells."""
    watched = open_page(lab)
    page = watched.page
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60000)
    actions.run_all(page)
    page.wait_for_selector(".widget-slider", timeout=120000, state="attached")
    yield watched
    watched.check()


def test_every_slider_moves_by_mouse_and_keyboard_before_and_after_a_restart(notebook):
    page = notebook.page
    for kind in KINDS:
        control = actions.control(page, kind)
        actions.moves_by_keyboard(page, control)
        actions.moves_by_mouse(page, control)
    actions.restart_kernel(page)
    for kind in KINDS:
        actions.moves_by_keyboard(page, actions.control(page, kind))
