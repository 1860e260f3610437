"""*Copy as Python*: the script runs without a window and gives the same volume."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atomseg_app import operations
from atomseg_app.alignment import Alignment
from atomseg_app.data import Step, TiltSeries, Volume
from atomseg_app.gui.tomography.script import python_script
from atomseg_app.io.files import read
from atomseg_app.operations import Report
from atomseg_app.simulate.ellipsoids import phantom

TILTS = tuple(np.arange(-60.0, 61.0, 10.0))


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TiltSeries:
    """A file of images alone, to which a user gave angles, an axis, a size, an alignment, and left a view out."""
    monkeypatch.chdir(tmp_path)
    np.save("views.npy", phantom(32, 24, TILTS, 1)[1].transpose(0, 2, 1))
    images = read("views.npy")
    count = len(TILTS)
    return TiltSeries(
        images.values, (0.5, 0.5), images.source, tilt_deg=TILTS, tilt_axis="x", excluded=(3,),
        alignment=Alignment((0.25,) * count, (-0.5,) * count, (0.0,) * count, 1.0, 0.5),
        history=(Step("align", {"matching": True}, "0.1.0"),),
    )  # fmt: skip


def run(name: str, data: TiltSeries, **settings: object) -> object:
    operation = operations.get(name)
    return operations.run(operation, (data,), operation.parse(settings), Report())


def executed(script: str) -> dict[str, object]:
    Path("script.py").write_text(script, "utf-8")
    return runpy.run_path("script.py")


def test_the_script_of_a_volume_makes_it_again(edited: TiltSeries) -> None:
    volume = run("reconstruct", edited, algorithm="sirt", iterations=3)
    assert isinstance(volume, Volume)
    script = python_script(volume, edited)
    assert "# The alignment below was found by align with {'matching': True}." in script
    again = executed(script)["volume"]
    assert isinstance(again, Volume)
    np.testing.assert_array_equal(again.values, volume.values)
    assert again.pixel_size_nm == volume.pixel_size_nm
    np.testing.assert_array_equal(read("views_volume.mrc").values, volume.values)


def test_a_prepared_series_is_prepared_again(edited: TiltSeries) -> None:
    given = replace(edited, alignment=None, history=(), pixel_size_nm=(None, None))
    prepared = run("prepare-tilts", given, binning=2, stray_pixels=False)
    assert isinstance(prepared, TiltSeries)
    found = executed(python_script(prepared, None))["series"]
    assert isinstance(found, TiltSeries)
    np.testing.assert_array_equal(found.values, prepared.values)
    assert (found.tilt_deg, found.tilt_axis, found.excluded) == (TILTS, "x", (3,))


def test_what_cannot_be_repeated_is_told(edited: TiltSeries) -> None:
    volume = run("reconstruct", edited, algorithm="fbp")
    assert isinstance(volume, Volume)
    compared = replace(volume, history=(*volume.history, Step("compare-volumes", {"scale": True}, "0.1.0")))
    script = python_script(compared, None)
    assert "# Not repeated: compare-volumes with {'scale': True}." in script
    compile(script, "script.py", "exec")
    assert "operations.get('align')" in script, "without the series its alignment is found again"


def test_the_action_copies_it(filled) -> None:
    from PySide6.QtWidgets import QApplication

    filled.context.actions.trigger("tomography.copy_python")
    text = QApplication.clipboard().text()
    assert "files.read('/data/particle.mrc', None)" in text
    assert "with_angles(series, [-66.0, -54.0," in text
