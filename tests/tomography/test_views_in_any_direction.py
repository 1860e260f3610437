"""Euler triples of real atomic tomography, two tilt axes, and a real series about one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atomseg_app import operations
from atomseg_app.alignment import Alignment
from atomseg_app.data import TiltSeries, Volume
from atomseg_app.errors import UserError
from atomseg_app.io import files
from atomseg_app.operations import Report
from atomseg_app.tomography.dual_axis import dual_axis
from atomseg_app.tomography.geometry import Geometry, geometry_of
from atomseg_app.tomography.projector import projector
from atomseg_app.tomography.quality import nrmse


def reconstructed(series: TiltSeries, **settings: object) -> Volume:
    operation = operations.get("reconstruct")
    volume = operations.run(operation, (series,), operation.parse(settings), Report())
    assert isinstance(volume, Volume)
    return volume


def test_the_film_of_tantalum_is_seen_as_its_authors_saw_it(data_folder: Path) -> None:
    """Their volume, projected at their Euler angles, gives their views; angles of the other sign do not."""
    folder = data_folder / "tomography" / "aet_Ta_film"
    series, volume = files.read(folder / "Projections_area2.mat"), files.read(folder / "ReconObj_sub2.mat")
    assert isinstance(series, TiltSeries)
    assert series.euler_deg is not None
    geometry = geometry_of(series)
    middle = (slice(None), slice(8, -8), slice(40, -40))

    def likeness(geometry: Geometry) -> float:
        seen, views = projector(geometry)(volume.values)[middle], np.asarray(series.values)[middle]
        return float(np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(seen, views, strict=True)]))

    mirrored = tuple((a, -b, c) for a, b, c in series.euler_deg)
    assert likeness(geometry) > 0.8
    assert likeness(replace(geometry, euler_deg=mirrored)) < likeness(geometry) - 0.2


def test_a_second_axis_fills_the_wedge_of_the_first() -> None:
    grid = np.indices((40, 40, 40)) - 19.5
    sample = sum(
        np.exp(-((grid[0] - z) ** 2 + (grid[1] - y) ** 2 + (grid[2] - x) ** 2) / 8)
        for z, y, x in ((0, 0, 0), (5, -6, 4), (-7, 3, -5), (2, 8, 7))
    ).astype(np.float32)
    tilts = tuple(np.arange(-55.0, 56.0, 5.0))
    first = TiltSeries(projector(Geometry(tilts, (40, 40), (40, 40, 40)))(sample), (1.0, 1.0), tilt_deg=tilts)
    # Turned by 90 degrees in its plane, x towards y: what was at (x, y) is at (-y, x).
    turned = np.ascontiguousarray(np.rot90(sample, -1, axes=(1, 2)))
    assert np.argwhere(turned > 0.9).tolist() != np.argwhere(sample > 0.9).tolist()
    second = TiltSeries(projector(Geometry(tilts, (40, 40), (40, 40, 40)))(turned), (1.0, 1.0), tilt_deg=tilts)
    joined = dual_axis(first, second)
    assert len(joined.values) == 2 * len(tilts)
    np.testing.assert_allclose(projector(geometry_of(joined))(sample), joined.values, atol=0.05 * first.values.max())
    one, both = (reconstructed(series, iterations=60, algorithm="mlem").values for series in (first, joined))
    assert nrmse(sample, both) < 0.8 * nrmse(sample, one)
    moved = replace(first, alignment=Alignment((0.0,) * len(tilts), (0.0,) * len(tilts), (0.0,) * len(tilts), 2.5))
    both_aligned = dual_axis(moved, second).alignment
    assert both_aligned is not None
    assert set(both_aligned.shift_x_px[: len(tilts)]) == {2.5}
    with pytest.raises(UserError, match="Euler angles already"):
        dual_axis(joined, second)


def test_the_needle_is_explained_once_it_is_aligned(data_folder: Path) -> None:
    """The experimental series as its authors aligned it: about its axis the R-factor falls to a few percent."""
    series = files.read(data_folder / "tomography" / "HAADF_Aligned.hspy")
    assert isinstance(series, TiltSeries)
    values = np.asarray(series.values, np.float32)
    some = slice(100, 132)
    r_factors = {}
    for axis in ("y", "x"):
        part = values[:, some] if axis == "y" else values[:, :, some]
        part = np.clip(part - np.percentile(part, 5, axis=(1, 2), keepdims=True), 0, None)
        found = reconstructed(TiltSeries(part, (1.0, 1.0), tilt_deg=series.tilt_deg, tilt_axis=axis), iterations=15)
        r_factors[axis] = found.metadata["r_factor"]
    assert r_factors["x"] < 0.04
    assert r_factors["y"] > 3 * r_factors["x"]
