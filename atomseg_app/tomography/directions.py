"""Directions from which a sample was seen: as matrices, and as tilts round one axis where they are that."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt

from atomseg_app.data import TiltSeries
from atomseg_app.operations import Report

Doubles = npt.NDArray[np.float64]

_NOTHING_PX, _LITTLE_PX = 0.01, 0.5  # at the edge of the field


def tilted(tilt_deg: npt.ArrayLike) -> Doubles:
    """Matrices (view, 3, 3) that take a sample's (x, y, z) to across, along, and in the direction of the beam.

    The tilt axis is y: x cos(tilt) + z sin(tilt) is across.
    """
    return _turn(1, np.deg2rad(np.asarray(tilt_deg, np.float64)))


def turned(euler_deg: npt.ArrayLike) -> Doubles:
    """The same of Euler triples (phi, theta, psi) in degrees as atomic tomography gives them.

    The transpose of Rz(phi) Ry(theta) Rx(psi) (GENFIRE: Pryor et al., Sci. Rep. 7 (2017) 10409): a triple (0, theta, 0)
    is a tilt of -theta.
    """
    phi, theta, psi = np.deg2rad(np.asarray(euler_deg, np.float64)).T
    return np.transpose(_turn(2, phi) @ _turn(1, theta) @ _turn(0, psi), (0, 2, 1))


def round_one_axis(series: TiltSeries, report: Report | None = None) -> TiltSeries:
    """The series by tilt angles where its Euler angles are those of one axis, along y; otherwise as it is.

    Half a pixel at the edge of the field may be lost; the report tells how much, unless it is nothing.
    """
    if series.euler_deg is None:
        return series
    matrices = turned(series.euler_deg)
    # Closest turn about y in the sense of Frobenius.
    tilt = np.arctan2(matrices[:, 0, 2] - matrices[:, 2, 0], matrices[:, 0, 0] + matrices[:, 2, 2])
    tilt_deg = np.rad2deg(tilt)
    rows, columns = series.shape[1:] if series.tilt_axis == "y" else series.shape[:0:-1]
    around = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    edge = (
        np.array([(np.cos(a) * columns, side * rows, np.sin(a) * columns) for a, side in product(around, (-1, 1))]) / 2
    )
    away = (edge @ np.transpose(matrices - tilted(tilt_deg), (0, 2, 1)))[series.used, :, :2]
    lost_px = float(np.linalg.norm(away, axis=2).max(initial=0))
    if lost_px > _LITTLE_PX:
        return series
    if lost_px > _NOTHING_PX and report is not None:
        report.note(
            "Its Euler angles are taken as tilts round one axis: nearly so, they move the edge of the field by at most "
            f"{lost_px:.2f} px."
        )
    return replace(series, tilt_deg=tuple(float(angle) for angle in tilt_deg), euler_deg=None)


def _turn(axis: int, angle: Doubles) -> Doubles:
    """Rotation matrices (n, 3, 3) about x, y or z, right-handed."""
    one, other = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.zeros((len(angle), 3, 3))
    matrix[:, axis, axis] = 1
    matrix[:, one, one] = matrix[:, other, other] = np.cos(angle)
    matrix[:, one, other], matrix[:, other, one] = -np.sin(angle), np.sin(angle)
    return matrix
