"""No text that a caller hands in reaches a page as HTML."""

import numpy as np
import pandas as pd
import pytest

from registration import show

BAD = "</p>\"'><script>alert(1)</script>"
TEXTS = {"title": BAD, "description": BAD}
STEPS, VOLUME = np.zeros((2, 4, 4)), np.zeros((4, 4, 4))
HTML = {
    "frames": lambda: show.frames(STEPS, [BAD] * 2, name=BAD, **TEXTS),
    "epochs": lambda: show.epochs(STEPS, [BAD] * 2, **TEXTS),
    "morph": lambda: show.morph(STEPS, **TEXTS),
    "weights": lambda: show.weights(STEPS, [1, 2], symbol=BAD, **TEXTS),
    "slices": lambda: show.slices(VOLUME, count=3, **TEXTS),
    "before_after": lambda: show.before_after(*[VOLUME] * 3, names=(BAD, BAD), **TEXTS),
    "live": lambda: show.live(lambda x: STEPS[0], {"x": (0, 1, 0)}, **TEXTS),
    "affine_sliders": lambda: show.affine_sliders(
        lambda x: STEPS[0], x=(0, 1, 0), **TEXTS
    ),
    "table": lambda: show.table([BAD], [[BAD]], BAD),
}
PICTURES = {
    "checkerboard": lambda: show.checkerboard(STEPS[0], STEPS[0], alt=BAD),
    "figure": lambda: show.figure(2, 2, BAD),
    "framework": lambda: show.framework(BAD, BAD, BAD, alt=BAD),
    "grid": lambda: show.grid(displacement=np.zeros((4, 4, 2)), title=BAD, alt=BAD),
    "jacobian": lambda: show.jacobian(np.ones((4, 4)), title=BAD, alt=BAD),
    "loss_curve": lambda: show.loss_curve({BAD: [1, 2]}, x=BAD, y=BAD, alt=BAD),
    "panels": lambda: show.panels(alt=BAD, unit=BAD, **{BAD: STEPS[0]}),
    "planes": lambda: show.planes(label=BAD, alt=BAD, **{BAD: VOLUME}),
    "quiver": lambda: show.quiver(np.zeros((4, 4, 2)), title=BAD, alt=BAD),
    "rows": lambda: show.rows(STEPS, STEPS, STEPS, labels=[BAD] * 2, alt=BAD),
    "sorted_bars": lambda: show.sorted_bars([BAD], x=BAD, alt=BAD, **{BAD: [1]}),
}
PLAIN = {"Control", "Picture", "TRUST_NOTE"}


def page(shown):
    """Return the HTML of an output."""
    return shown.html if hasattr(shown, "html") else shown._repr_html_()


def test_every_public_name_is_tried():
    assert {*HTML, *PICTURES, *PLAIN} == set(show.__all__)


@pytest.mark.parametrize("name", HTML)
def test_a_text_in_a_page_is_text(name, monkeypatch):
    monkeypatch.setenv("REGISTRATION_BUILD", "build")
    text = page(HTML[name]())
    assert BAD not in text and "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_no_page(name):
    data, _ = PICTURES[name]()._repr_mimebundle_()
    assert {key.split("/")[0] for key in data} == {"image", "text"}
    assert "text/html" not in data


def test_the_head_of_sliders_with_a_kernel_is_text(monkeypatch):
    monkeypatch.delenv("REGISTRATION_BUILD", raising=False)
    head, _ = HTML["live"]().box.children
    assert "<script" not in head.value and "&lt;script" in head.value


def test_a_slider_is_named_as_an_argument_is():
    with pytest.raises(ValueError, match="Received: '<script>'"):
        show.live(lambda **values: STEPS[0], {"<script>": (0, 1, 0)})


def test_a_data_frame_is_text():
    frame = pd.DataFrame({BAD: [BAD]}, index=pd.Index([BAD], name=BAD))
    assert "<script" not in show.table(frame, caption=BAD).html
