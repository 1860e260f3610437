"""Least squares that error bars weigh and outliers do not pull: lattice vectors and origins of indexed columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_HUBER = 1.5
_ROUNDS = 6


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
        variance = float((weight * residual**2).sum()) / free
        covariance = np.linalg.pinv((design * weight[:, None]).T @ design) * variance
        errors[:, axis] = np.sqrt(np.diag(covariance)[:2])
        residuals[:, axis] = residual
    return Cells(solution[:2], errors, solution[2:], residuals)


def local_gradients(xy: Floats, rows: Ints, ideal: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Affine map F (n, 2, 2) from ideal offsets (m, 2) to positions of neighbours ``rows`` (n, m; -1 missing).

    ``weight`` (k, 2) is that of each column's x and y. Each centre has its own origin: x_j = c + F p_j. Also the
    inverse information (n, 2, 2, 2) for each axis, the covariance of the two elements of F in its row for weights that
    are inverse variances; NaN where the neighbours there are do not span the plane.
    """
    there = rows >= 0
    gradient = np.full((len(rows), 2, 2), np.nan)
    covariance = np.full((len(rows), 2, 2, 2), np.nan)
    for axis in range(2):
        w = np.where(there, weight[rows, axis], 0.0)
        total = w.sum(axis=1)
        some = np.maximum(total, 1e-300)
        offsets = ideal[None] - ((w @ ideal) / some[:, None])[:, None]
        value = np.where(there, xy[rows, axis], 0.0)
        value = np.where(there, value - ((w * value).sum(axis=1) / some)[:, None], 0.0)
        information = np.einsum("nm,nmi,nmj->nij", w, offsets, offsets)
        moment = np.einsum("nm,nmi,nm->ni", w, offsets, value)
        spread = np.trace(information, axis1=1, axis2=2)
        good = np.linalg.det(information) > 1e-3 * spread**2 / 4
        good &= np.count_nonzero(there, axis=1) >= 4
        inverse = np.linalg.inv(information[good])
        covariance[good, axis] = inverse
        gradient[good, axis] = np.einsum("nij,nj->ni", inverse, moment[good])
    return gradient, covariance
