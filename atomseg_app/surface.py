"""Surface of a volume at a value, as a closed mesh of triangles (surface nets)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Array
from atomseg_app.operations import Report

Floats = npt.NDArray[np.float32]
Faces = npt.NDArray[np.int32]

_CORNERS = [(dz, dy, dx) for dz in (0, 1) for dy in (0, 1) for dx in (0, 1)]
_EDGES = [(a, b) for a in range(8) for b in range(a + 1, 8) if (a ^ b).bit_count() == 1]


def surface(values: Array, level: float, report: Report | None = None) -> tuple[Floats, Faces]:
    """Mesh where values (z, y, x) cross ``level``: vertices (n, 3) as x, y, z in voxels, triangles (m, 3).

    One vertex a cell that the surface passes, at the mean of where it cuts the edges (Gibson, "Constrained elastic
    surface nets", MICCAI 1998); a quadrilateral, cut in two, round every edge between a voxel above the level and one
    below, its front towards the lower values. Outside the volume everything is as far below the level as the highest
    value is above it, so the mesh is closed. NaN counts as outside.
    """
    report = report or Report()
    padded = np.full(tuple(size + 2 for size in values.shape), -np.inf, np.float32)
    padded[1:-1, 1:-1, 1:-1] = np.nan_to_num(np.asarray(values, np.float32), nan=-np.inf)
    highest = float(np.max(padded[np.isfinite(padded)], initial=level))
    padded[~np.isfinite(padded)] = min(2 * level - highest, np.nextafter(np.float32(level), np.float32(-np.inf)))
    above = padded > level
    cells, places = _crossed_cells(above)
    report.progress(0.3, "placing vertices")
    vertices = _vertices(padded, above, cells, level) - 1.0
    report.progress(0.6, "joining faces")
    faces = _faces(above, places)
    return np.ascontiguousarray(vertices[:, ::-1], np.float32), faces


def _crossed_cells(above: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int32]]:
    """Cells (n, 3) with corners on both sides, and the number of each cell's vertex (-1: none)."""
    count = np.zeros(tuple(size - 1 for size in above.shape), np.uint8)
    for dz, dy, dx in _CORNERS:
        count += above[dz : dz + count.shape[0], dy : dy + count.shape[1], dx : dx + count.shape[2]]
    crossed = (count > 0) & (count < len(_CORNERS))
    cells = np.argwhere(crossed)
    places = np.full(count.shape, -1, np.int32)
    places[crossed] = np.arange(len(cells), dtype=np.int32)
    return cells, places


def _vertices(
    padded: Floats, above: npt.NDArray[np.bool_], cells: npt.NDArray[np.intp], level: float
) -> npt.NDArray[np.float64]:  # fmt: skip
    """Mean place (z, y, x) of the cuts with the edges of each cell."""
    z, y, x = cells.T
    values = np.stack([padded[z + dz, y + dy, x + dx] for dz, dy, dx in _CORNERS], axis=1).astype(np.float64)
    inside = np.stack([above[z + dz, y + dy, x + dx] for dz, dy, dx in _CORNERS], axis=1)
    total, count = np.zeros((len(cells), 3)), np.zeros(len(cells))
    for a, b in _EDGES:
        cut = inside[:, a] != inside[:, b]
        first, last = values[:, a], values[:, b]
        share = np.divide(level - first, last - first, out=np.full(len(cells), 0.5), where=cut)
        start, end = np.array(_CORNERS[a], float), np.array(_CORNERS[b], float)
        total += np.where(cut[:, None], start + np.clip(share, 0, 1)[:, None] * (end - start), 0)
        count += cut
    return cells + total / np.maximum(count, 1)[:, None]


def _faces(above: npt.NDArray[np.bool_], places: npt.NDArray[np.int32]) -> Faces:
    """Two triangles round each edge of the grid that the surface cuts."""
    found = []
    for axis in range(3):
        first = [slice(1, -1)] * 3
        last = list(first)
        first[axis], last[axis] = slice(0, -1), slice(1, None)
        start, end = above[tuple(first)], above[tuple(last)]
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for rising in (True, False):
            edges = np.argwhere((end & ~start) if rising else (start & ~end))
            edges[:, u] += 1
            edges[:, v] += 1
            corners = []
            for du, dv in ((-1, -1), (0, -1), (0, 0), (-1, 0)):
                cell = edges.copy()
                cell[:, u] += du
                cell[:, v] += dv
                corners.append(places[tuple(cell.T)])
            a, b, c, d = corners if rising else corners[::-1]
            found += [np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)]
    return np.concatenate(found).astype(np.int32) if found else np.zeros((0, 3), np.int32)
