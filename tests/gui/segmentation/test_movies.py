"""Movies of a segmented volume: a turn in 3D and a sweep with the labels over the slices; nothing stays turned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atomseg_app.data import Labels
from atomseg_app.gui.segmentation.model import Result
from atomseg_app.gui.volumes import filming, slice_pane
from atomseg_app.gui.volumes.gl_check import gl_facts
from tests.gui.segmentation.driving import JOB_MS


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
    with qtbot.waitSignal(dialog.written, timeout=JOB_MS) as written:
        dialog.start(path)
    return written.args[0]


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
    film(tab, qtbot, "Turn", tmp_path / "turn.png")
    assert tab.volume3d.scene.view() == pytest.approx((70.0, -10.0))
    frames = []
    for file in sorted(tmp_path.glob("turn_*.png")):
        with Image.open(file) as picture:
            frames.append(np.asarray(picture.convert("RGB")).astype(int))
    assert len(frames) == 4
    height, width = frames[0].shape[:2]
    assert np.abs(frames[0] - first[:height, :width, :3]).mean() < 2
    assert np.abs(frames[0] - frames[1]).mean() > 0.5, "it turns"


@pytest.mark.parametrize("ending", [".mp4", ".gif"])
def test_closing_the_window_leaves_no_half_movie(shown, qtbot, tmp_path, ending):
    tab = shown
    tab.context.actions.trigger("segmentation.movie")
    dialog = tab.files.filming.movie
    dialog.form.setCurrentIndex(dialog.form.findData(ending))
    dialog.start(tmp_path / f"sweep{ending}")
    qtbot.waitUntil(lambda: dialog.bar.value() >= 2, timeout=JOB_MS)
    assert list(tmp_path.iterdir()), "it is being written"
    tab.window().close_now()
    assert not list(tmp_path.iterdir())
