"""What a quantity should be at a column, from the columns like it round about, and how far it departs from that.

A thickness ramp, a bend or a background left over changes neighbours alike, a defect changes one: each value is
compared with a robust local fit to its neighbours of the same group, itself left out. The departure is standardised by
the error bar of the measurement, the error of the local fit, and the scatter that the group shows beyond its error
bars, so that neither noise nor the sample's natural spread passes for a defect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LEAST_MEMBERS = 8  # of a group, to tell what is usual in it
_WINDOWS = ((60, 0), (60, 1), (30, 0), (30, 1), (60, 2), (12, 0))  # neighbours and degree of the local fit
_TUNING = 4.685  # Tukey's biweight: 95 % efficient for normal values
_CLIP = 2.5
_WIDE_CLIP = 3.3
_MOST_OUTLIERS = 0.35  # of a group
_ROWS_PER_TERM = 8
_ROUNDS = 12
_REWEIGHTED = 5
_LEAST_LEVEL = 0.25  # of the group's median: scatter in proportion to the level does not vanish with it


@dataclass(frozen=True, eq=False)
class Departures:
    """Arrays (n,): the expected value, the standardised departure, its two-sided p-value; NaN where not judged.

    ``error`` is the standard deviation that the departure was divided by, ``scatter`` the part of it that is the
    group's own, ``freedom`` the degrees of freedom of the scatter (infinite where error bars alone explain it). A
    member is no part of the scatter that it is compared with.
    """

    expected: Floats
    error: Floats
    scatter: Floats
    freedom: Floats
    score: Floats
    p_value: Floats


def two_sided(score: Floats, freedom: Floats) -> Floats:
    """Two-sided p-value of scores under Student's law; the normal law for infinite degrees of freedom."""
    finite = np.where(np.isfinite(freedom), freedom, 1.0)
    student = 2 * stats.t.sf(np.abs(score), np.maximum(finite, 1.0))
    return np.asarray(np.where(np.isfinite(freedom), student, 2 * special.ndtr(-np.abs(score))))


def departures(
    xy_px: Floats,
    value: Floats,
    error: Floats,
    group: Ints,
    member: Bools,
    judged: Bools | None = None,
    chance: float = 0.002,
) -> Departures:
    """Departure of values (n,) with error bars (n,) at positions (n, 2) from their group's local level.

    Only ``member`` rows say what is usual; all ``judged`` rows are compared (members where None). Groups with fewer
    than :data:`LEAST_MEMBERS` members, and rows of group -1, are not judged. ``chance`` is the p-value below which a
    member is no longer taken to be usual.
    """
    judged = member if judged is None else judged
    out = Departures(*(np.full(len(value), np.nan) for _ in range(6)))
    for label in np.unique(group[member & (group >= 0)]):
        rows = np.flatnonzero((group == label) & (member | judged))
        inside = member[rows]
        if inside.sum() >= LEAST_MEMBERS:
            found = _in_group(xy_px[rows], value[rows], error[rows], inside, chance)
            kept = judged[rows]
            for name in ("expected", "error", "scatter", "freedom", "score", "p_value"):
                getattr(out, name)[rows[kept]] = getattr(found, name)[kept]
    return out


def _in_group(xy_px: Floats, value: Floats, error: Floats, member: Bools, chance: float) -> Departures:
    """Departures in one group, in the window that predicts its members best."""
    best: tuple[float, Floats, Floats, float] | None = None
    count = int(member.sum())
    for neighbours, degree in _WINDOWS:
        terms = (degree + 1) * (degree + 2) // 2
        if best is not None and (count - 1 < _ROWS_PER_TERM * terms or neighbours // 2 >= count):
            continue
        expected, leverage = _local_fit(xy_px, value, member, min(neighbours, count - 1), degree)
        spread = _clipped_sd((value - expected)[member] / np.sqrt(1 + leverage[member]))
        # As many values as the window frees would make the departures smaller by chance.
        freed = float(terms * count / min(neighbours, count))
        if best is None or spread < best[0] * (1 - min(np.sqrt(max(freed - best[3], 0.0) / count), 0.5)):
            best = spread, expected, leverage, freed
    assert best is not None
    _, expected, leverage, used = best
    # A weak column has a small error bar; what would be seen were it usual counts.
    usual = np.maximum(error, np.median(error[member]))
    level = np.maximum(np.abs(expected), _LEAST_LEVEL * np.median(np.abs(expected[member])))
    departure = value - expected

    def total(share: float) -> Floats:
        variance = (usual**2 + (share * level) ** 2) * (1 + leverage)
        return np.asarray(np.sqrt(np.maximum(variance, np.finfo(float).tiny)))

    rough = _own_scatter(lambda share: _clipped_sd((departure / total(share))[member]), departure, level)
    kept = np.flatnonzero(member)[_usual((departure / total(rough))[member], used, chance, rough == 0)]
    share = _own_scatter(lambda share: float(np.sqrt(np.mean((departure / total(share))[kept] ** 2))), departure, level)
    scale = total(share)
    freedom = np.full(len(value), np.inf)
    if share > 0:
        # A member that widened the scatter it is compared with would hide itself: each is left out of its own.
        freedom[:] = max(len(kept) - used, 1.0)
        freedom[kept] = max(len(kept) - 1 - used, 1.0)
        others = (len(kept) - (departure / scale)[kept] ** 2) / (len(kept) - 1)
        scale[kept] = np.maximum(scale[kept] * np.sqrt(np.maximum(others, 0)), total(0.0)[kept])
    score = departure / scale
    return Departures(expected, scale, share * level, freedom, score, two_sided(score, freedom))


def _usual(standing: Floats, terms: float, chance: float, known: bool) -> Ints:
    """Rows of standardised departures (n,) without outliers by Rosner's test (Technometrics 25, 165, 1983).

    Each of the largest is asked against the scatter of all smaller ones; so one does not hide another. The scatter is
    never below 1 where error bars are ``known`` to explain it.
    """
    order = np.argsort(-np.abs(standing))
    squares = standing[order] ** 2
    count = len(order)
    most = min(int(_MOST_OUTLIERS * count), int(count - terms) - 2)
    rest = (squares.sum() - np.cumsum(squares)) / np.arange(count - 1, -1, -1).clip(1)
    spread = np.sqrt(np.maximum(rest[:most], 1.0 if known else 0.0))
    freedom = np.where(known, np.inf, np.arange(count - 1, count - 1 - most, -1) - terms)
    unusual = np.flatnonzero(two_sided(np.sqrt(squares[:most]) / np.maximum(spread, 1e-300), freedom) < chance)
    return order[unusual[-1] + 1 :] if len(unusual) else order


def _own_scatter(spread: Callable[[float], float], departure: Floats, level: Floats) -> float:
    """Scatter beyond error bars as a share of the level: what makes the spread of standardised departures 1."""
    most = 2 * float(np.max(np.abs(departure) / level)) + 1e-12
    if spread(0.0) <= 1 or spread(most) >= 1:
        return 0.0
    return float(optimize.brentq(lambda share: spread(share) - 1, 0.0, most, rtol=1e-4))


def _clipped_sd(values: Floats) -> float:
    """Standard deviation round zero of the bulk of values (n,), free of outliers, consistent for normal ones.

    Clipped closely until it rests, then once more widely, so that little of the normal tail is lost.
    """
    spread = float(np.median(np.abs(values))) / 0.6745
    for _ in range(20):
        fresh = _clipped(values, spread, _CLIP)
        if abs(fresh - spread) <= 1e-6 * spread:
            break
        spread = fresh
    return _clipped(values, spread, _WIDE_CLIP)


def _clipped(values: Floats, spread: float, clip: float) -> float:
    """Root mean square of the values (n,) within ``clip`` spreads, corrected for what a normal law has beyond."""
    inside = values[np.abs(values) <= clip * spread]
    lost = 2 * clip * stats.norm.pdf(clip) / (2 * stats.norm.cdf(clip) - 1)
    return float(np.sqrt(np.mean(inside**2) / (1 - lost))) if len(inside) else spread


class _Windows:
    """The nearest members of each point (n,), itself left out, and polynomials of their offsets from it."""

    def __init__(self, xy_px: Floats, member: Bools, neighbours: int, degree: int) -> None:
        inside = np.flatnonzero(member)
        index = inside[cKDTree(xy_px[inside]).query(xy_px, k=neighbours + 1)[1]]
        own = index == np.arange(len(xy_px))[:, None]
        own[~own.any(axis=1), -1] = True  # as many neighbours for a point that is no member
        self.near = index[~own].reshape(len(xy_px), -1)
        offset = xy_px[self.near] - xy_px[:, None]
        offset /= np.sqrt(np.mean(offset**2)) or 1.0
        x, y = offset[..., 0], offset[..., 1]
        columns = [np.ones_like(x), x, y, x * x, x * y, y * y][: (degree + 1) * (degree + 2) // 2]
        self._design = np.stack(columns, axis=2)  # (n, k, terms)

    def fit(self, target: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
        """Weighted least squares of targets (n, k): value and variance at the points (n,), residuals (n, k)."""
        weighted = self._design * weight[..., None]
        normal = np.swapaxes(self._design, 1, 2) @ weighted
        normal += 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(normal.shape[1])
        inverse = np.linalg.inv(normal)
        coefficients = inverse @ (np.swapaxes(weighted, 1, 2) @ target[..., None])
        meat = np.swapaxes(weighted, 1, 2) @ weighted
        variance = (inverse @ meat @ inverse)[:, 0, 0]
        return coefficients[:, 0, 0], variance, target - (self._design @ coefficients)[..., 0]


def _local_fit(xy_px: Floats, value: Floats, member: Bools, neighbours: int, degree: int) -> tuple[Floats, Floats]:
    """Value expected at each point (n,) from its nearest members without itself, and its variance in their unit.

    Least absolute deviations first, as they need no scale. Then each member has one weight, Tukey's biweight of its
    own departure, in all windows.
    """
    windows = _Windows(xy_px, member, neighbours, degree)
    target = value[windows.near]
    spread = float(np.median(np.abs(target - np.median(target, axis=1, keepdims=True)))) / 0.6745
    least = max(1e-3 * spread, np.finfo(float).tiny)
    expected, leverage, residual = windows.fit(target, np.ones_like(target))
    for _ in range(_ROUNDS):
        expected, leverage, residual = windows.fit(target, 1 / np.maximum(np.abs(residual), least))
    for _ in range(_REWEIGHTED):
        away = (value - expected) / np.sqrt(1 + leverage)
        scale = _TUNING * max(_clipped_sd(away[member]), least)
        weight = np.maximum(1 - (away / scale) ** 2, 0) ** 2 + 1e-6
        expected, leverage, _ = windows.fit(target, weight[windows.near])
    return expected, leverage
