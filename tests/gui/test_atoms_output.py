"""What leaves the tab: figures that equal the view, and batches of many files."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from atomseg_app.batch import SUMMARY_NAME
from atomseg_app.data import Columns, Image, Source, column_table
from atomseg_app.errors import FileError, UserError
from atomseg_app.gui import figure_export
from atomseg_app.gui.atoms.markers import ErrorStyle, MarkerStyle
from atomseg_app.gui.atoms.tab import AtomsTab
from atomseg_app.gui.figure_export import pixels
from atomseg_app.gui.main_window import MainWindow
from atomseg_app.gui.settings import THEME
from atomseg_app.io.tables import read_csv
from atomseg_app.simulate.columns import poisson, render, square_lattice
from tests.gui.driving import answer

JOB_MS = 120_000


@pytest.fixture
def tab(main_window: MainWindow, rng) -> AtomsTab:
    """The tab with an image, its columns, error bars, and colour bars, none of it computed here."""
    truth = square_lattice(128, 16.0, rng, displacement_px=0.4, sigma_px=3.0)
    image = Image(poisson(render(truth, (128, 128)), rng), (0.01, 0.01), Source("/data/lattice.tif"))
    table = column_table(len(truth.x_px))
    table["x_px"], table["y_px"], table["amplitude"] = truth.x_px, truth.y_px, truth.amplitude
    table["x_err_px"], table["y_err_px"] = rng.uniform(0.05, 0.1, (2, len(table)))
    main_window.resize(1300, 850)
    main_window.context.settings.set(THEME, "light")
    main_window.show_item(image)
    main_window.show_item(Columns(table, (128, 128), (0.01, 0.01), image.source))
    tab = main_window.tabs["atoms"]
    assert isinstance(tab, AtomsTab)
    tab.overlay.set_style(MarkerStyle(errors=ErrorStyle.ELLIPSES, exaggeration=50.0))
    tab.view.set_shown(colour_bar=True)
    tab.model.select([3, 4, 5])
    tab.view.canvas.clearFocus()
    return tab


def shown(tab: AtomsTab) -> np.ndarray:
    """The part of the canvas that makes the figure, as it is on the screen."""
    rect = figure_export.figure_rect(tab.view.canvas).toRect()
    return pixels(tab.view.canvas.grab(rect).toImage())


def written(tab: AtomsTab, path: Path, dpi: float, qtbot: QtBot) -> np.ndarray:
    """Colours of a figure file, read without Qt."""
    tab.exporter.write_figure(path, dpi)
    qtbot.waitUntil(lambda: path.exists(), timeout=10_000)
    with Picture.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_png_equals_the_screen(tab, tmp_path, qtbot):
    tab.setFocus()
    expected = shown(tab)
    figure = written(tab, tmp_path / "figure.png", 96, qtbot)
    assert figure.shape == expected.shape
    assert np.abs(figure.astype(int) - expected).max() <= 2
    assert expected.std() > 20


def test_resolution_adds_pixels_and_changes_nothing_else(tab, tmp_path, qtbot):
    expected = shown(tab).astype(float)
    path = tmp_path / "figure.tif"
    figure = written(tab, path, 192, qtbot).astype(float)
    height, width = expected.shape[:2]
    assert figure.shape == (2 * height, 2 * width, 3)
    mean = figure.reshape(height, 2, width, 2, 3).mean(axis=(1, 3))
    assert np.abs(mean - expected).mean() < 3
    bar = (
        expected.shape[1]
        - figure_export.figure_rect(tab.view.canvas).toRect().width()
        + round(sum(width for width, _ in tab.view.canvas.side_layers))
    )
    assert np.corrcoef(mean[:, -bar:].ravel(), expected[:, -bar:].ravel())[0, 1] > 0.9, "colour bars and their texts"
    assert np.corrcoef(mean.ravel(), expected.ravel())[0, 1] > 0.985
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        assert tags["XResolution"].value == (192, 1)
        assert tags["ResolutionUnit"].value == 2
    written(tab, tmp_path / "figure.png", 300, qtbot)
    with Picture.open(tmp_path / "figure.png") as picture:
        assert picture.info["dpi"][0] == pytest.approx(300, abs=0.5)


def test_a_figure_for_print_is_on_white_whatever_the_look(tab, tmp_path, qtbot):
    tab.context.settings.set(THEME, "dark")
    dark = written(tab, tmp_path / "shown.png", 96, qtbot)
    tab.exporter.write_figure(tmp_path / "print.png", 96, white=True)
    qtbot.waitUntil(lambda: (tmp_path / "print.png").exists(), timeout=10_000)
    with Picture.open(tmp_path / "print.png") as picture:
        white = np.asarray(picture.convert("RGB"))
    area = tab.view.canvas.picture_rect()
    inside = np.s_[round(area.top()) + 2 : round(area.bottom()) - 2, 2 : round(area.width()) - 2]
    assert white[:, -3:].min() > 200
    assert dark[:, -3:].max() < 100
    np.testing.assert_array_equal(white[inside], dark[inside])
    assert tab.view.canvas.paper.name() == tab.context.theme.colours.window


def test_vector_figures_keep_lines_and_letters(tab, tmp_path):
    tab.exporter.write_figure(tmp_path / "figure.svg", 96)
    text = (tmp_path / "figure.svg").read_text("utf-8")
    assert len(re.findall(r"<(?:ellipse|circle)", text)) >= len(tab.model.columns())
    assert "Position error (pm)" in text
    assert re.search(r">\s*[\d.]+ (nm|pm)\s*<", text)
    tab.exporter.write_figure(tmp_path / "figure.pdf", 96)
    data = (tmp_path / "figure.pdf").read_bytes()
    rect = figure_export.figure_rect(tab.view.canvas)
    box = [float(v) for v in re.search(rb"/MediaBox\s*\[([^\]]+)\]", data)[1].split()]
    assert data.startswith(b"%PDF")
    assert box[2:] == pytest.approx([rect.width() * 0.75, rect.height() * 0.75], abs=1)
    assert list(tmp_path.glob(".*")) == []


def test_a_figure_that_cannot_be_written_leaves_the_old_one(tab, tmp_path, qtbot):
    with pytest.raises(UserError, match="lower resolution"):
        figure_export.render(tab.view.canvas, 1e5)
    folder = tmp_path / "figure.png"
    folder.mkdir()
    tab.exporter.write_figure(folder, 96)
    qtbot.waitUntil(lambda: tab.context.notify.dialog is not None, timeout=10_000)
    tab.context.notify.dialog.close()
    (tmp_path / "vector.svg").mkdir()
    with pytest.raises(FileError, match="in the way"):
        tab.exporter.write_figure(tmp_path / "vector.svg", 96)
    assert folder.is_dir()


def test_nothing_is_replaced_unasked(tab, tmp_path):
    """A name completed with an extension was not asked about by the file dialog."""
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(FileError, match="already there"):
        tab.exporter._named(tmp_path / "a", ".csv")
    assert tab.exporter._named(tmp_path / "b", ".csv") == tmp_path / "b.csv"


def test_export_follows_the_last_folder_and_the_name_of_the_image(tab, tmp_path, qtbot):
    image = tab.model.image()
    assert tab.exporter._place(image, "_figure.png") == str(Path("/data/lattice_figure.png"))
    written(tab, tmp_path / "figure.png", 96, qtbot)
    qtbot.waitUntil(lambda: bool(tab.context.notify.toast_texts()), timeout=5000)
    assert tab.exporter._place(image, "_figure.png") == str(tmp_path / "lattice_figure.png")


# -- many files


@pytest.fixture
def folder(tmp_path: Path, rng) -> Path:
    """Two images and a file that is none."""
    folder = tmp_path / "Bilder von heute"
    folder.mkdir()
    for name in ("one", "two"):
        truth = square_lattice(96, 16.0, rng, sigma_px=3.0, peak=200)
        np.save(folder / f"{name}.npy", poisson(render(truth, (96, 96)), rng).astype(np.float32))
    (folder / "three.npy").write_bytes(b"not an array")
    return folder


@pytest.mark.slow
def test_a_dropped_folder_is_measured_file_by_file(tab, folder, tmp_path, qtbot):
    tab.context.actions.trigger("atoms.batch")
    dialog = tab.batch
    dialog._parameters = dialog._parameters.model_copy(update={"split": False})
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(folder))])
    place = QPoint(50, 50)
    arguments = (Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(dialog, QDragEnterEvent(place, *arguments))
    QApplication.sendEvent(dialog, QDropEvent(QPointF(place), *arguments))
    qtbot.waitUntil(lambda: dialog.table.rowCount() == 3, timeout=10_000)
    assert [path.name for path in dialog.paths] == ["one.npy", "three.npy", "two.npy"]
    out = tmp_path / "results"
    dialog.output.setText(str(out))
    QTest.mouseClick(dialog.run_button, Qt.MouseButton.LeftButton)
    assert dialog.running()
    assert not dialog.run_button.isEnabled()
    qtbot.waitUntil(lambda: not dialog.running() and (out / SUMMARY_NAME).exists(), timeout=JOB_MS)
    states = [dialog.table.item(row, 1).text() for row in range(3)]
    assert states == ["Done", "Failed", "Done"]
    assert "three.npy" in dialog.table.item(1, 6).text()
    assert "2 of 3" not in dialog.state.text()
    assert "1 failed" in dialog.state.text()
    columns = read_csv(out / "one_columns.csv")
    assert dialog.table.item(0, 2).text() == str(len(columns))
    assert (out / "one_columns.json").exists()
    with (out / SUMMARY_NAME).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["file"]).name for row in rows] == ["one.npy", "three.npy", "two.npy"]
    assert [bool(row["error"]) for row in rows] == [False, True, False]
    assert int(rows[0]["columns"]) == len(columns)

    # Again: what is done is left alone; what failed is tried again, and results that are there are asked about.
    np.save(folder / "three.npy", np.zeros((40, 40), np.float32))
    before = (out / "one_columns.csv").stat().st_mtime_ns
    (out / "three_columns.csv").write_text("old")
    answer("Cancel")
    dialog.start()
    assert not dialog.running()
    assert (out / "three_columns.csv").read_text() == "old"
    answer("Replace them")
    dialog.start()
    qtbot.waitUntil(lambda: not dialog.running(), timeout=JOB_MS)
    assert dialog.table.item(1, 1).text() == "Done"
    assert (out / "one_columns.csv").stat().st_mtime_ns == before
    dialog.close()


@pytest.mark.slow
def test_a_batch_is_stopped(tab, folder, tmp_path, qtbot):
    tab.context.actions.trigger("atoms.batch")
    dialog = tab.batch
    dialog.add_paths([folder / "one.npy", folder / "two.npy"])
    qtbot.waitUntil(lambda: dialog.table.rowCount() == 2, timeout=10_000)
    dialog.output.setText(str(tmp_path / "results"))
    dialog.start()
    QTest.mouseClick(dialog.stop_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not dialog.running(), timeout=JOB_MS)
    assert [dialog.table.item(row, 1).text() for row in range(2)] == ["Cancelled"] * 2
    assert not list((tmp_path / "results").glob("*.csv"))
    assert dialog.run_button.isEnabled()
    dialog.close()
