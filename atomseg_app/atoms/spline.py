"""The smooth level between columns: a uniform cubic B-spline over the image."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_GRAM_BLOCK_PX = 2  # weights are summed over such blocks before products of splines are integrated


def _basis(t: Floats) -> Floats:
    """The four cubic B-splines that live at fraction t (n,) of a node interval: (n, 4)."""
    return np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6


def _taylor(t: Floats, unit: float) -> tuple[Floats, Floats, Floats]:
    """Taylor coefficients (n, 4) of :func:`_basis` of orders 0, 1, 2 for steps of ``unit`` node intervals."""
    slope = np.stack([-((1 - t) ** 2), 3 * t**2 - 4 * t, -3 * t**2 + 2 * t + 1, t**2], axis=1) / 2
    bend = np.stack([1 - t, 3 * t - 2, 1 - 3 * t, t], axis=1) / 2
    return _basis(t), slope * unit, bend * unit**2


class _Axis:
    """Splines along one axis of ``length`` pixels with nodes ``node_px`` apart."""

    def __init__(self, length: int, node_px: float) -> None:
        self.length = length
        self.intervals = max(1, round((length - 1) / node_px))
        self.step = max(length - 1, 1) / self.intervals
        self.count = self.intervals + 3

    def locate(self, position: npt.NDArray[np.floating]) -> tuple[Ints, Floats]:
        """Interval and fraction of positions in pixels; outside, the outermost interval goes on."""
        t = position / self.step
        first = np.clip(np.floor(t).astype(np.int64), 0, self.intervals - 1)
        return first, np.asarray(t - first)

    def matrix(self, position: npt.NDArray[np.floating]) -> Floats:
        """Values (positions, count) of every spline."""
        first, t = self.locate(position)
        out = np.zeros((len(position), self.count))
        np.put_along_axis(out, first[:, None] + np.arange(4), _basis(t), axis=1)
        return out


class Background:
    """Cubic B-spline on an image (y, x) with nodes about ``node_px`` apart; coefficients are (ny, nx)."""

    def __init__(self, shape: tuple[int, int], node_px: float, device: torch.device) -> None:
        self._y, self._x = _Axis(shape[0], node_px), _Axis(shape[1], node_px)
        self.shape = (self._y.count, self._x.count)
        self.count = self._y.count * self._x.count
        self._device = device
        self._by = self._tensor(self._y.matrix(np.arange(shape[0], dtype=float)))
        self._bx = self._tensor(self._x.matrix(np.arange(shape[1], dtype=float)))

    def _tensor(self, values: Floats) -> torch.Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self._device)

    def render(self, coefficients: Floats) -> torch.Tensor:
        """Level (y, x) for coefficients (ny, nx)."""
        return self._by @ self._tensor(coefficients) @ self._bx.T

    def adjoint(self, image: torch.Tensor) -> Floats:
        """Sum over pixels of an image (y, x) times each spline: (ny, nx)."""
        out: Floats = (self._by.T @ image @ self._bx).cpu().numpy().astype(np.float64)
        return out

    def gram(self, weight: torch.Tensor) -> sp.csr_matrix:
        """Weighted products of all pairs of splines (count, count), for weights (y, x)."""
        height, width = weight.shape
        size = _GRAM_BLOCK_PX
        coarse = torch.nn.functional.pad(weight, (0, -width % size, 0, -height % size))
        coarse = torch.nn.functional.avg_pool2d(coarse[None], size)[0] * size**2
        by = self._tensor(self._y.matrix((np.arange(coarse.shape[0]) + 0.5) * size - 0.5))
        bx = self._tensor(self._x.matrix((np.arange(coarse.shape[1]) + 0.5) * size - 0.5))
        ny, nx = self.shape
        rows, cols, values = [], [], []
        for ox in range(4):
            x0 = np.arange(nx - ox)
            along_x = coarse @ (bx[:, x0] * bx[:, x0 + ox])  # (coarse y, x0)
            for oy in range(-3 if ox else 0, 4):
                y0 = np.arange(max(0, -oy), min(ny, ny - oy))
                block = (by[:, y0] * by[:, y0 + oy]).T @ along_x
                one, two = (y0[:, None] * nx + x0).ravel(), ((y0 + oy)[:, None] * nx + x0 + ox).ravel()
                value = block.cpu().numpy().astype(np.float64).ravel()
                for row, col in ((one, two), (two, one)) if ox or oy else ((one, two),):
                    rows.append(row)
                    cols.append(col)
                    values.append(value)
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(cols)))
        return sp.csr_matrix(entries, shape=(self.count, self.count))

    def mean_gram(self, weight: torch.Tensor) -> float:
        """Mean over the splines of their own weighted product, for weights (y, x)."""
        return float((self._by.square().sum(1) @ weight @ self._bx.square().sum(1)) / self.count)

    @cached_property
    def roughness(self) -> sp.csr_matrix:
        """Quadratic form (count, count) of second differences: what holds nodes that no pixel speaks for."""
        parts = []
        for count in self.shape:
            difference = sp.diags([1.0, -2.0, 1.0], [0, 1, 2], shape=(count - 2, count))
            parts.append(difference.T @ difference)
        ny, nx = self.shape
        return sp.csr_matrix(sp.kron(parts[0], sp.eye(nx)) + sp.kron(sp.eye(ny), parts[1]))

    def near(self, x: Floats, y: Floats, unit: float) -> tuple[Ints, Floats]:
        """Splines round points (n,): indices (n, 16) and their Taylor coefficients (n, 6, 16).

        Those belong to 1, dx, dy, dx², dx·dy, dy² with dx and dy in multiples of ``unit`` pixels.
        """
        iy, ty = self._y.locate(y)
        ix, tx = self._x.locate(x)
        steps = np.arange(4)
        index = (iy[:, None] + steps)[:, :, None] * self.shape[1] + (ix[:, None] + steps)[:, None, :]
        along_y, along_x = _taylor(ty, unit / self._y.step), _taylor(tx, unit / self._x.step)
        orders = [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0)]
        terms = [along_y[m][:, :, None] * along_x[k][:, None, :] for m, k in orders]
        return index.reshape(-1, 16), np.stack(terms, axis=1).reshape(len(x), 6, 16)
