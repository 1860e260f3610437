"""Real files of every format give what the table beside them says, or a named refusal (``formats/expected.json``)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from atomseg_app.benchmarks.reader_matrix import check_file, load_expected
from atomseg_app.errors import NotAnImageError, UserError
from atomseg_app.io.files import inspect, read

_FOLDER = os.environ.get("ATOMSEG_TEST_DATA", "")
_EXPECTED = load_expected(Path(_FOLDER)) if (Path(_FOLDER) / "formats" / "expected.json").is_file() else {}
_NAMES = sorted(_EXPECTED) or [
    pytest.param("", marks=pytest.mark.skip("real files are missing: ATOMSEG_TEST_DATA names no folder with formats/"))
]


@pytest.mark.parametrize("name", _NAMES)
def test_every_certain_field(name: str) -> None:
    _, differences = check_file(Path(_FOLDER), _EXPECTED[name])
    assert differences == []


@pytest.mark.parametrize("name", _NAMES)
def test_opened_or_refused_by_name(name: str) -> None:
    path = Path(_FOLDER) / _EXPECTED[name]["path"]
    infos = inspect(path)
    for info in infos:
        if not info.refusal:
            item = read(path, info.name)
            assert (item.values.shape, item.values.dtype.name, item.kind) == (info.shape, info.dtype, info.kind)
            continue
        with pytest.raises(NotAnImageError) as refusal:
            read(path, info.name)
        assert refusal.value.kind == info.kind
        assert info.refusal in str(refusal.value)


def test_the_matrix_sees_differences() -> None:
    """A wrong field is reported, so that an empty list means something."""
    if not _EXPECTED:
        pytest.skip("real files are missing: ATOMSEG_TEST_DATA names no folder with formats/")
    expected = dict(_EXPECTED["generated/tilt_fei1.mrc"])
    for field, wrong in (("dtype", "uint16"), ("shape", [7, 32, 47]), ("pixel_size_nm", [0.5, 0.6]), ("kV", 200.0),
                         ("tilt_deg", None), ("max", 998.0), ("kind", "volume"),
                         ("sha1_of_C_contiguous_little_endian_bytes", "0" * 40)):  # fmt: skip
        assert check_file(Path(_FOLDER), {**expected, field: wrong})[1], field


@pytest.mark.parametrize("name", ["PtIr.npz", "abtem_sto_001_haadf.npz"])
def test_archives_with_their_own_names(name: str, data_folder: Path) -> None:
    item = read(data_folder / "micrographs" / name)
    assert item.kind == "image"
    sizes = {"PtIr.npz": 0.01211, "abtem_sto_001_haadf.npz": 0.007626953125}
    assert item.pixel_size_nm == pytest.approx((sizes[name],) * 2)
    tables = [info for info in inspect(data_folder / "micrographs" / name) if info.kind == "table"]
    assert tables


@pytest.mark.parametrize("name", ["aet_aSi208/aSi_208atoms_GT.txt", "Au_NP.xyz"])
def test_other_files_are_named_as_such(name: str, data_folder: Path) -> None:
    with pytest.raises(UserError, match=r"no format that can be opened|cannot be read as HDF5"):
        inspect(data_folder / "tomography" / name)
