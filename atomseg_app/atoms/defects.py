"""Defects of a crystal's columns, each with a score and a probability, at a stated number of false alarms per image.

Every sound column is compared with those of its sublattice round about, every place of the lattice without a column is
asked for the intensity that is there, every column off the lattice for whether it is real. The expected number of false
alarms is the sum of the p-values at which each comparison is called: the threshold is that number over the number
of comparisons. What lies at the rim of a crystal or is cut by the border is not judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy.spatial import cKDTree

from atomseg_app import devices
from atomseg_app.atoms import defect_operations as codes
from atomseg_app.atoms.defect_operations import DEFECTS, FindDefects
from atomseg_app.atoms.dislocations import Dislocation, boundary_columns, dislocations
from atomseg_app.atoms.grains import fit_lattice
from atomseg_app.atoms.intensity import CELL_RADIUS_SIGMA, Places, cell_sums, fit_amplitudes
from atomseg_app.atoms.lattice import Floats, Ints, Lattice, aspect, has_lattice, kept_lattice, with_lattice
from atomseg_app.atoms.reference import LEAST_MEMBERS, Departures, departures
from atomseg_app.atoms.vacant import VacantSites, enclosed, sites_beyond, vacant_sites
from atomseg_app.data import FLAG_EDGE, FLAG_VACANT, Array, Columns, Image, column_table, joined, with_quantities
from atomseg_app.errors import UserError
from atomseg_app.operations import Report

Bools = npt.NDArray[np.bool_]

QUANTITIES = ("defect", "defect_score", "defect_probability", "intensity_ratio")
_GROUPS = 1000  # sublattices of a grain are numbered within this
_EDGE_SIGMA = 2.0  # sites whose core the border cuts are not judged
_TAIL_SIGMA = 4.0  # how far outside the image a column may stand whose tail is in it
_MISSED_SIGMA = 1.0  # how far inside the image the border may hide a column from detection
_SOUND_LEFT_OUT = 0.2  # sound columns an image, at most, that are not counted to what is usual
_LIKE_OTHER = 2.5  # standard deviations within which an intensity is that of another sublattice
_SURE_CIRCUIT = 3.0  # standard deviations between a circuit's steps and other ones
_WIDEST = 8.0  # standard deviations up to which true defects are spread, at least


@dataclass(frozen=True, eq=False)
class Findings:
    """Of each column and then each site (n + m,): code, score, p-value, probability, measured over expected."""

    code: Ints
    score: Floats
    p_value: Floats
    probability: Floats
    ratio: Floats
    threshold: float


def find_defects(image: Image, columns: Columns, parameters: FindDefects, report: Report) -> Columns:
    """Columns with the quantities :data:`QUANTITIES`; vacancies follow as rows with the flag ``vacant``.

    The table's lattice is used, or fitted where it has none. The metadata lists threshold, numbers and dislocations.
    Raises UserError for too few columns.
    """
    device = devices.choose("cpu", report)
    columns = without_vacant(columns)
    if len(columns) < LEAST_MEMBERS:
        raise UserError(f"Defects need a crystal to stand out from, but there are {len(columns)} columns; find more.")
    lattice = _lattice_of(columns, report)
    scale = aspect(columns)
    height, width = columns.image_shape
    shape = (float((height - 1) * scale[1] + 1), float(width))
    sigma = float(np.nanmedian(columns.table["sigma_px"]))
    sites = vacant_sites(lattice, shape, _EDGE_SIGMA * sigma)
    if not parameters.vacancies:
        sites = sites.take(np.zeros(len(sites), bool))
    beyond = sites_beyond(lattice, shape, _TAIL_SIGMA * sigma, _MISSED_SIGMA * sigma)
    report.progress(0.2, "Measuring intensities")
    group = np.where(lattice.grain >= 0, lattice.grain * _GROUPS + lattice.site, -1)
    spacing = float(np.median(cKDTree(columns.xy_px).query(columns.xy_px, 2)[0][:, 1]))
    fit = fit_amplitudes(
        image.values, columns.table, spacing, report.part(0.2, 0.7), group=group, device=device,
        sites=_places(sites, scale), beyond=_places(beyond, scale),
    )  # fmt: skip
    measured = fit.intensities
    value, error = measured.volume, measured.volume_err
    if parameters.intensity == "cell":
        value, error = cell_sums(fit, CELL_RADIUS_SIGMA * sigma)
    report.progress(0.7, "Comparing")
    cores = [core for core in dislocations(lattice) if core.margin >= _SURE_CIRCUIT] if parameters.topology else []
    findings = _judged(columns, lattice, sites, value, error, shape, cores, parameters, report)
    found = _with_findings(columns, lattice, sites, findings, fit.intensities.amplitude, scale)
    report.progress(1.0, _in_words(findings))
    return replace(found, metadata={**found.metadata, "defects": _summary(findings, cores, scale, parameters)})


def _places(sites: VacantSites, scale: Floats) -> Places:
    """Sites in pixels of the file, with their group."""
    return Places(sites.xy / scale, sites.grain * _GROUPS + sites.site)


def without_vacant(columns: Columns) -> Columns:
    """The same columns without the vacancies that an earlier search added."""
    return replace(columns, table=columns.table[columns.table["flag"] != FLAG_VACANT])


def _lattice_of(columns: Columns, report: Report) -> Lattice:
    if has_lattice(columns):
        return kept_lattice(columns)
    lattice = fit_lattice(columns, report=report.part(0.0, 0.2))
    if not len(lattice.grains):
        raise UserError(
            "No lattice was found in these columns, and defects are departures from one; "
            "fit the lattice first, with a smaller least number of columns per grain."
        )
    return lattice


def _judged(
    columns: Columns,
    lattice: Lattice,
    sites: VacantSites,
    value: Floats,
    error: Floats,
    shape: tuple[float, float],
    cores: list[Dislocation],
    parameters: FindDefects,
    report: Report,
) -> Findings:
    """Compare all columns (n,) and then all sites (m,)."""
    count, many = len(lattice), len(sites)
    grain = np.concatenate([lattice.grain, sites.grain])
    group = np.concatenate([np.where(lattice.grain >= 0, lattice.grain * _GROUPS + lattice.site, -1),
                            sites.grain * _GROUPS + sites.site])  # fmt: skip
    xy = np.concatenate([lattice.xy, sites.xy])
    is_site = np.arange(count + many) >= count
    whole = np.concatenate([columns.table["flag"] != FLAG_EDGE, np.ones(many, bool)]) & np.isfinite(value)
    inside = enclosed(lattice, xy, grain, shape)
    off = _off_lattice(lattice, whole[:count], shape, cores)
    member = whole & ~is_site & (group >= 0)
    judged = whole & inside & np.isin(group, _common(group[member]))
    compared = max(int(judged.sum()) + len(off), 1)
    threshold = parameters.false_alarms / compared
    # Who asks for many alarms calls sound columns too: they stay among those that say how much scatter is usual.
    unusual = min(parameters.false_alarms, _SOUND_LEFT_OUT) / compared
    departed = departures(xy, value, error, group, member, judged, unusual)
    p_value, score = departed.p_value.copy(), departed.score.copy()
    p_value[is_site & (score > 0)] = 1.0  # brighter than a column, and yet none was found
    score[off] = value[off] / error[off]
    p_value[off] = special.ndtr(-score[off])
    rim = int(np.count_nonzero((lattice.grain >= 0) & ~np.isfinite(p_value[:count])))
    if rim:
        report.log(f"{rim} columns at a border, at the rim of a crystal, or of rare kinds were not judged")
    called = p_value < threshold
    code = np.where(called, np.where(score < 0, codes.WEAK, codes.STRONG), codes.NO_DEFECT)
    code[is_site & called] = codes.VACANCY
    code[off] = np.where(called[off], codes.INTERSTITIAL, codes.NO_DEFECT)
    intensity = np.flatnonzero(called & ~is_site & (group >= 0))
    code[intensity[_like_other(intensity, xy, value, error, group, departed)]] = codes.ANTISITE
    probability = defect_probability(p_value, score, threshold)
    if parameters.topology:
        _topology(code[:count], score[:count], lattice, cores)
    return Findings(code, score, p_value, probability, value / departed.expected, threshold)


def _common(group: Ints) -> Ints:
    """Groups with enough members to tell what is usual."""
    label, count = np.unique(group, return_counts=True)
    return np.asarray(label[count >= LEAST_MEMBERS])


def _off_lattice(lattice: Lattice, whole: Bools, shape: tuple[float, float], cores: list[Dislocation]) -> Ints:
    """Rows of columns off the lattice but inside one crystal, away from cores."""
    member = np.flatnonzero(lattice.grain >= 0)
    off = np.flatnonzero((lattice.grain < 0) & whole)
    if not len(off):
        return off
    grain = lattice.grain[member[cKDTree(lattice.xy[member]).query(lattice.xy[off])[1]]]
    inside = enclosed(lattice, lattice.xy[off], grain, shape)
    reach = np.array([np.hypot(*g.vectors_px.T).max() for g in lattice.grains])
    for number in range(len(lattice.grains)):
        foreign = member[lattice.grain[member] != number]
        if len(foreign):
            near = cKDTree(lattice.xy[foreign]).query(lattice.xy[off])[0] < reach[number]
            inside &= ~(near & (grain == number))
    for core in cores:
        inside &= np.hypot(*(lattice.xy[off] - core.xy).T) > reach[core.grain]
    return off[inside]


def _like_other(rows: Ints, xy: Floats, value: Floats, error: Floats, group: Ints, departed: Departures) -> Bools:
    """Whether the intensity of called columns (k,) is that of another sublattice of their grain there."""
    like = np.zeros(len(rows), bool)
    known = np.isfinite(departed.expected)
    for label in np.unique(group[known]):
        members = np.flatnonzero(known & (group == label))
        asked = np.flatnonzero((group[rows] != label) & (group[rows] // _GROUPS == label // _GROUPS))
        if not len(asked) or len(members) < LEAST_MEMBERS:
            continue
        near = members[cKDTree(xy[members]).query(xy[rows[asked]], k=6)[1]]
        expected, scatter = departed.expected[near].mean(axis=1), departed.error[near].mean(axis=1)
        mine = value[rows[asked]]
        spread = np.hypot(scatter, error[rows[asked]])
        agrees = np.abs(mine - expected) < _LIKE_OTHER * spread
        nearer = np.abs(mine - expected) < 0.5 * np.abs(mine - departed.expected[rows[asked]])
        like[asked] |= agrees & nearer
    return like


def _topology(code: Ints, score: Floats, lattice: Lattice, cores: list[Dislocation]) -> None:
    """Enter boundaries and cores where intensity says nothing; changes its first two arguments."""
    beside, _ = boundary_columns(lattice)
    code[beside & (code == codes.NO_DEFECT)] = codes.BOUNDARY
    for core in cores:
        rows = np.array(core.rows)
        rows = rows[np.isin(code[rows], (codes.NO_DEFECT, codes.BOUNDARY))]
        code[rows], score[rows] = codes.DISLOCATION, core.margin


def defect_probability(p_value: Floats, score: Floats, threshold: float) -> Floats:
    """Probability (n,) that each comparison is of a defect; NaN where not judged (local false discovery rate, Efron,
    Large-Scale Inference, 2010).

    Scores of sound columns follow the normal law that has their p-value; those of defects are as likely anywhere up to
    the largest one. The share of defects is fitted, and is at least what one false alarm is worth.
    """
    known = np.isfinite(p_value)
    standing = np.abs(special.ndtri(np.clip(p_value[known], 1e-300, 1.0) / 2))
    sound = np.exp(-(standing**2) / 2) / np.sqrt(2 * np.pi)
    defect = 1 / (2 * max(_WIDEST, float(np.max(standing, initial=0.0))))
    least = threshold / (1 + threshold)
    share = 0.05
    for _ in range(50):
        of_defect = share * defect / (share * defect + (1 - share) * sound)
        share = float(np.clip(of_defect.mean() if len(of_defect) else least, least, 0.5))
    out = np.full(len(p_value), np.nan)
    out[known] = share * defect / (share * defect + (1 - share) * sound)
    return out


def _with_findings(
    columns: Columns, lattice: Lattice, sites: VacantSites, findings: Findings, amplitude: Floats, scale: Floats
) -> Columns:
    """The table with its quantities, and a row behind it for each vacancy."""
    count = len(columns)
    columns = columns if has_lattice(columns) else with_lattice(columns, lattice)
    per_row = (findings.code, findings.score, findings.probability, findings.ratio)
    found = with_quantities(columns, {name: v[:count] for name, v in zip(QUANTITIES, per_row, strict=True)})
    vacant = np.flatnonzero(findings.code == codes.VACANCY)
    vacant = vacant[vacant >= count]
    rows = _vacancy_rows(found, sites.take(vacant - count), amplitude[vacant], scale)
    for name, v in zip(QUANTITIES, per_row, strict=True):
        rows[name] = v[vacant]
    rows["probability"] = 1 - findings.probability[vacant]
    return replace(found, table=joined([found.table, rows]))


def _vacancy_rows(columns: Columns, sites: VacantSites, amplitude: Floats, scale: Floats) -> Array:
    """Rows of sites without a column, behind the ids of a table."""
    rows = column_table(len(sites), columns.quantities)
    first = int(columns.table["column_id"].max(initial=-1)) + 1
    rows["column_id"] = first + np.arange(len(sites))
    rows["x_px"], rows["y_px"] = (sites.xy / scale).T
    rows["x_err_px"], rows["y_err_px"] = (sites.err / scale).T
    for group in np.unique(sites.site):
        alike = columns.table["sigma_px"][columns.table["sublattice"] == group]
        rows["sigma_px"][sites.site == group] = np.nanmedian(alike)
    rows["ellipticity"] = 1.0
    rows["amplitude"] = amplitude
    rows["integrated_intensity"] = 2 * np.pi * amplitude * rows["sigma_px"] ** 2
    rows["sublattice"], rows["flag"] = sites.site, FLAG_VACANT
    rows["frame"] = columns.table["frame"][0]
    return rows


def _numbers(findings: Findings) -> dict[str, int]:
    return {name: int((findings.code == number).sum()) for number, name in enumerate(DEFECTS) if name}


def _in_words(findings: Findings) -> str:
    """Numbers of what was found, for the progress line."""
    parts = [f"{number} {name}" for name, number in _numbers(findings).items() if number]
    return ", ".join(parts) or "no defects"


def _summary(findings: Findings, cores: list[Dislocation], scale: Floats, parameters: FindDefects) -> Mapping[str, Any]:
    """What the table cannot say, JSON-able: comparisons, threshold, numbers, dislocations in pixels of the file."""
    return {
        "comparisons": int(np.isfinite(findings.p_value).sum()),
        "false_alarms": parameters.false_alarms,
        "p_value_threshold": findings.threshold,
        "numbers": _numbers(findings),
        "dislocations": [
            {
                "x_px": core.xy[0] / float(scale[0]), "y_px": core.xy[1] / float(scale[1]), "grain": core.grain,
                "burgers": list(core.burgers), "margin": core.margin,
            }
            for core in cores
        ],
    }  # fmt: skip
