"""The image view: where pixels lie, what colours they have, that big files stay on disk, and the mouse and keys."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from atomseg_app.data import Image
from atomseg_app.gui import color_bar, colour_maps, contrast, image_pyramid, scale_bar
from atomseg_app.gui.canvas import Pointer, Tool
from atomseg_app.gui.contrast import Contrast
from atomseg_app.gui.figure_export import pixels
from atomseg_app.gui.image_view import ImageView
from atomseg_app.gui.view_geometry import ViewGeometry, aspect_of

LEFT, MIDDLE = Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton


@pytest.fixture
def view(qtbot: QtBot) -> ImageView:
    """A view on the screen; its paper has a colour that no grey image has."""
    widget = ImageView()
    qtbot.addWidget(widget)
    widget.resize(600, 600)
    widget.canvas.paper = QColor("#203040")
    with qtbot.waitExposed(widget):
        widget.show()
    return widget


def shown(view: ImageView) -> np.ndarray:
    """Colours (y, x, 3) of the canvas as painted."""
    picture = view.canvas.grab().toImage()
    assert picture.width() == view.canvas.width(), "these tests count on one device pixel for a screen pixel"
    return pixels(picture)


# -- geometry


def test_geometry_round_trip_and_fixed_point_of_zoom(rng):
    for _ in range(50):
        geometry = ViewGeometry(
            float(rng.uniform(50, 2000)), float(rng.uniform(50, 2000)), *rng.uniform(-500, 500, 2).tolist(),
            zoom=float(10 ** rng.uniform(-2, 2)), aspect=(1.0, float(rng.uniform(1, 3))),
        )  # fmt: skip
        xy = rng.uniform(-1000, 1000, 2)
        place = geometry.to_screen(xy[None])[0]
        np.testing.assert_allclose(geometry.to_image(QPointF(*place)), xy, atol=1e-6)
        np.testing.assert_allclose((geometry.point(*xy).x(), geometry.point(*xy).y()), place, atol=1e-6)
        at = QPointF(*rng.uniform(0, 50, 2))
        zoomed = geometry.zoomed(float(rng.uniform(0.5, 2)), at)
        np.testing.assert_allclose(zoomed.to_image(at), geometry.to_image(at), rtol=1e-9, atol=1e-6)


def test_pixels_that_are_not_square_are_drawn_to_scale(view):
    view.set_image(Image(np.zeros((100, 100)), (0.2, 0.1)))
    rect = view.canvas.picture_rect()
    assert rect.height() / rect.width() == pytest.approx(2.0, rel=1e-6)
    assert aspect_of((None, 0.1)) == (1.0, 1.0)


def test_the_centre_of_the_first_pixel_is_the_origin(view):
    values = np.zeros((9, 9), np.uint8)
    values[3, 6] = 255
    view.set_image(Image(values))
    view.set_contrast(Contrast(0, 255))
    view.set_shown(scale_bar=False)
    bright = np.argwhere(shown(view).min(axis=2) == 255)
    assert len(bright) == pytest.approx(view.canvas.geometry_now.zoom**2, rel=0.05)
    centre = bright.mean(axis=0)[::-1] + 0.5
    expected = view.canvas.geometry_now.point(6, 3)
    np.testing.assert_allclose(
        centre, (expected.x(), expected.y()), atol=0.6
    )  # whole screen px, and edges that are rounded to them


# -- values to colours


def test_limits_take_the_ends_of_the_map_and_nan_its_own_colour():
    values = np.array([-5, 0, 10, 99, np.nan, np.inf, -np.inf], np.float32)
    grey = [(c >> 16) & 255 for c in Contrast(0, 10).colours(values)[:4]]
    assert grey == [0, 0, 255, 255]
    odd = set(Contrast(0, 10).colours(values)[4:].tolist())
    red, green, blue = colour_maps.NOT_A_NUMBER
    assert odd == {0xFF000000 | red << 16 | green << 8 | blue}
    for name in colour_maps.TITLES:
        distance = np.abs(colour_maps.colour_table(name).astype(int) - colour_maps.NOT_A_NUMBER).sum(axis=1)
        assert distance.min() > 60, f"pixels without a value could be mistaken for others in {name}"


@pytest.mark.parametrize("scaling", list(contrast.SCALINGS))
@pytest.mark.parametrize("invert", [False, True])
def test_scalings_are_monotonic(scaling, invert):
    ramp = np.linspace(-1, 2, 500).astype(np.float32)
    grey = Contrast(0, 1, scaling, 0.5, "grey", invert).colours(ramp) & 255
    steps = np.diff(grey.astype(int))
    assert (steps <= 0).all() if invert else (steps >= 0).all()
    assert {int(grey[0]), int(grey[-1])} == {0, 255}


@pytest.mark.parametrize("name", list(colour_maps.TITLES))
def test_maps_rise_evenly_in_lightness(name):
    linear = (colour_maps.colour_table(name) / 255.0) ** 2.2
    lightness = np.cbrt(linear @ [0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) > -0.004).all()
    assert lightness[-1] - lightness[0] > 0.6


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i4", "u8", "f2", "f4", "f8", ">f4"])
def test_every_kind_of_number_is_drawn(view, dtype):
    values = (np.arange(64).reshape(8, 8) % 100).astype(dtype)
    view.set_image(Image(values))
    assert view.contrast().low <= 1
    assert view.contrast().high >= 62
    assert shown(view).std() > 10


@pytest.mark.parametrize("values", [np.full((5, 7), 3.0), np.full((5, 7), np.nan), np.zeros((1, 1)), np.zeros((0, 4))])
def test_images_without_contrast_are_shown(view, values):
    view.set_image(Image(values))
    shown(view)
    assert view.contrast().high > view.contrast().low


def test_auto_and_full_limits(view, rng):
    values = rng.normal(100, 10, (200, 200)).astype(np.float32)
    values[0, 0], values[1, 1] = -1e4, 1e4
    view.set_image(Image(values))
    assert 60 < view.contrast().low < 80
    assert 120 < view.contrast().high < 140
    QTest.mouseClick(view.contrast_bar.full, LEFT)
    assert (view.contrast().low, view.contrast().high) == (-1e4, 1e4)
    QTest.mouseClick(view.contrast_bar.auto, LEFT)
    assert view.contrast().high < 140


def test_limits_as_numbers_with_a_decimal_comma(view, rng):
    view.set_image(Image(rng.normal(0, 1, (50, 50))))
    edit = view.contrast_bar.high
    edit.selectAll()
    QTest.keyClicks(edit, "2,5")
    QTest.keyClick(edit, Qt.Key.Key_Return)
    assert view.contrast().high == 2.5
    before = view.contrast()
    edit.selectAll()
    QTest.keyClicks(edit, "nonsense")
    QTest.keyClick(edit, Qt.Key.Key_Return)
    assert view.contrast() == before
    assert edit.text() == "2.5"


@pytest.mark.parametrize(
    ("dtype", "lowest", "levels"), [("u1", 0, 256), ("u1", 3, 251), ("u2", 100, 5003), ("i2", -700, 999)]
)
def test_histogram_of_whole_numbers_has_no_comb(view, dtype, lowest, levels):
    """Every grey level equally often: every bar equally high, but the last, which the highest level may not fill."""
    values = np.resize(np.arange(lowest, lowest + levels), (7, levels)).astype(dtype)
    view.set_image(Image(values))
    counts = view.contrast_bar.histogram._counts
    assert len(counts) > 80
    assert counts.sum() == values.size
    assert (counts[:-1] == counts[0]).all()
    assert 0 < counts[-1] <= counts[0]
    assert counts[0] % 7 == 0


def test_limits_are_dragged_in_the_histogram_and_moved_by_keys(view, rng):
    view.set_image(Image(rng.normal(0, 1, (100, 100))))
    histogram = view.contrast_bar.histogram
    start = QPoint(round(histogram.x_of(view.contrast().low)), 10)
    QTest.mousePress(histogram, LEFT, pos=start)
    QTest.mouseMove(histogram, start + QPoint(60, 0))
    QTest.mouseRelease(histogram, LEFT, pos=start + QPoint(60, 0))
    assert view.contrast().low == pytest.approx(histogram.value_at(start.x() + 60), abs=0.05)
    low = view.contrast().low
    QTest.keyClick(histogram, Qt.Key.Key_Right)
    assert view.contrast().low > low
    assert view.contrast().low < view.contrast().high


# -- reading


@pytest.mark.parametrize(("shape", "step"), [((64, 64), 4), ((65, 30), 8), ((7, 9), 2), ((5, 5), 16)])
def test_tiles_hold_block_means(rng, shape, step):
    values = rng.integers(0, 1000, shape).astype(np.uint16)
    tile = image_pyramid.read_tile(values, image_pyramid.whole(shape), step)
    for row in range(tile.values.shape[0]):
        for column in range(tile.values.shape[1]):
            block = values[row * step : (row + 1) * step, column * step : (column + 1) * step]
            assert tile.values[row, column] == pytest.approx(block.mean(), rel=1e-5)


def own_memory() -> int:
    """Memory of this process in bytes, without mapped files where the system tells them apart."""
    memory = psutil.Process().memory_info()
    return memory.rss - getattr(memory, "shared", 0)


def test_big_images_stay_on_disk(view, tmp_path, qtbot):
    """20,000 x 20,000 px in a mapped file: shown without being loaded, and without keeping the window busy."""
    side = 20_000
    values = np.memmap(tmp_path / "big.raw", np.uint16, "w+", shape=(side, side))  # sparse
    values[9_000:11_000, 9_000:11_000] = 1000
    values.flush()
    values = np.memmap(tmp_path / "big.raw", np.uint16, "r", shape=(side, side))
    before = own_memory()
    busy = time.thread_time()
    view.set_image(Image(values, (0.01, 0.01)))
    view.set_contrast(Contrast(0, 1000))
    shown(view)
    assert time.thread_time() - busy < 0.1
    qtbot.waitUntil(lambda: not view.layer.waiting, timeout=60_000)
    view.set_contrast(Contrast(0, 1000))
    middle = view.canvas.geometry_now.point(side / 2, side / 2).toPoint()
    assert shown(view)[middle.y(), middle.x()].tolist() == [255, 255, 255]
    view.canvas.set_geometry_now(view.canvas.geometry_now.zoomed(1 / view.canvas.geometry_now.zoom))
    view.canvas.centre_on(9_000, 9_000)
    shown(view)
    qtbot.waitUntil(lambda: any(tile.step == 1 for tile in view.layer._tiles), timeout=60_000)
    edge = view.canvas.geometry_now.point(9_000, 9_000)
    colours = shown(view)
    row = int(edge.y()) + 5
    x = int(np.floor(view.canvas.geometry_now.point(8_999.5, 0).x()))
    assert colours[row, x - 1, 0] == 0
    assert colours[row, x + 2, 0] == 255
    assert own_memory() - before < 150e6


def test_another_image_is_not_painted_with_the_last_ones_pixels(view):
    for level in (10, 200, 90):
        view.set_image(Image(np.full((50, 50), level, np.uint8)))
        view.set_contrast(Contrast(0, 255))
        centre = view.canvas.picture_rect().center().toPoint()
        assert abs(int(shown(view)[centre.y(), centre.x(), 0]) - level) <= 1


# -- scale bar, colour bar, read-out


def test_scale_bar_has_a_round_length_that_is_true(rng):
    for _ in range(200):
        geometry = ViewGeometry(float(rng.uniform(200, 2000)), 500.0, zoom=float(10 ** rng.uniform(-2, 2)))
        size_nm = float(10 ** rng.uniform(-3, 2))
        length_px, text = scale_bar.bar_of(geometry, size_nm, geometry.width)
        number, unit = text.split()
        true_nm = float(number) * {"pm": 1e-3, "nm": 1.0, "µm": 1e3}[unit]
        assert length_px / geometry.zoom * size_nm == pytest.approx(true_nm)
        assert geometry.width * 0.08 < length_px <= geometry.width * 0.2201
        assert float(number) / 10 ** np.floor(np.log10(float(number))) == pytest.approx(
            round(float(number) / 10 ** np.floor(np.log10(float(number))))
        )
    assert scale_bar.bar_of(ViewGeometry(1000, 500), None, 1000)[1] == "200 px"
    assert [scale_bar.length_text(v) for v in (0.05, 0.5, 20, 2000)] == ["50 pm", "0.5 nm", "20 nm", "2 µm"]


def test_colour_bar_values_are_round_and_inside(rng):
    for _ in range(100):
        low = float(rng.normal(0, 10))
        high = low + float(10 ** rng.uniform(-3, 4))
        ticks = color_bar.round_ticks(low, high)
        assert 2 <= len(ticks) <= 8
        assert all(low - 1e-9 <= value <= high + 1e-9 for value, _ in ticks)
        assert len({text for _, text in ticks}) == len(ticks)


def test_cursor_reads_value_pixel_and_length(view, rng):
    values = rng.integers(0, 100, (40, 60)).astype(np.int32)
    view.set_image(Image(values, (0.02, 0.01)))
    point = view.canvas.geometry_now.point(12, 34).toPoint()
    QTest.mouseMove(view.canvas, point)
    text = view.readout.text()
    assert f"value {values[34, 12]}" in text
    assert "px" in text
    assert "nm" in text or "pm" in text
    outside = view.canvas.geometry_now.point(-3, 3).toPoint()
    QTest.mouseMove(view.canvas, outside)
    assert "outside" in view.readout.text()
    view.set_image(Image(values))
    QTest.mouseMove(view.canvas, point)
    assert "nm" not in view.readout.text()
    assert "px" in view.readout.text()


# -- mouse and keys


class Recorder(Tool):
    """Notes what reaches the tool."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def press(self, pointer: Pointer) -> None:
        self.seen.append("press")

    def cancel(self) -> None:
        self.seen.append("cancel")


def wheel(view: ImageView, at: QPointF, notches: int) -> None:
    place = view.canvas.mapToGlobal(at)
    event = QWheelEvent(
        at, place, QPoint(), QPoint(0, 120 * notches), Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(view.canvas, event)


def test_wheel_zooms_about_the_pointer(view, rng):
    view.set_image(Image(rng.normal(0, 1, (100, 100))))
    at = QPointF(123, 77)
    before = view.canvas.geometry_now
    wheel(view, at, 3)
    assert view.canvas.geometry_now.zoom > 1.5 * before.zoom
    np.testing.assert_allclose(view.canvas.geometry_now.to_image(at), before.to_image(at), atol=1e-9)


def test_space_and_middle_button_pan_with_any_tool(view, rng):
    view.set_image(Image(rng.normal(0, 1, (100, 100))))
    tool = Recorder()
    view.canvas.set_tool(tool)
    canvas = view.canvas
    for button, space in ((LEFT, True), (MIDDLE, False)):
        before = canvas.geometry_now.to_image(QPointF(100, 100))
        if space:
            QTest.keyPress(canvas, Qt.Key.Key_Space)
        QTest.mousePress(canvas, button, pos=QPoint(100, 100))
        QTest.mouseMove(canvas, QPoint(140, 130))
        QTest.mouseRelease(canvas, button, pos=QPoint(140, 130))
        if space:
            QTest.keyRelease(canvas, Qt.Key.Key_Space)
        np.testing.assert_allclose(canvas.geometry_now.to_image(QPointF(140, 130)), before, atol=1e-6)
    assert "press" not in tool.seen
    QTest.mouseClick(canvas, LEFT, pos=QPoint(100, 100))
    assert tool.seen[-1] == "press"
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    assert tool.seen[-1] == "cancel"


def test_keys_zoom_pan_and_fit(view, rng):
    view.set_image(Image(rng.normal(0, 1, (100, 100))))
    canvas = view.canvas
    fitted = canvas.geometry_now
    QTest.keyClick(canvas, Qt.Key.Key_Plus)
    assert canvas.geometry_now.zoom > fitted.zoom
    QTest.keyClick(canvas, Qt.Key.Key_Right)
    assert canvas.geometry_now.x > fitted.x
    QTest.keyClick(canvas, Qt.Key.Key_0)
    assert canvas.geometry_now == fitted
    canvas.one_to_one()
    assert canvas.geometry_now.zoom == pytest.approx(1 / canvas.devicePixelRatioF())


def test_view_stays_for_the_next_frame_and_is_fitted_for_another_image(view, rng):
    view.set_image(Image(rng.normal(0, 1, (100, 100))))
    view.canvas.zoom(3)
    zoomed, limits = view.canvas.geometry_now, view.contrast()
    view.set_image(Image(rng.normal(5, 1, (100, 100))), keep_view=True)
    assert view.canvas.geometry_now == zoomed
    assert view.contrast() == limits
    view.set_image(Image(rng.normal(5, 1, (50, 100))))
    assert view.canvas.geometry_now != zoomed


def test_paper_and_pixels_differ_from_missing_values(view):
    values = np.zeros((4, 4))
    values[1, 2] = np.nan
    view.set_image(Image(values))
    point = view.canvas.geometry_now.point(2, 1).toPoint()
    assert shown(view)[point.y(), point.x()].tolist() == list(colour_maps.NOT_A_NUMBER)
    assert view.canvas.paper != QColor(*colour_maps.NOT_A_NUMBER)


def test_the_window_process_reads_no_heavy_library():
    heavy = ("scipy", "skimage", "torch", "h5py", "tifffile", "pyqtgraph")
    source = Path(image_pyramid.__file__).parent
    for path in sorted(source.glob("*.py")) + sorted((source / "atoms").glob("*.py")):
        top = [line for line in path.read_text("utf-8").splitlines() if line.startswith(("import ", "from "))]
        assert not [line for line in top if line.split()[1].split(".")[0] in heavy], path.name
