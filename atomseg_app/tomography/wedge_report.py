"""What was measured and what was inferred in a filled volume, as tables and a figure in a folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from atomseg_app.data import TiltSeries, Volume
from atomseg_app.io.atomic_write import atomic_path, write_text
from atomseg_app.operations import Report
from atomseg_app.tomography.inferred import FourierView, fourier_view
from atomseg_app.tomography.training_range import training_range

Doubles = npt.NDArray[np.float64]
Place = tuple[float, float]

FILES = ("power_by_angle.csv", "views.csv", "summary.csv", "fourier.png")
"""What a report consists of."""
_SIDE, _GAP, _TEXT = 520, 90, 17
_PLOT = (520, 400)
_INK, _GRID, _PAPER = (35, 35, 35), (222, 222, 222), (255, 255, 255)
_MEASURED, _INFERRED, _VIEWS = (11, 95, 165), (179, 84, 10), (27, 122, 61)
_DECADES = 6.0  # of power that the picture spans


def write_report(folder: Path, series: TiltSeries, volume: Volume, report: Report) -> FourierView:
    """Write the files of a report to a folder; each whole or not at all. Raises FileError, Cancelled."""
    found = fourier_view(series, volume, report)
    power = [
        (f"{angle:g}", f"{value:.6g}", "inferred" if guessed else "measured")
        for angle, value, guessed in zip(found.angle_deg, found.power, found.inferred, strict=True)
    ]
    write_text(folder / FILES[0], _csv(("angle_deg", "power_of_volume", "directions"), power))
    write_text(folder / FILES[1], _csv(("tilt_deg", "power_of_view", "r_factor"), _views(found, volume)))
    write_text(folder / FILES[2], _csv(("quantity", "value"), summary(found, volume)))
    with atomic_path(folder / FILES[3]) as temporary:
        _figure(found, volume).save(temporary, format="PNG")
    return found


def summary(found: FourierView, volume: Volume) -> list[tuple[str, str]]:
    """Quantities and values: what is missing, how much of the power is inferred, how far views and answer agree."""
    facts, known = volume.metadata, training_range()
    rows = [("inferred_directions_deg", "; ".join(f"{gap.start:g} to {gap.stop:g}" for gap in found.gaps))]
    rows.append(("inferred_share_of_directions", f"{sum(gap.width_deg for gap in found.gaps) / 180:.4g}"))
    rows.append(("inferred_share_of_power", f"{found.inferred_share:.4g}"))
    if found.relative_density is not None:
        rows.append(("inferred_over_measured_density_of_power", f"{found.relative_density:.4g}"))
    rows += [(name, str(facts[name])) for name in ("wedge_method", "wedge_models") if facts.get(name)]
    if isinstance(facts.get("r_factor"), float):
        rows.append(("r_factor", f"{facts['r_factor']:.5g}"))
    if isinstance(facts.get("training_distance"), float):
        rows.append(("distance_from_training_data", f"{facts['training_distance']:.4g}"))
        rows.append(("distance_that_warns", f"{known.threshold:.4g}"))
        rows.append(("false_alarms_on_unseen_families", f"{known.false_alarms:.3g}"))
    return rows


def _views(found: FourierView, volume: Volume) -> list[tuple[str, str, str]]:
    """A row a view: its angle, its power, and what the volume does not explain of it."""
    tilts = np.asarray(volume.metadata.get("r_factor_tilt_deg", ()), np.float64)
    r_factors = np.asarray(volume.metadata.get("r_factor_by_view", ()), np.float64)
    rows = []
    for tilt, power in zip(found.view_deg, found.view_power, strict=True):
        near = int(np.argmin(np.abs(tilts - tilt))) if len(tilts) else -1
        left = f"{r_factors[near]:.5g}" if near >= 0 and abs(tilts[near] - tilt) < 0.01 else ""
        rows.append((f"{tilt:g}", f"{power:.6g}", left))
    return rows


def _csv(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return out.getvalue()


def wedge_outline(gap_deg: tuple[float, float], side: int) -> list[list[Place]]:
    """Both halves of a wedge as polygons of (x, y) in pixels of a picture of Fourier space (kz down, kx right)."""
    middle, radius = side // 2, side / 2
    angles = np.radians(np.linspace(*gap_deg, 24))
    return [
        [(middle, middle), *((middle + sign * radius * np.cos(a), middle + sign * radius * np.sin(a)) for a in angles)]
        for sign in (1, -1)
    ]


def _figure(found: FourierView, volume: Volume) -> Picture.Image:
    """Fourier space with the wedge drawn in, and power by angle beside it."""
    sheet = Picture.new("RGB", (_SIDE + _PLOT[0] + 3 * _GAP, _SIDE + 2 * _GAP + 2 * _TEXT), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT)
    top = float(found.log_power.max())
    grey = np.clip((found.log_power - top + _DECADES) / _DECADES, 0, 1) * 255
    picture = Picture.fromarray(grey.astype(np.uint8)).resize((_SIDE, _SIDE)).convert("RGB")
    lines = ImageDraw.Draw(picture)
    for gap in found.gaps:
        for outline in wedge_outline((gap.start, gap.stop), _SIDE):
            lines.polygon(outline, outline=(255, 176, 102), width=2)
    corner = (_GAP // 2, _GAP)
    sheet.paste(picture, corner)
    draw.text((corner[0], _GAP - 2 * _TEXT), f"Power of {volume.source.name} in Fourier space", _INK, font)
    draw.text((corner[0], _GAP + _SIDE + 8), "kx right, kz down; outlined: not measured", _INK, font)
    _plot(draw, font, found, (_SIDE + 2 * _GAP, _GAP))
    rows = summary(found, volume)
    for number, (name, value) in enumerate(rows[:7]):
        place = (_SIDE + 2 * _GAP, _GAP + _PLOT[1] + 52 + number * 1.25 * _TEXT)
        draw.text(place, f"{name.replace('_', ' ')}: {value}", _INK, font)
    return sheet


def _plot(draw: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, found: FourierView,
          corner: tuple[int, int]) -> None:  # fmt: skip
    """Power by angle on a logarithmic axis: of the volume, measured and inferred, and of the views."""
    left, top = corner
    width, height = _PLOT
    positive = np.concatenate([found.power, found.view_power])
    positive = np.log10(positive[positive > 0]) if (positive > 0).any() else np.zeros(1)
    low, high = float(np.floor(positive.min())), float(np.ceil(positive.max() + 1e-9))

    def place(angle: Doubles, power: Doubles) -> list[Place]:
        up = (np.log10(np.maximum(power, 10.0**low)) - low) / max(high - low, 1)
        across = left + (angle + 90) / 180 * width
        return list(zip(across.tolist(), (top + height - up * height).tolist(), strict=True))

    for angle in range(-90, 91, 30):
        across = left + (angle + 90) / 180 * width
        draw.line((across, top, across, top + height), _GRID)
        draw.text((across, top + height + 6), str(angle), _INK, font, anchor="ma")
    for decade in range(int(low), int(high) + 1):
        down = top + height - (decade - low) / max(high - low, 1) * height
        draw.line((left, down, left + width, down), _GRID)
        draw.text((left - 8, down), f"1e{decade}", _INK, font, anchor="rm")
    draw.rectangle((left, top, left + width, top + height), outline=_INK)
    draw.text((left + width / 2, top + height + 28), "direction / degrees", _INK, font, anchor="ma")
    for angle, power, guessed in zip(found.angle_deg, found.power, found.inferred, strict=True):
        (x, y), *_ = place(np.array([angle]), np.array([power]))
        draw.rectangle((x - 2, y - 2, x + 2, y + 2), fill=_INFERRED if guessed else _MEASURED)
    for x, y in place(np.mod(found.view_deg + 90, 180) - 90, found.view_power):
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), outline=_VIEWS)
    for number, (name, colour) in enumerate(
        (("volume, measured", _MEASURED), ("volume, inferred", _INFERRED), ("views", _VIEWS))
    ):
        draw.text((left + 8 + 165 * number, top - 1.5 * _TEXT), name, colour, font)
