"""Complete series: their noise is known, and the answer's views differ from the measured ones by no more."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.simulate.wedge import WedgeSimulator
from atomseg_app.simulate.wedge_preset import WEDGE_TRAINING
from atomseg_app.tomography.operations import FillWedge
from atomseg_app.tomography.wedge_complete import agreeing, noise_of_complete
from atomseg_app.tomography.wedge_methods import method_of
from tests.tomography.wedge_models import shelve

SIZE = 96
FULL = torch.arange(-90, 90, 2, dtype=torch.float64)
CLEAN = replace(
    WEDGE_TRAINING, counted=0.0, shift_px=(0.0, 0.0), tilt_error_deg=(0.0, 0.0), gain=(0.0, 0.0), size_px=SIZE
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def seen(share: float, tilts: torch.Tensor = FULL, count: int = 6) -> tuple[torch.Tensor, ...]:
    """True slices, views with noise of that share of the brightest bin, and its rms (slices,)."""
    batch = WedgeSimulator(CLEAN, 11, torch.device("cpu")).batch(count, tilts)
    rms = share * batch.views.amax((1, 2))
    noise = torch.randn(batch.views.shape, generator=torch.Generator().manual_seed(5))
    return batch.truth, batch.views + rms[:, None, None] * noise, rms


@pytest.mark.parametrize("share", [0.005, 0.02, 0.1])
def test_noise_is_measured_whatever_the_object(share: float) -> None:
    _, views, rms = seen(share)
    found = noise_of_complete(views, ParallelBeam(FULL, SIZE))
    assert found is not None
    torch.testing.assert_close(found, rms, rtol=0.05, atol=0)
    assert float((noise_of_complete(3 * views, ParallelBeam(FULL, SIZE)) / found).std()) < 1e-4


@pytest.mark.parametrize(
    "tilts",
    [torch.arange(-90, 91, 2.0), torch.arange(0, 180, 2.0), torch.arange(-40, 140, 2.0), torch.arange(0, 360, 2.0)],
    ids=["both ends", "0 to 178", "-40 to 138", "all round"],
)
def test_the_half_circle_may_begin_anywhere(tilts: torch.Tensor) -> None:
    tilts = tilts.double()
    _, views, rms = seen(0.01, tilts)
    order = torch.randperm(len(tilts), generator=torch.Generator().manual_seed(1))
    found = noise_of_complete(views[:, order], ParallelBeam(tilts[order], SIZE))
    assert found is not None
    torch.testing.assert_close(found, rms, rtol=0.08, atol=0)


def test_views_may_be_shifted() -> None:
    """Where views are moved to and fro and nobody says so, what disagrees counts as noise."""
    shift = 2 * torch.cos(2.5 * torch.arange(len(FULL), dtype=torch.float64))
    truth, views, rms = seen(0.01)
    moved = views + ParallelBeam(FULL, SIZE, shift_px=shift).project(truth) - ParallelBeam(FULL, SIZE).project(truth)
    told = noise_of_complete(moved, ParallelBeam(FULL, SIZE, shift_px=shift))
    silent = noise_of_complete(moved, ParallelBeam(FULL, SIZE))
    assert told is not None
    assert silent is not None
    assert float((told / rms - 1).abs().max()) < 0.15
    assert float((silent / told).min()) > 1.5


@pytest.mark.parametrize(
    "tilts",
    [torch.arange(-70, 71, 2.0), torch.cat([torch.arange(-90, 0, 2.0), torch.arange(0, 90, 3.0)]), torch.zeros(1)],
    ids=["limited", "uneven", "single"],
)
def test_other_series_stay_as_they_are(tilts: torch.Tensor) -> None:
    beam = ParallelBeam(tilts.double(), SIZE)
    views = torch.rand(2, len(tilts), SIZE, generator=torch.Generator().manual_seed(1))
    assert noise_of_complete(views, beam) is None
    answer = torch.rand(2, SIZE, SIZE)
    assert agreeing(lambda _views, _beam: answer)(views, beam) is answer


@pytest.mark.parametrize("share", [0.005, 0.01, 0.02])
@torch.no_grad()
def test_the_method_changes_a_complete_series_by_its_noise(share: float) -> None:
    """No more than the true slices' own projections, or than the noise; and the answer is no worse for it."""
    shelve()
    truth, views, rms = seen(share)
    beam, method = ParallelBeam(FULL, SIZE), method_of(FillWedge(), torch.device("cpu"))
    answer, before = method.fill(views, beam), method.modules[0](views, beam)
    changed, of_truth, plain = (
        (beam.project(slices) - views).square().mean((1, 2)).sqrt() / rms for slices in (answer, truth, before)
    )
    assert float((changed / of_truth.clamp(min=1)).max()) < 1.08
    assert float(changed.max()) < 1.2
    assert bool((changed <= plain * 1.001).all())
    error, plain_error = ((slices - truth).norm(dim=(1, 2)) for slices in (answer, before))
    assert float((error / plain_error).log().mean().exp()) < 1.02


@torch.no_grad()
def test_slices_that_agree_already_are_left_alone() -> None:
    truth, views, _ = seen(0.05)
    given = truth.clone()
    answer = agreeing(lambda _views, _beam: given)(views, ParallelBeam(FULL, SIZE))
    assert torch.equal(answer, truth)
    worse = agreeing(lambda _views, _beam: 0.7 * given)(views, ParallelBeam(FULL, SIZE))
    assert float((worse - truth).norm()) < 0.5 * float((0.3 * truth).norm())
    assert torch.equal(given, truth), "what a method gave is not written into"
