import base64
import io

import numpy as np
import pytest
from matplotlib import collections
from PIL import Image

from registration import show
from registration.show import pixels

SHAPE, VOXEL = (6, 10, 8), (2.0, 3.0, 4.0)


def drawn(figure):
    """Return the images of a figure's axes, without colour bars."""
    return [ax.images[0] for ax in figure.axes if ax.images]


def bright_spot(image):
    """Return the data coordinates of an image's largest pixel."""
    array = np.asarray(image.get_array())
    row, column = np.unravel_index(array.argmax(), array.shape)
    left, right, bottom, top = image.get_extent()
    height, width = array.shape
    if image.origin == "upper":
        row = height - 1 - row
        bottom, top = min(bottom, top), max(bottom, top)
    across = left + (column + 0.5) * (right - left) / width
    return across, bottom + (row + 0.5) * (top - bottom) / height


def test_planes_put_a_voxel_where_its_millimetres_are():
    voxel = np.array([4, 7, 5])
    world = (voxel + 0.5 - np.array(SHAPE) / 2) * VOXEL
    volume = np.zeros(SHAPE, "float32")
    volume[tuple(voxel)] = 1
    figure = show.planes(volume, VOXEL, at=tuple(world))
    spots = [bright_spot(image) for image in drawn(figure)]
    np.testing.assert_allclose(spots, world[[[1, 2], [0, 2], [0, 1]]], rtol=1e-6)


def test_planes_mark_left_on_the_left_and_superior_above():
    figure = show.planes(np.zeros(SHAPE), VOXEL)
    for ax, letters in zip(figure.axes, ("PAS", "LRS", "LRA"), strict=True):
        texts = {text.get_text(): text.get_position() for text in ax.texts}
        assert set(texts) == set(letters)
        assert texts[letters[0]][0] < texts[letters[1]][0]
        assert texts[letters[2]][1] > 0.9
        low, high = ax.get_ylim()
        assert low < high


def test_planes_outline_lies_on_the_border_of_a_mask():
    mask = np.zeros(SHAPE)
    mask[1:5, 2:8, 2:6] = 1
    figure = show.planes(np.zeros(SHAPE), VOXEL, outline=mask, level=0.5)
    contours = [
        c for c in figure.axes[2].collections if isinstance(c, collections.Collection)
    ]
    points = np.concatenate([p.vertices for c in contours for p in c.get_paths()])
    half = np.array(SHAPE[:2]) * VOXEL[:2] / 2
    low, high = np.array([1, 2]) * VOXEL[:2] - half, np.array([5, 8]) * VOXEL[:2] - half
    np.testing.assert_allclose(points.min(0), low, atol=1e-5)
    np.testing.assert_allclose(points.max(0), high, atol=1e-5)


def test_planes_show_named_volumes_on_one_scale():
    figure = show.planes(before=np.zeros(SHAPE), after=np.full(SHAPE, 3.0))
    images = drawn(figure)
    assert len(images) == 6
    assert {image.get_clim() for image in images} == {(0.0, 3.0)}


def test_panels_share_one_scale_and_carry_their_names():
    figure = show.panels(first=np.zeros((4, 5)), second_one=np.full((4, 5), 2.0))
    assert [ax.get_title() for ax in figure.axes] == ["first", "second one"]
    assert {image.get_clim() for image in drawn(figure)} == {(0.0, 2.0)}


def test_rows_show_signed_differences_symmetric_about_zero():
    rng = np.random.default_rng(0)
    moving, fixed, moved = rng.random((3, 4, 6, 5, 1))
    figure = show.rows(moving, fixed, moved)
    images = drawn(figure)
    for i in range(4):
        before, after = images[5 * i + 3], images[5 * i + 4]
        np.testing.assert_allclose(
            before.get_array(), (moving - fixed)[i, ..., 0], rtol=1e-5
        )
        np.testing.assert_allclose(
            after.get_array(), (moved - fixed)[i, ..., 0], rtol=1e-5
        )
        low, high = after.get_clim()
        assert low == -high and before.get_clim() == after.get_clim()


def test_rows_take_one_fixed_image_for_all_cases():
    fixed = np.eye(5)
    figure = show.rows(np.zeros((3, 5, 5)), fixed, np.zeros((3, 5, 5)))
    for image in drawn(figure)[1::5]:
        np.testing.assert_array_equal(image.get_array(), fixed)


def test_grid_draws_a_shift_of_rows_downwards():
    displacement = np.zeros((1, 9, 7, 2))
    displacement[..., 0] = 2
    figure = show.grid(displacement=displacement, step=1)
    lines = figure.axes[0].collections[0].get_segments()
    rows, columns = lines[:9], lines[9:]
    for i, line in enumerate(rows):
        np.testing.assert_array_equal(line, [(x, i + 2) for x in range(7)])
    for i, line in enumerate(columns):
        np.testing.assert_array_equal(line, [(i, y + 2) for y in range(9)])
    bottom, top = figure.axes[0].get_ylim()
    assert bottom > top


def test_grid_of_points_and_of_their_displacement_are_the_same():
    rng = np.random.default_rng(1)
    displacement = rng.normal(size=(8, 6, 2)).astype("float32")
    points = displacement + np.moveaxis(np.indices((8, 6)), 0, -1)
    one, two = show.grid(points), show.grid(displacement=displacement)
    for first, second in zip(
        one.axes[0].collections[0].get_segments(),
        two.axes[0].collections[0].get_segments(),
        strict=True,
    ):
        np.testing.assert_allclose(first, second, atol=1e-5)


def test_quiver_arrows_point_to_where_a_pixel_is_read():
    displacement = np.zeros((8, 8, 2))
    displacement[..., 0], displacement[..., 1] = 3, -1
    arrows = show.quiver(displacement, step=2).axes[0].collections[0]
    np.testing.assert_array_equal(arrows.U, -1)
    np.testing.assert_array_equal(arrows.V, 3)
    np.testing.assert_array_equal(arrows.XY[0], (1, 1))


def test_jacobian_scale_is_centred_on_one_and_folds_are_counted():
    determinant = np.ones((10, 10))
    determinant[0, 0] = -0.2
    ax = show.jacobian(determinant).axes[0]
    low, high = ax.images[0].get_clim()
    assert (low + high) / 2 == pytest.approx(1)
    assert ax.get_title() == "1.00 % of pixels folded"
    assert ax.images[1].get_array().count() == 1


def test_checkerboard_takes_its_squares_in_turn():
    figure = show.checkerboard(np.zeros((8, 8)), np.ones((8, 8)), squares=4)
    board = np.asarray(drawn(figure)[0].get_array())
    expected = np.kron(np.indices((4, 4)).sum(0) % 2, np.ones((2, 2)))
    np.testing.assert_array_equal(board, expected)


def test_sorted_bars_are_sorted_by_the_last_series():
    figure = show.sorted_bars(
        ["a", "b", "c"], before=np.array([0.1, 0.2, 0.3]), after=[0.9, 0.4, 0.6]
    )
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["b", "c", "a"]


def test_loss_curve_starts_at_step_one():
    ax = show.loss_curve({"loss": [3.0, 2.0, 1.5]}).axes[0]
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [3.0, 2.0, 1.5])


def test_framework_draws_the_images_it_is_given():
    figure = show.framework(moving=np.eye(6), fixed=np.eye(6), moved=np.eye(6))
    assert len(figure.axes[0].images) == 3


def test_a_picture_shows_itself_once_as_one_small_image():
    noise = np.random.default_rng(0).random((64, 64))
    picture = show.panels(noise=noise)
    data, metadata = picture._repr_mimebundle_()
    (mime,) = (key for key in data if key.startswith("image/"))
    stored = base64.b64decode(data[mime])
    assert len(stored) < 60_000
    assert metadata[mime]["alt"] == data["text/plain"] == picture.alt


def test_a_picture_has_twice_the_pixels_of_its_place_on_a_page():
    data, metadata = show.panels(image=np.eye(9))._repr_mimebundle_()
    image = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    place = metadata["image/png"]
    assert abs(image.width - 2 * place["width"]) <= 1
    assert abs(image.height - 2 * place["height"]) <= 1


def test_a_coloured_picture_is_stored_within_eight_of_255_levels():
    rng = np.random.default_rng(0)
    drawn = show.rows(*rng.random((3, 2, 20, 20))).pixels()
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 256
    kept = Image.open(io.BytesIO(pixels.encode(drawn, "image/png")[1])).convert("RGB")
    assert np.abs(np.asarray(kept).astype(int) - drawn).max() <= 8


@pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("a.jpeg", "JPEG")])
def test_a_picture_is_saved_as_its_name_says(tmp_path, name, kind):
    show.panels(image=np.eye(5)).save(tmp_path / name)
    with Image.open(tmp_path / name) as image:
        assert image.format == kind


def test_a_framework_is_readable_on_a_phone():
    picture = show.framework()
    _, metadata = picture._repr_mimebundle_()
    shrunk = min(1, 358 / metadata["image/png"]["width"])
    sizes = {text.get_fontsize() for text in picture.axes[0].texts}
    assert min(sizes) * 100 / 72 * shrunk >= 11  # pixels on a page 390 wide


def test_the_texts_of_a_framework_lie_in_their_boxes():
    picture = show.framework("twelve\nnumbers", "CNN, coarse\nto fine", "1 − NCC +\nλ")
    picture.draw_without_rendering()
    boxes = [p.get_window_extent() for p in picture.axes[0].patches]
    inside = [
        text for text in picture.axes[0].texts if "gradient" not in text.get_text()
    ]
    for text in inside:
        place = text.get_window_extent()
        assert any(
            box.contains(*place.min) and box.contains(*place.max) for box in boxes
        ), text.get_text()


def test_panels_without_a_unit_have_no_ticks():
    (ax,) = show.panels(image=np.eye(3), unit=None).axes
    assert not len(ax.get_xticks()) and ax.get_xlabel() == ""


def test_an_image_with_gaps_has_the_scale_of_what_is_there():
    image = np.array([[0.0, np.nan], [2.0, 1.0]])
    figure = show.panels(image=image)
    assert drawn(figure)[0].get_clim() == (0.0, 2.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: show.panels(), "Received: {}"),
        (lambda: show.panels(a=np.zeros((2, 3, 4))), r"Received: .*\(2, 3, 4\)"),
        (lambda: show.grid(), "Received: neither"),
        (lambda: show.grid(np.zeros((4, 4, 3))), r"Received: .*\(4, 4, 3\)"),
        (lambda: show.planes(np.zeros((4, 4))), r"Received: .*\(4, 4\)"),
        (
            lambda: show.planes(np.zeros(SHAPE), outline=np.zeros((2, 2, 2))),
            r"Received: \(2, 2, 2\)",
        ),
        (lambda: show.loss_curve([]), "Received: "),
        (lambda: show.sorted_bars(["a"], dice=[1, 2]), r"Received: \(2,\)"),
        (lambda: show.table(["a"], [["x", "y"]]), "Received: "),
        (lambda: show.panels(a=np.eye(3)).save("a.gif"), "Received: 'a.gif'"),
        (
            lambda: show.rows(
                np.zeros((2, 4, 4)), np.zeros((3, 4, 4)), np.zeros((2, 4, 4))
            ),
            r"Received: .*\(3, 4, 4\)",
        ),
        (
            lambda: show.checkerboard(np.zeros((4, 4)), np.zeros((4, 5))),
            r"Received: \(4, 4\) and \(4, 5\)",
        ),
    ],
)
def test_a_bad_argument_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
