"""Fisher information of columns on a grid of blocks: as exact as on pixels, for a fraction of the work.

Weights vary as smoothly as columns do, and sums of Gaussians times polynomials over a grid finer than a width differ
from integrals by exp(-(2 pi s/h)²/2) (Poisson's summation formula). So weights are summed over blocks of h pixels; what
the block blurs is put back to second order. Data are never binned: gradients are sums over the pixels of the file.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from atomseg_app.atoms import model

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_FINENESS = 1.9  # blocks a width holds at least


class WeightGrid:
    """Weights of an image (y, x) of columns about ``sigma_px`` wide, on blocks, for moments in units of that width."""

    def __init__(self, shape: tuple[int, int], sigma_px: float, device: torch.device) -> None:
        self.size = max(1, int(sigma_px / _FINENESS))
        self._beyond = (-shape[0] % self.size, -shape[1] % self.size)
        self._unit_px = sigma_px
        blocks = ((shape[0] + self._beyond[0]) // self.size, (shape[1] + self._beyond[1]) // self.size)
        sigma = sigma_px / self.size
        reaches = (max(3, int(np.ceil(model.REACH_SIGMA * width))) for width in (sigma, sigma / np.sqrt(2)))
        self._own, self._products = (model.Renderer(blocks, reach, sigma, device) for reach in reaches)

    def sums(self, weight: torch.Tensor) -> torch.Tensor:
        """Sums over blocks of weights (y, x), those of blocks cut by the border included."""
        size = self.size
        if size == 1:
            return weight
        whole = functional.pad(weight, (0, self._beyond[1], 0, self._beyond[0]))
        blocks = functional.avg_pool2d(whole[None], size)[0] * size**2
        around = functional.pad(blocks[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
        bend = around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:] - 4 * blocks
        return blocks - bend * ((size**2 - 1) / (24 * size**2))

    def own(self, sums: torch.Tensor, state: model.ColumnState) -> tuple[Floats, Floats]:
        """Moments (n, 5, 5) to degree 4 of the weight times each Gaussian, and times its square."""
        padded, placed = self._own.padded(sums), self._placed(state)
        first, second = np.empty((len(state), 5, 5)), np.empty((len(state), 5, 5))
        for chunk in self._own.chunks(placed):
            weighted = self._own.patches(padded, chunk).mul_(chunk.gaussian)
            first[chunk.rows] = model.patch_moments(weighted, chunk, 4)
            second[chunk.rows] = model.patch_moments(weighted.mul_(chunk.gaussian), chunk, 4)
        return first, second

    def pairs(self, sums: torch.Tensor, state: model.ColumnState, first: Ints, second: Ints) -> Floats:
        """Fisher blocks (m, 6, 6) between columns ``first`` and ``second`` (m,).

        The product of two Gaussians is a Gaussian between them, so its moments about there give the block.
        """
        one, two = state.take(first), state.take(second)
        q1, q2 = one.precision, two.precision
        gap = np.stack([two.x - one.x, two.y - one.y], axis=1)[..., None]
        total = q1 + q2
        to_centre = np.asarray(np.linalg.solve(total, q2 @ gap), np.float64)
        between = (np.swapaxes(gap, 1, 2) @ q1 @ to_centre)[:, 0, 0]
        root = np.swapaxes(np.linalg.cholesky(total), 1, 2)
        away = to_centre[..., 0]
        product = model.ColumnState(one.x + away[:, 0], one.y + away[:, 1], np.exp(-between / 2), root)
        moments = self._products.moments(self._products.padded(sums), self._placed(product), 4)
        matrix = model.moment_matrix(moments * product.amplitude[:, None, None])
        unit = self._unit_px
        left = model.coefficients(one, unit) @ model.shifted(away / unit)
        right = model.coefficients(two, unit) @ model.shifted((away - gap[..., 0]) / unit)
        return np.asarray(left @ matrix @ np.swapaxes(right, 1, 2))

    def _placed(self, state: model.ColumnState) -> model.ColumnState:
        """Columns in blocks instead of pixels."""
        size, shift = self.size, (self.size - 1) / 2
        return model.ColumnState((state.x - shift) / size, (state.y - shift) / size, state.amplitude, state.root * size)
