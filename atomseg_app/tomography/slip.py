"""How far views lie from the projections of a volume: least squares in shift, gain, rotation (Lucas and Kanade)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Views = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Slips:
    """Of each view: shift (view, 2) as x, y, columns of further derivatives, and what one turn of all gives."""

    shift_xy: Floats
    further: Floats
    shared: Floats


def slips(
    measured: Views, projected: Views, weight: Views, further: list[Views], shared: list[Views], least_gain: float = 0.2
) -> Slips:
    """Solve measured = gain (projected - dx d/dx - dy d/dy + further + shared), views (view, y, x).

    ``further`` are derivatives of each view with a coefficient of its own, ``shared`` those with one for all views.
    A view whose gain is below ``least_gain`` of the median gain does not resemble its projection and stays put.
    """
    count = len(measured)
    own, common = 3 + len(further), len(shared)
    normals = np.zeros((count, own + common, own + common))
    rights = np.zeros((count, own + common))
    for view in range(count):
        dy, dx = np.gradient(projected[view])
        columns = [projected[view], -dx, -dy, *(d[view] for d in further), *(d[view] for d in shared)]
        design = np.stack([column.ravel() for column in columns]).astype(float)
        weighted = design * weight[view].ravel()
        normals[view] = weighted @ design.T
        rights[view] = weighted @ measured[view].ravel()
    scale = np.sqrt(np.maximum(np.einsum("vaa->va", normals), 1e-300))
    normals /= scale[:, :, None] * scale[:, None, :]
    rights /= scale
    normals += 1e-6 * np.eye(own + common)
    alone = np.linalg.solve(normals, rights[..., None])[..., 0] / scale
    gain = alone[:, 0]
    good = gain > least_gain * max(float(np.median(gain)), 1e-12)
    turn = np.zeros(common)
    if common and good.any():
        turn = _shared(normals[good], rights[good], scale[good], gain[good], own)
        # With the shared ones known, the views' own are solved again.
        known = rights - np.einsum("vab,vb->va", normals[:, :, own:], turn[None, :] * gain[:, None] * scale[:, own:])
        alone = np.linalg.solve(normals[:, :own, :own], known[:, :own, None])[..., 0] / scale[:, :own]
    values = np.where(good[:, None], alone[:, 1:own] / np.where(good, alone[:, 0], 1)[:, None], 0)
    return Slips(values[:, :2], values[:, 2:], turn)


def _shared(normals: Floats, rights: Floats, scale: Floats, gain: Floats, own: int) -> Floats:
    """Coefficients of the shared derivatives: each view's own are eliminated (Schur), then all views are summed."""
    inner = np.linalg.inv(normals[:, :own, :own])
    cross = normals[:, own:, :own] @ inner
    schur = normals[:, own:, own:] - cross @ normals[:, :own, own:]
    right = rights[:, own:] - np.einsum("vab,vb->va", cross, rights[:, :own])
    size = gain[:, None] * scale[:, own:]
    matrix = (schur * size[:, :, None] * size[:, None, :]).sum(axis=0)
    return np.asarray(np.linalg.solve(matrix, (right * size).sum(axis=0)))
