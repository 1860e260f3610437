"""Atoms of a particle found in a filled volume, against those found in a reconstruction from the full range.

A particle of a face-centred crystal, its atoms moved by heat, as Gaussian spots whose projections are written down in
closed form; atoms are traced as maxima of the volume, refined by a parabola each way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.special import erf

from atomseg_app.benchmarks import wedge_networks
from atomseg_app.benchmarks.table import print_table
from atomseg_app.benchmarks.verdicts import Bar, at_least, at_most, print_bars
from atomseg_app.benchmarks.wedge_classical import back_projection, tv
from atomseg_app.benchmarks.wedge_networks import OURS, Fill
from atomseg_app.benchmarks.wedge_scenes import Condition, counted, wedge_tilts
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.simulate.draw import Draw
from atomseg_app.tomography.wedge_spots import with_measured_width

Floats = npt.NDArray[np.float64]

WEDGE_DEG = 40.0
FOUND_WANTED, RMS_WANTED = 0.02, 1.2
_SIZE = 64
_VOXEL_NM, _EDGE_NM, _RADIUS_NM = 0.04, 0.408, 1.1  # gold
_SIGMA_PX, _HEAT_PX = 1.5, 0.2  # 0.06 nm: probe and heat; static displacements
_SEED = 40
SPOTS = "ours, spots, width measured"
CONDITIONS = (Condition("noise-free"), Condition("1e2 counts", 1e2))
Score = tuple[int, int, float]


@dataclass(frozen=True)
class Particle:
    """Places (atoms, 3) as (z, y, x) in voxels, and strengths (atoms,)."""

    zyx: Floats
    strength: Floats

    @property
    def spacing_px(self) -> float:
        """Distance of nearest neighbours in the crystal."""
        return _EDGE_NM / 2**0.5 / _VOXEL_NM

    def views(self, tilt_deg: torch.Tensor) -> torch.Tensor:
        """Projections (y, view, t): slices first, as rays go."""
        radians = np.deg2rad(tilt_deg.numpy())
        centre = (_SIZE - 1) / 2
        z, x = self.zyx[:, 0] - centre, self.zyx[:, 2] - centre
        across = x[None] * np.cos(radians)[:, None] + z[None] * np.sin(radians)[:, None] + centre  # (view, atom)
        along = _bins(self.zyx[:, 1]) * self.strength  # (y, atom)
        views = np.stack([along @ _bins(each).T for each in across], axis=1)
        return torch.from_numpy(views.astype(np.float32))


def particle() -> Particle:
    """The particle, turned at random so that no axis of the crystal lies along the beam."""
    rng = np.random.default_rng(_SEED)
    steps = np.arange(-6, 7)
    corners = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    basis = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    places = (corners[:, None] + basis[None]).reshape(-1, 3) * _EDGE_NM
    places = places[np.linalg.norm(places, axis=1) < _RADIUS_NM]
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    voxels = places @ turn.T / _VOXEL_NM + (_SIZE - 1) / 2 + _HEAT_PX * rng.normal(size=places.shape)
    return Particle(voxels, np.ones(len(voxels)))


def traced(volume: Floats) -> Floats:
    """Places (n, 3) of atoms in a volume (z, y, x): maxima of at least a third of the strongest tenth's."""
    smooth = ndimage.gaussian_filter(volume, 0.7)
    peaks: npt.NDArray[np.int64] = np.argwhere((smooth == ndimage.maximum_filter(smooth, 5)) & (smooth > 0))
    inside = ((peaks > 0) & (peaks < np.array(volume.shape) - 1)).all(axis=1)
    peaks = peaks[inside]
    heights = smooth[tuple(peaks.T)]
    strong = np.sort(heights)[-max(1, len(heights) // 10) :].mean()
    peaks = peaks[heights > strong / 3]
    refined: Floats = peaks.astype(np.float64)
    here = smooth[tuple(peaks.T)]
    for axis in range(3):
        step = np.eye(3, dtype=int)[axis]
        before, after = smooth[tuple((peaks - step).T)], smooth[tuple((peaks + step).T)]
        bend = before - 2 * here + after
        refined[:, axis] += np.clip(0.5 * (before - after) / np.where(bend < 0, bend, -np.inf), -0.5, 0.5)
    return refined


def compared(found: Floats, true: Particle) -> tuple[int, int, float]:
    """Atoms found, false ones, and the rms distance in pm of the found ones from the truth."""
    if not len(found):
        return 0, 0, float("nan")
    distance, index = cKDTree(true.zyx).query(found)
    order = np.argsort(distance)
    order = order[distance[order] < 0.4 * true.spacing_px]
    _, first = np.unique(index[order], return_index=True)
    kept = distance[order][first]
    return len(kept), len(found) - len(kept), float(np.sqrt(np.mean(kept**2))) * _VOXEL_NM * 1000


def run() -> bool:
    """Print the table; True if ours finds fewer atoms or places them worse than is wanted."""
    true = particle()
    full, limited = wedge_tilts(0.0)[1:], wedge_tilts(WEDGE_DEG)
    classical: dict[str, Fill] = {"WBP": back_projection, "TV, automatic": tv}
    fills = {**classical, **wedge_networks.installed()}
    if OURS in fills:
        fills[SPOTS] = _spots(fills[OURS])
    bars: list[Bar] = []
    rows: list[list[object]] = []
    for condition in CONDITIONS:
        complete = {name: _score(fill, true, full, condition) for name, fill in fills.items()}
        filled = {name: _score(fill, true, limited, condition) for name, fill in fills.items()}
        for words, scores in (("full range", complete), (f"{WEDGE_DEG:g} degrees missing", filled)):
            rows += [[condition.name, words, name, *score[:2], f"{score[2]:.1f}"] for name, score in scores.items()]
        if OURS in fills:
            bars += _bars(condition.name, [complete[name] for name in classical], filled[SPOTS])
    print_table(
        f"Atoms of a particle of {len(true.zyx)} atoms, {_VOXEL_NM * 1000:g} pm a voxel, views 2 degrees apart.",
        ["views", "range", "method", "found", "false", "rms of position, pm"],
        rows,
    )
    return not print_bars("Atoms, against the best classical reconstruction of the full range.", bars)


def _bars(words: str, complete: list[Score], filled: Score) -> list[Bar]:
    found, _, rms = max(complete, key=lambda score: (score[0], -score[2]))
    return [
        at_least(f"atoms found, {words}", (1 - FOUND_WANTED) * found, filled[0]),
        at_most(f"rms of position, times that of the full range, {words}", RMS_WANTED, filled[2] / rms),
    ]


def _spots(fill: Fill) -> Fill:
    """As ``atomseg fill-wedge --atoms`` does."""

    def spots(views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
        filled = fill(views, beam)
        made = with_measured_width(views, beam, filled)
        return filled if made is None else made

    return spots


def _score(fill: Fill, true: Particle, tilts: torch.Tensor, condition: Condition) -> Score:
    views = counted(true.views(tilts).reshape(1, -1, _SIZE), condition.counts, Draw(_SEED, torch.device("cpu")))
    with torch.no_grad():
        slices = fill(views.reshape(_SIZE, -1, _SIZE), ParallelBeam(tilts, _SIZE))
    return compared(traced(slices.permute(1, 0, 2).double().numpy()), true)


def _bins(places: Floats) -> Floats:
    """What a spot at each place (n,) adds to every bin (bins, n), integrated over the bin."""
    edges = (np.arange(_SIZE + 1) - 0.5)[:, None] - places[None]
    return np.asarray(np.diff(0.5 * erf(edges / (_SIGMA_PX * 2**0.5)), axis=0) * _SIGMA_PX * (2 * np.pi) ** 0.5)
