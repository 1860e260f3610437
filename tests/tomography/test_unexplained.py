"""Residuals of the views: nothing is left of what the volume explains, and bad views stand out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from atomseg_app.alignment import Alignment
from atomseg_app.data import Source, TiltSeries, Volume
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.tomography.geometry import geometry_of
from atomseg_app.tomography.projector import projector
from atomseg_app.tomography.unexplained import unexplained

ANGLES = tuple(float(angle) for angle in range(-60, 61, 20))


@pytest.fixture
def case(rng):
    """A volume and its own projections, shifted, with one excluded view."""
    values = rng.random((14, 10, 18)).astype(np.float32)
    count = len(ANGLES)
    alignment = Alignment(tuple(rng.uniform(-2, 2, count)), (0.0,) * count, (0.0,) * count, 1.0)
    empty = TiltSeries(
        np.zeros((count, 10, 18), np.float32), tilt_deg=ANGLES, alignment=alignment, source=Source("a.mrc")
    )
    views = projector(geometry_of(empty, 14, 18))(values)
    return replace(empty, values=views, excluded=(2,)), Volume(values)


@pytest.mark.parametrize("axis", ["y", "x"])
def test_nothing_is_left_of_projections_of_the_volume_itself(case, axis):
    series, volume = case
    if axis == "x":
        series = replace(series, values=np.ascontiguousarray(series.values.transpose(0, 2, 1)), tilt_axis="x")
    residual, r_factors = unexplained(series, volume, Report())
    assert residual.shape == (len(ANGLES) - 1, *series.shape[1:])
    assert residual.tilt_deg == tuple(a for view, a in enumerate(ANGLES) if view != 2)
    np.testing.assert_allclose(residual.values, 0, atol=1e-4 * series.values.max())
    assert (r_factors < 1e-5).all()


def test_a_bad_view_stands_out_by_as_much_as_it_is_bad(case):
    series, volume = case
    views = series.values.copy()
    views[4] *= 1.5
    residual, r_factors = unexplained(replace(series, values=views), volume, Report())
    np.testing.assert_allclose(residual.values[3], series.values[4] / 2, rtol=1e-3, atol=1e-3)
    assert r_factors[3] == pytest.approx(1 / 3, rel=1e-4)
    assert np.delete(r_factors, 3).max() < 1e-5


def test_a_volume_of_another_series_is_told(case):
    series, _ = case
    with pytest.raises(UserError, match="11 slices along the axis, the series 10"):
        unexplained(series, Volume(np.zeros((14, 11, 18), np.float32)), Report())
