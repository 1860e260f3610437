"""The figure of the command line: what is drawn is where the columns are, to scale, whatever the image."""

import re
import tracemalloc

import numpy as np
import pytest
from PIL import Image as Picture

from atomseg_app import figure
from atomseg_app.data import Columns, Image, Source, column_table
from atomseg_app.errors import FileError


def columns_at(points, shape, pixel_size_nm=(0.01, 0.01)) -> Columns:
    table = column_table(len(points))
    table["x_px"], table["y_px"] = np.reshape(points, (-1, 2)).T
    return Columns(table, shape, pixel_size_nm, Source("/data/é test.dm3"))


def drawn(image, columns, tmp_path) -> np.ndarray:
    path = tmp_path / "a.png"
    figure.write_figure(image, columns, path)
    with Picture.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def coloured(pixels) -> np.ndarray:
    """Pixels that are no grey."""
    return np.ptp(pixels, axis=2) > 40


def test_rings_are_centred_on_their_columns(tmp_path):
    """500 px are drawn twice as large: the centre of pixel (x, y) is at (2 x + 1, 2 y + 1) from the corner."""
    columns = columns_at([(100.25, 200.0), (300.0, 350.5)], (500, 500), (None, None))
    columns.table["amplitude"] = 5.0, 9.0
    found = coloured(drawn(Image(np.zeros((500, 500))), columns, tmp_path)[:1000, :1000])
    for x, y in columns.xy_px:
        rows, cols = np.nonzero(found[int(2 * y) - 60 : int(2 * y) + 62, int(2 * x) - 60 : int(2 * x) + 62])
        centre = (
            (cols.min() + cols.max() + 1) / 2 + int(2 * x) - 60,
            (rows.min() + rows.max() + 1) / 2 + int(2 * y) - 60,
        )
        assert centre == pytest.approx((2 * x + 1, 2 * y + 1), abs=1)


def test_scale_bar_has_the_length_it_says(tmp_path):
    size = 0.013
    pixels = drawn(Image(np.zeros((500, 500)), (size, size)), columns_at([], (500, 500)), tmp_path)[:1000, :1000]
    white = (pixels == 255).all(axis=2)
    longest = max(len(run) for row in white for run in re.findall("1+", "".join("01"[int(v)] for v in row)))
    assert longest == pytest.approx(1 / size * 2, abs=4)  # 1 nm is the longest round length below a quarter


@pytest.mark.parametrize(
    ("longest", "expected"), [(1.0, 1.0), (1.99, 1.0), (2.0, 2.0), (4.9, 2.0), (5.0, 5.0), (9.99, 5.0), (0.03, 0.02)]
)
def test_round_lengths(longest, expected):
    assert figure.round_length(longest) == pytest.approx(expected)


def test_pixels_that_are_not_square_are_drawn_to_scale(tmp_path):
    pixels = drawn(Image(np.zeros((500, 500)), (0.02, 0.01)), columns_at([], (500, 500)), tmp_path)
    assert pixels.shape[0] > 2000  # twice as high as wide
    assert pixels.shape[1] < 1500


def test_unknown_pixels_have_a_colour_of_their_own_and_do_not_set_the_limits(tmp_path):
    values = np.tile(np.linspace(0, 1, 400), (400, 1))
    values[:100, :100] = np.nan
    values[200, 200] = np.inf
    pixels = drawn(Image(values), columns_at([], (400, 400), (None, None)), tmp_path)
    assert coloured(pixels[20:280, 20:280]).all()
    assert not coloured(pixels[320:1180, 320:560]).any()
    assert pixels[600, 1190].min() > 250
    assert pixels[600, 5].max() < 5


@pytest.mark.parametrize(
    "values",
    [np.zeros((1, 1)), np.full((3, 5), 7, np.uint16), np.full((20, 20), np.nan), np.eye(40, 2), np.ones((4, 4), bool)],
)
def test_poor_images_are_drawn_too(tmp_path, values):
    assert drawn(Image(values, (0.01, 0.01)), columns_at([(0, 0)], values.shape), tmp_path).size


def test_errors_colour_the_rings_in_pm_where_calibrated():
    columns = columns_at([(1, 2), (3, 4)], (10, 10), (0.01, 0.02))
    columns.table["x_err_px"], columns.table["y_err_px"] = 0.3, 0.4
    values, label = figure._quantity(columns)
    assert label == "error (pm)"
    np.testing.assert_allclose(values, np.hypot(6, 4) / np.sqrt(2))
    assert figure._quantity(columns_at([(1, 2)], (10, 10)))[1] == "amplitude"


def test_big_images_are_averaged_without_being_whole_in_memory(tmp_path):
    big = np.lib.format.open_memmap(tmp_path / "big.npy", "w+", np.uint16, (6000, 8000))
    big[:] = np.arange(8000, dtype=np.uint16)
    big.flush()
    mapped = np.load(tmp_path / "big.npy", mmap_mode="r")
    tracemalloc.start()
    means = figure.block_mean(mapped, 4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert means.shape == (1500, 2000)
    np.testing.assert_allclose(means[7], np.arange(2000) * 4 + 1.5)
    assert peak < 1.2 * means.nbytes


def test_figure_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(FileError, match="could not be written"):
        figure.write_figure(Image(np.zeros((9, 9))), columns_at([], (9, 9)), tmp_path / "a.png")
