"""Shifts between images, of profiles, of projections: known answers."""

from __future__ import annotations

import numpy as np
import pytest

from atomseg_app.alignment import Alignment
from atomseg_app.benchmarks.misaligned import Ellipsoid, projected, random_ellipsoids
from atomseg_app.tomography.common_line import common_line
from atomseg_app.tomography.robust_line import robust_line
from atomseg_app.tomography.shifts import Band, phase_shift
from atomseg_app.tomography.slip import slips


def view(shift: tuple[float, float] = (0, 0), *, rotation: float = 0.0, size: int = 96, seed: int = 3) -> np.ndarray:
    alignment = Alignment((shift[0],), (shift[1],), (rotation,))
    return projected(random_ellipsoids(size, seed), 20.0, (size, size), alignment, 0)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (3.37, -5.81), (-9.5, 7.25)])
def test_phase_correlation_finds_shifts_to_a_twentieth_of_a_pixel(shift: tuple[float, float]) -> None:
    found = phase_shift(view(shift), view(), Band(0.01, 0.15), (20, 20))
    # The window sees other parts of the two, so the error grows with the shift.
    assert found == pytest.approx(shift, abs=0.05 + 0.02 * np.hypot(*shift))


def test_phase_correlation_is_antisymmetric_and_stays_within_its_reach() -> None:
    one, other = view((2.3, 1.1)), view()
    forth, back = (phase_shift(a, b, Band(), (20, 20)) for a, b in ((one, other), (other, one)))
    assert np.add(forth, back) == pytest.approx((0, 0), abs=0.02)
    assert np.abs(phase_shift(view((15, 0)), other, Band(), (4, 4))).max() <= 6


def test_phase_correlation_of_an_empty_image_is_no_shift() -> None:
    assert phase_shift(np.full((32, 32), 7.0), view(size=32), Band(), (8, 8)) == (0.0, 0.0)


def test_profiles_are_aligned_to_a_hundredth_of_a_pixel_whatever_their_gain() -> None:
    y = np.arange(120.0)
    true = np.array([0, 3.3, -6.7, 11.25, -14.9])
    profiles = np.stack([
        gain * (np.exp(-(((y - 50 - d) / 9) ** 2)) + 0.6 * np.exp(-(((y - 72 - d) / 4) ** 2))) + offset
        for d, gain, offset in zip(true, (1, 1.2, 0.8, 1, 1.1), (0, 3, -2, 0.5, 0), strict=True)
    ])  # fmt: skip
    found = common_line(profiles, np.arange(5.0), np.zeros(5), 0.01, 30)
    assert found - true == pytest.approx(np.zeros(5), abs=0.01)


def test_a_profile_that_leaves_the_field_is_aligned_by_what_is_still_seen() -> None:
    y = np.arange(100.0)
    true = np.array([0, 4.6, -7.3])
    needle = [np.tanh((y - 40 - d) / 3) + np.tanh((y - 70 - d) / 5) + 2 for d in true]
    found = common_line(np.stack(needle), np.array([0.0, 10, 20]), np.zeros(3), 0.01, 20)
    assert found - true == pytest.approx(np.zeros(3), abs=0.02)


def test_a_line_is_not_pulled_by_outliers() -> None:
    x = np.arange(40.0)
    y = 2.5 - 0.03 * x
    y[::5] += 20
    offset, slope = robust_line(x, y)
    assert (offset, slope) == (pytest.approx(2.5, abs=1e-6), pytest.approx(-0.03, abs=1e-7))
    with pytest.raises(ValueError, match="two different"):
        robust_line(np.ones(5), y[:5])


def test_least_squares_give_shift_gain_and_a_turn_of_all_views() -> None:
    from atomseg_app.tomography.matching import turn_derivative

    shifts = [(0.3, -0.2), (-0.15, 0.25), (0.1, 0.4)]
    at_rest = np.stack([view()] * 3)
    measured = np.stack([1.3 * view(shift, rotation=0.4) for shift in shifts])
    shared = [turn_derivative(at_rest, Alignment.none(3))]
    found = slips(measured, at_rest, np.ones_like(at_rest), [], shared)
    assert found.shift_xy == pytest.approx(np.array(shifts), abs=0.04)
    assert found.shared[0] == pytest.approx(0.4, abs=0.04)


def test_a_view_unlike_its_projection_stays_put() -> None:
    at_rest = np.stack([view()] * 3)
    measured = at_rest.copy()
    measured[1] = -measured[1]
    assert np.abs(slips(measured, at_rest, np.ones_like(at_rest), [], []).shift_xy[1]).max() == 0


def test_misaligned_views_follow_the_convention_of_alignments() -> None:
    """The centre of mass of a ball is seen where the docstring of Alignment puts the point at its middle."""
    ball = Ellipsoid((9.0, -14.0, 5.0), (6, 6, 6), 0.0, 1.0)
    alignment = Alignment((2.0, -3.5), (1.25, 4.0), (2.0, -1.0), 3.0, 10.0)
    for index, tilt in enumerate((-40.0, 60.0)):
        image = projected([ball], tilt, (64, 80), alignment, index).astype(float)
        y, x = np.indices(image.shape) - (np.array(image.shape)[:, None, None] - 1) / 2
        seen = np.array([(image * x).sum(), (image * y).sum()]) / image.sum()
        t = 9 * np.cos(np.deg2rad(tilt)) + 5 * np.sin(np.deg2rad(tilt))
        turn = np.deg2rad(10 + alignment.rotation_deg[index])
        expected = (
            t * np.cos(turn) + 14 * np.sin(turn) + 3 + alignment.shift_x_px[index],
            t * np.sin(turn) - 14 * np.cos(turn) + alignment.shift_y_px[index],
        )
        assert seen == pytest.approx(expected, abs=0.01)
        assert image.sum() == pytest.approx(4 / 3 * np.pi * 6**3, rel=2e-3)
