"""Simulated slices and views: families in range, views against closed forms, noise and shifts as stated, seeds."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.simulate.draw import Draw
from atomseg_app.simulate.slice_families import FUNCTIONS
from atomseg_app.simulate.slice_shapes import Grid, ellipse
from atomseg_app.simulate.wedge import FINER, WedgeSimulator, draw_slices, draw_tilts, record, saxton
from atomseg_app.simulate.wedge_preset import FAMILIES, HELD_OUT, WEDGE_TRAINING, WEDGE_UNSEEN

CPU = torch.device("cpu")
EXACT = replace(
    WEDGE_TRAINING, counted=0.0, shift_px=(0.0, 0.0), tilt_error_deg=(0.0, 0.0), gain=(0.0, 0.0), size_px=64
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_held_out_families_are_never_trained_on() -> None:
    assert not set(FAMILIES) & set(HELD_OUT)
    assert set(FAMILIES) | set(HELD_OUT) == set(FUNCTIONS)
    assert set(WEDGE_TRAINING.families) == set(FAMILIES)
    assert set(WEDGE_UNSEEN.families) == set(HELD_OUT)
    _, names = draw_slices(Draw(1, CPU), replace(WEDGE_TRAINING, size_px=32), 200)
    assert set(names) == set(FAMILIES)


@pytest.mark.parametrize("family", FUNCTIONS)
def test_families_are_objects_within_the_circle_that_all_views_see(family: str) -> None:
    preset = replace(WEDGE_TRAINING, families=(family,), size_px=64)
    fine, names = draw_slices(Draw(11, CPU), preset, 24)
    assert names == (family,) * 24
    assert torch.isfinite(fine).all()
    assert float(fine.min()) >= 0
    coarse = torch.nn.functional.avg_pool2d(fine[:, None], FINER)[:, 0]
    torch.testing.assert_close(coarse.amax((1, 2)), torch.ones(24), msg="every slice holds something")
    line = Grid(fine.shape[-1], CPU).line
    outside = torch.hypot(line[None, :], line[:, None]) > 1.0
    assert float((fine[:, outside] ** 2).sum()) < 1e-3 * float((fine**2).sum())
    assert float((coarse[0] - coarse[1]).abs().max()) > 0.05, "slices differ"


def test_at_most_half_of_what_is_trained_on_has_few_grey_levels() -> None:
    fine, _ = draw_slices(Draw(5, CPU), replace(WEDGE_TRAINING, size_px=64), 200)
    coarse = torch.nn.functional.avg_pool2d(fine[:, None], FINER)[:, 0]
    down, right = coarse.diff(dim=1)[:, :, :-1].abs(), coarse.diff(dim=2)[:, :-1].abs()
    inside = coarse[:, :-1, :-1] > 0.02
    flat = ((down + right) < 1e-4) & inside
    share = flat.sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)
    assert 0.2 < float((share > 0.5).float().mean()) <= 0.55


def test_views_are_the_chords_of_an_ellipse() -> None:
    size, tilts = 64, torch.tensor([-70.0, -30.0, 0.0, 12.0, 55.0, 90.0], dtype=torch.float64)
    grid = Grid(FINER * size, CPU)
    x, z, half, other, turn = (torch.tensor([v]) for v in (0.2, -0.15, 0.5, 0.3, 0.4))
    fine = grid.coverage(ellipse(grid, x, z, half, other, turn))
    shift = torch.zeros(1, len(tilts))
    views = record(ParallelBeam(tilts, FINER * size), fine, shift)[0]
    radians = torch.deg2rad(tilts)
    scale = size / 2  # voxels in a half width
    width = scale * ((half * (radians - turn).cos()) ** 2 + (other * (radians - turn).sin()) ** 2).sqrt()
    t = torch.arange(size) - (size - 1) / 2 - scale * (x * radians.cos() + z * radians.sin())[:, None]
    chord = 2 * half * other * scale**2 / width[:, None] ** 2 * (width[:, None] ** 2 - t**2).clamp(min=0).sqrt()
    assert float((views - chord).abs().mean()) < 0.006 * float(chord.max())
    area = math.pi * float(half * other) * scale**2
    torch.testing.assert_close(views.sum(1).double(), torch.full((len(tilts),), area).double(), rtol=2e-3, atol=0)


def test_shifts_move_views_by_pixels() -> None:
    grid = Grid(128, CPU)
    x, z, half, other, turn = (torch.tensor([v]) for v in (0.0, 0.1, 0.3, 0.2, 0.0))
    fine = grid.coverage(ellipse(grid, x, z, half, other, turn))
    beam = ParallelBeam([0.0, 40.0], 128)
    still, moved = (record(beam, fine, torch.tensor([each]))[0] for each in ([0.0, 0.0], [3.0, -1.5]))
    torch.testing.assert_close(moved[0, 3:], still[0, :-3])
    t = torch.arange(64.0)
    centres = [(row * t).sum(1) / row.sum(1) for row in (still, moved)]
    torch.testing.assert_close(centres[1] - centres[0], torch.tensor([3.0, -1.5]), rtol=0, atol=1e-3)


def test_noise_is_what_is_stated() -> None:
    tilts = torch.arange(-60, 61, 3, dtype=torch.float64)
    counted = replace(EXACT, counted=1.0, dose=(300.0, 301.0))
    clean, noisy = (WedgeSimulator(preset, 4, CPU).batch(6, tilts) for preset in (EXACT, counted))
    torch.testing.assert_close(clean.truth, noisy.truth)
    assert float(clean.noise.max()) == 0
    rms = (noisy.views - clean.views).square().mean((1, 2)).sqrt()
    torch.testing.assert_close(rms, noisy.noise, rtol=0.08, atol=0)
    lit = clean.views > 0.1 * clean.views.amax((1, 2), keepdim=True)
    for exact, found, seen in zip(clean.views, noisy.views, lit, strict=True):
        mean = exact[seen].mean()
        spread = ((found - exact)[seen] / (exact[seen] * mean).sqrt()).std()
        assert float(spread) == pytest.approx(300**-0.5, rel=0.1), "300 counts in the mean where something is seen"


def test_angles_leave_the_wedge_that_was_asked_for() -> None:
    draw = Draw(3, CPU)
    counts = []
    for _ in range(200):
        tilts = draw_tilts(draw, replace(WEDGE_TRAINING, wedge_deg=(50.0, 50.0), full=0.0, centre_deg=0.0))
        assert len(tilts) >= 10
        assert float(tilts.diff().min()) > 0
        assert float(tilts.abs().max()) <= 65 + 0.35 * 5 + 1e-6
        counts.append(len(tilts))
    assert min(counts) < 40 < max(counts)
    full = draw_tilts(draw, replace(WEDGE_TRAINING, full=1.0, uneven=0.0, step_deg=(2.0, 2.0)))
    assert len(full) * float(full.diff()[0]) == pytest.approx(180, abs=2.1)
    steps = saxton(60.0, 3.0).diff()
    assert float(steps.max()) == pytest.approx(3.0)
    assert float(steps[-1]) == pytest.approx(3.0 * math.cos(math.radians(float(saxton(60.0, 3.0)[-2]))), rel=1e-6)


def test_a_seed_gives_the_same_slices_and_views() -> None:
    small = replace(WEDGE_TRAINING, size_px=32)
    first, again, other = (WedgeSimulator(small, seed, CPU) for seed in (7, 7, 8))
    for _ in range(2):
        one, two = first.batch(4), again.batch(4)
        for name in ("truth", "views", "tilt_deg", "noise", "shift_px"):
            assert torch.equal(getattr(one, name), getattr(two, name)), name
        assert one.names == two.names
    assert not torch.equal(other.batch(4).truth, one.truth)
    state = first.generator.get_state()
    then = first.batch(2)
    again.generator.set_state(state)
    assert torch.equal(again.batch(2).views, then.views), "a checkpoint's state goes on with the same slices"
