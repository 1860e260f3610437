"""The pixels in which an image was recorded, where it was enlarged linearly between them (bilinear interpolation).

Between two recorded pixels such an image is straight, at them it bends: differences of neighbours and the bends come
with the period of the old pixels (Gallagher, Proc. 2nd Canadian Conf. Computer and Robot Vision, 65, 2005). Whether
they do is then asked strictly: straight lines between corners at just these places must leave nothing of the image but
its rounding, and lines between corners elsewhere must leave much more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy import optimize
from scipy.linalg import solveh_banded

Floats = npt.NDArray[np.float64]

_LEAST, _MOST = 1.3, 6.0  # times an image is enlarged that is recognised
_STANDS_OUT = 6.0  # times the median of the spectrum, for a period to be asked about
_LINES = 48  # across the image that are asked
_SHORTEST_PX = 48
_PLACES, _STEPS = 12, 11  # tried before the best is made better
_FAR = 0.5  # recorded pixels, in the middle and at the ends, from the best of those tried
_SHARP = 0.05  # of what is left with corners elsewhere
_EXACT = 3e-5  # of the same, beyond what rounding leaves,
_ROUNDING = 1.5  # which is no more than this times the variance of rounding
_RIDGE = 1e-9
_SAME = 0.02  # relative difference of the factors along both axes


@dataclass(frozen=True)
class LinearGrid:
    """Recorded pixels along one axis of ``length`` pixels: pixel j lies at ``offset + step * j`` recorded ones."""

    step: float
    offset: float
    length: int

    @property
    def first(self) -> int:
        """Number of the first recorded pixel whose middle lies in the image."""
        return int(np.ceil(self.offset - 0.5 * self.step - 1e-6))

    @property
    def count(self) -> int:
        """Recorded pixels whose middle lies in the image."""
        return int(np.floor(self.offset + self.step * (self.length - 0.5) + 1e-6)) - self.first + 1

    def in_file(self, position: npt.ArrayLike) -> Floats:
        """Positions in recorded pixels, from the middle of the first, as pixels of the image."""
        return (np.asarray(position, float) + self.first - self.offset) / self.step

    def in_recorded(self, position: npt.ArrayLike) -> Floats:
        """The inverse of :meth:`in_file`."""
        return np.asarray(position, float) * self.step + self.offset - self.first

    def recorded(self, values: Floats) -> Floats:
        """Recorded lines (count, m) of an image (length, m): its corners, by least squares."""
        corners, start = self._corners(values)
        return corners[self.first - start : self.first - start + self.count]

    def left(self, values: Floats) -> float:
        """Mean square that straight lines between the corners leave of an image (length, m), for each free value."""
        corners, _ = self._corners(values)
        matrix, _ = self._matrix()
        free = max(1, (len(values) - len(corners)) * values.shape[1])
        return float(np.square(values - matrix @ corners).sum() / free)

    def _matrix(self) -> tuple[sp.csr_matrix, int]:
        """Weights (length, corners) of linear interpolation, and the number of the first corner."""
        at = self.offset + self.step * np.arange(self.length)
        below = np.floor(at + 1e-9).astype(np.int64)
        weight = np.maximum(at - below, 0.0)
        start = int(below[0])
        row = np.arange(self.length)
        entries = (np.concatenate([1 - weight, weight]), (np.tile(row, 2), np.concatenate([below, below + 1]) - start))
        return sp.csr_matrix(entries, shape=(self.length, int(below[-1]) - start + 2)), start

    def _corners(self, values: Floats) -> tuple[Floats, int]:
        matrix, start = self._matrix()
        information = (matrix.T @ matrix).tocsr()
        banded = np.zeros((2, matrix.shape[1]))
        banded[0, 1:] = information.diagonal(1)
        banded[1] = information.diagonal() + _RIDGE
        return np.asarray(solveh_banded(banded, matrix.T @ values)), start


def linear_grids(values: npt.NDArray[np.floating], rounding_step: float) -> tuple[LinearGrid, LinearGrid] | None:
    """Recorded pixels along y and x of an image (y, x) that was enlarged linearly; None where it was not.

    ``rounding_step`` is the distance of its grey levels, 0 if they are continuous.
    """
    if min(values.shape) < _SHORTEST_PX or not np.isfinite(values).all():
        return None
    variance = rounding_step**2 / 12
    along_x = _grid(_some_lines(values.T), variance)
    along_y = _grid(_some_lines(values), variance) if along_x is not None else None
    if along_x is None or along_y is None or abs(along_y.step / along_x.step - 1) > _SAME:
        return None
    return along_y, along_x


def _some_lines(values: npt.NDArray[np.floating]) -> Floats:
    """Lines (length, m) spread over an image (length, lines)."""
    index = np.linspace(0, values.shape[1] - 1, min(_LINES, values.shape[1])).astype(int)
    lines = values[:, index].astype(np.float64)
    return np.asarray(lines - lines.mean())


def _grid(lines: Floats, rounding_variance: float) -> LinearGrid | None:
    """Recorded pixels along lines (length, m), None where they are as recorded."""
    frequency = _period(lines)
    if frequency is None:
        return None
    for step in (frequency, 1 - frequency):
        if 1 / _MOST <= step <= 1 / _LEAST:
            grid, elsewhere = _best(lines, step)
            left = grid.left(lines)
            # Lines between enough corners follow what is smooth well, but not exactly.
            if left < _SHARP * elsewhere and left < _EXACT * elsewhere + _ROUNDING * rounding_variance:
                return grid
    return None


def _period(lines: Floats) -> float | None:
    """Frequency (1/px, up to 0.5) with which differences or bends of lines (length, m) come, None if with none."""
    found: list[tuple[float, float]] = []
    for order in (1, 2):
        size = np.abs(np.diff(lines, order, axis=0)).mean(axis=1)
        if not size.mean() > 0:
            return None
        spectrum = np.abs(np.fft.rfft((size - size.mean()) * np.hanning(len(size))))
        frequency = np.fft.rfftfreq(len(size))
        asked = frequency > 1 / _MOST - 0.01
        most = int(np.argmax(np.where(asked, spectrum, 0)))
        found.append((float(spectrum[most] / max(np.median(spectrum[asked]), 1e-300)), float(frequency[most])))
    stands_out, at = max(found)
    return at if stands_out > _STANDS_OUT else None


def _best(lines: Floats, step: float) -> tuple[LinearGrid, float]:
    """Grid of about that step that leaves least of lines (length, m), and what others of its step leave (median)."""
    length = len(lines)
    trials = [
        LinearGrid(step + nudge / length, place - nudge / 2, length)
        for nudge in np.linspace(-1, 1, _STEPS)
        for place in np.arange(_PLACES) / _PLACES
    ]
    left = np.array([trial.left(lines) for trial in trials])
    start = trials[int(left.argmin())]
    # The place in the middle and the step are next to independent.
    middle = (length - 1) / 2

    def grid(change: Floats) -> LinearGrid:
        place, nudge = np.clip(change, -_FAR, _FAR) / (1, length)  # lines without a corner lead anywhere
        return LinearGrid(start.step + float(nudge), start.offset + float(place - nudge * middle), length)

    simplex = np.array([[0.0, 0.0], [0.05, 0.0], [0.0, 0.1]])
    answer = optimize.minimize(
        lambda change: grid(change).left(lines), [0.0, 0.0], method="Nelder-Mead",
        options={"initial_simplex": simplex, "maxfev": 80, "xatol": 1e-4, "fatol": 0.0},
    )  # fmt: skip
    return _usual(grid(answer.x), lines), float(np.median(left))


def _usual(grid: LinearGrid, lines: Floats) -> LinearGrid:
    """The grid that programs use for all of an image, if that is as good: from edge to edge, or from middle to middle
    of the outermost pixels."""
    length = grid.length
    count = round(grid.step * length)
    edges = LinearGrid(count / length, (count / length - 1) / 2, length)
    count = round(grid.step * (length - 1)) + 1
    middles = LinearGrid((count - 1) / (length - 1), 0.0, length)
    best = min((edges, middles), key=lambda each: each.left(lines))
    return best if best.left(lines) <= 1.01 * grid.left(lines) else grid
