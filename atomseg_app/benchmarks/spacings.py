"""How regular the columns of a crystal come out: scatter of the vectors between neighbours of the same kind."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.float64]


def translations(xy_px: Floats, *, spread_px: float, reach_px: float) -> Floats:
    """The two shortest independent lattice vectors (2, 2) that most columns (n, 2) of a crystal share.

    Found as the densest places of the differences of positions within ``reach_px``; ``spread_px`` is how far those
    of one vector scatter.
    """
    tree = cKDTree(xy_px)
    pairs = tree.query_pairs(reach_px, output_type="ndarray")
    difference = xy_px[pairs[:, 1]] - xy_px[pairs[:, 0]]
    difference = np.concatenate([difference, -difference])
    cloud = cKDTree(difference)
    votes = np.array([len(v) for v in cloud.query_ball_point(difference, spread_px)])
    found: list[Floats] = []
    enough = 0.75 * votes.max()
    for i in np.argsort(np.hypot(*difference.T)):
        if votes[i] < enough:
            continue
        near = difference[cloud.query_ball_point(difference[i], spread_px)].mean(axis=0)
        if not found or abs(np.cross(found[0], near)) > 0.3 * np.hypot(*near) * np.hypot(*found[0]):
            found.append(near)
        if len(found) == 2:
            break
    if len(found) < 2:
        raise ValueError("The columns show no two lattice vectors.")
    return np.array(found)


def scatter(xy_px: Floats, vectors: Floats, *, spread_px: float) -> tuple[Floats, Floats]:
    """Standard deviations (x, y) of the spacings along lattice vectors, and of their second differences / sqrt(3).

    Second differences are free of slow distortion; for independent errors of s per column the first is s·sqrt(2)
    and so is the second as scaled here.
    """
    tree = cKDTree(xy_px)
    spacings, bends = [], []
    for vector in vectors:
        ahead, to = tree.query(xy_px + vector, distance_upper_bound=spread_px)
        behind, back = tree.query(xy_px - vector, distance_upper_bound=spread_px)
        one = np.flatnonzero(np.isfinite(ahead))
        spacing = xy_px[to[one]] - xy_px[one]
        spacings.append(spacing - spacing.mean(axis=0))
        both = np.flatnonzero(np.isfinite(ahead) & np.isfinite(behind))
        bends.append(xy_px[to[both]] + xy_px[back[both]] - 2 * xy_px[both])
    deviation: Floats = np.sqrt(np.mean(np.concatenate(spacings) ** 2, axis=0))
    bend: Floats = np.sqrt(np.mean(np.concatenate(bends) ** 2, axis=0) / 3)
    return deviation, bend
