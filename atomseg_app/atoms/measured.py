"""Fitted columns as rows of the table, and rows as the start of another fit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from atomseg_app.atoms import model, precision
from atomseg_app.atoms.problem import Scene
from atomseg_app.atoms.refine import Fit
from atomseg_app.data import FLAG_EDGE, FLAG_NOT_CONVERGED, Array, column_table

Floats = npt.NDArray[np.float64]

SIGMA_PX = 4.0  # width of a column about which nothing is known
_EDGE_SIGMA = 2.0  # a column whose core, to this many widths, is cut by the border is marked


def table_of(
    fit: Fit, probability: npt.ArrayLike, widening: npt.ArrayLike = 1.0, excess: Floats | None = None
) -> Array:
    """Rows of the fitted columns, in file units and pixels of the fitted array.

    ``widening`` (2,) multiplies the variance of x and of y; ``excess`` is the residual's power where it is known.
    """
    state, scene = fit.state, fit.problem.scene
    table = column_table(len(state))
    major, minor, angle = state.axes()
    table["x_px"], table["y_px"] = state.x, state.y
    table["x_err_px"], table["y_err_px"] = (precision.position_errors(fit, excess) * np.sqrt(widening)).T
    table["amplitude"] = state.amplitude * scene.scale
    table["background"] = fit.level * scene.scale + scene.offset
    table["sigma_px"] = state.sigma
    table["ellipticity"], table["angle_deg"] = major / minor, angle
    table["integrated_intensity"] = 2 * np.pi * table["amplitude"] * state.sigma**2
    table["probability"] = probability
    table["flag"][depth_px(table, scene.shape) < _EDGE_SIGMA * state.sigma - 0.5] = FLAG_EDGE
    table["flag"][~fit.converged] = FLAG_NOT_CONVERGED
    return table


def depth_px(table: Array, shape: tuple[int, ...]) -> Floats:
    """Distance (n,) of columns from the nearest border of an image, negative beyond its outermost pixel centres."""
    x, y = table["x_px"], table["y_px"]
    return np.asarray(np.minimum(np.minimum(x, shape[1] - 1 - x), np.minimum(y, shape[0] - 1 - y)))


def state_of(table: Array, scene: Scene) -> model.ColumnState:
    """Columns of a table for a scene; what a row leaves unknown is taken from the others and from the image."""
    height, width = scene.shape
    known = np.isfinite(table["sigma_px"]) & (table["sigma_px"] > 0)
    sigma = np.where(known, table["sigma_px"], np.median(table["sigma_px"][known]) if known.any() else SIGMA_PX)
    shaped = known & np.isfinite(table["ellipticity"]) & np.isfinite(table["angle_deg"])
    stretch = np.sqrt(np.where(shaped, table["ellipticity"], 1.0))
    turn = np.deg2rad(np.where(shaped, table["angle_deg"], 0.0))
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]).transpose(2, 0, 1)
    along = np.stack([1 / (sigma * stretch), stretch / sigma], axis=1)
    backward = np.swapaxes(rotation, 1, 2)
    root = backward @ (along[:, :, None] * rotation)
    rows = np.clip(np.rint(table["y_px"]), 0, height - 1).astype(np.int64)
    cols = np.clip(np.rint(table["x_px"]), 0, width - 1).astype(np.int64)
    peak = scene.data.cpu().numpy()[rows, cols].astype(np.float64)
    level = (table["background"] - scene.offset) / scene.scale
    below = np.nanmedian(level) if np.isfinite(level).any() else float(scene.data.median())
    amplitude = np.where(np.isfinite(table["amplitude"]), table["amplitude"] / scene.scale, peak - below)
    return model.ColumnState(table["x_px"].copy(), table["y_px"].copy(), amplitude, root)
