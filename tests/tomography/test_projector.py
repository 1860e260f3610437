"""The projector against closed forms, its own adjoint, and itself in other words."""

from __future__ import annotations

import numpy as np
import pytest

from atomseg_app.alignment import Alignment
from atomseg_app.errors import UserError
from atomseg_app.simulate.ellipsoids import Ellipse, phantom, random_ellipsoids, sinogram_of, slice_of
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.projector import Operator, projector

TILTS = (0.0, 45.0, -45.0, 90.0, 13.3, 180.0, -89.9)


def alignment(rng: np.random.Generator, views: int, *, turned: bool) -> Alignment:
    nothing = (0.0,) * views
    return Alignment(
        tuple(rng.uniform(-5, 5, views)),
        tuple(rng.uniform(-5, 5, views)) if turned else nothing,
        tuple(rng.uniform(-3, 3, views)) if turned else nothing,
        2.5,
        1.5 if turned else 0.0,
    )


def triples(rng: np.random.Generator, views: int) -> tuple[tuple[float, float, float], ...]:
    return tuple((float(a), float(b), float(c)) for a, b, c in rng.uniform(-180, 180, (views, 3)))


def adjoint_error(operator: Operator, rng: np.random.Generator) -> float:
    """|<A x, y> - <x, A^T y>| over |A x| |y|."""
    x = rng.standard_normal(operator.domain_shape).astype(np.float32)
    y = rng.standard_normal(operator.range_shape).astype(np.float32)
    seen = operator(x)
    difference = np.vdot(seen.astype(float), y) - np.vdot(x.astype(float), operator.T(y))
    return float(abs(difference) / (max(np.linalg.norm(seen), 1.0) * np.linalg.norm(y)))


@pytest.mark.parametrize(
    ("tilts", "slices", "bins", "depth", "width"),
    [
        (TILTS, 45, 37, 37, 37),
        ((33.0,), 1, 25, 17, 31),
        ((0.0,), 16, 8, 1, 1),
        (tuple(np.arange(-75, 74, 6.0)), 33, 64, 20, 90),
        ((90.0, 45.0, 44.999, 45.001), 17, 40, 9, 40),
    ],
)
def test_adjoint_of_odd_sizes_and_extreme_angles(tilts, slices, bins, depth, width, rng) -> None:
    geometry = Geometry(tilts, (slices, bins), (depth, slices, width))
    assert adjoint_error(projector(geometry), rng) < 1e-6
    shifted = geometry.with_alignment(alignment(rng, len(tilts), turned=False))
    assert adjoint_error(projector(shifted), rng) < 1e-6
    turned = geometry.with_alignment(alignment(rng, len(tilts), turned=True))
    assert adjoint_error(projector(turned), rng) < 1e-6
    anyhow = Geometry(tilts, (slices, bins), (depth, slices, width), turned.alignment, triples(rng, len(tilts)))
    assert adjoint_error(projector(anyhow), rng) < 1e-6


def test_it_is_linear(rng) -> None:
    geometry = Geometry(TILTS, (5, 20), (20, 5, 20), alignment(rng, len(TILTS), turned=True))
    operator = projector(geometry)
    one, other = (rng.standard_normal(operator.domain_shape).astype(np.float32) for _ in range(2))
    np.testing.assert_allclose(operator(2 * one - other), 2 * operator(one) - operator(other), atol=2e-4)


def test_every_view_holds_the_mass_of_what_it_sees_whole() -> None:
    """The sum of a projection is that of the sample, whatever the angle and the shift."""
    volume = np.zeros((48, 20, 48), np.float32)
    volume[18:30, 4:15, 20:27] = 1
    shifts = Alignment(tuple(np.linspace(-4, 4, len(TILTS))), (0.0,) * len(TILTS), (0.0,) * len(TILTS))
    views = projector(Geometry(TILTS, (20, 48), (48, 20, 48), shifts))(volume)
    # The samples that Joseph's rays take are c apart across them: exact at 0 and 90 degrees, else but for sampling.
    np.testing.assert_allclose(views.sum(axis=(1, 2)), volume.sum(), rtol=5e-3)
    np.testing.assert_allclose(views[[0, 3, 5]].sum(axis=(1, 2)), volume.sum(), rtol=1e-6)


def test_a_disc_and_an_ellipse_cast_their_chords() -> None:
    size, tilts = 128, tuple(np.arange(-90.0, 90.0, 7.5))
    disc = [Ellipse(9.0, -6.0, 31.0, 31.0, 0.0, 1.0)]
    ellipse = [Ellipse(-5.0, 11.0, 44.0, 13.0, 0.7, 0.5)]
    for shapes in (disc, ellipse):
        slices = np.stack([slice_of(shapes, size)] * 3, axis=1)
        views = projector(Geometry(tilts, (3, size), (size, 3, size)))(slices)
        exact = sinogram_of(shapes, size, tilts)
        error = views[:, 1] - exact
        assert np.sqrt(np.mean(error**2)) < 0.01 * exact.max()
        np.testing.assert_array_equal(views[:, 0], views[:, 2])


def test_the_direction_of_tilt_and_the_centre_of_pixels() -> None:
    """A point at (x, z) is seen at t = x cos + z sin from the middle."""
    volume = np.zeros((41, 1, 41), np.float32)
    x, z = 11, -7
    volume[20 + z, 0, 20 + x] = 1
    tilts = (0.0, 30.0, -65.0, 90.0)
    views = projector(Geometry(tilts, (1, 61), (41, 1, 41)))(volume)[:, 0]
    seen = (views * np.arange(61)).sum(axis=1) / views.sum(axis=1) - 30
    angle = np.deg2rad(tilts)
    np.testing.assert_allclose(seen, x * np.cos(angle) + z * np.sin(angle), atol=0.35)
    np.testing.assert_allclose(seen[[0, 3]], [x, z], atol=1e-5)


def test_a_shift_of_the_geometry_is_a_shift_of_the_view(rng) -> None:
    volume = rng.random((24, 6, 24), np.float32)
    plain = projector(Geometry((0.0, 40.0), (6, 40), (24, 6, 24)))(volume)
    moved = Alignment((5.0, 5.0), (0.0, 0.0), (0.0, 0.0), axis_offset_px=-2.0)
    views = projector(Geometry((0.0, 40.0), (6, 40), (24, 6, 24), moved))(volume)
    np.testing.assert_allclose(views[:, :, 3:], plain[:, :, :-3], atol=1e-4)
    along = Alignment((0.0, 0.0), (2.0, 2.0), (0.0, 0.0))
    views = projector(Geometry((0.0, 40.0), (6, 40), (24, 6, 24), along))(volume)
    np.testing.assert_allclose(views[:, 2:], plain[:, :-2], atol=1e-4)
    np.testing.assert_array_equal(views[:, :2], 0)


def test_turning_the_sample_is_turning_the_views() -> None:
    """A slice turned by 90 degrees, seen at an angle, is the slice seen 90 degrees away."""
    slices = np.stack([slice_of([Ellipse(8.0, 3.0, 14.0, 6.0, 0.4, 1.0)], 64)] * 2, axis=1)
    turned = np.rot90(slices, axes=(0, 2))  # what was at (x, z) is at (z, -x)
    tilts = (0.0, 17.0, 61.0)
    views = projector(Geometry(tuple(tilt + 90 for tilt in tilts), (2, 64), (64, 2, 64)))(np.ascontiguousarray(turned))
    np.testing.assert_allclose(views, projector(Geometry(tilts, (2, 64), (64, 2, 64)))(slices)[:, :, ::-1], atol=1e-3)


def test_euler_angles_round_one_axis_are_tilts(rng) -> None:
    """Three ways: slices in registers, Joseph in three dimensions, and the latter with the detector turned."""
    volume = rng.random((21, 9, 25), np.float32)
    shape = (9, 29), (21, 9, 25)
    plain = projector(Geometry(TILTS, *shape))(volume)
    euler = tuple((0.0, -tilt, 0.0) for tilt in TILTS)
    np.testing.assert_allclose(projector(Geometry(TILTS, *shape, None, euler))(volume), plain, atol=1e-4)
    half_turn = Alignment((0.0,) * 7, (0.0,) * 7, (180.0,) * 7)
    turned = projector(Geometry(TILTS, *shape, half_turn, euler))(volume)
    np.testing.assert_allclose(turned, plain[:, ::-1, ::-1], atol=1e-4)


def test_the_first_euler_angle_turns_the_sample_about_the_beam() -> None:
    volume = np.zeros((15, 15, 15), np.float32)
    volume[7, 7, 12] = 1  # along x
    view = projector(Geometry((0.0,), (15, 15), (15, 15, 15), None, ((90.0, 0.0, 0.0),)))(volume)[0]
    assert np.unravel_index(np.argmax(view), view.shape) == (2, 7)


def test_a_detector_turned_in_its_plane_agrees_with_rays_turned() -> None:
    """Turning interpolated images and turning rays are two ways to one view of a smooth sample."""
    grid = np.indices((32, 32, 32)) - np.array([14.0, 17.0, 13.0])[:, None, None, None]
    volume = np.exp(-(grid[0] ** 2 / 30 + grid[1] ** 2 / 60 + grid[2] ** 2 / 20)).astype(np.float32)
    tilts = (0.0, 35.0, -60.0)
    seen = Alignment((1.3, -2.4, 0.2), (0.7, 3.1, -1.9), (4.0, -7.0, 2.0), 1.1, 0.6)
    images = projector(Geometry(tilts, (32, 32), (32, 32, 32), seen))(volume)
    rays = projector(Geometry(tilts, (32, 32), (32, 32, 32), seen, tuple((0.0, -t, 0.0) for t in tilts)))(volume)
    assert np.abs(images - rays).max() < 0.02 * rays.max()


def test_wrong_shapes_and_geometries_are_told() -> None:
    operator = projector(Geometry((0.0,), (4, 8), (8, 4, 8)))
    with pytest.raises(UserError, match=r"\(8, 4, 8\).*\(1, 4, 8\)"):
        operator(np.zeros((1, 4, 8), np.float32))
    with pytest.raises(UserError, match="View 1 of 2 has no tilt angle"):
        Geometry((0.0, np.nan), (4, 8), (8, 4, 8))
    with pytest.raises(UserError, match="no view"):
        Geometry((), (4, 8), (8, 4, 8))
    with pytest.raises(UserError, match="2 views, but an alignment of 3"):
        Geometry((0.0, 1.0), (4, 8), (8, 4, 8), Alignment.none(3))


def test_the_phantom_is_the_reference_one() -> None:
    """Numbers of the reference phantom with seed 0: its third ellipsoid, and sums of a small case of it."""
    volume, views = phantom(64, 8, np.arange(-75, 74, 10.0), seed=0, noise=0)
    assert random_ellipsoids(0).shape == (25, 8)
    centre = volume.sum(axis=(1, 2)) @ np.arange(64) / volume.sum()
    mass = views.sum(axis=2)
    np.testing.assert_allclose(mass, np.broadcast_to(volume.sum(axis=(0, 2)), mass.shape), rtol=0.01)
    seen = (views.sum(axis=1) * (np.arange(64) - 31.5)).sum(axis=1) / views.sum(axis=(1, 2))
    x = volume.sum(axis=(0, 1)) @ (np.arange(64) - 31.5) / volume.sum()
    angle = np.deg2rad(np.arange(-75, 74, 10.0))
    np.testing.assert_allclose(seen, x * np.cos(angle) + (centre - 31.5) * np.sin(angle), atol=0.05)
