"""What the neighbours of a column add at its place: amplitudes of all blobs of an image solved together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse, spatial

from atomseg_app.atoms.background import Grey

Floats = npt.NDArray[np.float64]


def log_profile(distance_px: Floats, sigma_px: float, scale_px: float) -> Floats:
    """LoG response of scale t at a distance from a unit Gaussian of width s (closed form)."""
    wide = sigma_px**2 + scale_px**2
    r2 = distance_px**2 / wide
    return np.asarray((sigma_px * scale_px / wide) ** 2 * (2 - r2) * np.exp(-r2 / 2))


class Overlaps:
    """Pairs of blobs near enough to add to each other's response, for positions in pixels (n,)."""

    def __init__(self, x_px: Floats, y_px: Floats, reach_px: float) -> None:
        tree = spatial.cKDTree(np.column_stack([x_px, y_px]))
        pairs = tree.query_pairs(reach_px, output_type="ndarray")
        self.count = len(x_px)
        self._rows = np.concatenate([pairs[:, 0], pairs[:, 1]])
        self._cols = np.concatenate([pairs[:, 1], pairs[:, 0]])
        self._distance = np.hypot(x_px[self._rows] - x_px[self._cols], y_px[self._rows] - y_px[self._cols])

    def matrix(self, sigma_px: float, scale_px: float) -> sparse.csr_array:
        """Response at each blob (row) to a unit amplitude of each blob (column)."""
        near = log_profile(self._distance, sigma_px, scale_px)
        off = sparse.coo_array((near, (self._rows, self._cols)), shape=(self.count, self.count))
        own = float(log_profile(np.zeros(1), sigma_px, scale_px)[0])
        return sparse.csr_array(off.tocsr() + own * sparse.eye_array(self.count, format="csr"))


def amplitudes(matrix: sparse.csr_array, response: Floats) -> Floats:
    """Amplitudes (n,) whose summed responses are those observed, by conjugate gradients.

    The matrix is symmetric and, as the filter's spectrum is, not negative. Thirty steps at most: blobs too close to
    be told apart share a bounded amplitude instead of huge opposite ones.
    """
    solution = np.zeros(len(response))
    residual = response.copy()
    direction, power = residual.copy(), float(np.sum(residual**2))
    goal = 1e-8 * power
    for _ in range(30):
        image = matrix @ direction
        curvature = float(np.sum(direction * image))
        if power <= goal or curvature <= 0:
            break
        step = power / curvature
        solution += step * direction
        residual -= step * image
        power, before = float(np.sum(residual**2)), power
        direction = residual + (power / before) * direction
    return solution


def shared_width(
    overlaps: Overlaps,
    scales_px: tuple[float, float],
    responses: tuple[Floats, Floats],
    weights: Floats,
    guess_px: float,
) -> float:
    """Gaussian width (px) with which amplitudes solved at one scale predict the responses at the other.

    The weighted median of predicted over observed is brought to one by bisection within a factor of three of the guess.
    """
    order_weights = weights / weights.sum()

    def excess(sigma: float) -> float:
        solved = amplitudes(overlaps.matrix(sigma, scales_px[0]), responses[0])
        predicted = overlaps.matrix(sigma, scales_px[1]) @ solved
        difference = np.asarray((predicted - responses[1]) / np.maximum(np.abs(responses[1]), 1e-12))
        order = np.argsort(difference)
        middle = int(np.searchsorted(np.cumsum(order_weights[order]), 0.5))
        return float(difference[order][min(middle, len(order) - 1)])

    low, high = guess_px / 3, guess_px * 3
    sign = 1.0 if scales_px[1] > scales_px[0] else -1.0  # wider columns answer more to the wider filter
    for _ in range(9):
        middle = float(np.sqrt(low * high))
        if sign * excess(middle) > 0:
            high = middle
        else:
            low = middle
    return float(np.sqrt(low * high))


def render(x_px: Floats, y_px: Floats, amplitude: Floats, sigma_px: float, shape: tuple[int, int]) -> Grey:
    """Sum (y, x) of Gaussians of one width, out to four widths, sampled at pixel centres."""
    reach = int(np.ceil(4 * sigma_px))
    offset = np.arange(-reach, reach + 1)
    ny, nx = shape[0] + 2 * reach, shape[1] + 2 * reach
    image = np.zeros(ny * nx, np.float32)
    col, row = np.rint(x_px).astype(np.intp), np.rint(y_px).astype(np.intp)
    window = (offset[:, None] * nx + offset[None, :]).ravel()
    for start in range(0, len(x_px), 1024):  # bounded memory, and sums that stay in the cache
        part = slice(start, start + 1024)
        gx = np.exp(-((offset - (x_px - col)[part, None]) ** 2) / (2 * sigma_px**2))
        gy = np.exp(-((offset - (y_px - row)[part, None]) ** 2) / (2 * sigma_px**2)) * amplitude[part, None]
        patches = (gy[:, :, None] * gx[:, None, :]).astype(np.float32).reshape(len(gx), -1)
        centres = (row[part] + reach) * nx + col[part] + reach
        np.add.at(image, (centres[:, None] + window).ravel(), patches.ravel())
    return image.reshape(ny, nx)[reach : ny - reach, reach : nx - reach]
