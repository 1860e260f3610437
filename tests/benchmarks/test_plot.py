"""The plot of costs: curves lie where their values say, and a cost that is linear lies on its dashed line."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from atomseg_app.benchmarks.columns import write_cost
from atomseg_app.benchmarks.plot import Curve, write_log_log

RED, BLUE = (255, 0, 0), (0, 0, 255)


def pixels_of(path, colour) -> np.ndarray:
    """Rows and columns (n, 2) of pixels of a colour inside the axes, without the names at the upper left."""
    values = np.asarray(Image.open(path))
    where = np.argwhere((values == colour).all(axis=2))
    return where[where[:, 0] > 140]


def test_a_linear_cost_is_a_straight_line_of_slope_one(tmp_path):
    x = np.array([10.0, 100.0, 1000.0, 10_000.0])
    write_log_log([Curve("cost", x, 0.01 * x, RED)], "", "", tmp_path / "a.png")
    rows, cols = pixels_of(tmp_path / "a.png", RED).T.astype(float)
    slope, offset = np.polyfit(cols, rows, 1)
    assert np.abs(rows - slope * cols - offset).max() < 8  # a dot's radius
    height, width = rows.max() - rows.min(), cols.max() - cols.min()
    assert height > 200
    assert width > 500


def test_a_cost_that_grows_faster_leaves_its_dashed_line(tmp_path):
    x = np.array([10.0, 100.0, 1000.0])
    write_log_log([Curve("cost", x, 1e-3 * x**2, BLUE)], "", "", tmp_path / "a.png")
    rows, cols = pixels_of(tmp_path / "a.png", BLUE).T.astype(float)
    slope, offset = np.polyfit(cols, rows, 1)
    assert np.abs(rows - slope * cols - offset).max() > 20


@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_values_without_a_logarithm_are_refused(tmp_path, bad):
    with pytest.raises(ValueError, match="positive"):
        write_log_log([Curve("cost", np.array([1.0, 2.0]), np.array([1.0, bad]), RED)], "", "", tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_rows_of_the_table_become_a_picture(tmp_path):
    rows = [[512, 625, 0.4, 0.6, 0.7, 60.0], [1024, 2500, 1.5, 0.6, 0.7, 180.0]]
    write_cost(rows, tmp_path / "columns_cost.png")
    with Image.open(tmp_path / "columns_cost.png") as picture:
        assert picture.size == (900, 560)
