"""How wide the spots of single atoms are, measured from the series itself, and whether it shows single atoms at all.

Maxima of the filled volume say where spots may be; a spot of a standard deviation s is one of s in every view, so that
the views of all of them are written down. Strengths and the common width are fitted to the fine detail of the measured
views (what a blur over a third of the distance of neighbours takes away), of which a support or a slowly varying body
has none. Where atoms are seen, spots explain nearly as much of it as the filled volume does; edges, walls and pores
they do not. The wedge plays no part, as nothing but measured views is fitted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from scipy.optimize import minimize_scalar
from scipy.spatial import cKDTree

from atomseg_app.rays.parallel_beam import ParallelBeam

Doubles = npt.NDArray[np.float64]

_SCALES_PX = (0.7, 1.4, 2.8)  # blurs before maxima are looked for: noise makes some where spots are wide
_STRONG, _FAINT = 0.1, 1 / 3  # maxima count that are a third as high as the highest tenth
_FEWEST, _MOST = 12, 500  # spots that are fitted
_ROWS, _LEAST_ROWS = 64, 8
_FIT_VIEWS, _NUMBERS = 18, 20.0  # views that are fitted; more where spots have fewer numbers each
_BLUR = 0.3  # of the distance of neighbours
_SHARES = (1.0, -2.0, 1.0)  # of what is blurred not at all, once and twice: what is left without a blur, twice
_NARROWEST_PX, _TRIALS = 0.4, 9  # of widths, up to ``_WIDEST`` of the distance of neighbours
_WIDEST = 0.7
_RIDGE = 1e-3
_APART = 2.2  # standard deviations between neighbours: below it two spots look like one
_UNEXPLAINED, _WELL = 0.4, 0.1
"""Atoms leave up to 0.22, slices and volumes of no atoms 0.74 and more, noise-free and with 1,000 and 100 counts."""
_NEGATIVE = 0.05  # share of spots that may come out darker than what is round them


@dataclass(frozen=True)
class SpotWidth:
    """Standard deviation of spots, their number, the median distance of neighbours in px, and what they leave.

    ``unexplained`` is the share of the fine detail that the filled volume explains and spots do not; ``negative`` is
    the share of spots with a strength below 0.
    """

    sigma_px: float
    spots: int
    spacing_px: float
    unexplained: float
    negative: float

    @property
    def atomic(self) -> bool:
        """Whether the views are those of spots apart from each other."""
        return (
            self.spots >= _FEWEST
            and self.spacing_px >= _APART * self.sigma_px
            and self.unexplained <= _UNEXPLAINED
            and self.negative <= _NEGATIVE
        )

    @property
    def words(self) -> str:
        """What was found, for notes."""
        if self.spots < _FEWEST:
            return f"fewer than {_FEWEST} spots were found"
        return (
            f"{self.spots} spots {self.spacing_px:.1f} px apart and {self.sigma_px:.1f} px wide leave "
            f"{self.unexplained:.0%} of the fine detail unexplained"
        )


_NONE = SpotWidth(math.nan, 0, math.nan, 1.0, 0.0)


def spot_width(views: torch.Tensor, beam: ParallelBeam, slices: torch.Tensor) -> SpotWidth:
    """Width of the spots of which slices (slices, z, x), made of views (slices, view, t), seem to consist.

    Of several blurs that maxima are looked for with, the one whose spots explain most counts.
    """
    best, part = _NONE, _fullest(slices)
    views, slices = views[part], slices[part]
    volume = slices.double().cpu().numpy()
    for scale in _SCALES_PX:
        places = _maxima(volume, scale)
        if len(places) >= _FEWEST:
            found = _fitted(views, beam, slices, places)
            if (found.atomic, -found.unexplained) > (best.atomic, -best.unexplained):
                best = found
            if best.atomic and best.unexplained < _WELL:
                break
    return best


def _fitted(views: torch.Tensor, beam: ParallelBeam, slices: torch.Tensor, places: Doubles) -> SpotWidth:
    """Width of spots at places (n, 3) as (y, z, x)."""
    spacing = float(np.median(cKDTree(places).query(places, 2)[0][:, 1]))
    rows = _rows(places, len(views), spacing)
    near = places[(places[:, 0] > rows.start - spacing) & (places[:, 0] < rows.stop - 1 + spacing)]
    if len(near) < _FEWEST:
        return _NONE
    chosen = np.unique(np.linspace(0, beam.views - 1, _view_count(len(near), rows, beam)).round().astype(int))
    few = ParallelBeam(beam.tilt_deg[chosen], beam.size, shift_px=beam.shift_px[chosen])
    measured = views[rows][:, chosen].double().cpu().numpy()
    filled = few.project(slices[rows].float().cpu()).double().numpy()
    blur = _BLUR * spacing
    fit = _Fit(_without_blur(measured, blur), few, near - [rows.start, 0, 0], blur)
    sigma = fit.width(np.geomspace(_NARROWEST_PX, max(_WIDEST * spacing, 2 * _NARROWEST_PX), _TRIALS))
    left, strengths = fit.left(sigma)
    noise = float(np.square(_without_blur(measured - filled, blur)).sum())
    unexplained = max(0.0, left - noise) / max(fit.total - noise, 1e-30 + 0.01 * fit.total)
    inside = (near[:, 0] >= rows.start) & (near[:, 0] <= rows.stop - 1)  # others are seen in part
    dark = float((strengths[inside] < 0).mean()) if inside.any() else 1.0
    return SpotWidth(sigma, len(near), spacing, min(1.0, unexplained), dark)


class _Fit:
    """Least squares of spots' strengths to views (y, view, t) without their blur, for any width."""

    def __init__(self, views: Doubles, beam: ParallelBeam, places: Doubles, blur_px: float) -> None:
        self._views, self._y, self._blur = views, places[:, 0], blur_px
        tilt = np.deg2rad(beam.tilt_deg.numpy())[:, None]
        centre = (beam.size - 1) / 2
        z, x = places[:, 1] - centre, places[:, 2] - centre
        self._t = x * np.cos(tilt) + z * np.sin(tilt) + centre + beam.shift_px.numpy()[:, None]  # (view, spot)
        self.total = float(np.square(views).sum())

    def left(self, sigma_px: float) -> tuple[float, Doubles]:
        """Sum of squares that spots of a width leave at best, and their strengths.

        A spot without its blur is a sum of some, each a product of one factor a direction; so are its products with
        others.
        """
        rows, bins = self._views.shape[0], self._views.shape[2]
        widths = [math.sqrt(sigma_px**2 + times * self._blur**2) for times in range(len(_SHARES))]
        along = [_line(rows, self._y, width) for width in widths]
        together = [[one.T @ other for other in along] for one in along]
        matrix, pull = np.zeros((len(self._y),) * 2), np.zeros(len(self._y))
        for view, t in zip(self._views.swapaxes(0, 1), self._t, strict=True):
            across = [_line(bins, t, width) for width in widths]
            for i, sign in enumerate(_SHARES):
                pull += sign * ((along[i].T @ view) * across[i].T).sum(1)
                for j, other in enumerate(_SHARES):
                    matrix += sign * other * together[i][j] * (across[i].T @ across[j])
        damped = matrix + np.diag(_RIDGE * np.diag(matrix) + 1e-12 * np.trace(matrix) / len(matrix))
        strengths = np.asarray(np.linalg.solve(damped, pull), np.float64)
        return float(self.total - 2 * strengths @ pull + strengths @ matrix @ strengths), strengths

    def width(self, trials_px: Doubles) -> float:
        """Standard deviation in px that leaves least, about the best of some trials."""
        best = int(np.argmin([self.left(float(sigma))[0] for sigma in trials_px]))
        low, high = trials_px[max(0, best - 1)], trials_px[min(len(trials_px) - 1, best + 1)]
        found = minimize_scalar(
            lambda log: self.left(math.exp(log))[0], bounds=(math.log(low), math.log(high)), method="bounded",
            options={"xatol": 0.01},
        )  # fmt: skip
        return math.exp(found.x)


def _maxima(volume: Doubles, scale_px: float) -> Doubles:
    """Places (n, 3) as (y, z, x) of the high maxima of a blurred volume (slices, z, x), between voxels by parabolas."""
    smooth = ndimage.gaussian_filter(volume, scale_px)
    around = 2 * math.ceil(2 * scale_px) + 1
    peaks = np.argwhere((smooth == ndimage.maximum_filter(smooth, around)) & (smooth > 0))
    peaks = peaks[((peaks > 0) & (peaks < np.array(volume.shape) - 1)).all(axis=1)]
    if not len(peaks):
        return np.zeros((0, 3))
    heights = smooth[tuple(peaks.T)]
    high = np.sort(heights)[-max(1, int(_STRONG * len(heights))) :].mean()
    peaks = peaks[heights > _FAINT * high]
    here, refined = smooth[tuple(peaks.T)], np.asarray(peaks, np.float64).copy()
    for axis, step in enumerate(np.eye(3, dtype=int)):
        before, after = smooth[tuple((peaks - step).T)], smooth[tuple((peaks + step).T)]
        bend = before - 2 * here + after
        refined[:, axis] += np.clip(0.5 * (before - after) / np.where(bend < 0, bend, -np.inf), -0.5, 0.5)
    return refined


def _fullest(slices: torch.Tensor) -> slice:
    """The neighbouring slices, as many as are looked at, that hold most."""
    held = np.convolve(slices.square().sum((1, 2), dtype=torch.float64).cpu().numpy(), np.ones(_ROWS))
    if len(slices) <= _ROWS:
        return slice(0, len(slices))
    first = int(np.argmax(held[_ROWS - 1 : len(slices)]))
    return slice(first, first + _ROWS)


def _rows(places: Doubles, count: int, spacing_px: float) -> slice:
    """Slices round the middle of all spots, as many as hold no more spots than are fitted."""
    middle = float(np.median(places[:, 0]))
    for size in range(min(_ROWS, count), _LEAST_ROWS, -1):
        first = int(np.clip(round(middle - (size - 1) / 2), 0, count - size))
        near = (places[:, 0] > first - spacing_px) & (places[:, 0] < first + size - 1 + spacing_px)
        if near.sum() <= _MOST:
            return slice(first, first + size)
    first = int(np.clip(round(middle - (_LEAST_ROWS - 1) / 2), 0, max(0, count - _LEAST_ROWS)))
    return slice(first, min(first + _LEAST_ROWS, count))


def _view_count(spots: int, rows: slice, beam: ParallelBeam) -> int:
    """Views that are fitted: enough that spots cannot explain whatever they show."""
    needed = math.ceil(_NUMBERS * spots / ((rows.stop - rows.start) * beam.size))
    return int(min(beam.views, max(_FIT_VIEWS, needed)))


def _line(bins: int, places: Doubles, sigma_px: float) -> Doubles:
    """Gaussians of sum 1 at places (n,) in bins (bins, n)."""
    off = np.arange(bins)[:, None] - places[None]
    values: Doubles = np.exp(-(off**2) / (2 * sigma_px**2)) / (sigma_px * math.sqrt(2 * math.pi))
    return values


def _without_blur(views: Doubles, sigma_px: float) -> Doubles:
    """Views (y, view, t) less what a Gaussian makes of each, twice; nothing lies beyond them."""
    for _ in _SHARES[1:]:
        blurred: Doubles = ndimage.gaussian_filter(views, (sigma_px, 0, sigma_px), mode="constant", truncate=5.0)
        views = views - blurred
    return views
