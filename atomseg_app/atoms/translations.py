"""Lattice vectors of a neighbourhood of columns without any starting value: the translations that repeat it.

A vector repeats a crystal if nearly every column has another one at its end. Vectors between the columns of a motif
(the two atoms of a dumbbell) do so only for a part of the columns, however short they are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, QhullError, cKDTree

Floats = npt.NDArray[np.float64]

_REACH = 0.55  # of the neighbourhood's radius: how long a vector may be
_NEAR = 0.2  # of the nearest distance: how far vectors that count as one may lie apart
_LEAST_SHARE, _OF_BEST = 0.6, 0.78  # of the columns that a translation must repeat
_FLATTEST = 0.25  # sine of the angle between lattice vectors
_TESTED = 40


def local_vectors(points: Floats) -> Floats | None:
    """Reduced lattice vectors (2, 2) in rows of some neighbouring points (n, 2), or None where they show none."""
    try:
        hull = ConvexHull(points).equations
    except (QhullError, ValueError):  # fewer than three points, or all on a line
        return None
    tree = cKDTree(points)
    nearest = float(np.median(tree.query(points, 2)[0][:, 1]))
    radius = float(np.median(np.hypot(*(points - points.mean(axis=0)).T))) * np.sqrt(2)
    peaks = _peaks(points, max(_REACH * radius, 1.6 * nearest), _NEAR * nearest)
    shares = np.array([_share(points, tree, hull, peak, _NEAR * nearest) for peak in peaks])
    if not len(peaks) or shares.max() < _LEAST_SHARE:
        return None
    kept = peaks[shares >= max(_LEAST_SHARE, _OF_BEST * shares.max())]
    kept = kept[np.argsort(np.hypot(*kept.T))]
    kept = kept[np.hypot(*kept.T) > 0.5 * nearest]
    if not len(kept):
        return None
    flat = np.abs(_cross(kept[0], kept)) / (np.hypot(*kept[0]) * np.hypot(*kept.T))
    other = np.flatnonzero(flat > _FLATTEST)
    return reduced(np.stack([kept[0], kept[other[0]]])) if len(other) else None


def _peaks(points: Floats, reach: float, near: float) -> Floats:
    """Where differences of positions gather (m, 2), the most frequent first, one of each pair of opposite vectors."""
    pairs = cKDTree(points).query_pairs(reach, output_type="ndarray")
    if not len(pairs):
        return np.empty((0, 2))
    differences = points[pairs[:, 1]] - points[pairs[:, 0]]
    differences[differences @ (1.0, 1e-3) < 0] *= -1
    both = np.concatenate([differences, -differences])  # peaks at the border of the half plane stay whole
    cloud = cKDTree(both)
    votes = cloud.query_ball_point(differences, near, return_length=True).astype(float)
    found: list[Floats] = []
    while len(found) < _TESTED and votes.max() > 0:
        best = int(np.argmax(votes))
        if found and votes[best] < 0.2 * _votes_of(cloud, found[0], near):
            break
        centre = both[cloud.query_ball_point(differences[best], near)].mean(axis=0)
        found.append(centre)
        beside = np.minimum(np.hypot(*(differences - centre).T), np.hypot(*(differences + centre).T))
        votes[(beside < 2 * near) | (np.arange(len(votes)) == best)] = 0
    return np.array(found).reshape(-1, 2)


def _votes_of(cloud: cKDTree, vector: Floats, near: float) -> int:
    return len(cloud.query_ball_point(vector, near))


def _share(points: Floats, tree: cKDTree, hull: Floats, vector: Floats, near: float) -> float:
    """Share of the points that have another at the end of the vector, of those for which it ends among the points."""
    ends = np.concatenate([points + vector, points - vector])
    inside = ends[(ends @ hull[:, :2].T + hull[:, 2] <= 0).all(axis=1)]
    if len(inside) < max(6, 0.15 * len(ends)):
        return 0.0
    return float(np.mean(tree.query(inside)[0] < 1.5 * near))


def _cross(one: Floats, other: Floats) -> Floats:
    return np.asarray(one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0])


def reduced(vectors: Floats) -> Floats:
    """The shortest vectors (2, 2) of the same lattice (Lagrange and Gauss), in the order that the program keeps.

    The first is the one nearer to the x axis and points right; the second lies clockwise of it on the screen (y
    down), and of two equally short choices is the one at the larger angle: 120 degrees in a hexagonal lattice.
    """
    a, b = (vectors[0].astype(float), vectors[1].astype(float))
    for _ in range(64):
        if a @ a > b @ b:
            a, b = b, a
        b = b - np.rint(a @ b / (a @ a)) * a
        if b @ b >= a @ a * (1 - 1e-9):
            break
    # In a hexagonal lattice three pairs of opposite vectors are the shortest, but for noise.
    short = [v if v[0] >= 0 else -v for v in (a, b, a + b, a - b) if np.hypot(*v) < 1.03 * np.hypot(*b)]
    first = min(short, key=lambda v: abs(np.arctan2(v[1], v[0])))
    others = [sign * v for v in short for sign in (1, -1) if sign * _cross(first, v) > 1e-6 * (first @ first)]
    return np.stack([first, max(others, key=lambda v: -round(float(first @ v / np.hypot(*v) / np.hypot(*first)), 6))])
