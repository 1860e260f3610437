"""PNGs of measured quantities: scalars and vectors of columns over their image, layers of maps; unit and colour bar."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Picture
from PIL import ImageDraw

from atomseg_app import figure
from atomseg_app.atoms.spacing import nearest_px
from atomseg_app.data import Columns, Data, Image, ImageSeries
from atomseg_app.errors import UserError
from atomseg_app.figure import Floats
from atomseg_app.io.atomic_write import atomic_path

Limits = tuple[float, float]

_SMOOTH = 2
_SIGNED = np.array([(33, 102, 172), (103, 169, 207), (232, 236, 239), (239, 138, 98), (178, 24, 43)], float)
"""Equally spaced anchors of ColorBrewer's RdBu (Apache 2.0), blue for negative."""
_KINDS = np.array(
    [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)], float
)
"""Okabe and Ito's colours, told apart by colour-blind readers too."""
_SIGNED_NAMES = ("strain", "rotation", "displacement", "polar_x", "polar_y")
_DARKENED = 0.55  # the image below columns that are coloured


def write_figures(image: Image | None, result: Data, drawn: Mapping[str, Path]) -> None:
    """Write each figure of a result: "" is the columns found, other names are quantities, vectors or layers.

    Columns are drawn over ``image``, over the image that they came from where it is still there, or on grey. What a
    result does not have is left out. Raises FileError.
    """
    for shown, path in drawn.items():
        if isinstance(result, Columns):
            below = image or _source_image(result) or _grey(result)
            if not shown:
                figure.write_figure(below, result, path)
            elif f"{shown}_x_px" in result.quantities:
                _write(*_vectors(below, result, shown), path)
            elif shown in (result.table.dtype.names or ()):
                _write(*_scalars(below, result, shown), path)
        elif isinstance(result, ImageSeries) and shown in result.metadata.get("layers", ()):
            _write(*_layer(result, shown), path)
        elif isinstance(result, Image):
            picture, scale = figure.backdrop(result)
            figure.draw_scale_bar(picture, result, scale)
            _write(figure.sheet_of(picture, result.source.name), None, path)


Bar = tuple[tuple[int, int], Limits, str, figure.Colouring]


def _write(sheet: Picture.Image, bar: Bar | None, path: Path) -> None:
    if bar is not None:
        figure.draw_colour_bar(sheet, *bar)
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG", dpi=(300, 300))


def signed_colours(values: Floats, limits: Limits) -> npt.NDArray[np.uint8]:
    """Colours (..., 3) from blue to red between limits; unknown values are mid grey."""
    low, high = limits
    place = np.clip((values - low) / (high - low or 1.0), 0, 1) * (len(_SIGNED) - 1)
    mixed = np.stack([np.interp(place, np.arange(len(_SIGNED)), channel) for channel in _SIGNED.T], axis=-1)
    mixed[~np.isfinite(values)] = 128
    return np.asarray(mixed.round(), np.uint8)


def _kind_colours(values: Floats, limits: Limits) -> npt.NDArray[np.uint8]:
    """Colours of whole numbers; negative and unknown ones are mid grey."""
    known = np.isfinite(values) & (np.round(np.nan_to_num(values)) >= 0)
    colours = _KINDS[np.round(np.where(known, values, 0)).astype(int) % len(_KINDS)]
    colours[~known] = 128
    return np.asarray(colours, np.uint8)


def _source_image(columns: Columns) -> Image | None:
    """The image a table came from, if it is still where it was and has the same shape."""
    from atomseg_app.io import files

    if not columns.source.path or not os.path.exists(columns.source.path):
        return None
    try:
        data = files.read(columns.source.path, columns.source.dataset or None)
    except UserError:
        return None
    frame = data.frame(0) if isinstance(data, ImageSeries) else data
    if not isinstance(frame, Image) or frame.shape != columns.image_shape:
        return None
    return Image(frame.values, columns.pixel_size_nm, columns.source)


def _grey(columns: Columns) -> Image:
    """An empty image of the columns' shape."""
    values = np.broadcast_to(np.float32(0), columns.image_shape)
    return Image(values, columns.pixel_size_nm, columns.source)


def titled(name: str, unit_of: Columns | None = None) -> tuple[str, float]:
    """What a quantity's colour bar says, and the factor its values are shown with: strain in %, lengths in pm."""
    words, _, last = name.rpartition("_")
    if name.startswith("strain"):
        return f"{name.replace('_', ' ')} (%)", 100.0
    if last == "deg":
        return f"{words.replace('_', ' ')} (°)", 1.0
    if last == "px" and unit_of is not None:
        size = unit_of.pixel_size_nm[1]
        if size is not None:
            return f"{words.replace('_', ' ')} (pm)", size * 1000
        return f"{words.replace('_', ' ')} (px)", 1.0
    return name.replace("_", " "), 1.0


def _limits(values: Floats, *, signed: bool) -> Limits:
    known = values[np.isfinite(values)]
    if not len(known):
        return (-1.0, 1.0) if signed else (0.0, 1.0)
    if signed:
        middle = float(np.percentile(np.abs(known), 98)) or 1.0
        return -middle, middle
    low, high = (float(v) for v in np.percentile(known, (2, 98)))
    return low, high if high > low else low + 1


def _canvas(below: Image, columns: Columns) -> tuple[Picture.Image, Floats, npt.NDArray[np.bool_], float]:
    """Darkened image, its scale, the rows of the first frame and the median distance of columns in the picture."""
    picture, scale = figure.backdrop(below)
    picture = picture.point(lambda level: int(level * _DARKENED))
    rows = columns.table["frame"] == columns.table["frame"].min(initial=0)
    distance = nearest_px(columns, scale)[rows]
    distance = distance[np.isfinite(distance)]
    return picture, scale, rows, float(np.median(distance)) if len(distance) else 24.0


def _scalars(below: Image, columns: Columns, name: str) -> tuple[Picture.Image, Bar | None]:
    """A disc of its colour at each column."""
    picture, scale, rows, distance = _canvas(below, columns)
    label, factor = titled(name, columns)
    values = columns.table[name][rows].astype(float) * factor
    signed, kinds = name.startswith(_SIGNED_NAMES), name in ("grain", "sublattice")
    limits = (0.0, max(float(np.nanmax(values, initial=0)), 1.0)) if kinds else _limits(values, signed=signed)
    colouring = _kind_colours if kinds else signed_colours if signed else figure.colours_of
    radius = float(np.clip(0.42 * distance, 2, 60)) * _SMOOTH
    layer = Picture.new("RGBA", (picture.width * _SMOOTH, picture.height * _SMOOTH))
    draw = ImageDraw.Draw(layer)
    centres = (columns.xy_px[rows] + 0.5) * scale * _SMOOTH
    for (x, y), colour, known in zip(
        centres.tolist(), colouring(values, limits).tolist(), np.isfinite(values).tolist(), strict=True
    ):
        if known:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*colour, 235))
    return _finished(picture, layer, below, scale, columns, label, (limits, colouring))


def _vectors(below: Image, columns: Columns, name: str) -> tuple[Picture.Image, Bar | None]:
    """An arrow at each column, enlarged alike for all, coloured by its length."""
    picture, scale, rows, distance = _canvas(below, columns)
    label, factor = titled(f"{name}_px", columns)
    vectors = np.stack([columns.table[f"{name}_{axis}_px"][rows] for axis in "xy"], axis=1)
    known = np.isfinite(vectors).all(axis=1)
    length = np.hypot(*vectors.T) * factor
    limits = (0.0, float(np.percentile(length[known], 98)) or 1.0) if known.any() else (0.0, 1.0)
    shown = vectors * scale
    longest = float(np.percentile(np.hypot(*shown[known].T), 95)) if known.any() else 1.0
    enlarged = 0.9 * distance / (longest or 1.0)
    layer = Picture.new("RGBA", (picture.width * _SMOOTH, picture.height * _SMOOTH))
    draw = ImageDraw.Draw(layer)
    centres = (columns.xy_px[rows] + 0.5) * scale
    width = max(2, round(distance / 14)) * _SMOOTH
    colours = figure.colours_of(length, limits).tolist()
    for place in np.flatnonzero(known):
        _arrow(draw, centres[place] * _SMOOTH, shown[place] * enlarged * _SMOOTH, width, (*colours[place], 255))
    text = f"{label}, arrows x {enlarged:.3g}"
    sheet, bar = _finished(picture, layer, below, scale, columns, text, (limits, figure.colours_of))
    return sheet, None if bar is None else (bar[0], bar[1], label, bar[3])


def _arrow(draw: ImageDraw.ImageDraw, centre: Floats, vector: Floats, width: int, ink: tuple[int, ...]) -> None:
    """An arrow about its centre, its head a third of it."""
    tail, tip = centre - vector / 2, centre + vector / 2
    length = float(np.hypot(*vector))
    if length < 1:
        return
    head = min(3.2 * width, 0.6 * length)
    along = vector / length
    across = np.array([-along[1], along[0]])
    neck = tip - along * head
    draw.line((*tail.tolist(), *neck.tolist()), fill=ink, width=width)
    corners = (tip, neck + across * head * 0.45, neck - across * head * 0.45)
    draw.polygon([(float(x), float(y)) for x, y in corners], fill=ink)


def _finished(
    picture: Picture.Image, layer: Picture.Image, below: Image, scale: Floats, columns: Columns, label: str,
    colours: tuple[Limits, figure.Colouring],
) -> tuple[Picture.Image, Bar]:  # fmt: skip
    """The sheet with what was drawn over the image, and its colour bar."""
    small = layer.resize(picture.size, Picture.Resampling.BOX)
    picture.paste(small, mask=small.getchannel("A"))
    figure.draw_scale_bar(picture, below, scale)
    sheet = figure.sheet_of(picture, f"{columns.source.name}: {label}")
    return sheet, (picture.size, colours[0], label, colours[1])


def _layer(maps: ImageSeries, name: str) -> tuple[Picture.Image, Bar]:
    """One layer of a series in colours, unknown pixels grey."""
    label, factor = titled(name)
    frame = maps.frame(list(maps.metadata["layers"]).index(name))
    blank, scale = figure.backdrop(Image(np.broadcast_to(np.float32(0), frame.shape), frame.pixel_size_nm))
    values = np.asarray(frame.values, float) * factor
    signed = name.startswith(_SIGNED_NAMES)
    limits = _limits(values, signed=signed)
    colouring = signed_colours if signed else figure.colours_of
    picture = Picture.fromarray(colouring(values, limits)).resize(blank.size, Picture.Resampling.BILINEAR)
    figure.draw_scale_bar(picture, frame, scale)
    return figure.sheet_of(picture, f"{maps.source.name}: {label}"), (picture.size, limits, label, colouring)
