"""Find columns and measure them: detection, joint fit, evidence, table. Also the fit again of touched columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import cKDTree

from atomseg_app import devices
from atomseg_app.atoms import evidence, measured, model, refine, scanlines
from atomseg_app.atoms.background import burnt_in
from atomseg_app.atoms.candidates import Candidates
from atomseg_app.atoms.column_model import column_network
from atomseg_app.atoms.detect import detect
from atomseg_app.atoms.few_frequencies import ADVICE, few_frequencies
from atomseg_app.atoms.network_detect import detect_by_network
from atomseg_app.atoms.operations import FindColumns, Polarity, RefitColumns
from atomseg_app.atoms.own_sampling import OwnSampling
from atomseg_app.atoms.problem import Prior, Problem, Scene
from atomseg_app.atoms.tiles import Tile, run_tiles, tiles_of
from atomseg_app.atoms.working_scale import WorkingScale
from atomseg_app.data import FLAG_EDITED, FLAG_NOT_CONVERGED, Array, Columns, Image, as_dtype, column_table
from atomseg_app.errors import UserError
from atomseg_app.operations import Report

_SPACING_SIGMA = 5.0  # spacing in widths where only one column is known
_LABEL_SIGMA = 8.0  # areas of one bright value longer than this are labels, not columns
_MARGIN_SIGMA = 8.0  # round columns that are fitted again
_RUNAWAY_SIGMA = 2.0
_WIDENED, _NARROWED = 0.3, 0.45  # in the logarithm of the width: more than the network, which errs upwards, errs by


def find_columns(image: Image, parameters: FindColumns, report: Report) -> Columns:
    """Every atomic column of an image, in the frame of the file, top to bottom.

    Images larger than a tile are worked on in overlapping tiles, so memory does not grow with the image. An enlarged
    image is searched in the pixels in which it was recorded. Raises UserError for a region outside the image.
    """
    device = devices.choose(parameters.device, report)
    left, top, right, bottom = region = _region(parameters.region_px, image.shape)
    if few_frequencies(image.values[top:bottom, left:right]):
        report.note(ADVICE)
    own = OwnSampling.of(image, region)
    own.tell(report)
    if not own.enlarged:
        table = _table(image, parameters, device, report)
    else:
        all_of_it = parameters.model_copy(update={"region_px": None})
        table = own.in_file(_table(own.recorded(image), all_of_it, device, report))
    table = table[np.lexsort((table["x_px"], table["y_px"]))]
    table["column_id"] = np.arange(len(table))
    table["frame"] = int(image.metadata.get("frame", 0))
    report.progress(1.0, f"{len(table)} columns")
    shape = (image.shape[0], image.shape[1])
    return Columns(table, shape, image.pixel_size_nm, image.source, dict(image.metadata), image.history)


def _table(image: Image, parameters: FindColumns, device: torch.device, report: Report) -> Array:
    """Columns of an image as it is sampled."""
    workers = max(1, torch.get_num_threads()) if device.type == "cpu" else 1
    tiles = list(tiles_of(_region(parameters.region_px, image.shape), workers))
    method = parameters.method
    seen = _seen_by_network(image, parameters, device, report.part(0.0, 0.4)) if method == "network" else None
    rest = report.part(0.4, 1.0) if seen is not None else report
    tables = run_tiles(
        tiles, lambda tile, part: _in_tile(image.values, tile, parameters, device, part, seen), workers, rest
    )
    if parameters.polarity == "auto" and seen is None:
        tables = _of_one_polarity(image.values, tiles, tables, parameters, device, report)
    return np.concatenate([table[tile.owns(table)] for tile, table in zip(tiles, tables, strict=True)])


def refit_columns(image: Image, columns: Columns, parameters: RefitColumns, report: Report) -> Columns:
    """The same columns fitted again from where they are; only rows named in ``column_ids`` change.

    Named columns are fitted in a window round them, with their neighbours as they stand and the shape kept; all
    columns are fitted as in :func:`find_columns`. Rows keep their id, sublattice and the mark of an edit.
    """
    device = devices.choose(parameters.device, report)
    table = columns.table.copy()
    ids = parameters.column_ids
    chosen = np.ones(len(table), bool) if ids is None else np.isin(table["column_id"], ids)
    if chosen.any():
        own = OwnSampling.of(image)
        own.tell(report)
        if own.enlarged:
            fitted = own.in_file(
                _refitted(own.recorded(image).values, own.in_own(table), chosen, parameters, device, report)
            )
        else:
            fitted = _refitted(image.values, table, chosen, parameters, device, report)
        table[chosen] = as_dtype(fitted, table.dtype)  # quantities measured from the old fit no longer hold
    return replace(columns, table=table)


def _refitted(
    values: Array, table: Array, chosen: npt.NDArray[np.bool_], parameters: RefitColumns, device: torch.device,
    report: Report,
) -> Array:  # fmt: skip
    """The chosen rows of a table fitted again to an image (y, x), in its pixels."""
    left, top, right, bottom = _window(table, chosen, values.shape)
    scene = Scene.of(values[top:bottom, left:right], device)
    table = table.copy()
    table["x_px"] -= left
    table["y_px"] -= top
    whole = parameters.column_ids is None
    fit = _fitted_again(scene, table, chosen, parameters.shape == "free", whole, report.part(0.0, 0.7))
    straight = scanlines.straighten(fit, report.part(0.7, 1.0))
    fitted = measured.table_of(straight.fit, table["probability"][chosen], straight.widening)
    away = np.hypot(fitted["x_px"] - table["x_px"][chosen], fitted["y_px"] - table["y_px"][chosen])
    fitted["flag"][away > _RUNAWAY_SIGMA * fit.problem.sigma] = FLAG_NOT_CONVERGED
    for name in ("column_id", "sublattice", "frame"):
        fitted[name] = table[name][chosen]
    was_edited = (table["flag"][chosen] == FLAG_EDITED) & (fitted["flag"] != FLAG_NOT_CONVERGED)
    fitted["flag"][was_edited] = FLAG_EDITED
    fitted["x_px"] += left
    fitted["y_px"] += top
    return fitted


def _of_one_polarity(
    image: Array, tiles: list[Tile], tables: list[Array], parameters: FindColumns, device: torch.device, report: Report
) -> list[Array]:
    """Tables of the tiles, those that took the other contrast than most columns searched again."""
    signs = [float(np.sign(table["amplitude"]).sum()) for table in tables]
    polarity: Polarity = "bright" if sum(signs) >= 0 else "dark"
    settled = parameters.model_copy(update={"polarity": polarity})
    wrong = -1.0 if polarity == "bright" else 1.0
    return [
        _in_tile(image, tile, settled, device, report.part(1.0, 1.0)) if sign * wrong > 0 else table
        for tile, table, sign in zip(tiles, tables, signs, strict=True)
    ]


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


def _seen_by_network(image: Image, parameters: FindColumns, device: torch.device, report: Report) -> Candidates:
    """Columns that the network sees in the region of an image, in pixels of the image."""
    left, top, right, bottom = _region(parameters.region_px, image.shape)
    module = column_network(parameters.model, device)
    values = image.values[top:bottom, left:right]
    sizes = [size for size in image.pixel_size_nm if size is not None]
    pixel_size_nm = float(np.mean(sizes)) if sizes else None
    found = detect_by_network(module, values, parameters.polarity, pixel_size_nm, device, report)
    return replace(found, x_px=found.x_px + left, y_px=found.y_px + top)


def _in_tile(
    image: Array,
    tile: Tile,
    parameters: FindColumns,
    device: torch.device,
    report: Report,
    seen: Candidates | None = None,
) -> Array:
    """Table of the columns of one tile of an image, in pixels of the image; ``seen`` are those known beforehand."""
    values = image[tile.rows, tile.columns]
    candidates = seen.within(tile.rows, tile.columns) if seen is not None else None
    if candidates is None:
        candidates = _detected(values, parameters, report.part(0.0, 0.4))
    table = _in_array(values, candidates, tile.core_in_tile, parameters, device, report)
    table["x_px"] += tile.columns.start
    table["y_px"] += tile.rows.start
    return table


def _detected(values: Array, parameters: FindColumns, report: Report) -> Candidates:
    assert parameters.method != "network"
    return detect(
        values,
        method=parameters.method,
        polarity=parameters.polarity,
        false_alarms=parameters.false_alarms,
        report=report,
    )


def _in_array(
    values: Array,
    candidates: Candidates,
    core: tuple[float, float, float, float],
    parameters: FindColumns,
    device: torch.device,
    report: Report,
) -> Array:
    """Table of the columns of an array, in its pixels; ``core`` is the part whose columns are wanted."""
    if not len(candidates):
        return column_table(0)
    if not parameters.refine:
        return _as_detected(candidates)
    sigma = float(np.median(candidates.sigma_px))
    once = _once(candidates, sigma)
    scene = Scene.of(values, device)
    labels = burnt_in(scene.data.cpu().numpy(), _LABEL_SIGMA * sigma)
    if labels is not None:
        scene = scene.without(labels)
    work = WorkingScale.of(sigma)
    amplitude = candidates.amplitude[once] / scene.scale
    start = work.columns(candidates.x_px[once], candidates.y_px[once], amplitude, sigma)
    spacing = candidates.spacing_px if np.isfinite(candidates.spacing_px) else _SPACING_SIGMA * sigma
    free = parameters.shape == "free"
    fit = refine.fit(work.scene(scene), start, spacing / work.factor, report.part(0.4, 0.7), free=free)
    astray = parameters.method == "network" and not free and _astray(fit, start)
    if astray:
        report.note("The fit of the column width went astray in the background; the network's width is kept.")
        fit = _of_known_width(fit.problem.scene, start, spacing / work.factor, report.part(0.6, 0.7))
    found = evidence.Resolved(fit, candidates.probability[once])
    if parameters.split and not astray:
        wanted = work.core(core)
        found = evidence.resolve(
            fit, found.probability, parameters.false_alarms, wanted, report.part(0.7, 0.85),
            trusting=parameters.method == "network",
        )  # fmt: skip
    fit = work.in_file(found.fit, scene, report.part(0.85, 0.9))
    straight = scanlines.straighten(fit, report.part(0.9, 1.0))
    final = straight.fit if straight.fit is not fit else refine.rested(fit, report.part(0.9, 1.0))
    excess = found.excess if straight.fit is fit else None  # the lines put back are no longer in the residual
    table = measured.table_of(final, found.probability, straight.widening, excess)
    # A column whose centre is outside only served to explain its tail.
    return table[measured.depth_px(table, scene.shape) >= -0.5]


def _astray(fit: refine.Fit, start: model.ColumnState) -> bool:
    """Whether columns became so wide, or so narrow, that they describe something else than what was detected."""
    change = float(np.log(np.median(fit.state.sigma) / np.median(start.sigma)))
    return not -_NARROWED < change < _WIDENED


def _of_known_width(scene: Scene, start: model.ColumnState, spacing_px: float, report: Report) -> refine.Fit:
    prior = Prior(refine.WIDTH_SD, evidence.FIXED_SHAPE)
    problem = Problem(scene, float(np.median(start.sigma)), spacing_px, prior)
    return refine.descend(problem, problem.start(start), None, report)


def _once(candidates: Candidates, sigma_px: float) -> npt.NDArray[np.int64]:
    """Indices of the candidates without doubles: of two nearer than a width, the stronger stays."""
    points = np.stack([candidates.x_px, candidates.y_px], axis=1)
    strength = np.abs(candidates.amplitude)
    pairs = cKDTree(points).query_pairs(sigma_px, output_type="ndarray")
    weaker = np.where(strength[pairs[:, 0]] < strength[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
    return np.setdiff1d(np.arange(len(candidates)), weaker)


def _as_detected(candidates: Candidates) -> Array:
    table = column_table(len(candidates))
    table["x_px"], table["y_px"] = candidates.x_px, candidates.y_px
    table["amplitude"], table["background"] = candidates.amplitude, candidates.background
    table["sigma_px"], table["ellipticity"] = candidates.sigma_px, 1.0
    table["integrated_intensity"] = 2 * np.pi * candidates.amplitude * candidates.sigma_px**2
    table["probability"] = candidates.probability
    return table


def _window(table: Array, chosen: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the part of the image that chosen columns and their neighbours need."""
    sigma = np.nanmedian(table["sigma_px"]) if np.isfinite(table["sigma_px"]).any() else measured.SIGMA_PX
    margin = _MARGIN_SIGMA * float(sigma)
    x, y = table["x_px"][chosen], table["y_px"][chosen]
    left, right = (int(np.clip(v, 0, shape[1] - 1)) for v in (x.min() - margin, x.max() + margin))
    top, bottom = (int(np.clip(v, 0, shape[0] - 1)) for v in (y.min() - margin, y.max() + margin))
    return left, top, right + 1, bottom + 1


def _fitted_again(
    scene: Scene, table: Array, chosen: npt.NDArray[np.bool_], free: bool, whole: bool, report: Report
) -> refine.Fit:
    """Fit of the chosen rows of a table, the others as they are."""
    state = measured.state_of(table, scene)
    sigma = float(np.median(state.sigma))
    prior = Prior(refine.FREE_SD if free else refine.WIDTH_SD, np.inf if whole else evidence.FIXED_SHAPE)
    spacing = _SPACING_SIGMA * sigma
    fixed = None
    if not chosen.all():
        near = measured.depth_px(table, scene.shape) > -_MARGIN_SIGMA * sigma
        fixed = Problem(scene, sigma, spacing, prior).renderer.render(state.take(near & ~chosen))
    problem = Problem(scene, sigma, spacing, prior, free=free, fixed=fixed)
    return refine.descend(problem, problem.start(state.take(chosen)), None, report)
