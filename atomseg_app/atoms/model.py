"""The image as a sum of elliptical Gaussian columns: rendering, and the moments from which derivatives follow.

Column i is ``A exp(-|u|²/2)`` with ``u = R (p - p_i)``; ``R`` (2, 2) is a root of the inverse covariance. Its six
parameters are x, y, A and a symmetric ``S`` (Sxx, Sxy, Syy) that changes the shape by ``R -> exp(-S/2) R``. Every
derivative is the Gaussian times a polynomial of degree two in (dx, dy), so six moments of a weighted patch give
the gradient of all columns and fifteen give their Fisher information.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

REACH_SIGMA = 4.0
PARAMETERS = 6  # x, y, A, Sxx, Sxy, Syy
_CHUNK_VALUES = 600_000  # patch values worked on at once, so that a chunk stays in the processor's cache
_EXPONENTS = np.array([(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)])  # powers of (dx, dy) in each monomial


@dataclass(frozen=True)
class ColumnState:
    """Parameters of n columns: ``x``, ``y``, ``amplitude`` (n,), ``root`` (n, 2, 2), in pixels and image units."""

    x: Floats
    y: Floats
    amplitude: Floats
    root: Floats

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: npt.ArrayLike) -> ColumnState:
        """Columns at an index or mask."""
        i = np.asarray(index)
        return ColumnState(self.x[i], self.y[i], self.amplitude[i], self.root[i])

    def joined(self, other: ColumnState) -> ColumnState:
        """These columns followed by others."""
        return ColumnState(
            np.concatenate([self.x, other.x]),
            np.concatenate([self.y, other.y]),
            np.concatenate([self.amplitude, other.amplitude]),
            np.concatenate([self.root, other.root]),
        )

    @property
    def precision(self) -> Floats:
        """Inverse covariance (n, 2, 2)."""
        return np.asarray(np.swapaxes(self.root, 1, 2) @ self.root)

    @property
    def sigma(self) -> Floats:
        """Geometric mean width (n,)."""
        return np.asarray(1 / np.sqrt(np.abs(np.linalg.det(self.root))))

    def axes(self) -> tuple[Floats, Floats, Floats]:
        """Widths along the major and minor axis (n,) and the major axis's angle from +x towards +y in degrees."""
        values, vectors = np.linalg.eigh(self.precision)
        angle = np.rad2deg(np.arctan2(vectors[:, 1, 0], vectors[:, 0, 0]))
        return 1 / np.sqrt(values[:, 0]), 1 / np.sqrt(values[:, 1]), (angle + 90) % 180 - 90

    def moved(self, steps: Floats) -> ColumnState:
        """State after a step (n, 6) in the six parameters."""
        s = np.empty((len(self), 2, 2))
        s[:, 0, 0], s[:, 0, 1], s[:, 1, 0], s[:, 1, 1] = steps[:, 3], steps[:, 4], steps[:, 4], steps[:, 5]
        values, vectors = np.linalg.eigh(s)
        change = (vectors * np.exp(-values / 2)[:, None, :]) @ np.swapaxes(vectors, 1, 2)
        return replace(
            self,
            x=self.x + steps[:, 0],
            y=self.y + steps[:, 1],
            amplitude=self.amplitude + steps[:, 2],
            root=change @ self.root,
        )


def round_root(sigma: npt.ArrayLike) -> Floats:
    """Roots (n, 2, 2) of round columns of given widths (n,)."""
    return np.asarray(np.eye(2) / np.asarray(sigma, float)[:, None, None])


@dataclass(frozen=True)
class Chunk:
    """Patches of one run of columns: where they start in the padded image, and offsets from the column (c, p)."""

    rows: slice
    top: torch.Tensor
    left: torch.Tensor
    dy: torch.Tensor
    dx: torch.Tensor
    gaussian: torch.Tensor


class Renderer:
    """Patch work on one image of shape (y, x): columns in, images and moments out; float32 on the device."""

    def __init__(self, shape: tuple[int, int], reach_px: int, unit_px: float, device: torch.device) -> None:
        self.shape, self.reach, self.unit, self.device = shape, reach_px, unit_px, device
        self.size = 2 * reach_px + 1
        self.pad = reach_px + 1

    def padded(self, image: torch.Tensor) -> torch.Tensor:
        """Image with a border of zeros as wide as a patch's reach."""
        return torch.nn.functional.pad(image, (self.pad,) * 4)

    def chunks(self, state: ColumnState) -> Iterator[Chunk]:
        """Gaussians of unit amplitude on patches round the columns, a cache-sized run at a time."""
        count = max(1, _CHUNK_VALUES // self.size**2)
        for start in range(0, len(state), count):
            rows = slice(start, min(start + count, len(state)))
            yield self._chunk(state, rows)

    def _chunk(self, state: ColumnState, rows: slice) -> Chunk:
        height, width = self.shape
        cy = np.clip(np.rint(state.y[rows]), 0, height - 1)
        cx = np.clip(np.rint(state.x[rows]), 0, width - 1)
        steps = np.arange(-self.reach, self.reach + 1)
        root = state.root[rows]
        q = np.swapaxes(root, 1, 2) @ root * self.unit**2
        dy = self._tensor((cy - state.y[rows])[:, None] + steps) / self.unit
        dx = self._tensor((cx - state.x[rows])[:, None] + steps) / self.unit
        qxx, qxy, qyy = (self._tensor(v)[:, None] for v in (q[:, 0, 0], q[:, 0, 1], q[:, 1, 1]))
        in_y = torch.stack([-0.5 * qyy * dy * dy, -qxy * dy, torch.ones_like(dy)], dim=2)
        in_x = torch.stack([torch.ones_like(dx), dx, -0.5 * qxx * dx * dx], dim=1)
        gaussian = torch.exp_(torch.bmm(in_y, in_x))  # (c, p, p)
        origin = self.pad - self.reach
        top = torch.as_tensor(cy.astype(np.int64) + origin, device=self.device)
        left = torch.as_tensor(cx.astype(np.int64) + origin, device=self.device)
        return Chunk(rows, top, left, dy, dx, gaussian)

    def _tensor(self, values: Floats) -> torch.Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self.device)

    def patches(self, padded: torch.Tensor, chunk: Chunk) -> torch.Tensor:
        """Patches (c, p, p) of a padded image under a chunk."""
        return padded.unfold(0, self.size, 1).unfold(1, self.size, 1)[chunk.top, chunk.left]

    def render(self, state: ColumnState) -> torch.Tensor:
        """Sum of the columns (y, x), without background."""
        height, width = self.shape
        image = torch.zeros((height + 2 * self.pad, width + 2 * self.pad), device=self.device)
        for chunk in self.chunks(state):
            self.add(image, chunk, state.amplitude[chunk.rows])
        return image[self.pad : self.pad + height, self.pad : self.pad + width]

    def add(self, padded: torch.Tensor, chunk: Chunk, amplitude: Floats) -> None:
        """Add the columns of a chunk, with amplitudes (c,), to a padded image."""
        steps, stride = torch.arange(self.size, device=self.device), padded.shape[1]
        where = (chunk.top[:, None] + steps)[:, :, None] * stride + (chunk.left[:, None] + steps)[:, None, :]
        values = chunk.gaussian * self._tensor(amplitude)[:, None, None]
        padded.view(-1).scatter_add_(0, where.reshape(-1), values.reshape(-1))

    def moments(self, padded: torch.Tensor, state: ColumnState, degree: int, power: int = 1) -> Floats:
        """Moments (n, degree+1, degree+1), indexed [power of dy, power of dx], of a padded image times Gaussian**power.

        dy and dx are in units of ``unit``.
        """
        out = np.empty((len(state), degree + 1, degree + 1))
        for chunk in self.chunks(state):
            weighted = self.patches(padded, chunk) * chunk.gaussian**power
            out[chunk.rows] = patch_moments(weighted, chunk, degree)
        return out


def patch_moments(weighted: torch.Tensor, chunk: Chunk, degree: int) -> Floats:
    """Moments (c, degree+1, degree+1), indexed [power of dy, power of dx], of patches (c, p, p) of a chunk."""
    in_y = torch.stack(_powers(chunk.dy, degree), dim=1)  # (c, d, p)
    in_x = torch.stack(_powers(chunk.dx, degree), dim=2)  # (c, p, d)
    moments: Floats = torch.bmm(in_y, torch.bmm(weighted, in_x)).cpu().numpy().astype(np.float64)
    return moments


def _powers(values: torch.Tensor, degree: int) -> list[torch.Tensor]:
    powers = [torch.ones_like(values)]
    for _ in range(degree):
        powers.append(powers[-1] * values)
    return powers


def moment_vector(moments: Floats) -> Floats:
    """Moments of the six monomials (n, 6)."""
    return moments[:, _EXPONENTS[:, 1], _EXPONENTS[:, 0]]


def moment_matrix(moments: Floats) -> Floats:
    """Moments (n, 6, 6) of the products of two monomials, from moments to degree 4."""
    powers = _EXPONENTS[:, None] + _EXPONENTS[None]
    return moments[:, powers[..., 1], powers[..., 0]]


def coefficients(state: ColumnState, unit: float) -> Floats:
    """Derivative of a column with respect to each parameter as polynomials (n, 6 parameters, 6 monomials)."""
    a, q, r = state.amplitude, state.precision, state.root
    c = np.zeros((len(state), PARAMETERS, 6))
    for row in (0, 1):
        c[:, row, 1] = a * q[:, row, 0] * unit
        c[:, row, 2] = a * q[:, row, 1] * unit
    c[:, 2, 0] = 1
    for row, (i, j, factor) in enumerate([(0, 0, 0.5), (0, 1, 1.0), (1, 1, 0.5)], start=3):
        scale = factor * a * unit**2
        c[:, row, 3] = scale * r[:, i, 0] * r[:, j, 0]
        c[:, row, 4] = scale * (r[:, i, 0] * r[:, j, 1] + r[:, i, 1] * r[:, j, 0])
        c[:, row, 5] = scale * r[:, i, 1] * r[:, j, 1]
    return c


def shifted(offset: Floats) -> Floats:
    """Matrices (n, 6, 6) that write monomials of d + offset as combinations of monomials of d."""
    ox, oy = offset[:, 0], offset[:, 1]
    m = np.zeros((len(offset), 6, 6))
    m[:, range(6), range(6)] = 1
    m[:, 1, 0], m[:, 2, 0] = ox, oy
    m[:, 3, 0], m[:, 3, 1] = ox * ox, 2 * ox
    m[:, 4, 0], m[:, 4, 1], m[:, 4, 2] = ox * oy, oy, ox
    m[:, 5, 0], m[:, 5, 2] = oy * oy, 2 * oy
    return m
