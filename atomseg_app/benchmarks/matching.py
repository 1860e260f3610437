"""Found columns against true ones: the one way in which benchmarks count hits, misses and false columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

RADIUS_SPACINGS, RADIUS_PX = 0.3, 3.0


@dataclass(frozen=True)
class Score:
    """Counts of columns found (tp), missed (fn) and false (fp), and the sum of squared errors of the found.

    ``square_px2`` sums dx^2 + dy^2. Scores of several images are added, then divided: ``Score.total(scores).f1``.
    """

    tp: int
    fp: int
    fn: int
    square_px2: float

    @property
    def precision(self) -> float:
        """Share of the found that are true; NaN if nothing was found."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else float("nan")

    @property
    def recall(self) -> float:
        """Share of the true that were found; NaN if there are none."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 2 tp / (2 tp + fp + fn); NaN if nothing is there and none is found."""
        every = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / every if every else float("nan")

    @property
    def rms_px(self) -> float:
        """Root mean square error of a coordinate of the columns found, in px; NaN if none was."""
        return float(np.sqrt(self.square_px2 / (2 * self.tp))) if self.tp else float("nan")

    def __add__(self, other: Score) -> Score:
        return Score(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.square_px2 + other.square_px2)

    @classmethod
    def total(cls, scores: Iterable[Score]) -> Score:
        """Score of all images together."""
        return sum(scores, start=cls(0, 0, 0, 0.0))


def match_radius(spacing_px: npt.ArrayLike) -> Floats:
    """Radius in which a found column counts for a true one: 0.3 of its spacing, at most 3 px; shape as given."""
    return np.minimum(RADIUS_SPACINGS * np.asarray(spacing_px, np.float64), RADIUS_PX)


def nearest_spacing(xy_px: Floats) -> Floats:
    """Distance (n,) of each place (n, 2) to its nearest neighbour; infinite for one alone."""
    if len(xy_px) < 2:
        return np.full(len(xy_px), np.inf)
    return np.asarray(cKDTree(xy_px).query(xy_px, k=2)[0][:, 1], np.float64)


def score(found_px: Floats, true_px: Floats, radius_px: npt.ArrayLike, ignored: Flags | None = None) -> Score:
    """Score of found places (n, 2) against true ones (m, 2), matched as :func:`match` does.

    ``radius_px`` is one number or one for each true column (m,). True columns that are ``ignored`` (m,) count neither
    way: they are not missed, and what was found there is not false. Raises ValueError for shapes that do not fit.
    """
    found, true = _places(found_px, "found"), _places(true_px, "true")
    ignored = np.zeros(len(true), bool) if ignored is None else np.asarray(ignored, bool)
    if ignored.shape != (len(true),):
        raise ValueError(f"ignored has shape {ignored.shape} for {len(true)} true columns")
    of_found, of_true = match(found, true, radius_px)
    counted = ~ignored[of_true]
    tp = int(counted.sum())
    square = float(np.sum((found[of_found] - true[of_true])[counted] ** 2))
    return Score(tp, len(found) - len(of_found), int((~ignored).sum()) - tp, square)


def match(found_px: Floats, true_px: Floats, radius_px: npt.ArrayLike) -> tuple[Index, Index]:
    """Pairs of found (n, 2) and true (m, 2) places as indices into each, one to one, by rising true index.

    Of all ways to pair places within the radius, the one with the greatest sum of ``radius^2 - distance^2``: with one
    radius that is the least sum of squared errors where each column left alone costs half a squared radius (GOSPA of
    order 2: Rahmathullah, Garcia-Fernandez & Svensson, 2017). It is exact; groups of columns within reach of each
    other are solved apart (Kuhn 1955, as in scipy). Raises ValueError for a radius that is negative or of wrong shape.
    """
    found, true = _places(found_px, "found"), _places(true_px, "true")
    radius = np.asarray(radius_px, np.float64)
    if radius.shape not in ((), (len(true),)) or not np.all(radius >= 0):
        raise ValueError(f"a radius of shape {radius.shape}, for {len(true)} true columns, is none to match within")
    radius = np.broadcast_to(radius, (len(true),))
    if not len(found) or not len(true):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    reach = cKDTree(found).query_ball_point(true, radius)
    of_true = np.repeat(np.arange(len(true)), [len(near) for near in reach])
    of_found = np.concatenate([np.asarray(near, np.intp) for near in reach])
    gain = radius[of_true] ** 2 - np.sum((found[of_found] - true[of_true]) ** 2, axis=1)
    kept = _best(of_found, of_true, np.maximum(gain, 0), len(found), len(true))
    return of_found[kept], of_true[kept]


def _best(of_found: Index, of_true: Index, gain: Floats, n_found: int, n_true: int) -> Index:
    """Which of the possible pairs to keep, by rising true index."""
    edges = coo_matrix((np.ones(len(gain)), (of_found, n_found + of_true)), shape=2 * (n_found + n_true,))
    group = connected_components(edges, directed=False)[1][of_found]
    order = np.argsort(group, kind="stable")
    kept: list[int] = []
    for pairs in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        if len(pairs) == 1:
            kept.append(int(pairs[0]))
            continue
        rows, row = np.unique(of_found[pairs], return_inverse=True)
        columns, column = np.unique(of_true[pairs], return_inverse=True)
        table, which = np.zeros((len(rows), len(columns))), np.full((len(rows), len(columns)), -1)
        table[row, column], which[row, column] = gain[pairs], pairs
        chosen = which[linear_sum_assignment(table, maximize=True)]
        kept.extend(chosen[chosen >= 0].tolist())
    return np.asarray(sorted(kept, key=lambda pair: of_true[pair]), np.intp)


def _places(xy_px: Floats, what: str) -> Floats:
    places = np.asarray(xy_px, np.float64)
    if places.size == 0:
        return np.zeros((0, 2))
    if places.ndim != 2 or places.shape[1] != 2 or not np.isfinite(places).all():
        raise ValueError(f"{what} places of shape {places.shape} are not finite x, y pairs (n, 2)")
    return places
