"""Least squares that error bars weigh and outliers do not pull: lattice vectors and origins of indexed columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_HUBER = 1.5
_ROUNDS = 6
_CHUNK = 4096
_LEAST_INFORMATION = 0.02
"""Smallest eigenvalue of the information of a local polynomial on offsets within 1, for columns of weight 1."""


@dataclass(frozen=True)
class Cells:
    """Vectors (2, 2) in rows with their errors, one origin (g, 2) a group, residuals (n, 2), all in pixels."""

    vectors: Floats
    vectors_err: Floats
    origins: Floats
    residuals: Floats


def usable_errors(err: Floats) -> Floats:
    """Errors (n, 2) where unknown ones count as the median of the known, or as 1 where none is known."""
    known = np.isfinite(err) & (err > 0)
    typical = float(np.median(err[known])) if known.any() else 1.0
    return np.where(known, err, typical)


def fit_cells(xy: Floats, err: Floats, index: Ints, group: Ints) -> Cells:
    """Positions (n, 2) = origin of the group (n,) + cell (n, 2) @ vectors, by Huber's robust weighted least squares.

    Errors of the vectors follow from the scatter of the residuals, so that a crystal that is strained or errors that
    are too small do not make them too sure.
    """
    names, group = np.unique(group, return_inverse=True)
    members = np.zeros((len(xy), len(names)))
    members[np.arange(len(xy)), group] = 1
    design = np.concatenate([index.astype(float), members], axis=1)
    solution, errors, residuals = np.empty((design.shape[1], 2)), np.empty((2, 2)), np.empty_like(xy)
    sigma = usable_errors(err)
    for axis in range(2):
        base = 1 / (sigma[:, axis] ** 2 + np.median(sigma[:, axis]) ** 2)  # no single column outweighs the others
        weight = base.copy()
        for _ in range(_ROUNDS):
            root = np.sqrt(weight)[:, None]
            solution[:, axis] = np.linalg.lstsq(design * root, xy[:, axis] * root[:, 0], rcond=None)[0]
            residual = xy[:, axis] - design @ solution[:, axis]
            scaled = np.abs(residual) * np.sqrt(base)
            scale = max(1.4826 * float(np.median(scaled)), 1e-12)
            weight = base * np.minimum(1, _HUBER * scale / np.maximum(scaled, 1e-300))
        free = max(1, len(xy) - design.shape[1])
        # Huber, Robust Statistics, 1981, section 7.6: residuals as clipped, over the share that is not.
        clipped = weight / base
        variance = float((base * (clipped * residual) ** 2).sum()) / free / max(float(np.mean(clipped >= 1)), 0.1) ** 2
        covariance = np.linalg.pinv((design * base[:, None]).T @ design) * variance
        errors[:, axis] = np.sqrt(np.diag(covariance)[:2])
        residuals[:, axis] = residual
    return Cells(solution[:2], errors, solution[2:], residuals)


@dataclass(frozen=True)
class LocalMap:
    """Gradient F (n, 2, 2) of positions against ideal offsets at each centre, ``covariance`` (n, 2, 2, 2) of its row
    for each axis, weighted sum of squares ``misfit`` (n, 2) and the numbers free in it (n,); NaN where not determined.
    """

    gradient: Floats
    covariance: Floats
    misfit: Floats
    free: Ints


def local_map(xy: Floats, centres: Ints, rows: Ints, ideal: Floats, weight: Floats, *, order: int) -> LocalMap:
    """Polynomial of an order through the neighbours ``rows`` (n, m; -1 missing) of ``centres`` (n,); slope there.

    Neighbour j at the ideal offset p_j (m, 2) is at x_j = c + F p_j + higher terms; ``weight`` (k, 2) is the inverse
    variance of each column's x and y. With odd orders terms beyond the first make the slope less blurred.
    """
    scale = float(np.abs(ideal).max()) or 1.0
    u, v = (ideal / scale).T
    powers = [(i, total - i) for total in range(order + 1) for i in range(total, -1, -1)]
    design = np.stack([u**i * v**j for i, j in powers], axis=1)
    n, terms = len(rows), len(powers)
    gradient, covariance = np.full((n, 2, 2), np.nan), np.full((n, 2, 2, 2), np.nan)
    misfit = np.full((n, 2), np.nan)
    there = rows >= 0
    counts = np.count_nonzero(there, axis=1)
    for start in range(0, n, _CHUNK):
        part = np.flatnonzero(counts[start : start + _CHUNK] > terms) + start
        for axis in range(2):
            w = np.where(there[part], weight[rows[part], axis], 0.0)
            w_mean = w.sum(axis=1) / np.maximum(counts[part], 1)
            value = np.where(there[part], xy[rows[part], axis] - xy[centres[part], axis][:, None], 0.0)
            information = np.einsum("nm,mi,mj->nij", w, design, design, optimize=True)
            alone = np.linalg.eigvalsh(information / w_mean[:, None, None])[:, 0]
            good = alone > _LEAST_INFORMATION
            inverse = np.linalg.inv(information[good])
            solution = np.einsum("nij,nm,mj,nm->ni", inverse, w[good], design, value[good], optimize=True)
            some = part[good]
            gradient[some, axis] = solution[:, 1:3] / scale
            covariance[some, axis] = inverse[:, 1:3, 1:3] / scale**2
            misfit[some, axis] = (w[good] * (value[good] - solution @ design.T) ** 2).sum(axis=1)
    gradient[np.isnan(gradient).any(axis=(1, 2))] = np.nan
    return LocalMap(gradient, covariance, misfit, counts - terms)
