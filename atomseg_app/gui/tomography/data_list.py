"""The series and volumes that are open."""

from __future__ import annotations

import numpy as np

from atomseg_app.data import TiltSeries, Volume
from atomseg_app.gui.entry_list import EntryList
from atomseg_app.gui.scale_bar import length_text
from atomseg_app.gui.theme import Theme
from atomseg_app.gui.tomography.model import Entry, TomoModel, angles_known
from atomseg_app.gui.tomography.projection_view import angle_text
from atomseg_app.gui.tomography.step_operations import FILL_WEDGE


class DataList(EntryList):
    """List of entries; the row chosen is the one shown."""

    def __init__(self, model: TomoModel, theme: Theme) -> None:
        super().__init__(model, theme, "Open series and volumes", describe, _icon_of, [model.changed])
        self.list.setObjectName("tomography.data")


def describe(entry: Entry) -> str:
    """Size, angles and calibration in a line."""
    data = entry.data
    if isinstance(data, TiltSeries):
        views, height, width = data.shape
        size = f"{views} × {width} × {height} px"
        return f"{size} · {angles_line(data)} · {size_text(data.pixel_size_nm)}"
    depth, height, width = data.shape
    inferred = " · partly inferred" if any(step.operation == FILL_WEDGE for step in data.history) else ""
    return f"{width} × {height} × {depth} voxels · {size_text(data.pixel_size_nm)}{inferred}"


def angles_line(series: TiltSeries) -> str:
    """Range of the angles of the views that are used."""
    if not angles_known(series):
        return "angles unknown"
    angles = np.asarray(series.tilt_deg, float)[series.used]
    return f"{angle_text(float(angles.min()))} … {angle_text(float(angles.max()))}"


def size_text(sizes_nm: tuple[float | None, ...]) -> str:
    """Size of a pixel or voxel."""
    known = [size for size in sizes_nm if size is not None]
    if len(known) < len(sizes_nm):
        return "not calibrated"
    if max(known) - min(known) < 1e-6 * max(known):
        return f"{length_text(known[0], 4)}/px"
    return " × ".join(length_text(size, 4) for size in reversed(known))


def _icon_of(entry: Entry) -> str:
    return "mdi6.cube-outline" if isinstance(entry.data, Volume) else "mdi6.rotate-3d-variant"
