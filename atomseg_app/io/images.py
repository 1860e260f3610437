"""Ordinary pictures: PNG, JPEG, BMP. Grey ones keep their 8 or 16 bits; colour ones become one grey image."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atomseg_app.data import Array
from atomseg_app.io.colour import grey
from atomseg_app.io.dataset import Axis, Dataset, Unreadable, dataset
from atomseg_app.io.mapped import DEFLATE_RATIO, ClampedFile, check_ratio, fill
from atomseg_app.operations import Report

if TYPE_CHECKING:
    from PIL import Image as PillowImage

_JPEG_RATIO = 512
"""A JPEG block of 64 pixels takes at least one bit."""
_STRIP_PIXELS = 1 << 22


def read_png(path: Path) -> list[Dataset]:
    """The picture of a PNG file. Raises Unreadable for 16-bit colour, which would lose half of its bits."""
    with ClampedFile(path) as file:
        head = file.read(33)
    if len(head) < 33 or head[12:16] != b"IHDR" or zlib.crc32(head[12:29]) != int.from_bytes(head[29:33], "big"):
        raise Unreadable("its header is damaged")
    if head[24] == 16 and head[25] & 2:
        raise Unreadable("it has 16-bit colours; save it as a grey 16-bit PNG or TIFF")
    return _read(path, "PNG", DEFLATE_RATIO * 8 / max(1, min(head[24], 8)))


def read_jpeg(path: Path) -> list[Dataset]:
    """The picture of a JPEG file."""
    return _read(path, "JPEG", _JPEG_RATIO)


def read_bmp(path: Path) -> list[Dataset]:
    """The picture of a BMP file (run-length encoded ones pack 255 pixels in two bytes)."""
    return _read(path, "BMP", 256)


def _read(path: Path, form: str, ratio: float) -> list[Dataset]:
    """The picture, if its size is possible for a file that packs at most ``ratio`` bytes of it in one."""
    with ClampedFile(path) as file:
        picture = _open(file, form)
        width, height, mode = *picture.size, picture.mode
        bits = 16 if mode.startswith("I;16") else 32 if mode in ("I", "F") else 8
        check_ratio((height, width), bits // 8, file.size, ratio)
    dtype = np.dtype({8: "u1", 16: "u2", 32: "i4"}[bits])

    def load(report: Report) -> Array:
        with ClampedFile(path) as stream:
            picture = _open(stream, form)
            picture.load()
            return fill((height, width), dtype, _strips(picture, report), report)

    return [dataset("", [Axis(height), Axis(width)], dtype, load)]


def _open(file: ClampedFile, form: str) -> PillowImage.Image:
    """Open a picture; its size was or will be checked by us, so Pillow's own limit is off."""
    from PIL import Image as PillowImage

    PillowImage.MAX_IMAGE_PIXELS = None
    return PillowImage.open(file, formats=(form,))


def _strips(picture: PillowImage.Image, report: Report) -> Iterator[tuple[Any, Array]]:
    """Grey values, some rows at a time."""
    width, height = picture.size
    rows = max(1, _STRIP_PIXELS // width)
    if picture.mode in ("1", "P", "PA", "LA", "La", "CMYK", "YCbCr", "RGBA", "RGBX", "LAB", "HSV"):
        picture = picture.convert("L" if picture.mode in ("1", "LA", "La") else "RGB")
    for top in range(0, height, rows):
        strip = np.asarray(picture.crop((0, top, width, min(top + rows, height))))
        yield slice(top, top + rows), grey(strip, report) if strip.ndim == 3 else strip
