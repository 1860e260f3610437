"""Directions of views: Euler angles of one axis, nearly one and several."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from atomseg_app.data import TiltSeries
from atomseg_app.operations import Report
from atomseg_app.tomography.directions import round_one_axis, tilted, turned

THETAS = np.linspace(-70, 70, 15)


def series(triples: np.ndarray, size: int = 64, excluded: tuple[int, ...] = ()) -> TiltSeries:
    return TiltSeries(
        np.ones((len(triples), size, size), np.float32), (None, None), tilt_deg=tuple(triples[:, 1]),
        euler_deg=tuple(map(tuple, triples)), excluded=excluded,
    )  # fmt: skip


def with_others(phi: float, psi: float) -> np.ndarray:
    return np.stack([np.full_like(THETAS, phi), THETAS, np.full_like(THETAS, psi)], 1)


def test_matrices_are_those_of_the_conventions() -> None:
    np.testing.assert_allclose(tilted(30.0 * np.ones(1))[0] @ [1, 0, 0], [np.cos(np.pi / 6), 0, -0.5], atol=1e-12)
    triples = np.array([[25.0, -40.0, 15.0], [-120.0, 80.0, 3.0]])
    expected = Rotation.from_euler("ZYX", triples, degrees=True).as_matrix().transpose(0, 2, 1)
    np.testing.assert_allclose(turned(triples), expected, atol=1e-12)
    np.testing.assert_allclose(turned(with_others(0, 0)), tilted(-THETAS), atol=1e-12)


def test_one_axis_is_found_and_nothing_is_said() -> None:
    report = Report()
    found = round_one_axis(series(with_others(0, 0)), report)
    assert found.euler_deg is None
    np.testing.assert_allclose(found.tilt_deg, -THETAS, atol=1e-9)
    assert not report.facts.notes
    plain = TiltSeries(np.ones((3, 8, 8), np.float32), (None, None), tilt_deg=(1.0, 2.0, 3.0))
    assert round_one_axis(plain) is plain


def test_what_is_lost_is_told_and_grows_with_the_field() -> None:
    report = Report()
    found = round_one_axis(series(with_others(0.3, 0)), report)
    assert found.euler_deg is None
    lost = float(report.facts.notes[0].split("at most ")[1].split(" px")[0])
    # A turn of the sample about the beam by phi before it is tilted moves its edge by phi times the distance from it.
    assert lost == pytest.approx(np.deg2rad(0.3) * np.hypot(32, 32), rel=0.1)
    assert round_one_axis(series(with_others(0.3, 0), size=256)).euler_deg is not None


def test_several_axes_stay_but_for_views_that_are_left_out() -> None:
    triples = with_others(0, 0)
    triples[4, 0] = 90
    assert round_one_axis(series(triples)).euler_deg is not None
    assert round_one_axis(series(triples, excluded=(4,))).euler_deg is None
