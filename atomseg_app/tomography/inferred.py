"""What of a volume was measured and what was inferred: its power in Fourier space by angle, beside that of its views.

By the projection-slice theorem a view at tilt a measures the line of Fourier space at angle a in the plane across the
tilt axis (Kak and Slaney 1988, chapter 3); between the first and the last view lies the wedge that nothing measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from atomseg_app.data import TiltSeries, Volume
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.tomography.directions import round_one_axis
from atomseg_app.tomography.geometry import Geometry, geometry_of
from atomseg_app.tomography.missing_wedge import Gap, gaps_of
from atomseg_app.tomography.parts import straightened
from atomseg_app.tomography.series_doubts import LEVELS_KEY
from atomseg_app.tomography.views import views_along_y
from atomseg_app.tomography.warp import Warp

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_BIN_DEG, _SAMPLE_DEG = 2.0, 0.5
_FINE = 512  # voxels a side up to which Fourier space is sampled twice as finely
_LARGEST_VIEW = 512  # pixels a side of the picture of Fourier space
_SLAB = 16  # slices whose views are read at once


@dataclass(frozen=True, eq=False)
class FourierView:
    """Power of a volume in the plane of Fourier space across the tilt axis, all slices together.

    ``log_power`` (kz, kx) is its decimal logarithm, zero frequency in the middle at n // 2, frequencies up to half a
    cycle a voxel. ``power`` at ``angle_deg`` (n,) from -90 to 90 is its density by angle, ``view_power`` that of the
    measured views at ``view_deg``, in the same unit; ``gaps`` are what no view measured.
    """

    log_power: Floats
    angle_deg: Doubles
    power: Doubles
    view_deg: Doubles
    view_power: Doubles
    gaps: tuple[Gap, ...]

    @property
    def inferred(self) -> npt.NDArray[np.bool_]:
        """Which of ``angle_deg`` no view measured."""
        inside = np.zeros(len(self.angle_deg), bool)
        for gap in self.gaps:
            inside |= gap.inside(self.angle_deg)
        return inside

    @property
    def inferred_share(self) -> float:
        """Share of the volume's power, all but its mean, in directions that no view measured."""
        total = float(self.power.sum())
        return float(self.power[self.inferred].sum()) / total if total > 0 else 0.0

    @property
    def relative_density(self) -> float | None:
        """Mean density of power where nothing was measured over that where it was; None where there is no gap.

        About 0 for a reconstruction with an empty wedge, about 1 for a sample without a direction that is filled.
        """
        if not self.inferred.any() or self.inferred.all():
            return None
        return float(self.power[self.inferred].mean() / max(float(self.power[~self.inferred].mean()), 1e-300))


def fourier_view(series: TiltSeries, volume: Volume, report: Report) -> FourierView:
    """Power of a volume by angle, and of the used views of its series. Raises UserError where it is of another one."""
    depth, slices, width = volume.shape
    series = round_one_axis(series)
    geometry = geometry_of(series, depth, width)
    if geometry.detector_yx[0] != slices:
        raise UserError(
            f"The volume has {slices} slices along the axis, the series {geometry.detector_yx[0]}; it is of another "
            "series."
        )
    if not geometry.is_single_axis:
        raise UserError("Views tilted in several directions have no wedge to show.")
    angles = np.arange(-90 + _BIN_DEG / 2, 90, _BIN_DEG)
    power, by_angle = _volume_power(volume.values, report.part(0, 0.7))
    levels = np.asarray(volume.metadata.get(LEVELS_KEY, ()), np.float32)
    view_power = _view_power(series, geometry, levels, report.part(0.7, 1))
    order = np.argsort(geometry.tilt_deg, kind="stable")
    tilts = np.asarray(geometry.tilt_deg)
    return FourierView(
        np.log10(np.maximum(_fitted(power), power.max() * 1e-12)).astype(np.float32),
        angles, by_angle, tilts[order], view_power[order], gaps_of(tilts),
    )  # fmt: skip


def _volume_power(values: npt.NDArray[np.floating], report: Report) -> tuple[Doubles, Doubles]:
    """Power (side, side) of all slices, and its density by angle: per rad, up to half a cycle a voxel."""
    depth, slices, width = values.shape
    side = max(depth, width)
    fine = side * (2 if side <= _FINE else 1)  # where it costs little, so that there is something between pixels
    total = np.zeros((fine, fine // 2 + 1))
    for index in range(slices):
        report.progress(index / slices, "transforming slices")
        image = np.nan_to_num(np.asarray(values[:, index], np.float32))
        total += np.abs(np.fft.rfft2(image, (fine, fine))) ** 2
    whole = _both_halves(total, fine)
    radii = np.arange(1, side // 2 + 1) / side  # cycles a voxel
    angles = np.radians(np.arange(-90 + _SAMPLE_DEG / 2, 90, _SAMPLE_DEG))[:, None]
    places = np.stack([fine // 2 + fine * radii * np.sin(angles), fine // 2 + fine * radii * np.cos(angles)])
    sampled = ndimage.map_coordinates(whole, places, order=1, mode="grid-wrap")
    density = (sampled * radii).sum(axis=1) / side  # |k| dk
    return whole, np.asarray(density.reshape(-1, round(_BIN_DEG / _SAMPLE_DEG)).mean(axis=1), np.float64)


def _both_halves(half: Doubles, side: int) -> Doubles:
    """The whole plane, zero frequency at n // 2, from the half that a real image's transform is told by."""
    whole = np.empty((side, side))
    whole[:, : side // 2 + 1] = half
    rows = -np.arange(side) % side
    columns = np.arange(side // 2 + 1, side)
    whole[:, columns] = half[rows][:, side - columns]
    return np.fft.fftshift(whole)


def _view_power(series: TiltSeries, geometry: Geometry, levels: Floats, report: Report) -> Doubles:
    """Density of power by angle (view,) that each view measured, in the unit of :func:`_volume_power`.

    ``levels`` are taken off the views where there is one for each.
    """
    slices, bins = geometry.detector_yx
    step = slices if Warp.is_needed(geometry) else _SLAB
    frequency = np.fft.rfftfreq(bins)
    total = np.zeros(geometry.views)
    for start in range(0, slices, step):
        report.progress(start / slices, "transforming views")
        views = views_along_y(series, None, slice(start, start + step))
        if len(levels) == len(views):
            views -= levels[:, None, None]
        if Warp.is_needed(geometry):
            views, _ = straightened(views, geometry)
        spectrum = np.abs(np.fft.rfft(views, axis=-1)) ** 2
        total += (spectrum * frequency).sum(axis=(1, 2), dtype=np.float64) / bins
    return total


def _fitted(power: Doubles) -> Doubles:
    """Power in pixels few enough to look at: means of squares of pixels, zero frequency still at n // 2."""
    factor = -(-len(power) // _LARGEST_VIEW)
    if factor == 1:
        return power
    middle = len(power) // 2
    half = middle // factor
    low = middle - half * factor
    size = 2 * half
    cut = power[low : low + size * factor, low : low + size * factor]
    return np.asarray(cut.reshape(size, factor, size, factor).mean(axis=(1, 3)))
