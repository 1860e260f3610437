"""Saved results opened again know what their JSON says, if it is theirs and whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atomseg_app.alignment import Alignment
from atomseg_app.data import ArrayData, Step, TiltSeries, Volume
from atomseg_app.io.files import read
from atomseg_app.io.history_files import history_path, write_history_of
from atomseg_app.io.series_writer import write_series
from atomseg_app.io.volume_writer import VOLUME_EXTENSIONS, write_volume

STEP = Step("reconstruct", {"algorithm": "mlem"}, "1.0", notes=("a note",))
ALIGNMENT = Alignment((1.0, 2.0), (0.0, 0.5), (0.0, 0.0), 3.0)
TRIPLES = ((0.1, -30.0, 0.2), (0.0, 30.0, 0.0))


def volume() -> Volume:
    """A small volume that has a history."""
    return Volume(np.arange(24, dtype=np.float32).reshape(2, 3, 4), (0.5, 0.5, 0.5), history=(STEP,))


def series(**facts: Any) -> TiltSeries:
    """Two views with all that a file cannot hold."""
    return TiltSeries(np.ones((2, 3, 4), np.float32), tilt_deg=(-30, 30), tilt_axis="x", alignment=ALIGNMENT,
                      excluded=(1,), history=(STEP,), **facts)  # fmt: skip


@pytest.mark.parametrize("extension", VOLUME_EXTENSIONS)
def test_volumes_keep_their_history(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.b{extension}"
    write_volume(path, volume())
    write_history_of(path, volume())
    assert history_path(path) == tmp_path / "a.b.json"
    back = read(path)
    assert isinstance(back, Volume)
    assert back.history == (STEP,)
    assert back.source.path == str(path)


def test_series_keep_axis_alignment_and_excluded_views(tmp_path: Path) -> None:
    write_series(tmp_path / "s.mrc", series(euler_deg=TRIPLES))
    write_history_of(tmp_path / "s.mrc", series(euler_deg=TRIPLES))
    back = read(tmp_path / "s.mrc")
    assert isinstance(back, TiltSeries)
    assert (back.tilt_axis, back.alignment, back.excluded) == ("x", ALIGNMENT, (1,))
    assert (back.euler_deg, back.history) == (TRIPLES, (STEP,))
    (tmp_path / "s.rawtlt").write_text("-31\n31\n", "ascii")  # angles are those of the files, which may be edited
    again = read(tmp_path / "s.mrc")
    assert isinstance(again, TiltSeries)
    assert (again.tilt_deg, again.tilt_axis) == ((-31, 31), "x")


@pytest.mark.parametrize(
    "change",
    [{"result": "other.mrc"}, {"kind": "volume"}, {"shape": [2, 3, 5]}, {"excluded": [7]}, {"excluded": "x"},
     {"alignment": {"shift_x_px": [1]}}, {"history": [{"what": 1}]}, {"history": 3}, {"tilt_deg": [1, 2, 3]},
     {"metadata": 1}, {"pixel_size_nm": "abc"}],
)  # fmt: skip
def test_what_is_not_theirs_or_damaged_is_not_used(change: dict[str, Any], tmp_path: Path) -> None:
    write_series(tmp_path / "s.mrc", series())
    write_history_of(tmp_path / "s.mrc", series())
    facts = json.loads((tmp_path / "s.json").read_text("utf-8"))
    (tmp_path / "s.json").write_text(json.dumps({**facts, **change}), "utf-8")
    back = read(tmp_path / "s.mrc")
    assert isinstance(back, TiltSeries)
    assert (back.tilt_axis, back.alignment, back.excluded, back.history) == ("y", None, (), ())


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "\udcff", '{"result": "s.mrc"}'])
def test_texts_that_are_no_history(text: str, tmp_path: Path) -> None:
    write_series(tmp_path / "s.mrc", series())
    (tmp_path / "s.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    back = read(tmp_path / "s.mrc")
    assert isinstance(back, ArrayData)
    assert back.history == ()
