"""Saving a tilt series as MRC with its angles in the header and beside it, or its alignment alone as CSV or .xf."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from atomseg_app.data import TiltSeries
from atomseg_app.errors import UserError
from atomseg_app.io.alignment_files import ALIGNMENT_EXTENSIONS, write_alignment
from atomseg_app.io.atomic_write import atomic_open, write_text
from atomseg_app.io.mrc_writer import MODES, write_block
from atomseg_app.io.volume_parts import history_lines, stored_type
from atomseg_app.operations import Report

SERIES_EXTENSIONS = (".mrc", ".st", ".ali", *ALIGNMENT_EXTENSIONS)
_FEI_BYTES, _FEI_TYPE = 768, b"FEI1"
_ALPHA, _PIXEL, _VOLTS = 100, 156, 84
_KNOWN = 1 << 7 | 1 << 14 | 1 << 15
"""Bits that say that the angle and both pixel sizes are set."""


def series_extension(path: str | Path) -> str:
    """Extension of a name among those that a series can have. Raises UserError listing them."""
    extension = Path(path).suffix.lower()
    if extension not in SERIES_EXTENSIONS:
        raise UserError(f"{path}: a tilt series is saved as one of {', '.join(SERIES_EXTENSIONS)}; end its name so.")
    return extension


def write_series(path: str | Path, series: TiltSeries, report: Report | None = None) -> None:
    """Write the images and, beside them, NAME.rawtlt; or, as .csv or .xf, the alignment alone. Whole or not at all.

    Images written are as they are, not moved: an alignment that the series has is written beside them as
    NAME_alignment.csv, with a note. Raises UserError, FileError, Cancelled.
    """
    report, path = report or Report(), Path(path)
    if series_extension(path) in ALIGNMENT_EXTENSIONS:
        write_alignment(path, series)
        return
    dtype = stored_type(series.values, tuple(MODES), report, "MRC")
    extended = _angles(series)
    with atomic_open(path) as stream:
        write_block(stream, series.values, dtype, series.pixel_size_nm, history_lines(series), report,
                    is_volume=False, extended=(_FEI_TYPE, extended))  # fmt: skip
    angles, beside = side_files(path)
    write_text(angles, "".join(f"{angle!r}\n" for angle in series.tilt_deg))
    if series.alignment is not None:
        write_alignment(beside, series)
        report.note(f"The images of {path.name} are not moved; their alignment is in {beside.name}.")
    if series.excluded:
        report.note(f"{path.name} also has the excluded views {', '.join(map(str, series.excluded))}.")


def side_files(path: str | Path) -> tuple[Path, ...]:
    """What is written beside the images of a series, for who asks before replacing: angles, alignment."""
    if series_extension(path) in ALIGNMENT_EXTENSIONS:
        return ()
    return Path(path).with_suffix(".rawtlt"), Path(path).with_name(f"{Path(path).stem}_alignment.csv")


def _angles(series: TiltSeries) -> bytes:
    """Extended header of kind FEI1: a record a view with its angle, pixel size in m and voltage."""
    size = series.pixel_size_nm[-1]
    volts = 1e3 * float(series.metadata.get("kV") or 0)
    content = bytearray(_FEI_BYTES * len(series.values))
    for view, angle in enumerate(np.nan_to_num(np.asarray(series.tilt_deg, np.float64))):
        at = _FEI_BYTES * view
        struct.pack_into("<3i", content, at, _FEI_BYTES, 0, _KNOWN)
        struct.pack_into("<d", content, at + _VOLTS, volts)
        struct.pack_into("<d", content, at + _ALPHA, float(angle))
        struct.pack_into("<2d", content, at + _PIXEL, *((size or 0) * 1e-9,) * 2)
    return bytes(content)
