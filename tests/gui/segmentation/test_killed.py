"""The window is killed (kill -9) while the user paints, and while a network learns; the next one has it all again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PySide6.QtTest import QTest

from atomseg_app.data import Volume
from atomseg_app.gui.app import workspaces
from atomseg_app.gui.project_dialogs import RecoveryDialog
from atomseg_app.gui.segmentation.label_store import Box, LabelStore
from atomseg_app.io import live_arrays
from atomseg_app.io.volume_writer import write_volume
from atomseg_app.label_classes import IGNORE
from tests.gui.driving import OPEN_MS, Button
from tests.gui.segmentation.driving import JOB_MS
from tests.gui.test_shell_session import when_shown

ROOT = Path(__file__).parents[3]
SIGKILL = getattr(signal, "SIGKILL", signal.SIGTERM)

VICTIM = """
    import sys
    from PySide6.QtCore import QEventLoop, QPoint, Qt, QTimer
    from PySide6.QtTest import QTest
    from atomseg_app.gui.app import make_application, workspaces
    from atomseg_app.gui.main_window import MainWindow
    from atomseg_app.gui.settings import Settings
    from atomseg_app.io import live_arrays

    live_arrays.LIVE_BYTES = int(sys.argv[2])
    app = make_application()
    window = MainWindow(app, Settings(), workspaces())
    window.context.jobs.start()
    window.move(0, 0)
    window.resize(1400, 900)
    window.show()
    window.show_workspace("segmentation")
    tab = window.tabs["segmentation"]

    def nap(milliseconds):
        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()

    def wait(condition):
        while not condition():
            nap(20)

    def stroke(points):
        pane = tab.slices.panes["XY"]
        at = [pane.geometry_now.point(x, y).toPoint() for x, y in points]
        QTest.mousePress(pane, Qt.MouseButton.LeftButton, pos=at[0])
        for point in at[1:]:
            QTest.mouseMove(pane, point)
        QTest.mouseRelease(pane, Qt.MouseButton.LeftButton, pos=at[-1])

    window.open_paths([sys.argv[1]])
    wait(lambda: tab.model.volume() is not None)
    wait(lambda: tab.slices.panes["XY"].picture_rect().width() > 60)
    window.context.actions.trigger("segmentation.tool_brush")
    wait(lambda: not tab.model.preparing)
    tab.brush_bar.step_radius(0.4)
    for z in (4, 9):
        tab.model.show_place((z, 20, 24))
        for value, x in ((0, 8), (1, 24), (2, 40)):
            tab.choose_class(value)
            stroke([(x, 6), (x, 20), (x, 34)])
    {rest}
"""
PAINTING = """
    window.session.write_journal()
    window.background.run(lambda: print("journaled", flush=True))
    wait(lambda: False)
"""
TRAINING = """
    from atomseg_app.networks.run_folder import can_go_on
    window.session.write_journal()
    tab.steps.train.form.set_values({"minutes": 30.0, "name": "half", "patch_px": 32, "batch": 2, "dimensions": "2d",
                                     "axis": "z", "gap": 0, "architecture": "unet"})
    window.context.actions.trigger("segmentation.train")
    run = tab.steps.train.run
    wait(lambda: can_go_on(run.folder("half")))
    print("learning", flush=True)
    wait(lambda: False)
"""


@pytest.fixture
def file(tmp_path: Path, volume: Volume) -> Path:
    """The phantom as a file."""
    path = tmp_path / "catalyst.mrc"
    write_volume(path, volume)
    return path


def killed(script: str, file: Path, word: str, live_bytes: int) -> None:
    """Run a window until it says a word, then kill it; what it started sees that it is gone."""
    program = textwrap.dedent(VICTIM).replace("{rest}\n", textwrap.dedent(script))
    victim = subprocess.Popen(
        [sys.executable, "-c", program, str(file), str(live_bytes)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert victim.stdout is not None
    said, children = "", []
    try:
        said = victim.stdout.readline().strip()
        children = psutil.Process(victim.pid).children(recursive=True) if said else []
    finally:
        os.kill(victim.pid, SIGKILL)
        victim.wait()
        victim.stdout.close()
    assert said == word
    psutil.wait_procs(children, timeout=30)


def recovered(make_window, qtbot):
    """The next window, after the user took what was left."""
    window = make_window(*workspaces())
    window.context.jobs.start()
    when_shown(RecoveryDialog, lambda dialog: QTest.mouseClick(dialog.recover_button, Button.LeftButton))
    window.flow.offer_recovery()
    tab = window.tabs["segmentation"]
    qtbot.waitUntil(lambda: not tab.is_empty(), timeout=OPEN_MS)
    return tab


def check_labels(values: np.ndarray) -> None:
    """The strokes of the victim."""
    assert set(np.flatnonzero((values != IGNORE).any((1, 2)))) == {4, 9}
    for z in (4, 9):
        assert [values[z, 20, x] for x in (8, 24, 40)] == [0, 1, 2]


@pytest.mark.parametrize("live_bytes", [1 << 40, 1], ids=["in memory", "in a file"])
def test_what_was_painted_is_there_after_kill_9(make_window, qtbot, file, atomseg_home, monkeypatch, live_bytes):
    killed(PAINTING, file, "journaled", live_bytes)
    monkeypatch.setattr(live_arrays, "LIVE_BYTES", live_bytes)
    tab = recovered(make_window, qtbot)
    store = tab.model.entry.store
    check_labels(store.values)
    assert (live_arrays.file_of(store.values) is not None) == (live_bytes == 1)
    before = store.values.copy()
    tab.window().show_workspace("segmentation")
    assert tab.painter.begin("Paint")
    tab.painter.fill_box(Box((0, 0, 0), (2, 5, 5)), np.ones((2, 5, 5), bool))
    tab.painter.end()
    assert (store.values[:2, :5, :5] == tab.model.chosen).all()
    tab.context.actions.trigger("edit.undo")
    np.testing.assert_array_equal(store.values, before)


@pytest.mark.timeout(420)
@pytest.mark.slow
def test_a_training_goes_on_from_the_window_after_kill_9(make_window, qtbot, file, atomseg_home):
    killed(TRAINING, file, "learning", 1 << 40)
    tab = recovered(make_window, qtbot)
    tab.window().show_workspace("segmentation")
    check_labels(tab.model.entry.store.values)
    train = tab.steps.train
    qtbot.waitUntil(lambda: train.runs.count() == 2, timeout=OPEN_MS)
    assert "half, interrupted at step" in train.runs.itemText(1)
    reached = train.run.interrupted["half"]
    train.runs.setCurrentIndex(1)
    assert train.start_button.text() == "Continue"
    assert train.start_button.isEnabled()
    train.form.set_values({"minutes": None, "steps": reached + 4})
    tab.steps.ensureWidgetVisible(train.start_button)
    QTest.mouseClick(train.start_button, Button.LeftButton)
    assert train.run.running
    qtbot.waitUntil(lambda: not train.run.running, timeout=JOB_MS)
    assert "half is ready" in train.run.message


def test_whole_labels_in_a_file_are_journaled_as_they_are(make_window, qtbot, file, volume, truth, monkeypatch):
    """Of labels that are many the journal keeps the file itself; strokes after it are not lost either."""
    monkeypatch.setattr(live_arrays, "LIVE_BYTES", 1)
    monkeypatch.setattr("atomseg_app.gui.segmentation.saved_state._COPIED_BYTES", 0)
    monkeypatch.setattr("atomseg_app.io.kept_arrays.LARGE_BYTES", 1)
    window = make_window(*workspaces())
    window.show_workspace("segmentation")
    window.show_item(volume)
    tab = window.tabs["segmentation"]
    tab.model.store()
    assert tab.painter.begin("Paint")
    tab.painter.fill_box(Box((0, 0, 0), truth.shape), truth > 0)
    tab.painter.end()
    window.session.write_journal()
    path = window.session._journal.path
    qtbot.waitUntil(path.exists, timeout=OPEN_MS)
    live = live_arrays.file_of(tab.model.entry.store.values)
    assert os.stat(live).st_nlink == 2
    tab.model.entry.store.begin()
    tab.model.entry.store.paint(Box((0, 0, 0), (1, 4, 4)), np.ones((1, 4, 4), bool), 0)
    tab.model.entry.store.end()
    from atomseg_app.io.projects import load_snapshot

    items = load_snapshot(path)[0].tabs["segmentation"].items
    kept = next(item for item in items if getattr(item, "kind", "") == "labels")
    assert (kept.values[0, :4, :4] == 0).all()
    again = LabelStore(live_arrays.adopted(kept.values))
    np.testing.assert_array_equal(again.counts, tab.model.entry.store.counts)


def test_labels_of_a_large_volume_take_no_memory_of_their_own(atomseg_home):
    """350 MB of labels, empty and then painted in every tenth slice, beside a few MB of what cannot be given back."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the share of memory that is no file's is told by Linux only")

    def own_mb() -> float:
        text = Path("/proc/self/status").read_text("ascii")
        return int(text.split("RssAnon:")[1].split()[0]) / 1024

    before, began = own_mb(), time.perf_counter()
    store = LabelStore.empty((700, 700, 700))
    for z in range(0, 700, 10):
        store.begin()
        store.paint(Box((z, 0, 0), (z + 1, 300, 300)), np.ones((1, 300, 300), bool), 1)
        assert store.end() is not None
    assert own_mb() - before < 40
    assert store.counts[1] == 70 * 300 * 300
    assert len(store.painted_slices()) == 70
    assert time.perf_counter() - began < 60
