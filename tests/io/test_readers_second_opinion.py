"""RosettaSciIO reads the files that the tests write in the same way, so both writers and readers follow the formats."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atomseg_app.benchmarks.sample_files import SAMPLES
from atomseg_app.io.files import inspect, read
from atomseg_app.io.units import length_nm

_PLUGINS = {
    "image.dm3": "digitalmicrograph", "image.dm4": "digitalmicrograph", "stack.dm3": "digitalmicrograph",
    "image_1.ser": "tia", "document.emi": "tia", "tilts.mrc": "mrc", "signal.hspy": "hspy",
    "signal.zspy": "zspy",
}  # fmt: skip


@pytest.mark.parametrize("name", _PLUGINS)
@pytest.mark.filterwarnings("ignore")
def test_values_and_sizes_agree(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    SAMPLES[name](path)
    plugin: Any = importlib.import_module(f"rsciio.{_PLUGINS[name]}")
    (other,) = plugin.file_reader(str(path))
    item = read(path)
    np.testing.assert_array_equal(np.asarray(other["data"]), item.values)
    assert np.asarray(other["data"]).dtype == item.values.dtype
    sizes = [length_nm(float(axis["scale"]), axis.get("units")) for axis in other["axes"][-2:]]
    assert sizes == pytest.approx(list(item.pixel_size_nm[-2:]), rel=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_blockfile_agrees(tmp_path: Path) -> None:
    from rsciio.blockfile import file_reader

    SAMPLES["map.blo"](tmp_path / "map.blo")
    (other,) = file_reader(str(tmp_path / "map.blo"))
    (info,) = inspect(tmp_path / "map.blo")
    assert (other["data"].shape, other["data"].dtype.name) == (info.shape, info.dtype)
    assert [axis["scale"] for axis in other["axes"][:2]] == list(info.pixel_size_nm)
