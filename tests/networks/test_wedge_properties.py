"""What must hold of the corrections that obey the views, whatever they have learnt: noise, blocks, complete series."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from atomseg_app.networks.store import load_model
from atomseg_app.networks.wedge_residual import WedgeResidual
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import fbp, total_variation
from atomseg_app.simulate.wedge import WedgeSimulator
from atomseg_app.simulate.wedge_preset import WEDGE_TRAINING

SIZE = 48
LIMITED = torch.arange(-60, 61, 3, dtype=torch.float64)
FULL = torch.arange(-90, 90, 2, dtype=torch.float64)
CLEAN = replace(
    WEDGE_TRAINING, counted=0.0, shift_px=(0.0, 0.0), tilt_error_deg=(0.0, 0.0), gain=(0.0, 0.0), size_px=SIZE
)
INTERPOLATION = 0.02
"""R-factor between views recorded on a grid twice as fine and those that the projector makes of the true slices."""


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def network() -> WedgeResidual:
    """One whose corrections change slices by some percent, as those of one that has begun to learn do."""
    torch.manual_seed(7)
    module = WedgeResidual(stem=8, widths=(16, 16)).eval()
    with torch.no_grad():
        for correct in module.correct:
            correct.unet.head.weight.normal_(0, 0.03)
    return module


def views_of(tilts: torch.Tensor, share: float, count: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """True slices, views with noise of an rms of that share of the brightest bin, and the rms (slices,)."""
    batch = WedgeSimulator(CLEAN, 11, torch.device("cpu")).batch(count, tilts)
    rms = share * batch.views.amax((1, 2))
    noise = torch.randn(batch.views.shape, generator=torch.Generator().manual_seed(5))
    return batch.truth, batch.views + rms[:, None, None] * noise, rms


def r_factor(answer: torch.Tensor, views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
    """Sum of |measured - projected| over that of |measured|, of each slice."""
    return (beam.project(answer) - views).abs().sum((1, 2)) / views.abs().sum((1, 2))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05])
@torch.no_grad()
def test_what_views_do_not_share_with_the_answer_is_their_noise(network: WedgeResidual, share: float) -> None:
    truth, views, _ = views_of(LIMITED, share)
    beam = ParallelBeam(LIMITED, SIZE)
    answer = network(views, beam)
    corrected = (answer - total_variation(beam, views, 0.1, 100)).norm() / truth.norm()
    assert float(corrected) > 0.01, "else nothing is tested"
    of_truth = r_factor(truth, views, beam)
    assert float((r_factor(answer, views, beam) - of_truth).max()) < INTERPOLATION


@torch.no_grad()
def test_a_complete_series_is_changed_by_no_more_than_its_noise(network: WedgeResidual) -> None:
    _, views, rms = views_of(FULL, 0.02)
    beam = ParallelBeam(FULL, SIZE)
    changed = (beam.project(network(views, beam)) - views).square().mean((1, 2)).sqrt()
    assert float((changed / rms).max()) < 1.1


@torch.no_grad()
def test_a_complete_slice_is_nearer_to_the_truth_than_its_back_projection(network: WedgeResidual) -> None:
    truth, views, _ = views_of(FULL, 0.02)
    beam = ParallelBeam(FULL, SIZE)
    answer, plain = network(views, beam), fbp(beam, views)
    assert float(((answer - truth).norm(dim=(1, 2)) / (plain - truth).norm(dim=(1, 2))).max()) < 1


@pytest.mark.parametrize("tilts", [FULL, LIMITED], ids=["complete", "limited"])
@torch.no_grad()
def test_the_bundled_network_changes_views_by_their_noise(tilts: torch.Tensor) -> None:
    """At a size that it was trained near: the truth itself is as far from the views, for noise and interpolation."""
    module, _ = load_model("wedge-residual")
    size = 96
    batch = WedgeSimulator(replace(CLEAN, size_px=size), 11, torch.device("cpu")).batch(3, tilts)
    rms = 0.02 * batch.views.amax((1, 2))[:, None, None]
    views = batch.views + rms * torch.randn(batch.views.shape, generator=torch.Generator().manual_seed(5))
    beam = ParallelBeam(tilts, size)
    answer = module(views, beam)
    changed, wanted = ((beam.project(one) - views).norm(dim=(1, 2)) for one in (answer, batch.truth))
    assert float((changed / wanted).max()) < 1.1
    blocks = torch.cat([module(views[:1], beam), module(views[1:], beam)])
    assert float((blocks - answer).abs().max()) < 0.01 * float(answer.max())


@torch.no_grad()
def test_slices_are_filled_alike_in_any_order_and_in_blocks_of_any_size(network: WedgeResidual) -> None:
    _, views, _ = views_of(LIMITED, 0.01, 37)
    beam = ParallelBeam(LIMITED, SIZE)
    whole = network(views, beam)
    near = {"rtol": 0.0, "atol": 0.004 * float(whole.max())}  # a rounding of bfloat16
    for block in (5, 16, 33):
        parts = torch.cat([network(views[first : first + block], beam) for first in range(0, 37, block)])
        torch.testing.assert_close(parts, whole, **near)
    order = torch.randperm(37, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(network(views[order], beam), whole[order], **near)


@torch.no_grad()
def test_views_of_another_width_than_the_slices_are_refused(network: WedgeResidual) -> None:
    """Slices are as thick as they are wide, and the detector as wide."""
    with pytest.raises(ValueError, match=r"\(2, 41, 40\) do not end in \(41, 48\)"):
        network(torch.rand(2, 41, 40), ParallelBeam(LIMITED, SIZE))
    with pytest.raises(ValueError, match=r"\(2, 40, 48\) do not end in \(41, 48\)"):
        network(torch.rand(2, 40, 48), ParallelBeam(LIMITED, SIZE))
