"""A PNG of an image with its columns, a scale bar and a colour bar, drawn without a window."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from atomseg_app.atoms.spacing import nearest_px
from atomseg_app.data import Columns, Image
from atomseg_app.io.atomic_write import atomic_path

Floats = npt.NDArray[np.float64]
Colour = tuple[int, int, int]
Colouring = Callable[[Floats, tuple[float, float]], npt.NDArray[np.uint8]]

_LEAST_PX, _MOST_PX = 1000, 2400  # longer side of the drawn image: small ones are enlarged, big ones averaged
_SMOOTH = 2  # markers are drawn this much larger and averaged, which smooths their edges
_NAN_COLOUR = (120, 40, 90)
_INK, _PAPER = (20, 20, 20), (255, 255, 255)
_COLOURS = np.array(
    [(59, 81, 139), (44, 113, 142), (33, 144, 141), (39, 173, 129), (92, 200, 99), (170, 220, 50), (253, 231, 37)],
    float,
)
"""Equally spaced anchors of matplotlib's viridis (CC0) without its darkest quarter, which is lost on a dark image."""
_FONTS = ("DejaVuSans.ttf", "Arial.ttf", "arial.ttf")  # of the system: they have more letters than Pillow's own


def write_figure(image: Image, columns: Columns, path: str | Path) -> None:
    """Draw the image from its 0.1 to its 99.9 percentile with a ring at each column; write a PNG, whole or not at all.

    Rings are coloured by the error of the position, or by the amplitude where no error is known. Pixels that are not
    square are drawn to scale. Raises FileError.
    """
    picture, scale = backdrop(image)
    first_frame = columns.table["frame"] == columns.table["frame"].min(initial=0)
    values, label = _quantity(columns)
    known = values[first_frame & np.isfinite(values)]
    low, high = (float(v) for v in np.percentile(known, (2, 98))) if len(known) else (0.0, 0.0)
    _draw_rings(picture, columns, first_frame, values, (low, high), scale)
    draw_scale_bar(picture, image, scale)
    sheet = sheet_of(picture, f"{columns.source.name}: {first_frame.sum()} columns")
    if len(known):
        draw_colour_bar(sheet, picture.size, (low, high), label)
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG", dpi=(300, 300))


def backdrop(image: Image) -> tuple[Picture.Image, Floats]:
    """The grey image as a picture, and picture pixels for one image pixel along (x, y)."""
    height, width = image.shape
    step = max(1, -(-max(height, width) // _MOST_PX))
    values = block_mean(image.values, step)
    finite = np.isfinite(values)
    low, high = np.percentile(values[finite], (0.1, 99.9)) if finite.any() else (0.0, 1.0)
    grey = np.clip((np.where(finite, values, low) - low) / (high - low or 1.0), 0, 1) * 255
    colours = np.repeat(grey.round().astype(np.uint8)[..., None], 3, axis=2)
    colours[~finite] = _NAN_COLOUR
    size_y, size_x = image.pixel_size_nm
    aspect = size_y / size_x if size_x is not None and size_y is not None else 1.0
    stretch = np.array([max(1.0, 1 / aspect), max(1.0, aspect)])
    enlarge = max(1, -(-_LEAST_PX // max(values.shape)))
    size = np.maximum(1, np.round(np.array(values.shape[::-1]) * enlarge * stretch)).astype(int)
    picture = Picture.fromarray(colours).resize((int(size[0]), int(size[1])), Picture.Resampling.BICUBIC)
    return picture, size / (np.array(values.shape[::-1]) * step)


def block_mean(values: npt.NDArray[np.generic], step: int) -> npt.NDArray[np.float32]:
    """Means of step x step blocks of an image (y, x), a band at a time: a mapped file is never whole in memory."""
    if step == 1:
        return np.asarray(values, np.float32)
    rows, columns = (max(1, size // step) for size in values.shape)
    result = np.empty((rows, columns), np.float32)
    for row in range(rows):
        band = np.asarray(values[row * step : (row + 1) * step, : columns * step], np.float32)
        result[row] = band.reshape(len(band), columns, -1).mean(axis=(0, 2))
    return result


def _quantity(columns: Columns) -> tuple[Floats, str]:
    """What colours the rings (n,), and its name with unit."""
    table = columns.table
    errors = np.stack([table["x_err_px"], table["y_err_px"]])
    if not np.isfinite(errors).any():
        return table["amplitude"], "amplitude"
    if columns.calibrated:
        scale = np.array([size for size in columns.pixel_size_nm[::-1] if size is not None])
        return np.sqrt(((errors * scale[:, None] * 1000) ** 2).mean(axis=0)), "error (pm)"
    return np.sqrt((errors**2).mean(axis=0)), "error (px)"


def colours_of(values: Floats, limits: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """Colours (n, 3) of values between limits; unknown values are white."""
    low, high = limits
    place = np.clip((values - low) / (high - low or 1.0), 0, 1) * (len(_COLOURS) - 1)
    anchors = np.arange(len(_COLOURS))
    mixed = np.stack([np.interp(place, anchors, _COLOURS[:, channel]) for channel in range(3)], axis=-1)
    mixed[~np.isfinite(values)] = 255
    return mixed.round().astype(np.uint8)


def _draw_rings(
    picture: Picture.Image, columns: Columns, rows: npt.NDArray[np.bool_], values: Floats,
    limits: tuple[float, float], scale: Floats,
) -> None:  # fmt: skip
    """Draw a ring with a dark rim at each column."""
    if not rows.any():
        return
    distance = nearest_px(columns, scale)[rows]
    alone = 24.0
    radius = float(np.clip(0.3 * np.median(np.where(np.isfinite(distance), distance, alone)), 3, 30)) * _SMOOTH
    layer = Picture.new("RGBA", (picture.width * _SMOOTH, picture.height * _SMOOTH))
    draw = ImageDraw.Draw(layer)
    centres = (columns.xy_px[rows] + 0.5) * scale * _SMOOTH
    for (x, y), colour in zip(centres.tolist(), colours_of(values[rows], limits).tolist(), strict=True):
        for reach, width, ink in (
            (radius + _SMOOTH, 4 * _SMOOTH, (0, 0, 0, 110)),
            (radius, 2 * _SMOOTH, (*colour, 255)),
        ):
            draw.ellipse((x - reach, y - reach, x + reach, y + reach), outline=ink, width=width)
    picture.paste(small := layer.resize(picture.size, Picture.Resampling.BOX), mask=small.getchannel("A"))


def round_length(longest: float) -> float:
    """The longest of 1, 2, 5 times a power of ten that is not longer than ``longest``."""
    power = 10.0 ** np.floor(np.log10(longest))
    return float(max(factor * power for factor in (1, 2, 5) if factor * power <= longest * (1 + 1e-9)))


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A sans-serif font of that size in pixels."""
    for name in _FONTS:
        with contextlib.suppress(OSError):
            return ImageFont.truetype(name, size)
    return ImageFont.load_default(size)


def draw_scale_bar(picture: Picture.Image, image: Image, scale: Floats) -> None:
    """Draw a bar of a round length at the lower left, if the image is calibrated along x."""
    size_nm = image.pixel_size_nm[1]
    if size_nm is None:
        return
    px_per_nm = scale[0] / size_nm
    length_nm = round_length(picture.width / 4 / px_per_nm)
    text = f"{length_nm:g} nm" if length_nm >= 0.1 else f"{length_nm * 1000:g} pm"
    draw, font = ImageDraw.Draw(picture), _font(max(picture.size) // 42)
    edge, thick = picture.height // 30, max(4, picture.height // 120)
    bottom = picture.height - edge
    draw.rectangle((edge, bottom - thick, edge + length_nm * px_per_nm, bottom), _PAPER, _INK, 1)
    draw.text((edge, bottom - thick - 6), text, _PAPER, font, anchor="ls", stroke_width=2, stroke_fill=_INK)


def sheet_of(picture: Picture.Image, title: str) -> Picture.Image:
    """White sheet with the picture on it, room for a colour bar on its right and the title below."""
    unit = max(picture.size) // 42
    sheet = Picture.new("RGB", (picture.width + 9 * unit, picture.height + 2 * unit), _PAPER)
    sheet.paste(picture, (0, 0))
    ImageDraw.Draw(sheet).text((unit // 2, picture.height + unit), title, _INK, _font(unit), anchor="lm")
    return sheet


def draw_colour_bar(
    sheet: Picture.Image,
    size: tuple[int, int],
    limits: tuple[float, float],
    label: str,
    colours: Colouring | None = None,
) -> None:
    """Draw the colour bar beside a picture of ``size``, with five values and the label."""
    unit = max(size) // 42
    left, top, bottom = size[0] + unit, 3 * unit, size[1] - 2 * unit
    low, high = limits
    ramp = (colours or colours_of)(np.linspace(high, low, max(2, bottom - top)), limits)
    bar = Picture.fromarray(np.repeat(ramp[:, None], unit, axis=1))
    sheet.paste(bar, (left, top))
    draw = ImageDraw.Draw(sheet)
    font = _font(unit)
    room = sheet.width - left - unit // 4
    text = font if font.getlength(label) <= room else _font(max(6, int(unit * room / font.getlength(label))))
    draw.text((left, top - unit), label, _INK, text, anchor="ls")
    for share in np.linspace(0, 1, 5):
        y = bottom - share * (bottom - top)
        draw.line((left + unit, y, left + unit + unit // 3, y), _INK, 1)
        draw.text((left + 1.6 * unit, y), f"{low + share * (high - low):.3g}", _INK, font, anchor="lm")
