"""What columns can be coloured and listed by: values, name and unit, in nm and pm where the image is calibrated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atomseg_app.atoms.spacing import nearest_px
from atomseg_app.data import Columns

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Quantity:
    """A number for each column: ``values(columns)`` is (n,) with NaN where not known."""

    key: str
    title: str
    values: Callable[[Columns], Floats]
    unit: Callable[[Columns], str]

    def label(self, columns: Columns) -> str:
        """Title with unit."""
        unit = self.unit(columns)
        return f"{self.title} ({unit})" if unit else self.title


def pixel_nm(columns: Columns) -> Floats:
    """Pixel size (x, y) in nm; NaN where not known."""
    return np.array([np.nan if size is None else size for size in columns.pixel_size_nm[::-1]])


def position_error(columns: Columns) -> Floats:
    """Root mean square of the errors along x and y, in pm if calibrated, else in px."""
    errors = np.stack([columns.table["x_err_px"], columns.table["y_err_px"]], axis=1)
    if columns.calibrated:
        errors = errors * pixel_nm(columns) * 1000
    error: Floats = np.sqrt((errors**2).mean(axis=1))
    return error


def nearest(columns: Columns) -> Floats:
    """Distance to the nearest column, in nm if calibrated, else in px; NaN for a column that is alone."""
    distance = nearest_px(columns, pixel_nm(columns) if columns.calibrated else (1.0, 1.0))
    return np.where(np.isfinite(distance), distance, np.nan)


def _field(name: str) -> Callable[[Columns], Floats]:
    return lambda columns: columns.table[name].astype(float)


def _fixed(unit: str) -> Callable[[Columns], str]:
    return lambda columns: unit


def _length(columns: Columns) -> str:
    return "nm" if columns.calibrated else "px"


def _error(columns: Columns) -> str:
    return "pm" if columns.calibrated else "px"


QUANTITIES = {
    quantity.key: quantity
    for quantity in (
        Quantity("position_error", "Position error", position_error, _error),
        Quantity("nearest", "Nearest neighbour", nearest, _length),
        Quantity("amplitude", "Amplitude", _field("amplitude"), _fixed("")),
        Quantity("background", "Background", _field("background"), _fixed("")),
        Quantity("integrated_intensity", "Integrated intensity", _field("integrated_intensity"), _fixed("")),
        Quantity("sigma_px", "Width σ", _field("sigma_px"), _fixed("px")),
        Quantity("ellipticity", "Ellipticity", _field("ellipticity"), _fixed("")),
        Quantity("angle_deg", "Angle of major axis", _field("angle_deg"), _fixed("°")),
        Quantity("probability", "Probability", _field("probability"), _fixed("")),
    )
}
"""By key, the default first."""


def colour_limits(values: Floats) -> tuple[float, float]:
    """Limits of the colours: the 2nd and 98th percentile of what is known."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(known, (2, 98)))
    return (low, high) if high > low else (low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1))
