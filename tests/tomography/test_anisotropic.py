"""Pixels that are not square and voxels that are no cubes: a sphere is a sphere, whatever it is sampled by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from atomseg_app import operations
from atomseg_app.alignment import Alignment
from atomseg_app.benchmarks.alignment import errors
from atomseg_app.benchmarks.misaligned import random_alignment, random_ellipsoids, series_of
from atomseg_app.data import TiltSeries, Volume
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.tomography.align import align
from atomseg_app.tomography.align_operations import Align
from atomseg_app.tomography.align_views import align_views, with_square_pixels
from atomseg_app.tomography.dual_axis import dual_axis
from atomseg_app.tomography.geometry import Geometry, geometry_of, pixel_aspect_of
from atomseg_app.tomography.project import project
from atomseg_app.tomography.projector import projector

RADIUS = 17.0  # in widths of a pixel
EULER = ((0.0, 0.0, 0.0), (25.0, -50.0, 10.0), (90.0, 40.0, 0.0), (10.0, 15.0, 78.0), (-30.0, -88.0, 5.0))


def sphere(voxel_zyx: tuple[float, float, float], centre_zyx: tuple[float, float, float], rows: int = 0) -> np.ndarray:
    """Share of each voxel inside a sphere, of 5 x 5 x 5 points, in a volume that holds it, of so many rows if given."""
    shape = [2 * int(np.ceil((RADIUS + 7) / size)) + 1 for size in voxel_zyx]
    shape[1] = rows or shape[1]
    fine = []
    for size, count, at in zip(voxel_zyx, shape, centre_zyx, strict=True):
        places = (np.arange(5 * count) + 0.5) / 5 - count / 2
        fine.append((places * size - at) ** 2)
    inside = fine[0][:, None, None] + fine[1][:, None] + fine[2] <= RADIUS**2
    parts = inside.reshape(shape[0], 5, shape[1], 5, shape[2], 5).mean(axis=(1, 3, 5))
    return parts.astype(np.float32)


def shadow(shape_yx: tuple[int, int], aspect: float, at_xy: tuple[float, float]) -> np.ndarray:
    """Chords of the sphere through 5 x 5 points of each pixel, averaged, in widths of a pixel."""
    y, x = ((np.arange(5 * count) + 0.5) / 5 - count / 2 for count in shape_yx)
    square = RADIUS**2 - (y * aspect - at_xy[1])[:, None] ** 2 - (x - at_xy[0]) ** 2
    chords = 2 * np.sqrt(np.maximum(square, 0))
    return chords.reshape(shape_yx[0], 5, shape_yx[1], 5).mean(axis=(1, 3))


@pytest.mark.parametrize(
    ("voxel", "aspect"),
    [((1.0, 1.0, 1.0), 1.0), ((1.0, 1.5, 1.0), 1.5), ((0.6, 0.7, 1.3), 0.7), ((1.7, 1.0, 0.8), 1.2)],
)
def test_a_sphere_casts_the_shadow_of_a_sphere_in_every_direction(voxel, aspect) -> None:
    """An ellipsoid in numbers of voxels is a sphere in lengths: its chords, at the place the closed form gives."""
    centre = np.array([1.5, -2.0, 3.0])
    detector = 2 * int(30 / min(aspect, voxel[1])) + 1, 67
    volume = sphere(voxel, tuple(centre), detector[0])
    count = len(EULER)
    seen = Alignment((1.25,) * count, (-2.5,) * count, (12.0,) * count, 0.5, -3.0)
    geometry = Geometry((0.0,) * count, detector, volume.shape, seen, EULER, aspect, voxel)
    views = projector(geometry)(volume)
    per_length = aspect / np.prod(voxel)
    for view, triple in zip(views, EULER, strict=True):
        across, along = place_of(centre[::-1], triple)
        turn = np.deg2rad(9.0)
        at = (
            np.cos(turn) * across - np.sin(turn) * along + 1.75,
            np.sin(turn) * across + np.cos(turn) * along - 2.5 * aspect,
        )
        exact = per_length * shadow(detector, aspect, at)
        assert np.sqrt(np.mean((view - exact) ** 2)) < 0.012 * exact.max()
    np.testing.assert_allclose(views.sum(axis=(1, 2)), volume.sum(), rtol=5e-3)


def place_of(xyz: np.ndarray, triple: tuple[float, float, float]) -> tuple[float, float]:
    """Where a point is seen before the detector is turned: rotations written out, not those of the projector."""
    phi, theta, psi = np.deg2rad(triple)
    z_turn = np.array([[np.cos(phi), -np.sin(phi), 0], [np.sin(phi), np.cos(phi), 0], [0, 0, 1]])
    y_turn = np.array([[np.cos(theta), 0, np.sin(theta)], [0, 1, 0], [-np.sin(theta), 0, np.cos(theta)]])
    x_turn = np.array([[1, 0, 0], [0, np.cos(psi), -np.sin(psi)], [0, np.sin(psi), np.cos(psi)]])
    seen = (z_turn @ y_turn @ x_turn).T @ xyz
    return float(seen[0]), float(seen[1])


@pytest.mark.parametrize("euler", [None, EULER])
@pytest.mark.parametrize("voxel", [None, (0.5, 1.4, 1.0), (2.0, 0.9, 1.1)])
def test_the_adjoint_of_anisotropic_geometries(euler, voxel, rng) -> None:
    count = len(EULER)
    moved = Alignment(*(tuple(rng.uniform(-3, 3, count)) for _ in range(3)), 1.5, 2.0)
    geometry = Geometry((0.0, 20.0, -50.0, 71.0, 90.0), (15, 23), (19, 15, 21), moved, euler, 1.4, voxel)
    operator = projector(geometry)
    x, y = (rng.standard_normal(shape).astype(np.float32) for shape in (operator.domain_shape, operator.range_shape))
    one, other = np.vdot(operator(x), y), np.vdot(x, operator.T(y))
    assert abs(one - other) < 1e-5 * np.linalg.norm(x) * np.linalg.norm(y)


def test_rays_and_turned_images_of_high_pixels_agree() -> None:
    """Two ways to one view: images turned after slices were projected, and rays that are turned themselves."""
    volume = sphere((1.0, 1.6, 1.0), (2.0, -4.0, 1.0))
    volume[:, :, : volume.shape[2] // 2] *= 0.5
    tilts = (0.0, 35.0, -60.0)
    seen = Alignment((1.3, -2.4, 0.2), (0.7, 3.1, -1.9), (4.0, -7.0, 2.0), 1.1, 0.6)
    slices = Geometry(tilts, (volume.shape[1], 60), volume.shape, seen, None, 1.6)
    rays = replace(slices, euler_deg=tuple((0.0, -tilt, 0.0) for tilt in tilts))
    one, other = projector(slices)(volume), projector(rays)(volume)
    assert np.sqrt(np.mean((one - other) ** 2)) < 0.01 * one.max()
    square = projector(replace(slices, pixel_aspect=1.0))(volume)
    assert np.sqrt(np.mean((square - other) ** 2)) > 0.02 * one.max()


def test_a_dual_axis_series_of_high_pixels_gives_the_sphere_back() -> None:
    """Closed-form shadows in, a ball of the right radius along all axes at the right place out."""
    aspect, tilts = 1.5, tuple(np.arange(-60.0, 61.0, 8.0))
    shape = (41, 61)
    centre_xyz = np.array([4.0, -3.0, 2.0])
    euler = [(0.0, -tilt, 0.0) for tilt in tilts] + [(-90.0, -tilt, 0.0) for tilt in tilts]
    views = [shadow(shape, aspect, place_of(centre_xyz, triple)) for triple in euler]
    series = TiltSeries(
        np.array(views, np.float32), (3.0, 2.0), tilt_deg=tilts + tilts, euler_deg=tuple(euler)
    )  # fmt: skip
    assert geometry_of(series).voxel_size_zyx == (1.0, 1.5, 1.0)
    operation = operations.get("reconstruct")
    volume = operations.run(operation, (series,), operation.parse({"algorithm": "sirt", "iterations": 40}), Report())
    assert isinstance(volume, Volume)
    assert volume.pixel_size_nm == (2.0, 3.0, 2.0)
    places = np.indices(volume.shape) - (np.array(volume.shape) - 1)[:, None, None, None] / 2
    weight = np.where(volume.values > 0.5, volume.values, 0)
    moments = [(place * weight).sum() / weight.sum() for place in places]
    np.testing.assert_allclose(np.array(moments) * (1, 1.5, 1), centre_xyz[::-1], atol=0.15)
    spreads = [np.sqrt((weight * (p - m) ** 2).sum() / weight.sum()) for p, m in zip(places, moments, strict=True)]
    np.testing.assert_allclose(np.array(spreads) * (1, 1.5, 1), RADIUS / np.sqrt(5), rtol=0.03)


def test_the_views_of_a_volume_have_its_pixels_and_its_mass() -> None:
    volume = Volume(sphere((2.0, 1.5, 1.0), (0.0, 0.0, 0.0)), (4.0, 3.0, 2.0))
    operation = operations.get("project")
    series = project(volume, operation.parse({"angles": "0,40,90", "width_px": 61}), Report())
    assert series.pixel_size_nm == (3.0, 2.0)
    np.testing.assert_allclose(series.values.sum(axis=(1, 2)), volume.values.sum(), rtol=5e-3)
    across = np.arange(61) - 30.0
    for view in series.values:
        spread = np.sqrt((view.sum(axis=0) * across**2).sum() / view.sum())
        assert spread == pytest.approx(RADIUS / np.sqrt(5), rel=0.02)


def test_a_series_of_low_pixels_is_aligned_in_lengths() -> None:
    """Rows averaged two by two: the same shifts in lengths, the same turn of the axis."""
    tilts = np.arange(-72.0, 73.0, 6.0)
    truth = random_alignment(len(tilts), 3, 5.0, 3.0, 1.5)
    series = series_of(random_ellipsoids(96, 3), tilts, (96, 96), truth, 0.005, 4)
    averaged = np.asarray(series.values).reshape(len(tilts), 48, 2, 96).mean(axis=2)
    high = replace(series, values=averaged, pixel_size_nm=(2.0, 1.0))
    assert pixel_aspect_of(high) == 2.0
    found = align(high, Align(), Report()).alignment
    assert found is not None
    in_widths = replace(found, shift_y_px=tuple(2 * shift for shift in found.shift_y_px))
    left = errors(in_widths, truth, tilts)
    assert abs(left.rotation_deg) < 0.1
    assert left.across_px < 0.1
    assert left.along_px < 0.15
    assert abs(left.axis_px) < 0.15
    as_if_square = align(replace(high, pixel_size_nm=(None, None)), Align(), Report()).alignment
    assert as_if_square is not None
    assert abs(errors(as_if_square, truth, tilts).rotation_deg) > 0.3


@pytest.mark.parametrize("aspect", [0.5, 1.3, 2.0])
def test_square_pixels_lie_about_the_same_middle(aspect) -> None:
    """A bell keeps its place and its width in lengths, through binning, too."""
    y, x = np.arange(80) - 39.5, np.arange(64) - 31.5
    view = np.exp(-(((y * aspect - 6) / 4) ** 2)[:, None] - ((x + 3) / 4) ** 2).astype(np.float32)
    square = with_square_pixels(view, aspect)
    rows = np.arange(len(square)) - (len(square) - 1) / 2
    assert (square.sum(axis=1) * rows).sum() / square.sum() == pytest.approx(6, abs=0.02)
    views = align_views(np.stack([view] * 3), np.array([-10.0, 0.0, 10.0]), (), Report(), aspect).binned(3)
    moved = Alignment((1.0, 2.0, 3.0), (0.5, 6 / aspect, -4.0), (0.0,) * 3, 2.0, 1.0)
    binned = views.to_binned(moved)
    rows = np.arange(views.values.shape[1]) - (views.values.shape[1] - 1) / 2
    bell = views.values[1] - views.values[1].min()
    assert (bell.sum(axis=1) * rows).sum() / bell.sum() == pytest.approx(binned.shift_y_px[1], abs=0.1)
    again = views.from_binned(binned)
    np.testing.assert_allclose(again.shift_y_px, moved.shift_y_px, atol=1e-9)


def test_series_of_other_pixels_are_not_joined() -> None:
    one = TiltSeries(np.ones((2, 8, 8), np.float32), (1.0, 1.0), tilt_deg=(0.0, 10.0))
    with pytest.raises(UserError, match=r"\(1.0, 1.0\) and \(2.0, 1.0\) nm"):
        dual_axis(one, replace(one, pixel_size_nm=(2.0, 1.0)))
    assert dual_axis(one, replace(one, pixel_size_nm=(None, None))).pixel_size_nm == (1.0, 1.0)
    with pytest.raises(UserError, match="cannot have sides"):
        Geometry((0.0,), (8, 8), (8, 8, 8), pixel_aspect=0.0)
