"""Width of atoms' spots measured from views: several widths and doses, a support, and views of other things."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import erf

from atomseg_app.benchmarks.wedge_scenes import FAMILIES, Condition, counted, scene, wedge_tilts
from atomseg_app.benchmarks.wedge_volumes import KINDS, volume
from atomseg_app.networks.store import load_model
from atomseg_app.operations import Report
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import sirt
from atomseg_app.simulate.draw import Draw
from atomseg_app.tomography.spot_width import spot_width
from atomseg_app.tomography.wedge_spots import NARROW_PX, SHARE, blurred, with_measured_width

SIZE, SLICES = 48, 28
TILTS = wedge_tilts(40.0, 4.0)
BIN_VARIANCE = 1 / 12  # of a pixel, which views are integrated over


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def atoms(spacing_px: float) -> np.ndarray:
    """Places (n, 3) y, z, x of a simple cubic crystal, turned, in a ball in the middle."""
    steps = np.arange(-8, 9) * spacing_px
    places = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    places = places @ turn.T
    centre = np.array([(SLICES - 1) / 2, (SIZE - 1) / 2, (SIZE - 1) / 2])
    kept = (np.abs(places[:, 0]) < SLICES / 2 - 3) & (np.hypot(places[:, 1], places[:, 2]) < SIZE / 2 - 7)
    return places[kept] + centre


def views_of(places: np.ndarray, sigma_px: float, tilts: torch.Tensor = TILTS) -> torch.Tensor:
    """Views (slices, view, t) in closed form, integrated over pixels, no projector in between."""

    def bins(count: int, at: np.ndarray) -> np.ndarray:
        edges = (np.arange(count + 1) - 0.5)[:, None] - at[None]
        return np.diff(0.5 * erf(edges / (sigma_px * 2**0.5)), axis=0)

    centre, angles = (SIZE - 1) / 2, np.deg2rad(tilts.numpy())
    z, x = places[:, 1] - centre, places[:, 2] - centre
    across = x * np.cos(angles)[:, None] + z * np.sin(angles)[:, None] + centre
    along = bins(SLICES, places[:, 0])
    views = 100 * np.stack([along @ bins(SIZE, each).T for each in across], 1)
    return torch.from_numpy(views.astype(np.float32))


def noisy(views: torch.Tensor, counts: float | None) -> torch.Tensor:
    draw = Draw(4, torch.device("cpu"))
    return counted(views.reshape(1, -1, views.shape[-1]), counts, draw).reshape(views.shape)


@torch.no_grad()
def filled(views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
    slices: torch.Tensor = load_model("wedge-residual")[0](views, beam)
    return slices


@pytest.mark.parametrize("counts", [None, 1e3, 1e2])
@pytest.mark.parametrize(("sigma_px", "spacing_px"), [(1.0, 6.5), (1.5, 7.0), (2.0, 8.5), (2.5, 10.0)])
def test_the_width_is_measured(sigma_px: float, spacing_px: float, counts: float | None) -> None:
    views, beam = noisy(views_of(atoms(spacing_px), sigma_px), counts), ParallelBeam(TILTS, SIZE)
    found = spot_width(views, beam, filled(views, beam))
    assert found.atomic, found.words
    assert found.sigma_px == pytest.approx((sigma_px**2 + BIN_VARIANCE) ** 0.5, rel=0.05)
    assert found.spots == pytest.approx(len(atoms(spacing_px)), rel=0.1)


def test_shifted_views_and_a_support_do_not_matter() -> None:
    """A broad body under the atoms, as bright as all of them, and views displaced as their beam says."""
    shift = torch.linspace(-2, 3, len(TILTS), dtype=torch.float64)
    beam = ParallelBeam(TILTS, SIZE, shift_px=shift)
    spectrum = torch.fft.rfft(views_of(atoms(7.0), 1.5), 4 * SIZE)
    phase = torch.exp(-2j * torch.pi * torch.fft.rfftfreq(4 * SIZE, dtype=torch.float64) * shift[:, None])
    moved = torch.fft.irfft(spectrum * phase, 4 * SIZE)[..., :SIZE].float()
    ball = torch.zeros(SLICES, SIZE, SIZE)
    ball[4:-4, 12:-12, 12:-12] = 1
    support = beam.project(blurred(ball, 4.0))
    views = noisy((moved + support * moved.sum() / support.sum()).clamp(min=0), 1e3)
    found = spot_width(views, beam, filled(views, beam))
    assert found.atomic, found.words
    assert found.sigma_px == pytest.approx((1.5**2 + BIN_VARIANCE) ** 0.5, rel=0.03)


@pytest.mark.parametrize("counts", [None, 1e2])
@pytest.mark.parametrize("kind", KINDS)
def test_bodies_are_not_taken_for_atoms(kind: str, counts: float | None) -> None:
    sample = volume(kind, 0, Condition("", counts), wedge_tilts(45.0, 4.0))
    assert not spot_width(sample.views, sample.beam, filled(sample.views, sample.beam)).atomic


@pytest.mark.parametrize("counts", [None, 1e2])
@pytest.mark.parametrize("family", FAMILIES)
def test_slices_of_unseen_families_are_not_taken_for_atoms(family: str, counts: float | None) -> None:
    """Slices that go over into each other, so that they are a body, and ones that have nothing in common."""
    tilts = wedge_tilts(45.0, 4.0)
    seen = scene(family, Condition(""), tilts, 3, 64)
    between = torch.linspace(0, 1, 9)[:-1, None, None]
    body = torch.cat([(1 - between) * one + between * other for one, other in pairwise(seen.clean)])
    for views in (noisy(body, counts), scene(family, Condition("", counts), tilts, 16, 64).views):
        assert not spot_width(views, seen.beam, filled(views, seen.beam)).atomic


def test_nothing_and_noise_are_not_atoms() -> None:
    beam = ParallelBeam(TILTS, SIZE)
    empty = torch.zeros(SLICES, len(TILTS), SIZE)
    found = spot_width(empty, beam, beam.smear(empty))
    assert not found.atomic
    assert "fewer than 12 spots" in found.words
    noise = torch.rand(empty.shape, generator=torch.Generator().manual_seed(1))
    assert not spot_width(noise, beam, sirt(beam, noise, 20)).atomic


@torch.no_grad()
def test_spots_are_made_with_that_width_or_not_at_all() -> None:
    """The note says which; narrow atoms and other views keep the slices."""
    beam = ParallelBeam(TILTS, SIZE)
    views = views_of(atoms(7.0), 1.5)
    report = Report()
    answer = with_measured_width(views, beam, filled(views, beam), report)
    assert answer is not None
    assert float((beam.project(answer) - views).norm() / views.norm()) < 0.05
    (note,) = report.facts.notes
    width = SHARE * (1.5**2 + BIN_VARIANCE) ** 0.5
    assert f"spots with a standard deviation of {width:.1f}"[:-2] in note

    narrow = views_of(atoms(6.5), 1.0)
    report = Report()
    assert with_measured_width(narrow, beam, filled(narrow, beam), report) is None
    assert NARROW_PX > 1.0
    assert "so narrow that the volume as filled" in report.facts.notes[0]

    sample = volume("rings", 0, Condition(""), TILTS)
    report = Report()
    assert with_measured_width(sample.views, sample.beam, filled(sample.views, sample.beam), report) is None
    (note,) = report.facts.notes
    assert note.startswith("Single atoms are not seen in the views, so that no spots were made:")
    assert "fine detail unexplained; the volume is as filled" in note
