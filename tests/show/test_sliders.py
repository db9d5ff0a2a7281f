import base64
import io
import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from registration import show
from registration.show import computed, montage, pixels

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = re.compile(r'<img src="data:image/(\w+);base64,([^"]+)"')


def stored(control):
    """Return the pictures that a control carries, as arrays."""
    found = SOURCE.findall(control.html)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(x)))) for _, x in found]


def labels(control):
    """Return the texts beside the slider, one a frame."""
    return re.findall(r'data-label="([^"]*)"', control.html)


def test_frames_carry_every_picture_and_its_label():
    discs = [np.hypot(*(np.indices((16, 16)) - 8.0)) < r for r in range(1, 6)]
    control = show.frames(np.array(discs, "float32"), labels=list("abcde"))
    assert labels(control) == list("abcde")
    for disc, picture in zip(discs, stored(control), strict=True):
        np.testing.assert_array_equal(picture, 255 * disc)


def test_a_control_needs_nothing_from_elsewhere():
    control = show.frames(np.zeros((3, 8, 8)), title="t", description="d")
    rest = SOURCE.sub("", control.html)
    assert not re.search(r"https?:|//\w|src=|@import|url\(", rest)


def test_a_control_is_also_a_still_picture_and_a_text():
    control = show.frames(
        np.random.default_rng(0).random((9, 20, 30)), title="Nine", description="Noise"
    )
    data, metadata = control._repr_mimebundle_()
    (mime,) = (key for key in data if key.startswith("image/"))
    strip = np.asarray(Image.open(io.BytesIO(base64.b64decode(data[mime]))))
    assert strip.shape[:2] == (4 * 20, 4 * (5 * 30 + 4 * 4))
    assert data["text/plain"].startswith("Nine. Noise. Slider over frame")
    assert metadata[mime]["alt"] == data["text/plain"]
    assert "text/html" in data


def test_a_slider_is_named_for_those_who_cannot_see_it():
    control = show.epochs(np.zeros((2, 4, 4)))
    assert 'aria-label="epoch"' in control.html
    assert 'alt="epoch: epoch 1"' in control.html
    assert "▶ Play" in control.html


def test_the_same_frames_give_the_same_page():
    one, two = (show.morph(np.eye(6)[None].repeat(3, 0)).html for _ in range(2))
    assert one == two


def test_slices_say_the_millimetres_at_which_they_cut():
    volume = np.zeros((10, 12, 14), "float32")
    control = show.slices(volume, (2.0, 3.0, 4.0), count=50)
    texts = [text.replace("−", "-") for text in labels(control)]
    for axis, spacing, size in zip("xyz", (2, 3, 4), volume.shape, strict=True):
        values = [float(t[4:-3]) for t in texts if t.startswith(axis)]
        centres = (np.arange(size) + 0.5 - size / 2) * spacing
        assert set(values) <= {float(f"{c:.0f}") for c in centres}
        assert values == sorted(values)


def test_before_and_after_carry_three_pictures():
    fixed = np.eye(8)
    control = show.before_after(fixed[::-1], fixed * 0.5, fixed)
    first, second, third = stored(control)
    np.testing.assert_array_equal(first, 255 * fixed)
    np.testing.assert_array_equal(second, 255 * fixed[::-1])
    np.testing.assert_array_equal(third, np.round(127.5 * fixed))
    for mode in ("blend", "checkerboard", "flicker"):
        assert f'value="{mode}"' in control.html


def test_a_volume_is_laid_out_as_three_planes():
    volume = np.zeros((10, 14, 12))
    picture = montage.laid_out(volume, 2.0)
    assert picture.shape == (14, 14 + 10 + 10 + 2 * montage.GAP)


def test_several_images_a_step_become_a_mosaic():
    stack = np.arange(6.0)[:, None, None] * np.ones((6, 3, 2))
    whole = pixels.tile(stack, columns=3, gap=1)
    assert whole.shape == (7, 8)
    assert whole[0, 0] == 0 and whole[0, 3] == 1 and whole[4, 6] == 5


def test_weights_and_times_are_written_beside_the_slider():
    steps = np.zeros((3, 4, 4))
    assert labels(show.weights(steps, [0.1, 1, 10])) == [
        "λ = 0.1",
        "λ = 1",
        "λ = 10",
    ]
    assert labels(show.morph(steps)) == ["t = 0.00", "t = 0.50", "t = 1.00"]


def test_every_callback_is_called_for_its_first_middle_and_last_value():
    calls = []

    def draw(**values):
        calls.append(values)
        return np.zeros((6, 6))

    show.affine_sliders(draw)
    for name, (low, high, start) in computed.AFFINE.items():
        seen = {values[name] for values in calls}
        assert {low, start, high} <= seen
    assert set(calls[0]) == set(computed.AFFINE)


def test_no_notebook_makes_sliders_that_are_not_tried_headless():
    sources = sorted((ROOT / "notebooks").glob("*.py"))
    assert sources
    for path in sources:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\bipywidgets\b|\binteract\w*\(", text), path.name


def test_a_callback_that_fails_fails_the_cell():
    def draw(angle):
        return np.zeros((4, 4)) if angle < 1 else 1 / 0

    with pytest.raises(ZeroDivisionError):
        show.live(draw, {"angle": (0, 1, 0)})


def test_a_moved_slider_computes_a_new_picture(monkeypatch):
    monkeypatch.delenv("REGISTRATION_BUILD", raising=False)
    control = show.live(
        lambda column: np.eye(8)[int(column)][None].repeat(8, 0), {"column": (0, 7, 0)}
    )
    head, both = control.box.children
    numbers, picture = both.children
    before = picture.value
    numbers.children[0].value = 5
    image = np.asarray(Image.open(io.BytesIO(picture.value)).convert("L"))
    assert picture.value != before
    assert image[0].argmax() // (image.shape[1] // 8) == 5
    numbers.children[-1].click()
    assert numbers.children[0].value == 0
    assert picture.value == before
    data, _ = control._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data


def test_what_is_stored_needs_no_kernel(monkeypatch):
    monkeypatch.setenv("REGISTRATION_BUILD", "build")
    control = show.live(lambda shift: np.full((4, 4), shift), {"shift": (0, 1, 0)})
    data, _ = control._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" not in data
    assert len(stored(control)) >= 3


def test_figures_become_frames_of_twice_the_pixels_they_take():
    figures = [show.panels(image=np.eye(4) * k, size=2) for k in (1, 2)]
    control = show.frames(figures)
    first, second = stored(control)
    assert first.shape[:2] == second.shape[:2]
    assert f"--reg-width:{first.shape[1] // 2}px" in control.html
    assert first.shape[1] == 2 * 100 * figures[0].get_figwidth()


def test_gray_and_coloured_frames_are_stored_alike():
    gray, coloured = np.zeros((4, 4), "uint8"), np.full((4, 4, 3), (9, 0, 0), "uint8")
    first, second = stored(show.frames([gray, coloured]))
    assert first.max() == 0 and second.max() > 0


def test_an_outline_is_one_pixel_wide_inside_its_mask():
    mask = np.zeros((8, 9), bool)
    mask[2:6, 3:8] = True
    picture = pixels.outlined(np.zeros((8, 9), "uint8"), mask)
    inner = np.zeros((16, 18), bool)
    inner[5:11, 7:15] = True
    large = mask.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(picture.any(axis=-1), large & ~inner)


def test_a_voxel_twice_as_long_is_drawn_twice_as_long():
    volume = np.zeros((8, 6, 8), "float32")
    for picture in stored(show.slices(volume, (1.0, 2.0, 1.0), count=3)):
        assert picture.shape in {(8, 12), (8, 8), (12, 8)}
    (picture, *_) = stored(
        show.before_after(volume, volume, volume, voxel_mm=(1, 2, 1))
    )
    assert picture.shape == (12, 12 + 8 + 8 + 2 * montage.GAP)


def test_the_bar_of_fifty_millimetres_is_as_long_as_that_part_of_the_plane():
    control = show.slices(np.zeros((50, 25, 50), "float32"), 2.0, count=3)
    bars = re.findall(r"width:([\d.]+)%\">50 mm", control.html)
    assert list(map(float, bars)) == [100.0, 50.0, 50.0]


def test_the_note_on_trust_hides_itself_and_is_in_no_control():
    assert ".reg-trust { display: none; }" in show.TRUST_NOTE._repr_html_()
    assert "<script" not in show.TRUST_NOTE._repr_html_()
    assert "rust" not in show.frames(np.zeros((2, 4, 4))).html


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: show.frames([]), "Received: 0"),
        (lambda: show.frames([np.zeros((2, 2)), np.zeros((3, 3))]), "Received: "),
        (lambda: show.frames(np.zeros((2, 4, 4)), ["one"]), "Received: 1"),
        (lambda: show.frames([np.zeros((2, 2, 2))]), r"Received: .*\(2, 2, 2\)"),
        (lambda: show.slices(np.zeros((4, 4))), r"Received: .*\(4, 4\)"),
        (
            lambda: show.before_after(np.eye(3), np.eye(4), np.eye(4)),
            "Received: ",
        ),
        (lambda: show.live(print, {"x": (0, 1, 2)}), "Received: 2"),
    ],
)
def test_a_bad_argument_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
