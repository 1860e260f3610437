"""Displacement, strain and rotation of each column against a reference lattice, with error bars.

The map F from the reference to the image is fitted over the n x n neighbouring columns of the same sublattice, weighted
by their error bars; it is split into a rotation and a stretch, F = V R (polar decomposition), so that no angle counts
as strain. Strain is V - 1 in image axes, x right and y down; a positive rotation goes from +x towards +y. Error bars
follow from those of the positions through the same fit, widened where the columns scatter more round it than their
error bars say. What the window blurs of a field that varies within it is not in them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atomseg_app.atoms import weighted
from atomseg_app.atoms.grains import Options, fit_lattice
from atomseg_app.atoms.lattice import Floats, Grain, Ints, Lattice, aspect, has_lattice, kept_lattice, with_lattice
from atomseg_app.atoms.physics_operations import MeasureLattice, MeasureStrain
from atomseg_app.data import Columns, with_quantities
from atomseg_app.errors import UserError
from atomseg_app.operations import Report

_LEAST_REFERENCE = 6
_CUBIC = 3
_WHOLE = 0.9  # of the window must be there for a cubic; an affine map over its inner half is fitted elsewhere
_PARTS = ("xx", "yy", "xy")


def measure_lattice(columns: Columns, parameters: MeasureLattice, report: Report) -> Columns:
    """Columns with grain, cell, sublattice, displacement from the mean lattice and spacings along a and b."""
    options = Options(parameters.least_columns, parameters.use_intensity)
    lattice = fit_lattice(columns, options, report)
    _tell(lattice, columns, report)
    away = (lattice.xy - lattice.ideal()) / aspect(columns)
    measured = {"displacement_x_px": away[:, 0], "displacement_y_px": away[:, 1]}
    for name, ahead in (("a", 0), ("b", 2)):
        measured[f"spacing_{name}_px"], measured[f"spacing_{name}_err_px"] = _spacing(lattice, ahead)
    return with_quantities(with_lattice(columns, lattice), measured)


def lattice_for(columns: Columns, report: Report) -> tuple[Columns, Lattice]:
    """Columns that carry a lattice, and it: the one they have, or a new one. Raises UserError where there is none."""
    if has_lattice(columns):
        lattice = kept_lattice(columns)
    else:
        lattice = fit_lattice(columns, Options(), report)
        _tell(lattice, columns, report)
        columns = with_lattice(columns, lattice)
    if not lattice.grains:
        raise UserError(
            f"{columns.source.name}: {len(columns)} columns show no lattice, so there is nothing to measure from; "
            "look at the columns found, or give more of them."
        )
    return columns, lattice


def _tell(lattice: Lattice, columns: Columns, report: Report) -> None:
    outside = int(np.count_nonzero(lattice.grain < 0))
    if not lattice.grains:
        report.note(f"No lattice: the {len(columns)} columns do not repeat along two directions.")
    elif outside > 0.1 * len(lattice):
        report.note(f"{outside} of {len(lattice)} columns belong to no grain.")


def _spacing(lattice: Lattice, ahead: int) -> tuple[Floats, Floats]:
    """Mean distance (n,) to the two neighbours along a lattice vector, or to the one that is there, and its error."""
    sigma = weighted.usable_errors(lattice.err) if np.isfinite(lattice.err).any() else np.full_like(lattice.err, np.nan)
    one, other = lattice.steps[:, ahead], lattice.steps[:, ahead + 1]
    here = np.arange(len(lattice))
    start, end = np.where(other >= 0, other, here), np.where(one >= 0, one, here)
    steps = (one >= 0).astype(int) + (other >= 0)
    way = lattice.xy[end] - lattice.xy[start]
    length = np.hypot(*way.T)
    with np.errstate(invalid="ignore", divide="ignore"):
        along = way / length[:, None]
        error = np.sqrt((along**2 * (sigma[start] ** 2 + sigma[end] ** 2)).sum(axis=1)) / steps
        return np.where(steps > 0, length / steps, np.nan), np.where(steps > 0, error, np.nan)


@dataclass(frozen=True)
class Reference:
    """Lattice that strain is measured against: vectors (2, 2) and where the origin of sublattice 0 is (2,)."""

    vectors: Floats
    origin: Floats


def measure_strain(columns: Columns, parameters: MeasureStrain, report: Report) -> Columns:
    """Columns with displacement from the reference lattice, strain and rotation, each with its error bar."""
    columns, lattice = lattice_for(columns, report)
    n = len(columns)
    ideal, names = np.full((n, 2), np.nan), [f"strain_{part}" for part in _PARTS]
    strain, errors = np.full((n, 4), np.nan), np.full((n, 4), np.nan)
    for number, grain in enumerate(lattice.grains):
        report.progress(number / len(lattice.grains), f"grain {number + 1} of {len(lattice.grains)}")
        rows = lattice.rows(number)
        reference = reference_of(columns, lattice, number, parameters, report)
        ideal[rows] = (lattice.index[rows] + grain.sites[lattice.site[rows]]) @ reference.vectors + reference.origin
        axes = grain.direction_deg if parameters.axes == "lattice" else parameters.axis_deg
        strain[rows], errors[rows] = strain_of(lattice, rows, reference.vectors, parameters, np.deg2rad(axes))
    away = (lattice.xy - ideal) / aspect(columns)
    measured = {"displacement_x_px": away[:, 0], "displacement_y_px": away[:, 1]}
    for place, name in enumerate(names):
        measured[name], measured[f"{name}_err"] = strain[:, place], errors[:, place]
    measured["rotation_deg"], measured["rotation_err_deg"] = np.degrees(strain[:, 3]), np.degrees(errors[:, 3])
    known = int(np.isfinite(strain[:, 0]).sum())
    if known < np.count_nonzero(lattice.grain >= 0):
        report.log(f"strain of {known} of {n} columns; the others have too few neighbours")
    return with_quantities(columns, measured)


def reference_of(
    columns: Columns, lattice: Lattice, number: int, parameters: MeasureStrain, report: Report
) -> Reference:
    """The mean lattice of a grain, that of the region asked for, or the spacings given. Raises UserError for sizes."""
    grain, rows = lattice.grains[number], lattice.rows(number)
    cells = lattice.index[rows] + grain.sites[lattice.site[rows]]
    if parameters.region_px is not None:
        left, top, right, bottom = parameters.region_px
        x, y = columns.xy_px[rows].T
        inside = np.flatnonzero((x >= left) & (x < right) & (y >= top) & (y < bottom))
        if len(inside) >= _LEAST_REFERENCE and np.linalg.matrix_rank(np.cov(lattice.index[rows[inside]].T)) == 2:
            some = rows[inside]
            fit = weighted.fit_cells(lattice.xy[some], lattice.err[some], lattice.index[some], lattice.site[some])
            origin = np.median(lattice.xy[some] - cells[inside] @ fit.vectors, axis=0)
            return Reference(fit.vectors, origin)
        if len(lattice.grains) == 1:
            raise UserError(
                f"The reference region {left}, {top}, {right}, {bottom} holds {len(inside)} columns of the crystal; "
                f"choose one with at least {_LEAST_REFERENCE}, not all on a line."
            )
        report.note(f"Grain {number} has too few columns in the reference region; its own mean lattice is taken.")
    vectors = grain.vectors_px
    if parameters.spacing_a_nm is not None or parameters.spacing_b_nm is not None:
        vectors = _given(columns, grain, parameters)
    return Reference(vectors, np.median(lattice.xy[rows] - cells @ vectors, axis=0))


def _given(columns: Columns, grain: Grain, parameters: MeasureStrain) -> Floats:
    """Vectors of the lengths and angle given, turned so that the mean lattice is not rotated against them."""
    size = columns.pixel_size_nm[1]
    if size is None:
        raise UserError("Reference spacings in nm need a pixel size; set it (--pixel-size-nm) or leave them out.")
    asked = (parameters.spacing_a_nm, parameters.spacing_b_nm)
    a, b = (length if nm is None else nm / size for nm, length in zip(asked, grain.lengths_px, strict=True))
    angle = np.deg2rad(grain.angle_deg if parameters.angle_deg is None else parameters.angle_deg)
    upright = np.array([[a, 0.0], [b * np.cos(angle), b * np.sin(angle)]])
    u, _, vt = np.linalg.svd(np.linalg.solve(upright, grain.vectors_px))
    return np.asarray(upright @ u @ vt)


def strain_of(
    lattice: Lattice, rows: Ints, vectors: Floats, parameters: MeasureStrain, axis_rad: float
) -> tuple[Floats, Floats]:
    """Strains xx, yy, xy and rotation in radians (n, 4) of rows of one grain, and their errors (n, 4)."""
    half = parameters.window // 2
    known = np.isfinite(lattice.err[rows]).any()
    weight = 1 / weighted.usable_errors(lattice.err) ** 2
    around, offsets = lattice.neighbours(half)
    order = _CUBIC if parameters.order == "cubic" else 1
    fit = weighted.local_map(lattice.xy, rows, around[rows], offsets @ vectors, weight, order=order)
    if order == _CUBIC:
        whole = np.count_nonzero(around[rows] >= 0, axis=1) >= _WHOLE * len(offsets)
        inner = np.abs(offsets).max(axis=1) <= max(1, half // 2)
        plain = weighted.local_map(
            lattice.xy, rows, around[rows][:, inner], (offsets @ vectors)[inner], weight, order=1
        )
        fit = _chosen(whole & np.isfinite(fit.gradient[:, 0, 0]), fit, plain)
    good = np.isfinite(fit.misfit).all(axis=1) & (fit.free > 0)
    scatter = float(np.median((fit.misfit[good] / fit.free[good, None]).mean(axis=1))) if good.any() else np.nan
    widening = max(scatter, 1.0) if known else scatter
    return _split(fit.gradient, fit.covariance * widening, axis_rad)


def _chosen(first: npt.NDArray[np.bool_], one: weighted.LocalMap, other: weighted.LocalMap) -> weighted.LocalMap:
    """Row by row the one map or the other."""
    return weighted.LocalMap(
        np.where(first[:, None, None], one.gradient, other.gradient),
        np.where(first[:, None, None, None], one.covariance, other.covariance),
        np.where(first[:, None], one.misfit, other.misfit),
        np.where(first, one.free, other.free),
    )


def polar(gradient: Floats) -> tuple[Floats, Floats]:
    """Left stretch V (n, 2, 2) and angle (n,) in radians of maps F = V R; closed form in two dimensions."""
    angle = np.arctan2(gradient[..., 1, 0] - gradient[..., 0, 1], gradient[..., 0, 0] + gradient[..., 1, 1])
    c, s = np.cos(angle), np.sin(angle)
    back = np.stack([np.stack([c, s], axis=-1), np.stack([-s, c], axis=-1)], axis=-2)
    return gradient @ back, angle


def _split(gradient: Floats, covariance: Floats, axis_rad: float) -> tuple[Floats, Floats]:
    """Strains and rotation (n, 4) of maps in axes turned by an angle, and errors to first order."""
    stretch, angle = polar(gradient)
    c, s = np.cos(axis_rad), np.sin(axis_rad)
    axes = np.array([[c, s], [-s, c]])
    tensor = axes @ (stretch - np.eye(2)) @ axes.T
    values = np.stack([tensor[:, 0, 0], tensor[:, 1, 1], tensor[:, 0, 1], angle], axis=1)
    slopes = np.zeros((4, 4))
    for place in range(4):
        unit = np.zeros((2, 2))
        unit.flat[place] = 1
        change = axes @ ((unit + unit.T) / 2) @ axes.T
        slopes[:, place] = change[0, 0], change[1, 1], change[0, 1], (unit[1, 0] - unit[0, 1]) / 2
    full = np.zeros((len(gradient), 4, 4))
    full[:, :2, :2], full[:, 2:, 2:] = covariance[:, 0], covariance[:, 1]
    return values, np.sqrt(np.einsum("ij,njk,ik->ni", slopes, full, slopes))
