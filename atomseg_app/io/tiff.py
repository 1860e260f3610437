"""TIFF in all the flavours of microscopes: tags by tifffile, calibration by :mod:`atomseg_app.io.tiff_scale`.

Uncompressed images are mapped; compressed ones are unpacked a segment at a time.
"""

from __future__ import annotations

import logging
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atomseg_app.data import Array
from atomseg_app.io.colour import grey
from atomseg_app.io.dataset import Axis, Dataset, Unreadable, dataset
from atomseg_app.io.mapped import DEFLATE_RATIO, IN_MEMORY_BYTES, ClampedFile, byte_count, check_ratio, fill, map_block
from atomseg_app.io.tiff_scale import Calibration, calibration_of
from atomseg_app.io.tilt_angles import Side, read_side_files
from atomseg_app.operations import Report

if TYPE_CHECKING:
    import tifffile

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # its remarks go to the log, not to the terminal

_MAX_PAGES = 20_000
_RATIOS: Mapping[int, float] = {1: 1, 5: 1400, 8: DEFLATE_RATIO, 32946: DEFLATE_RATIO, 32773: 64, 6: 512, 7: 512}
"""Bytes that one stored byte can unpack to at most, by compression tag: none, LZW, deflate, PackBits, JPEG."""
_OTHER_RATIO = 10_000


def read_tiff(path: Path) -> list[Dataset]:
    """Series of images of a TIFF file. Beside a measured grey image, a colour preview is described but not opened."""
    import tifffile

    with ClampedFile(path) as file:
        _check_pages(file)
    with ClampedFile(path) as file, tifffile.TiffFile(file) as tiff:
        series = list(tiff.series)
        calibrations = [calibration_of(tiff, _first_page(each)) for each in series]
        has_grey = any("S" not in each.axes for each in series)
        names = [f"page {_first_page(each).index}" if len(series) > 1 else "" for each in series]
        found = [
            _dataset(path, index, series[index], calibrations[index], names[index], has_grey)
            for index in range(len(series))
        ]
    if not found:
        raise Unreadable("there is no image in it")
    return found


def _check_pages(file: ClampedFile) -> None:
    """Follow the chain of pages, which tifffile leaves without a word where it is broken. Raises Unreadable."""
    head = file.read(16)
    order = ">" if head[:2] == b"MM" else "<"
    big = struct.unpack_from(order + "H", head, 2)[0] == 43
    count_form, entry, next_form, start = ("Q", 20, "Q", 8) if big else ("H", 12, "I", 4)
    (offset,) = struct.unpack_from(order + next_form, head, start)
    seen: set[int] = set()
    while offset:
        if offset in seen or len(seen) > _MAX_PAGES:
            raise Unreadable("its chain of pages has no end")
        seen.add(offset)
        try:
            file.seek(offset)
            (entries,) = struct.unpack(order + count_form, file.read(struct.calcsize(count_form)))
            file.seek(offset + struct.calcsize(count_form) + entries * entry)
            (offset,) = struct.unpack(order + next_form, file.read(struct.calcsize(next_form)))
        except (struct.error, OSError, OverflowError):
            raise Unreadable(f"it is cut short: page {len(seen)} is missing or damaged") from None


def _first_page(series: tifffile.TiffPageSeries) -> tifffile.TiffPage:
    page = series.keyframe
    if page is None or not page.shape or page.dtype is None:
        raise Unreadable("a page of it has no size or type")
    return page


def _dataset(
    path: Path,
    index: int,
    series: tifffile.TiffPageSeries,
    calibration: Calibration,
    name: str,
    has_grey: bool,
) -> Dataset:
    page, letters = _first_page(series), series.axes
    _check_stored(path, series, page)
    dtype = np.dtype(page.dtype)
    is_colour = letters.endswith("S")
    kept = [
        (letter, int(size)) for letter, size in zip(letters, series.shape, strict=True) if size != 1 or letter in "YX"
    ]
    shape = tuple(size for letter, size in kept)
    axes = [_axis(letter, size, calibration) for letter, size in kept]
    if is_colour and has_grey:
        refusal = "it is a colour preview beside the measured image"
        described = dataset(name, axes[:2], dtype, _loader(path, index, shape, dtype), refusal=refusal)
        return Dataset(replace(described.info, shape=shape), _loader(path, index, shape, dtype))
    if is_colour and shape[-1] not in (3, 4):
        raise Unreadable(f"its pixels have {shape[-1]} channels")
    axes = axes[: len(axes) - is_colour]
    views = axes[0].size if len(axes) == 3 else 1
    side = read_side_files(path, views) if views > 1 else None
    angles = side.angles if side is not None and side.angles else calibration.tilt_deg
    load = _loader(path, index, shape, dtype)
    return dataset(
        name, axes, dtype, (lambda report: grey(load(report)[..., :3], report)) if is_colour else load,
        tilt_deg=angles or None, metadata=_metadata(calibration, side), refusal=_missing_codec(page),
        notes=side.notes if side is not None and not calibration.is_volume else (),
        volume=calibration.is_volume and not is_colour,
    )  # fmt: skip


def _metadata(calibration: Calibration, side: Side | None) -> dict[str, Any]:
    """Voltage, and where the angles are from."""
    found: dict[str, Any] = {"kV": calibration.kV} if calibration.kV else {}
    return found | ({"tilt_source": side.name} if side is not None and side.angles else {})


def _missing_codec(page: tifffile.TiffPage) -> str:
    """Why the compression of a page cannot be undone here; empty if it can."""
    import tifffile

    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
    except (KeyError, ImportError):
        name = getattr(page.compression, "name", page.compression)
        return f"its {name} compression needs one more package (pip install imagecodecs)"
    return ""


def _axis(letter: str, size: int, calibration: Calibration) -> Axis:
    """Axis of tifffile's letter: Y, X and Z (slices) have lengths, others (time, channel, index) none."""
    y, x = calibration.pixel_size_nm
    step = {"Y": y, "X": x, "Z": calibration.spacing_nm}.get(letter)
    return Axis(size, step, "nm" if step else "", name=letter)


def _check_stored(path: Path, series: tifffile.TiffPageSeries, page: tifffile.TiffPage) -> None:
    """Raise Unreadable if the pages cannot be what the tags say."""
    dtype, size = np.dtype(page.dtype), path.stat().st_size
    offsets, counts = page.dataoffsets, page.databytecounts
    if len(offsets) != len(counts) or any(offset + count > size for offset, count in zip(offsets, counts, strict=True)):
        raise Unreadable("it is cut short: its pixels reach beyond its end")
    ratio = _RATIOS.get(int(page.compression), _OTHER_RATIO) * max(1, 8 * dtype.itemsize / max(1, page.bitspersample))
    check_ratio(page.shape, dtype.itemsize, sum(counts), ratio)
    if int(page.compression) == 1:
        check_ratio(series.shape, dtype.itemsize, size, ratio)
    elif math.prod(series.shape) > page.size * max(1, len(series.pages)):
        raise Unreadable(f"its header promises more than its {len(series.pages)} pages hold")


def _loader(path: Path, index: int, shape: Sequence[int], dtype: np.dtype[Any]) -> Any:
    """Function that loads a series: mapped if it lies in one piece, else page by page."""

    def load(report: Report) -> Array:
        import tifffile

        with ClampedFile(path) as file, tifffile.TiffFile(file) as tiff:
            series = tiff.series[index]
            if series.dataoffset is not None and _first_page(series).is_memmappable:
                stored = dtype.newbyteorder(">" if tiff.byteorder == ">" else "<")
                return map_block(path, series.dataoffset, shape, stored)
            stack = (len(series.pages), *_first_page(series).shape)
            return fill(stack, dtype, _pieces(series, stack), report).reshape(shape)

    return load


def _pieces(series: tifffile.TiffPageSeries, stack: tuple[int, ...]) -> Iterator[tuple[Any, Array]]:
    """Pages, those that are large in segments."""
    for number, page in enumerate(series.pages):
        if page is None:
            raise Unreadable("a page of its series is missing")
        if tuple(page.shape) != stack[1:]:
            raise Unreadable("its pages differ in size")
        if byte_count(stack[1:], np.dtype(page.dtype).itemsize) <= IN_MEMORY_BYTES or len(stack) != 3:
            yield number, page.asarray(maxworkers=1)
            continue
        for values, place, extent in page.segments(maxworkers=1):
            if values is not None:
                top, left = place[2:4]
                height, width = min(extent[1], stack[1] - top), min(extent[2], stack[2] - left)  # tiles reach beyond
                yield (number, slice(top, top + height), slice(left, left + width)), values[0, :height, :width, 0]
