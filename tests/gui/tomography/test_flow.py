"""The whole way in a real window: drop, give angles, prepare, reconstruct, watch, stop, cancel, save, undo."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from atomseg_app.data import ImageSeries, Source, Volume
from atomseg_app.errors import UserError
from atomseg_app.gui.tomography.model import R_BY_VIEW, Entry
from atomseg_app.gui.volumes.slice_pane import XY
from atomseg_app.io import files
from tests.gui.driving import drop
from tests.gui.tomography.conftest import ANGLES, BODIES, SIDE
from tests.gui.tomography.driving import JOB_MS, LEFT, button, click, drag, idle


def truth() -> np.ndarray:
    """The bodies as a volume (z, y, x)."""
    axis = np.arange(SIDE) - (SIDE - 1) / 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    points = np.stack([x, y, z], axis=-1)
    volume = np.zeros(z.shape)
    for body in BODIES:
        shifted = points - np.asarray(body.centre)
        volume += body.density * (np.einsum("...i,ij,...j->...", shifted, body.matrix, shifted) <= 1)
    return volume


@pytest.mark.slow
def test_from_a_dropped_file_to_a_saved_volume(tab, series_file, tmp_path, qtbot, monkeypatch):
    """The volume that is saved is the one shown, with its voxel size; and the right way round."""
    window = tab.window()
    assert drop(window, QPoint(600, 400), [series_file])
    qtbot.waitUntil(lambda: tab.model.series() is not None, timeout=JOB_MS)
    series_id = tab.model.current_id
    tab.steps.reconstruct.run.form("reconstruct").set_values({"iterations": 15})
    slices = []  # the last one comes with the volume, so that nobody who waits for one may see it
    tab.computing.previewed.connect(lambda _job, name, _array: slices.append((name, tab.series_page.preview.image)))
    click(tab, "tomography.reconstruct")
    panel = tab.steps.reconstruct.run
    assert panel.cancel.isVisible()
    assert panel.stop.isVisible()
    idle(tab, qtbot)
    assert next(image.shape for name, image in slices if name == "slice") == (SIDE, SIDE)
    volume = tab.model.volume()
    assert volume.shape == (SIDE, SIDE, SIDE)
    assert volume.pixel_size_nm == (2.0, 2.0, 2.0)
    assert np.corrcoef(volume.values.ravel(), truth().ravel())[0, 1] > 0.9
    assert tab.pages.currentWidget() is tab.slices
    residual = tab.model.entry.curves["R-factor"]
    assert len(residual) == 15
    assert residual[-1] < 0.3 * residual[0]
    assert tab.steps.reconstruct.plot.isVisible()
    assert "mlem" in tab.model.entry.title
    np.testing.assert_array_equal(tab.slices.panes["XY"].layer.values, XY.of(volume.values, tab.model.place[0]))

    path = tmp_path / "out volume"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(path), "MRC volume (*.mrc)"))
    click(tab, "tomography.save_volume")
    idle(tab, qtbot)
    saved = files.read(path.with_name("out volume.mrc"))
    assert isinstance(saved, Volume)
    np.testing.assert_array_equal(saved.values, volume.values)
    assert saved.pixel_size_nm == pytest.approx((2.0, 2.0, 2.0))
    assert "Written: out volume.mrc" in tab.context.notify.toast_texts()

    volume_id = tab.model.current_id
    tab.context.actions.trigger("tomography.unexplained")
    idle(tab, qtbot)
    assert tab.model.current_id == volume_id
    left = next(entry.data for i, entry in tab.model.entries.items() if i not in (series_id, volume_id))
    assert left.shape == (len(ANGLES), SIDE, SIDE)
    assert np.abs(left.values).sum() < 0.2 * np.abs(tab.model.entries[series_id].data.values).sum()
    by_view = tab.model.entry.curves[R_BY_VIEW]
    assert by_view.shape == (len(ANGLES),)
    assert by_view.mean() == pytest.approx(tab.model.volume().metadata["r_factor"], rel=0.3)
    assert not tab.steps.quality.by_view.isHidden()
    tab.context.actions.trigger("edit.undo")
    assert list(tab.model.entries) == [series_id, volume_id]

    tab.context.actions.trigger("edit.undo")
    assert tab.model.volume() is None
    assert tab.model.current_id == series_id
    tab.context.actions.trigger("edit.redo")
    assert tab.model.volume() is volume
    assert tab.context.actions.qaction("tomography.reconstruct").isEnabled(), "again, from the series it is of"
    tab.model.show_entry(series_id)
    assert not tab.context.actions.qaction("tomography.save_volume").isEnabled()
    with pytest.raises(UserError, match="A tilt series is shown"):
        tab.saver.ask_volume(tab.model.entry)


@pytest.mark.slow
def test_cancel_half_way_leaves_everything_as_it_was(filled, qtbot):
    tab = filled
    tab.steps.reconstruct.run.form("reconstruct").set_values({"iterations": 10000})
    click(tab, "tomography.reconstruct")
    qtbot.waitUntil(lambda: tab.series_page.preview.image is not None, timeout=JOB_MS)
    job = tab.computing.jobs["reconstruct"]
    QTest.mouseClick(tab.steps.reconstruct.run.cancel, LEFT)
    qtbot.waitUntil(lambda: job.finished, timeout=5000)
    assert job.state == "cancelled"
    assert tab.model.volume() is None
    assert len(tab.model.entries) == 1
    assert len(tab.context.undo) == 0
    assert tab.series_page.preview.image is None
    assert button(tab, "tomography.reconstruct").isEnabled()
    assert tab.context.notify.dialog is None, "a job that the user cancels is no error"


@pytest.mark.slow
def test_stop_keeps_what_there_is(filled, qtbot):
    tab = filled
    tab.steps.reconstruct.run.form("reconstruct").set_values({"iterations": 10000})
    click(tab, "tomography.reconstruct")
    qtbot.waitUntil(lambda: tab.series_page.preview.image is not None, timeout=JOB_MS)
    QTest.mouseClick(tab.steps.reconstruct.run.stop, LEFT)
    idle(tab, qtbot)
    assert isinstance(tab.model.volume(), Volume)
    done = len(tab.model.entry.curves["R-factor"])
    assert 1 <= done < 10000
    assert any("Stopped after" in note for note in tab.model.volume().history[-1].notes)
    assert tab.model.volume().values.max() > 0


@pytest.mark.slow
def test_halves_and_a_reference_tell_of_quality(filled, qtbot):
    """FSC of noise-free halves is high at low frequency; a volume compared with itself is itself."""
    tab = filled
    panel = tab.steps.quality
    tab.steps.quality_section.unfold()
    panel.run.choose("fsc")
    panel.run.form("fsc").set_values({"algorithm": "fbp"})
    click(tab, "tomography.fsc")
    idle(tab, qtbot)
    first = tab.model.current_id
    assert "halves" in tab.model.entry.title
    fsc, low, high = panel.shells.curves
    assert fsc.y[1] > 0.9
    assert (low.y[0], high.y[0]) == (0.5, 0.143)
    assert panel.shells.isVisible()
    assert "Resolution" in panel.state.text()
    assert not tab.steps.reconstruct.plot.isVisible(), "shells are no iterations"

    compare = tab.context.actions.qaction("tomography.compare-volumes")
    compare.trigger()
    assert "no second volume" in tab.context.notify.dialog.report()
    tab.context.notify.dialog.close()
    tab.model.add(Entry(tab.model.volume(), "the same"))
    compare.trigger()
    idle(tab, qtbot)
    assert np.abs(tab.model.volume().values).max() == 0
    assert "SSIM 1" in panel.state.text()
    tab.context.actions.trigger("edit.undo")
    tab.model.show_entry(first)


@pytest.mark.slow
def test_a_series_that_cannot_be_reconstructed_is_told_in_a_sentence(tab, views, qtbot):
    window = tab.window()
    window.show_item(ImageSeries(np.ones_like(views), (1.0, 1.0), Source("/data/flat.tif")))
    tab.editing.give_angles(ANGLES, "a scheme")
    tab.context.actions.trigger("tomography.reconstruct")
    idle(tab, qtbot)
    assert "constant" in tab.context.notify.dialog.report()
    assert len(tab.model.entries) == 1
    tab.context.notify.dialog.close()


@pytest.mark.slow
def test_the_part_to_keep_is_drawn_and_prepared(filled, series, qtbot):
    """Cropping changes the images, keeps the angles, and is one step of undo."""
    tab, canvas = filled, filled.series_page.projection.canvas
    tab.context.actions.trigger("tomography.tool_crop")
    drag(canvas, (6, 4), (33, 35))
    assert tab.steps.prepare.region() == (6, 4, 34, 36)
    tab.steps.prepare.run.form("prepare-tilts").set_values({"stray_pixels": False})
    click(tab, "tomography.prepare-tilts")
    idle(tab, qtbot)
    np.testing.assert_allclose(tab.model.series().values, series.values[:, 4:36, 6:34], rtol=1e-6)
    assert tab.model.series().tilt_deg == ANGLES
    tab.context.actions.trigger("edit.undo")
    assert tab.model.series() is series


def test_pictures_and_movies_show_what_is_shown(sliced, tmp_path, qtbot):
    from PIL import Image

    tab = sliced
    tab.widen("XY")
    tab.showing.filming.write_picture(tab.showing.picture(), tmp_path / "slice.png")
    qtbot.waitUntil((tmp_path / "slice.png").is_file)
    with Image.open(tmp_path / "slice.png") as picture:
        assert min(picture.size) > 200
        assert np.asarray(picture.convert("L")).std() > 20
    for ending, first in ((".gif", "sweep.gif"), (".png", "sweep_0001.png"), (".mp4", "sweep.mp4")):
        tab.context.actions.trigger("tomography.movie")
        dialog = tab.showing.filming.movie
        dialog.form.setCurrentIndex(dialog.form.findData(ending))
        dialog.start(tmp_path / f"sweep{ending}")
        idle(tab, qtbot)
        assert (tmp_path / first).is_file()
    with Image.open(tmp_path / "sweep.gif") as movie:
        assert movie.n_frames == 12, "one for each slice along z"
    assert len(list(tmp_path.glob("sweep_*.png"))) == 12
    assert tab.model.place[0] == 6, "the slice that was shown is shown again"


def test_a_movie_given_up_writes_nothing(filled, tmp_path, qtbot):
    filled.showing.ask_movie()
    dialog = filled.showing.filming.movie
    view = filled.model.view
    dialog.start(tmp_path / "views.gif")
    (job,) = filled.context.jobs.active()
    qtbot.waitUntil(lambda: job.fraction > 0.1)
    filled.context.jobs.cancel(job.id)
    assert job.state == "cancelled"
    assert not list(tmp_path.iterdir())
    assert filled.model.view == view
