"""Where the views of a tilt series lie on the detector; its own file, as projectors need it without the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from atomseg_app.errors import UserError


@dataclass(frozen=True)
class Alignment:
    """Where the views of a tilt series lie on the detector; the images themselves stay as they are.

    A point of the sample that ideal geometry puts at (t, y) from the detector's centre (N - 1) / 2, t across the tilt
    axis, is seen in view i at R(axis_rotation_deg + rotation_deg[i]) (t, y) + (axis_offset_px, 0) + (shift_x_px[i],
    shift_y_px[i]), where R turns x towards y. Lengths in pixels of the series, one entry a view; where pixels are not
    square, R turns lengths, not numbers of pixels.
    """

    shift_x_px: tuple[float, ...]
    shift_y_px: tuple[float, ...]
    rotation_deg: tuple[float, ...]
    axis_offset_px: float = 0.0
    axis_rotation_deg: float = 0.0

    def __post_init__(self) -> None:
        counts = {len(self.shift_x_px), len(self.shift_y_px), len(self.rotation_deg)}
        if len(counts) != 1:
            raise UserError(f"An alignment needs as many shifts as rotations, not {sorted(counts)} of them.")
        numbers = (*self.shift_x_px, *self.shift_y_px, *self.rotation_deg, self.axis_offset_px, self.axis_rotation_deg)
        if not np.all(np.isfinite(numbers)):
            raise UserError("An alignment holds a shift or an angle that is no finite number.")

    @classmethod
    def none(cls, views: int) -> Self:
        """Nothing shifted, nothing turned."""
        return cls((0.0,) * views, (0.0,) * views, (0.0,) * views)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in vars(self).items()}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_json`."""
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in entry.items()}
        return cls(**fields)
