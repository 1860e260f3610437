"""Euler triples against projections of an ellipsoid in closed form, turned by scipy's rotations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from atomseg_app.alignment import Alignment
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.projector import projector

SIZE = 36
CENTRE = np.array([3.5, -4.0, 5.0])  # x, y, z from the middle
HALF_AXES = np.array([8.0, 4.0, 6.0])
TURN = Rotation.from_euler("zyx", [25, -40, 15], degrees=True).as_matrix()
FORM = TURN @ np.diag(HALF_AXES**-2.0) @ TURN.T
SUB = np.array([-1 / 3, 0, 1 / 3])


def chords(triple: tuple[float, float, float], shift_xy: tuple[float, float] = (0, 0)) -> np.ndarray:
    """View (y, x) of the ellipsoid: lengths of chords, the mean over 3 x 3 points of each pixel.

    A point p of the sample is seen at the first two components of (Rz(phi) Ry(theta) Rx(psi))^T p.
    """
    turn = Rotation.from_euler("ZYX", triple, degrees=True).as_matrix()
    fine = ((np.arange(SIZE) - (SIZE - 1) / 2)[:, None] + SUB).ravel()
    v, u = np.meshgrid(fine - shift_xy[1], fine - shift_xy[0], indexing="ij")
    start = np.stack([u, v, np.zeros_like(u)], -1) @ turn.T - CENTRE
    along = turn[:, 2]
    a = along @ FORM @ along
    b = start @ FORM @ along
    c = np.einsum("...i,ij,...j", start, FORM, start) - 1
    length = 2 * np.sqrt(np.maximum(b**2 - a * c, 0)) / a
    return length.reshape(SIZE, 3, SIZE, 3).mean(axis=(1, 3))


def voxels() -> np.ndarray:
    """The ellipsoid as a volume (z, y, x): shares of 4 x 4 x 4 points of each voxel."""
    fine = ((np.arange(SIZE) - (SIZE - 1) / 2)[:, None] + (np.arange(4) - 1.5) / 4).ravel()
    z, y, x = np.meshgrid(fine, fine, fine, indexing="ij")
    p = np.stack([x, y, z], -1).astype(np.float32) - CENTRE.astype(np.float32)
    inside = np.einsum("...i,ij,...j", p, FORM.astype(np.float32), p, optimize=True) <= 1
    return inside.reshape(SIZE, 4, SIZE, 4, SIZE, 4).mean(axis=(1, 3, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def ellipsoid() -> np.ndarray:
    return voxels()


def seen(ellipsoid: np.ndarray, triples: list[tuple[float, float, float]], alignment: Alignment | None = None):
    geometry = Geometry((0.0,) * len(triples), (SIZE, SIZE), (SIZE,) * 3, alignment, tuple(triples))
    return projector(geometry)(ellipsoid)


def unlike(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).sum() / np.abs(expected).sum())


TRIPLES = [
    (0.0, 0.0, 0.0), (30.0, 0.0, 0.0), (0.0, 30.0, 0.0), (0.0, 0.0, 30.0), (0.0, -60.0, 0.0), (17.0, 50.0, -35.0),
    (-140.0, 20.0, 75.0), (90.0, 90.0, 0.0), (0.0, 45.0, 90.0), (200.0, -80.0, 10.0),
]  # fmt: skip


def test_each_angle_turns_as_stated(ellipsoid: np.ndarray) -> None:
    """Every triple gives the closed form; with the sign of any angle that matters turned it does not."""
    found = seen(ellipsoid, TRIPLES)
    for view, triple in zip(found, TRIPLES, strict=True):
        expected = chords(triple)
        assert unlike(view, expected) < 0.05, triple
        for place in range(3):
            if triple[place] % 180:
                other = tuple(-angle if place == index else angle for index, angle in enumerate(triple))
                assert unlike(view, chords(other)) > 0.3, (triple, place)


def test_the_order_of_the_angles_matters(ellipsoid: np.ndarray) -> None:
    triple = (17.0, 50.0, -35.0)
    (view,) = seen(ellipsoid, [triple])
    turn = Rotation.from_euler("zyx", triple, degrees=True)  # the other order: Rx(psi) Ry(theta) Rz(phi)
    assert unlike(view, chords(tuple(turn.as_euler("ZYX", degrees=True)))) > 0.3


def test_a_tilt_is_minus_the_second_angle(ellipsoid: np.ndarray) -> None:
    """The tilt axis of a series turns the other way than theta, which stands in the transpose."""
    tilts = (-50.0, 0.0, 35.0)
    single = projector(Geometry(tilts, (SIZE, SIZE), (SIZE,) * 3))(ellipsoid)
    for view, tilt in zip(single, tilts, strict=True):
        assert unlike(view, chords((0.0, -tilt, 0.0))) < 0.05


def test_shifts_of_views_in_any_direction(ellipsoid: np.ndarray) -> None:
    alignment = Alignment((2.25, -3.5), (-1.5, 4.0), (0.0, 0.0), 1.0)
    triples = [(17.0, 50.0, -35.0), (-20.0, 10.0, 75.0)]
    found = seen(ellipsoid, triples, alignment)
    assert unlike(found[0], chords(triples[0], (3.25, -1.5))) < 0.05
    assert unlike(found[1], chords(triples[1], (-2.5, 4.0))) < 0.05
