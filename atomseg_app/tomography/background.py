"""Background of a view: a constant or a plane through the pixels without specimen, found robustly."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]
Shape = Literal["level", "plane"]

_SAMPLES_PER_SIDE = 256
_FIRST_SHARE, _ROUNDS, _SIGMAS = 0.3, 12, 2.0
_LEAST_SIGMA = 1e-12
_TRUNCATED = 1.0 / 0.879596
"""A normal distribution cut off at 2 standard deviations on both sides has 0.8796 of its width."""


def background(view: Image, shape: Shape, *, bright: bool = False) -> Image:
    """Background (y, x) of a view: the plane, or level, of its darkest (``bright``: brightest) large part.

    A fit to the darkest 30 % of the pixels is repeated with all that lie within two standard deviations of it, until
    the specimen, which lies above, is left out. Needs about a sixth of the view to be free of specimen.
    """
    step_y, step_x = (max(1, size // _SAMPLES_PER_SIDE) for size in view.shape)
    sample = np.asarray(view[::step_y, ::step_x], np.float64)
    y, x = np.meshgrid(np.arange(sample.shape[0]) * step_y, np.arange(sample.shape[1]) * step_x, indexing="ij")
    finite = np.isfinite(sample)
    values = (-1 if bright else 1) * sample[finite]
    columns = [np.ones(len(values))]
    if shape == "plane":
        columns += [x[finite] / view.shape[1] - 0.5, y[finite] / view.shape[0] - 0.5]
    basis = np.stack(columns, axis=1)
    fitted = _fit(basis, values)
    whole: npt.NDArray[np.float64] = np.full(view.shape, fitted[0], np.float64)
    if shape == "plane":
        rows, across = np.arange(view.shape[0])[:, None], np.arange(view.shape[1])
        whole = whole + fitted[1] * (across / view.shape[1] - 0.5) + fitted[2] * (rows / view.shape[0] - 0.5)
    return np.asarray(-whole if bright else whole, np.float32)


def _fit(basis: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Coefficients of the basis for the lowest large part of the values."""
    inside = values <= np.quantile(values, _FIRST_SHARE)
    fitted: npt.NDArray[Any] = np.zeros(basis.shape[1])
    for _ in range(_ROUNDS):
        fitted = np.linalg.lstsq(basis[inside], values[inside], rcond=None)[0]
        away = values - basis @ fitted
        sigma = _TRUNCATED * float(np.std(away[inside])) + _LEAST_SIGMA * (1 + float(np.abs(fitted[0])))
        following = np.abs(away) <= _SIGMAS * sigma
        if np.array_equal(following, inside) or following.sum() <= basis.shape[1]:
            break
        inside = following
    return fitted
