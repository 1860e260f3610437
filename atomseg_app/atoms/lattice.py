"""The lattice of the columns of an image: grains, their vectors, and the place of each column in them.

The data that strain, polarisation and defects start from. Coordinates are *square pixels*: x in pixels, y in pixels
times the ratio of the pixel's height to its width, so that lengths and angles are true; for square pixels they are the
pixels of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Columns, with_quantities

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STEPS: Ints = np.array([(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1)])
"""The eight steps (h, k) to neighbouring cells, in the order of :attr:`Lattice.steps`."""
NAMES = ("grain", "lattice_h", "lattice_k")
"""Quantities that keep a lattice in a table; the sublattice is a field of every table."""
_KEY = "lattice"


@dataclass(frozen=True)
class Grain:
    """One crystal: vectors (2, 2), rows a and b as (x, y); origin (2,) of sublattice 0; ``sites`` (m, 2) fractional
    positions of the sublattices, the brightest first at (0, 0); errors (2, 2) of the vectors; one standard deviation.
    """

    vectors_px: Floats
    origin_px: Floats
    sites: Floats
    vectors_err_px: Floats
    columns: int

    @property
    def lengths_px(self) -> Floats:
        """Lengths (2,) of a and b."""
        return np.asarray(np.hypot(*self.vectors_px.T))

    @property
    def lengths_err_px(self) -> Floats:
        """Errors (2,) of the lengths."""
        along = self.vectors_px / self.lengths_px[:, None]
        return np.asarray(np.sqrt(((along * self.vectors_err_px) ** 2).sum(axis=1)))

    @property
    def angle_deg(self) -> float:
        """Angle from a to b."""
        a, b = self.vectors_px
        return float(np.degrees(np.arctan2(a[0] * b[1] - a[1] * b[0], a @ b)))

    @property
    def direction_deg(self) -> float:
        """Direction of a, from +x towards +y."""
        return float(np.degrees(np.arctan2(self.vectors_px[0, 1], self.vectors_px[0, 0])))

    def positions(self, index: Ints, site: Ints) -> Floats:
        """Ideal positions (n, 2) of cells (n, 2) and sublattices (n,)."""
        return np.asarray((index + self.sites[site]) @ self.vectors_px + self.origin_px)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        return {
            "vectors_px": self.vectors_px.tolist(), "origin_px": self.origin_px.tolist(), "sites": self.sites.tolist(),
            "vectors_err_px": self.vectors_err_px.tolist(), "columns": self.columns,
            "lengths_px": self.lengths_px.tolist(), "angle_deg": self.angle_deg, "direction_deg": self.direction_deg,
        }  # fmt: skip

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Grain:
        """Inverse of :meth:`to_json`."""
        names = ("vectors_px", "origin_px", "sites", "vectors_err_px")
        vectors, origin, sites, vectors_err = (np.array(entry[name], float) for name in names)
        return cls(vectors, origin, sites, vectors_err, int(entry["columns"]))


@dataclass(frozen=True)
class Lattice:
    """Place of each of n columns: ``grain`` (n,) and ``site`` (n,), the sublattice, are -1 outside any grain.

    ``index`` (n, 2) is the cell (h, k); ``xy`` and ``err`` (n, 2) are positions and errors in square pixels. ``steps``
    (n, 8) is the row of the column of the same sublattice one of :data:`STEPS` away, -1 where there is none: found
    from column to column, so that it holds round dislocations too, where indices depend on the way.
    """

    xy: Floats
    err: Floats
    grain: Ints
    index: Ints
    site: Ints
    steps: Ints
    grains: tuple[Grain, ...]

    def __len__(self) -> int:
        return len(self.grain)

    def rows(self, grain: int, site: int | None = None) -> Ints:
        """Rows of the columns of a grain, or of one of its sublattices."""
        of_site = True if site is None else self.site == site
        return np.flatnonzero((self.grain == grain) & of_site)

    def ideal(self) -> Floats:
        """Ideal positions (n, 2) in the fitted lattice of each column's grain; NaN outside any."""
        ideal = np.full((len(self), 2), np.nan)
        for number, grain in enumerate(self.grains):
            rows = self.rows(number)
            ideal[rows] = grain.positions(self.index[rows], self.site[rows])
        return ideal

    def neighbours(self, half: int) -> tuple[Ints, Ints]:
        """Rows (n, m) of the columns of the same sublattice within ``half`` cells, and their offsets (m, 2) in cells.

        -1 where one is missing. The first is the column itself. Each is reached over columns that are there, step by
        step.
        """
        span = np.arange(-half, half + 1)
        offsets = np.stack(np.meshgrid(span, span, indexing="ij"), axis=-1).reshape(-1, 2)
        # Near ones first, by moves of a king; along straight ways among equals.
        order = np.lexsort((np.abs(offsets).sum(axis=1), np.abs(offsets).max(axis=1)))
        offsets = offsets[order]
        place = {tuple(offset): number for number, offset in enumerate(offsets.tolist())}
        found = np.full((len(self), len(offsets)), -1, np.int64)
        found[:, 0] = np.where(self.grain >= 0, np.arange(len(self)), -1)
        for _ in range(2):  # a second round reaches what lies behind a missing column
            for number, offset in enumerate(offsets[1:].tolist(), 1):
                for direction, step in enumerate(STEPS.tolist()):
                    before = place.get((offset[0] - step[0], offset[1] - step[1]))
                    if before is None:
                        continue
                    start = found[:, before]
                    reached = np.where(start >= 0, self.steps[start, direction], -1)
                    found[:, number] = np.where(found[:, number] >= 0, found[:, number], reached)
        return found, offsets


def aspect(columns: Columns) -> Floats:
    """What turns pixels (x, y) into square pixels: (1, height of a pixel / its width)."""
    size_y, size_x = columns.pixel_size_nm
    return np.array([1.0, 1.0 if size_x is None or size_y is None else size_y / size_x])


def positions_of(columns: Columns) -> tuple[Floats, Floats]:
    """Positions and errors (n, 2) in square pixels."""
    err = np.stack([columns.table["x_err_px"], columns.table["y_err_px"]], axis=1)
    return columns.xy_px * aspect(columns), err * aspect(columns)


def with_lattice(columns: Columns, lattice: Lattice) -> Columns:
    """Columns that carry a lattice: sublattice, quantities :data:`NAMES`, grains in the metadata."""
    inside = lattice.grain >= 0
    index = np.where(inside[:, None], lattice.index, np.nan)
    measured = with_quantities(
        columns,
        {"grain": lattice.grain, "lattice_h": index[:, 0], "lattice_k": index[:, 1]},
    )
    measured.table["sublattice"] = np.where(inside, lattice.site, -1)
    grains = [grain.to_json() for grain in lattice.grains]
    return replace(measured, metadata={**columns.metadata, _KEY: {"grains": grains}})


def has_lattice(columns: Columns) -> bool:
    """Whether the table carries a lattice."""
    return _KEY in columns.metadata and set(NAMES) <= set(columns.quantities)


def kept_lattice(columns: Columns) -> Lattice:
    """The lattice that a table carries; columns added or moved since are outside any grain."""
    from atomseg_app.atoms.grains import step_table

    xy, err = positions_of(columns)
    grains = tuple(Grain.from_json(entry) for entry in columns.metadata[_KEY]["grains"])
    table = columns.table
    known = np.isfinite(table["grain"]) & np.isfinite(table["lattice_h"]) & (table["sublattice"] >= 0)
    grain = np.where(known, np.nan_to_num(table["grain"], nan=-1), -1).astype(np.int64)
    index = np.nan_to_num(np.stack([table["lattice_h"], table["lattice_k"]], axis=1)).astype(np.int64)
    site = np.where(grain >= 0, table["sublattice"], -1).astype(np.int64)
    empty = np.full((len(xy), len(STEPS)), -1, np.int64)
    lattice = Lattice(xy, err, grain, index, site, empty, grains)
    return replace(lattice, steps=step_table(lattice))
