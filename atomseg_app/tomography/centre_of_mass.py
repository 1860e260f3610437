"""Shifts across the tilt axis from the centre of mass of every slice, which moves as x0 cos(tilt) + z0 sin(tilt).

What all slices of a view are off by is the view's shift; what a slice is off by in all views is where the tilt axis
lies at its height, and a robust line through that gives the axis its offset and its rotation in the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atomseg_app.tomography.slice_moments import shifted_rows

Floats = npt.NDArray[np.float64]

_LEAST_SHARE = 0.05  # of the heaviest slice: lighter ones have no centre to speak of
_ROUNDS = 12


@dataclass(frozen=True, eq=False)
class MassCentres:
    """Fit of the centres of mass: shift across the axis (view,), and of each slice the axis and the weight (y,).

    ``axis_px`` is where the axis lies at each slice beyond what the shifts say, NaN where nothing is; ``spread_px`` is
    the robust standard deviation of the centres about the fit, and ``steady`` that of the views' mass about its
    median, as a share of it: large where material enters or leaves the field.
    """

    shift_px: Floats
    axis_px: Floats
    weight: Floats
    spread_px: float
    steady: float


def mass_centres(
    mass: Floats, first: Floats, tilt_deg: Floats, along_px: Floats, fixed_shift_px: Floats | None = None
) -> MassCentres | None:
    """Fit r(view, y) = shift(view) + axis(y) + x0(y) cos + z0(y) sin, robustly; None where no slice has a centre.

    ``mass`` and ``first`` (view, y) are slice moments, read at y + ``along_px`` (view,). The shifts put the centre of
    mass of all slices on the axis, unless they are given.
    """
    masses, firsts = shifted_rows(mass, along_px), shifted_rows(first, along_px)
    whole = np.asarray(np.isfinite(masses).all(axis=0))
    if not whole.any():
        return None
    typical = np.median(masses[:, whole], axis=0)
    heavy = np.zeros(len(whole), bool)
    heavy[whole] = typical > max(_LEAST_SHARE * float(typical.max()), 0)
    if heavy.sum() < 3:
        return None
    masses, firsts = masses[:, heavy], firsts[:, heavy]
    weight = np.median(masses, axis=0) ** 2
    centres = firsts / np.where(masses > 0, masses, np.inf)
    theta = np.deg2rad(tilt_deg)
    curve = np.stack([np.ones(len(theta)), np.cos(theta), np.sin(theta)], axis=1)
    trust = np.broadcast_to(weight, centres.shape).copy()
    trust[masses <= 0.25 * np.median(masses, axis=0)] = 0
    shift, fit = np.zeros(len(theta)), np.zeros((3, centres.shape[1]))
    for _ in range(_ROUNDS):
        free = fixed_shift_px is None
        shift = _mean_of(centres - curve @ fit, trust, axis=1) if free else np.asarray(fixed_shift_px)
        fit = _curves(centres - shift[:, None], trust, curve)
        if free:
            fit -= _mean_of(fit, np.broadcast_to(weight, fit.shape), axis=1)[:, None]  # the centre of all on the axis
        off = (centres - shift[:, None] - curve @ fit) * np.sqrt(weight)
        scale = 1.4826 * float(np.median(np.abs(off[trust > 0])))
        trust = np.where(trust > 0, weight / np.maximum(1, np.abs(off) / max(2.5 * scale, 1e-300)), 0)
    axis, weights = np.full(len(heavy), np.nan), np.zeros(len(heavy))
    axis[heavy], weights[heavy] = fit[0], weight
    totals = masses.sum(axis=1)
    steady = 1.4826 * float(np.median(np.abs(totals / np.median(totals) - 1)))
    return MassCentres(shift, axis, weights, scale / float(np.sqrt(weight.sum())), steady)


def _mean_of(values: Floats, weights: Floats, axis: int) -> Floats:
    return np.asarray((values * weights).sum(axis=axis) / np.maximum(weights.sum(axis=axis), 1e-300))


def _curves(values: Floats, weights: Floats, curve: Floats) -> Floats:
    """Weighted fit of constant, cosine and sine to each column (view, y): coefficients (3, y)."""
    normal = np.einsum("vy,va,vb->yab", weights, curve, curve)
    right = np.einsum("vy,va,vy->ya", weights, curve, values)
    # Few or equal angles cannot tell the three apart: the shortest solution then leaves the axis where it is.
    return np.asarray(np.einsum("yab,yb->ay", np.linalg.pinv(normal, rcond=1e-9, hermitian=True), right))
