"""Find columns and measure them: detection, joint fit, table. Also the fit again of columns that a user touched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import cKDTree

from atomseg_app import devices
from atomseg_app.atoms import evidence, model, precision, refine
from atomseg_app.atoms.candidates import Candidates
from atomseg_app.atoms.detect import detect
from atomseg_app.atoms.operations import FindColumns, RefitColumns
from atomseg_app.atoms.problem import Scene
from atomseg_app.data import (
    FLAG_EDGE,
    FLAG_NOT_CONVERGED,
    Array,
    Columns,
    Image,
    column_table,
)
from atomseg_app.errors import UserError
from atomseg_app.operations import Report

Floats = npt.NDArray[np.float64]

_SPACING_SIGMA = 5.0  # spacing in widths where only one column is known
_EDGE_SIGMA = 2.0  # a column whose core, to this many widths, is cut by the border is marked


def find_columns(image: Image, parameters: FindColumns, report: Report) -> Columns:
    """Every atomic column of an image, in the frame of the file. Raises UserError for a region outside the image."""
    device = devices.choose(parameters.device, report)
    left, top, right, bottom = _region(parameters.region_px, image.shape)
    values = image.values[top:bottom, left:right]
    candidates = detect(
        values,
        method=parameters.method,
        polarity=parameters.polarity,
        false_alarms=parameters.false_alarms,
        report=report.part(0.0, 0.4),
    )
    if not len(candidates):
        table = column_table(0)
    elif parameters.refine:
        table = _fitted(values, candidates, parameters, device, report.part(0.4, 1.0))
    else:
        table = _as_detected(candidates)
    table["x_px"] += left
    table["y_px"] += top
    table["frame"] = int(image.metadata.get("frame", 0))
    report.progress(1.0, f"{len(table)} columns")
    return Columns(
        _in_reading_order(table),
        (image.shape[0], image.shape[1]),
        image.pixel_size_nm,
        image.source,
        dict(image.metadata),
        image.history,
    )


def refit_columns(image: Image, columns: Columns, parameters: RefitColumns, report: Report) -> Columns:
    """The same columns fitted again from where they are; only rows named in ``column_ids`` change."""
    device = devices.choose(parameters.device, report)
    table = columns.table.copy()
    if parameters.column_ids is None:
        chosen = np.ones(len(table), bool)
    else:
        chosen = np.isin(table["column_id"], parameters.column_ids)
    if not chosen.any():
        return replace(columns, table=table)
    widths = table["sigma_px"][np.isfinite(table["sigma_px"])]
    sigma = float(np.median(widths)) if len(widths) else 4.0
    scene = Scene.of(image.values, device)
    start = model.ColumnState(
        table["x_px"].copy(),
        table["y_px"].copy(),
        np.nan_to_num(table["amplitude"]) / scene.scale,
        model.round_root(np.full(len(table), sigma)),
    )
    fit = refine.fit(scene, start, _SPACING_SIGMA * sigma, report, free=parameters.shape == "free")
    fitted = _table(fit, scene, table["probability"])
    kept = ("column_id", "sublattice", "frame")
    for name in fitted.dtype.names or ():
        if name not in kept:
            table[name][chosen] = fitted[name][chosen]
    return replace(columns, table=table)


def _region(region: tuple[int, int, int, int] | None, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    height, width = shape[:2]
    if region is None:
        return 0, 0, width, height
    left, top, right, bottom = region
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise UserError(
            f"The region {left}, {top}, {right}, {bottom} (left, top, right, bottom) does not lie in the image of "
            f"{width} x {height} px; give 0 <= left < right <= {width} and 0 <= top < bottom <= {height}."
        )
    return left, top, right, bottom


def _fitted(
    values: Array, candidates: Candidates, parameters: FindColumns, device: torch.device, report: Report
) -> Array:
    scene = Scene.of(values, device)
    sigma = float(np.median(candidates.sigma_px))
    once = _once(candidates, sigma)
    start = model.ColumnState(
        candidates.x_px[once],
        candidates.y_px[once],
        candidates.amplitude[once] / scene.scale,
        model.round_root(np.full(len(once), sigma)),
    )
    probability = candidates.probability[once]
    spacing = candidates.spacing_px if np.isfinite(candidates.spacing_px) else _SPACING_SIGMA * sigma
    fit = refine.fit(scene, start, spacing, report.part(0.0, 0.4), free=parameters.shape == "free")
    found = evidence.Resolved(fit, probability)
    if parameters.split:
        found = evidence.resolve(fit, probability, parameters.false_alarms, report.part(0.4, 0.9))
    return _table(found.fit, scene, found.probability)


def _once(candidates: Candidates, sigma_px: float) -> npt.NDArray[np.int64]:
    """Indices of the candidates without doubles: of two nearer than a width, the stronger stays."""
    points = np.stack([candidates.x_px, candidates.y_px], axis=1)
    strength = np.abs(candidates.amplitude)
    pairs = cKDTree(points).query_pairs(sigma_px, output_type="ndarray")
    weaker = np.where(strength[pairs[:, 0]] < strength[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
    return np.setdiff1d(np.arange(len(candidates)), weaker)


def _table(fit: refine.Fit, scene: Scene, probability: Floats) -> Array:
    state = fit.state
    table = column_table(len(state))
    major, minor, angle = state.axes()
    table["x_px"], table["y_px"] = state.x, state.y
    table["x_err_px"], table["y_err_px"] = precision.position_errors(fit).T
    table["amplitude"] = state.amplitude * scene.scale
    table["background"] = fit.level * scene.scale + scene.offset
    table["sigma_px"] = state.sigma
    table["ellipticity"], table["angle_deg"] = major / minor, angle
    table["integrated_intensity"] = 2 * np.pi * table["amplitude"] * state.sigma**2
    table["probability"] = probability
    height, width = scene.data.shape
    margin = np.minimum(np.minimum(state.x, width - 1 - state.x), np.minimum(state.y, height - 1 - state.y))
    table["flag"][margin < _EDGE_SIGMA * state.sigma - 0.5] = FLAG_EDGE
    table["flag"][~fit.converged] = FLAG_NOT_CONVERGED
    return table[margin >= -0.5]  # a column whose centre is outside only served to explain its tail


def _as_detected(candidates: Candidates) -> Array:
    table = column_table(len(candidates))
    table["x_px"], table["y_px"] = candidates.x_px, candidates.y_px
    table["amplitude"], table["background"] = candidates.amplitude, candidates.background
    table["sigma_px"], table["ellipticity"] = candidates.sigma_px, 1.0
    table["integrated_intensity"] = 2 * np.pi * candidates.amplitude * candidates.sigma_px**2
    table["probability"] = candidates.probability
    return table


def _in_reading_order(table: Array) -> Array:
    """Rows top to bottom, then left to right, with ids 0..n-1."""
    ordered = table[np.lexsort((table["x_px"], table["y_px"]))]
    ordered["column_id"] = np.arange(len(ordered))
    return ordered
