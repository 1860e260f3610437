"""Columns many pixels wide are counted on an image of fewer, larger pixels, which knows as much of them.

The mean over blocks of f x f pixels adds (f² - 1)/12 px² to a column's variance; with pixels no larger than a third of
a width that takes about 1 % of the Fisher information, and the fit takes f² times less work. What is found there is
the start of the final fit to the pixels of the file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from atomseg_app.atoms import model
from atomseg_app.atoms.noise import estimate
from atomseg_app.atoms.problem import Problem, Scene
from atomseg_app.atoms.refine import Fit, descend
from atomseg_app.operations import Report

Floats = npt.NDArray[np.float64]

_FINENESS = 2.75  # pixels a width keeps at least


@dataclass(frozen=True)
class WorkingScale:
    """Blocks of ``factor`` x ``factor`` pixels as the pixels of a fit."""

    factor: int

    @classmethod
    def of(cls, sigma_px: float) -> WorkingScale:
        """The coarsest scale that is fine enough for columns of a width in pixels of the file."""
        return cls(max(1, int(sigma_px / _FINENESS)))

    @property
    def _shift_px(self) -> float:
        return (self.factor - 1) / 2

    @property
    def _widening_px2(self) -> float:
        return (self.factor**2 - 1) / 12

    def scene(self, scene: Scene) -> Scene:
        """Means over whole blocks; a block counts if all its pixels do."""
        if self.factor == 1:
            return scene
        data = torch.nn.functional.avg_pool2d(scene.data[None], self.factor)[0]
        bad = torch.nn.functional.max_pool2d((~scene.valid)[None].to(torch.float32), self.factor)[0]
        return replace(scene, data=data, valid=bad == 0)

    def columns(self, x_px: Floats, y_px: Floats, amplitude: Floats, sigma_px: float) -> model.ColumnState:
        """Round columns given in pixels of the file."""
        variance = sigma_px**2 + self._widening_px2
        width = np.sqrt(variance) / self.factor
        return model.ColumnState(
            (x_px - self._shift_px) / self.factor,
            (y_px - self._shift_px) / self.factor,
            amplitude * sigma_px**2 / variance,
            model.round_root(np.full(len(x_px), width)),
        )

    def core(self, core: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """A part of the image (left, top, right, bottom) given in pixels of the file."""
        left, top, right, bottom = ((edge - self._shift_px) / self.factor for edge in core)
        return left, top, right, bottom

    def in_file(self, fit: Fit, scene: Scene, report: Report) -> Fit:
        """A fit at this scale as the start of one to the ``scene`` in pixels of the file, roughly at rest there."""
        if self.factor == 1:
            return fit
        old = fit.problem
        sigma = float(np.sqrt((old.sigma * self.factor) ** 2 - self._widening_px2))
        problem = Problem(scene, sigma, old.spacing * self.factor, old.prior, free=old.free)
        nodes = fit.at.coefficients
        nodes = ndimage.zoom(nodes, np.divide(problem.background.shape, nodes.shape), order=1, grid_mode=False)
        at = problem.start(self._state_in_file(fit.state), nodes, fit.at.own)
        noise = estimate(scene.data - at.image, at.image, scene.valid)
        return descend(problem, at, noise, report, roughly=True)

    def _state_in_file(self, state: model.ColumnState) -> model.ColumnState:
        values, vectors = np.linalg.eigh(state.precision)
        area = self.factor**2 / values
        narrow = np.maximum(area - self._widening_px2, 0.5 * area)  # narrower than a block cannot be told
        root = (vectors / np.sqrt(narrow)[:, None, :]) @ np.swapaxes(vectors, 1, 2)
        amplitude = state.amplitude * np.sqrt(np.prod(area, axis=1) / np.prod(narrow, axis=1))
        x, y = (v * self.factor + self._shift_px for v in (state.x, state.y))
        return model.ColumnState(x, y, amplitude, root)
