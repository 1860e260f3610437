"""Views of a tilt series as networks take them, slab by slab, and how far an answer is from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from atomseg_app.data import TiltSeries
from atomseg_app.operations import Report
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.parts import straightened
from atomseg_app.tomography.same_angle import merged
from atomseg_app.tomography.views import views_along_y
from atomseg_app.tomography.warp import Warp

Doubles = npt.NDArray[np.float64]

BLOCK = 32
"""Slices that a network is given at once, at most: as many as the kernels of total variation like."""
_SLAB_BYTES = 256 << 20  # of views that are read at once


class WedgeViews:
    """Views of a series as networks take them, read slab by slab: straight, by angle, each angle once."""

    def __init__(self, series: TiltSeries, geometry: Geometry, levels: Doubles | None, report: Report) -> None:
        """``levels`` (used views,) are taken off the views."""
        self._series, self._geometry, self._levels, self._report = series, geometry, levels, report
        self.slices, self.width = geometry.detector_yx
        whole = Warp.is_needed(geometry)  # slices mix
        step = max(1, _SLAB_BYTES // (4 * geometry.views * self.width) // BLOCK * BLOCK)
        self.slabs = (
            [slice(0, self.slices)]
            if whole
            else [slice(start, min(start + step, self.slices)) for start in range(0, self.slices, step)]
        )
        first = np.zeros((geometry.views, 1, self.width), np.float32)
        _, self.tilt_deg, self.shift_px = merged(first, np.asarray(geometry.tilt_deg), geometry.t_shift_px)
        if len(self.tilt_deg) < geometry.views:
            report.note(
                f"{geometry.views - len(self.tilt_deg)} views share their angle with another; the mean is used."
            )

    def __iter__(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """Slabs of slices and their views (slices, view, t), one slab in memory at a time."""
        for number, slab in enumerate(self.slabs):
            views = views_along_y(self._series, self._report if number == 0 else None, slab)
            if self._levels is not None:
                views -= self._levels[:, None, None].astype(np.float32)
            geometry = replace(
                self._geometry, detector_yx=views.shape[1:], volume_zyx=(self.width, views.shape[1], self.width)
            )
            if Warp.is_needed(geometry):
                self._report.progress(0, "straightening the views")
                views, _ = straightened(views, geometry)
            one, _, _ = merged(views, np.asarray(geometry.tilt_deg), geometry.t_shift_px)
            yield slab, torch.from_numpy(np.ascontiguousarray(one.transpose(1, 0, 2)))

    def all(self) -> torch.Tensor:
        """Views of all slices (slices, view, t)."""
        return torch.cat([views for _, views in self])


@dataclass
class Misfit:
    """What the projections of an answer do not share with the views, summed over slices, by view."""

    left: Doubles
    total: Doubles

    def add(self, views: torch.Tensor, projected: torch.Tensor) -> None:
        """Count in some slices (slices, view, t)."""
        self.left += (views - projected).abs().sum((0, 2), dtype=torch.float64).cpu().numpy()
        self.total += views.abs().sum((0, 2), dtype=torch.float64).cpu().numpy()

    @property
    def r_factor(self) -> float:
        """Of all views."""
        return float(self.left.sum() / max(self.total.sum(), 1e-30))

    def facts(self, tilt_deg: Doubles) -> dict[str, object]:
        """As metadata."""
        by_view = self.left / np.maximum(self.total, 1e-30)
        return {
            "r_factor": self.r_factor, "r_factor_by_view": [round(float(r), 5) for r in by_view],
            "r_factor_tilt_deg": [round(float(tilt), 4) for tilt in tilt_deg],
        }  # fmt: skip
