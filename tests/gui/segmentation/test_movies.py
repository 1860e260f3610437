"""Movies of a segmented volume: a turn in 3D and a sweep with the labels over the slices; nothing stays turned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from atomseg_app.data import Labels, Source
from atomseg_app.gui.figure_export import pixels
from atomseg_app.gui.segmentation.model import Result
from atomseg_app.gui.volumes import filming, slice_pane
from atomseg_app.gui.volumes.gl_check import gl_facts
from atomseg_app.gui.volumes.part import Part
from tests.gui.segmentation.driving import JOB_MS, LEFT


@pytest.fixture
def shown(filled, truth):
    """The tab with a result."""
    labels = Labels(truth, filled.model.volume().pixel_size_nm, classes=filled.model.entry.classes)
    filled.add_result(filled.model.current_id, Result(labels, "truth"), "Open labels")
    return filled


def film(tab, qtbot, what: str, path: Path) -> Path:
    """Film by the dialog of the tab."""
    tab.context.actions.trigger("segmentation.movie")
    dialog = tab.files.filming.movie
    row = next(i for i in range(dialog.what.count()) if dialog.what.itemText(i).startswith(what))
    dialog.what.setCurrentIndex(row)
    dialog.form.setCurrentIndex(dialog.form.findData(path.suffix))
    dialog.start(path)
    job = tab.context.jobs.active()[-1]
    assert job.title == f"Film {path.name}"
    qtbot.waitUntil(lambda: job.finished, timeout=JOB_MS)
    assert job.state == "done", job.error
    return path


def test_a_sweep_shows_the_labels_of_every_slice_also_of_large_volumes(shown, truth, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr(slice_pane, "AT_ONCE_BYTES", 0)  # as if slices were read from a disk, on another thread
    tab = shown
    tab.model.show(opacity=1.0)
    film(tab, qtbot, "XY", tmp_path / "sweep.png")
    files = sorted(tmp_path.glob("sweep_*.png"))
    assert len(files) == len(truth)
    orange = []
    for file in files:
        with Image.open(file) as picture:
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        orange.append(int(((pixels[..., 0] - pixels[..., 2]) > 120).sum()))
    metal = (truth == 2).sum((1, 2))
    assert np.corrcoef(orange, metal)[0, 1] > 0.97, "each frame has the labels of its own slice"
    assert tab.model.place[0] == len(truth) // 2


def test_a_turn_begins_where_the_user_looks_and_ends_there(shown, qtbot, tmp_path, monkeypatch):
    if gl_facts().problem:
        pytest.skip(gl_facts().problem)
    monkeypatch.setattr(filming, "_TURN_FRAMES", 4)
    tab = shown
    qtbot.waitUntil(lambda: tab.volume3d.drawn is not None, timeout=JOB_MS)
    tab.volume3d.scene.set_view(70.0, -10.0)
    first = tab.volume3d.picture()
    figure = pixels(tab.volume3d.figure())
    film(tab, qtbot, "Turn", tmp_path / "turn.png")
    assert tab.volume3d.scene.view() == pytest.approx((70.0, -10.0))
    assert np.abs(tab.volume3d.picture().astype(int) - first).mean() < 0.5
    frames = []
    for file in sorted(tmp_path.glob("turn_*.png")):
        with Image.open(file) as picture:
            frames.append(np.asarray(picture.convert("RGB")).astype(int))
    assert len(frames) == 4
    height, width = frames[0].shape[:2]
    assert np.abs(frames[0] - figure[:height, :width]).mean() < 0.5
    assert np.abs(frames[0] - frames[1]).mean() > 0.5, "it turns"


def begin(tab, path: Path):
    """Begin a sweep; its job."""
    tab.context.actions.trigger("segmentation.movie")
    dialog = tab.files.filming.movie
    dialog.form.setCurrentIndex(dialog.form.findData(path.suffix))
    dialog.start(path)
    assert not dialog.isVisible()
    return tab.context.jobs.active()[-1]


@pytest.mark.parametrize("ending", [".mp4", ".gif"])
def test_closing_the_window_leaves_no_half_movie(shown, qtbot, tmp_path, ending):
    tab = shown
    job = begin(tab, tmp_path / f"sweep{ending}")
    qtbot.waitUntil(lambda: job.fraction > 0.05, timeout=JOB_MS)
    assert list(tmp_path.iterdir()), "it is being written"
    tab.window().close_now()
    assert not list(tmp_path.iterdir())


def test_a_movie_is_a_job_with_progress_and_cancel(shown, qtbot, tmp_path):
    tab, window = shown, shown.window()
    place = tab.model.place
    job = begin(tab, tmp_path / "sweep.gif")
    panel = window.findChild(QWidget, "panel.jobs")
    qtbot.waitUntil(lambda: job.fraction > 0.05, timeout=JOB_MS)
    assert panel.selected() is job
    assert job.message.startswith("frame ")
    window.jobs_dock.show()
    qtbot.waitUntil(panel.cancel_button.isVisible)
    QTest.mouseClick(panel.cancel_button, LEFT)
    assert job.state == "cancelled"
    assert not list(tmp_path.iterdir())
    assert tab.model.place == place
    assert not tab.context.jobs.active()
    assert "XY slices along z" in job.report_text()


def test_the_view_belongs_to_the_user_while_a_movie_is_made(shown, truth, qtbot, tmp_path):
    """What is shown stays where the user puts it, and the movie does not follow."""
    tab = shown
    job = begin(tab, tmp_path / "sweep.png")
    qtbot.waitUntil(lambda: job.fraction > 0.1, timeout=JOB_MS)
    tab.model.show_place((3, 4, 5))
    qtbot.wait(50)
    pane = tab.slices.panes["XY"]
    assert (pane.index, pane.place) == (3, (3, 4, 5))
    np.testing.assert_array_equal(pane.layer.values, tab.model.volume().values[3])
    qtbot.waitUntil(lambda: job.finished, timeout=JOB_MS)
    assert tab.model.place == (3, 4, 5)
    assert len(list(tmp_path.glob("sweep_*.png"))) == len(truth)


def test_another_volume_ends_the_movie_with_a_word(shown, volume, qtbot, tmp_path):
    tab = shown
    job = begin(tab, tmp_path / "sweep.gif")
    tab.window().show_item(replace(volume, source=Source("/data/another.mrc")))
    qtbot.waitUntil(lambda: job.finished, timeout=JOB_MS)
    assert job.state == "failed"
    assert "Another volume is shown now" in job.error
    assert tab.context.notify.dialog is not None
    tab.context.notify.dialog.close()
    assert not list(tmp_path.iterdir())


def test_pictures_of_the_3d_view_have_a_scale_bar_and_the_legend(shown, qtbot):
    if gl_facts().problem:
        pytest.skip(gl_facts().problem)
    tab = shown
    view = tab.volume3d
    qtbot.waitUntil(lambda: view.drawn is not None, timeout=JOB_MS)
    tab.steps.surfaces.on.setChecked(True)
    qtbot.waitUntil(lambda: bool(view.parts), timeout=JOB_MS)
    assert [name for _, name in view.legend_shown.marks] == ["metal", "support"]
    for words in ("metal", "support"):
        assert words in view.legend.text()
    plain = view.picture()
    drawn = pixels(view.figure(plain, scale=2.0)).astype(int)
    height, width = plain.shape[:2]
    assert drawn.shape == (2 * height, 2 * width, 3)
    corner = drawn[: height // 2, : width // 2]
    for colour in ("#e69f00", "#56b4e9"):
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(corner - wanted).max(axis=2) < 8).sum() > 30, f"a square of {colour} in the legend"
    bar = (drawn[-height // 2 :, : width // 2] > 250).all(axis=2)
    assert bar.sum(axis=1).max() > 20, "the bar"
    qtbot.waitUntil(lambda: view.depth_bar.text.endswith("nm"), timeout=JOB_MS)


def test_the_bar_in_3d_is_as_long_as_it_says(shown, qtbot):
    """A slab across the view in the middle of the volume: its width in the picture, by the bar, is its length in nm."""
    if gl_facts().problem:
        pytest.skip(gl_facts().problem)
    tab = shown
    view = tab.volume3d
    qtbot.waitUntil(lambda: view.drawn is not None, timeout=JOB_MS)
    depth, _, across = view.drawn.shape
    z, x = np.array([depth / 2 - 0.5] * 4, np.float32), np.array([8, 8, 40, 40], np.float32)
    y = np.array([0, 40, 40, 0], np.float32)
    square = Part(np.column_stack([x, y, z]), np.array([[0, 1, 2], [0, 2, 3]], np.int32), "#ffffff", 1.0)
    view.set_parts((square,))
    view.set_look(replace(view.look, box=False, cross=False))
    view.scene.set_view(0.0, 0.0)
    picture = view.picture()[..., :3].max(axis=2)
    columns = np.flatnonzero((picture > 60).any(axis=0))
    px = (columns[-1] - columns[0] + 1) * view.scene.canvas.size[0] / picture.shape[1]
    assert px * view.scene.length_per_px() == pytest.approx(32 * 0.5, rel=0.03)
    assert across == 48


def test_the_cross_hair_is_drawn_in_3d_where_the_slices_are_cut(shown, qtbot):
    """Seen along the beam: a line down and one across, in the colours of the slices, through the voxel."""
    if gl_facts().problem:
        pytest.skip(gl_facts().problem)
    tab = shown
    view = tab.volume3d
    qtbot.waitUntil(lambda: view.drawn is not None, timeout=JOB_MS)
    view.set_look(replace(view.look, box=False))
    view.scene.set_view(0.0, 0.0)
    tab.model.show_place((3, 10, 12))
    qtbot.waitUntil(lambda: not view._cross_delay.isActive())

    def line_of(plane) -> tuple[np.ndarray, np.ndarray]:
        wanted = np.array([int(plane.colour[i : i + 2], 16) for i in (1, 3, 5)])
        picture = view.picture()[..., :3].astype(int)
        return np.nonzero(np.abs(picture - wanted).max(axis=2) < 40)

    def middle(plane, axis: int) -> float:
        return float(np.median(line_of(plane)[axis]))

    first = middle(slice_pane.XZ, 1), middle(slice_pane.YZ, 0)
    assert np.ptp(line_of(slice_pane.XZ)[0]) > 60, "the line along y is long"
    tab.model.show_place((3, 30, 36))
    qtbot.waitUntil(lambda: not view._cross_delay.isActive())
    second = middle(slice_pane.XZ, 1), middle(slice_pane.YZ, 0)
    ratio = (view.picture().shape[1] / view.scene.canvas.size[0]) / view.scene.length_per_px()
    assert second[0] - first[0] == pytest.approx(24 * 0.5 * ratio, rel=0.35), "to the right"
    assert second[1] - first[1] == pytest.approx(20 * 0.5 * ratio, rel=0.35), "down"
    view.set_look(replace(view.look, cross=False))
    assert not len(line_of(slice_pane.XZ)[0])
