"""Simulated crystals with known defects: two lattices in one, ramps of thickness and background, few to many counts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from atomseg_app.simulate.columns import Floats, TrueColumns, poisson, render

Ints = npt.NDArray[np.int64]

SOUND, MISSING, WEAKER, STRONGER, EXCHANGED = range(5)
KINDS = ("sound", "missing", "weaker", "stronger", "exchanged")
_BORDER_SIGMA = 2.0

_CELLS: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[tuple[float, float, float], ...]]] = {
    # Vectors in units of the nearest-neighbour distance; sites as fractions and relative intensity.
    "square": ((1, 0), (0, 1), ((0, 0, 1.0),)),
    "oblique": ((1.1, 0), (0.35, 1.0), ((0, 0, 1.0),)),
    "triangular": ((1, 0), (0.5, 0.866), ((0, 0, 1.0),)),
    "perovskite": ((1.414, 0), (0, 1.414), ((0, 0, 1.0), (0.5, 0.5, 0.45))),
    "honeycomb": ((1.732, 0), (0.866, 1.5), ((0, 0, 1.0), (1 / 3, 1 / 3, 0.6))),
    "dumbbell": ((1.9, 0), (0, 2.4), ((0, 0, 1.0), (0.5, 0.5, 1.0), (0, 0.41, 0.7), (0.5, 0.91, 0.7))),
}
LATTICES = tuple(_CELLS)


@dataclass(frozen=True, eq=False)
class DefectScene:
    """An image and its truth: the columns as they should be and as they are, arrays (n,).

    ``kind`` is what each is, ``share`` its intensity over the usual one, ``change`` by how many standard errors, the
    natural scatter among them, the two differ.
    """

    values: Floats
    perfect: TrueColumns
    actual: TrueColumns
    kind: Ints
    share: Floats
    change: Floats

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """Columns whose core the border does not cut."""
        margin = _BORDER_SIGMA * float(self.perfect.sigma_px[0])
        size = self.values.shape[0]
        x, y = self.perfect.x_px, self.perfect.y_px
        return np.asarray((np.minimum(x, y) >= margin) & (np.maximum(x, y) <= size - 1 - margin))


def scene(seed: int, *, defects: float = 0.08) -> DefectScene:
    """A crystal drawn by ``seed``: 45-100 columns, 20-500 counts at the mean peak, this share of defects.

    Thickness changes by up to 50 % across the image, the background by up to its own half; columns are displaced by
    0.2 px and scatter by up to 3 % of themselves.
    """
    rng = np.random.default_rng([seed, 7])
    name = LATTICES[seed % len(LATTICES)]
    spacing = rng.uniform(11, 17)
    sigma = spacing * rng.uniform(0.17, 0.22)
    peak = float(np.exp(rng.uniform(np.log(20), np.log(500))))
    size = int(spacing * np.sqrt(rng.uniform(55, 90)) * (1.25 if name in ("dumbbell", "honeycomb") else 1.0))
    x, y, strength, site = _lattice(name, spacing, size, float(rng.uniform(0, np.pi)))
    position = np.stack([x, y], axis=1) / size - 0.5
    ramp = rng.normal(size=2)
    ramp *= rng.uniform(0, 0.5) / np.hypot(*ramp)
    usual = peak * strength * (1 + position @ ramp)
    natural = rng.uniform(0, 0.03)
    kind = np.where(rng.random(len(x)) < defects, rng.integers(1, 4 if len(set(site)) < 2 else 5, len(x)), SOUND)
    share = np.select(
        [kind == MISSING, kind == WEAKER, kind == STRONGER, kind == EXCHANGED],
        [0.0, rng.uniform(0.2, 0.85, len(x)), rng.uniform(1.15, 1.9, len(x)), _exchanged(strength, site)],
        1.0,
    )
    level = peak * rng.uniform(0.1, 0.5)
    background = _plane(size, rng.normal(size=2) * 0.35) * level
    displaced = rng.normal(0, 0.2, (2, len(x)))
    perfect = TrueColumns(x, y, usual, np.full(len(x), sigma), np.full(len(x), level))
    actual = replace(
        perfect,
        x_px=x + displaced[0],
        y_px=y + displaced[1],
        amplitude=usual * share * (1 + natural * rng.normal(size=len(x))),
    )
    values = poisson(render(actual, (size, size), background=background), rng)
    error = np.hypot(amplitude_bound(usual, sigma, level), natural * usual)
    return DefectScene(values, perfect, actual, kind, share, np.abs(share - 1) * usual / error)


def amplitude_bound(amplitude: Floats, sigma_px: float, background: float) -> Floats:
    """Cramér-Rao bound (n,) of the amplitude of a column alone, its position, width and background known."""
    reach = int(np.ceil(5 * sigma_px))
    step = np.arange(-reach, reach + 1)
    shape = np.exp(-(step[:, None] ** 2 + step[None] ** 2) / (2 * sigma_px**2)).ravel()
    information = np.sum(shape**2 / (amplitude[:, None] * shape + background), axis=1)
    return np.asarray(1 / np.sqrt(information))


def _lattice(name: str, spacing: float, size: int, turn: float) -> tuple[Floats, Floats, Floats, Ints]:
    """Positions, relative intensity and site of a lattice that fills an image and a little more."""
    a, b, sites = _CELLS[name]
    vectors = np.array([a, b]) * spacing
    reach = int(np.ceil(1.5 * size / np.abs(np.linalg.det(vectors)) ** 0.5))
    cells = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2), axis=-1).reshape(-1, 1, 2)
    where = np.array([site[:2] for site in sites])
    xy = (cells + where).reshape(-1, 2) @ vectors
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    x, y = (xy @ rotation + 0.5 * size).T
    site = np.tile(np.arange(len(sites)), len(cells))
    strength = np.array([site[2] for site in sites])[site]
    seen = (np.minimum(x, y) > -spacing) & (np.maximum(x, y) < size - 1 + spacing)
    return x[seen], y[seen], strength[seen], site[seen]


def _exchanged(strength: Floats, site: Ints) -> Floats:
    """Share (n,) of its usual intensity that a column has with the atoms of the other kind."""
    kinds = np.unique(strength)
    return np.asarray(np.where(strength == kinds[0], kinds[-1], kinds[0]) / strength)


def _plane(size: int, slope: Floats) -> Floats:
    """Image (size, size) of mean 1 that changes across it by ``slope`` (x, y), never below one half."""
    along = np.arange(size) / size - 0.5
    return np.asarray(np.maximum(1 + slope[0] * along[None] + slope[1] * along[:, None], 0.5))
