"""Networks that fill a missing wedge: views are obeyed, grids of angles, losses against scikit-image."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from atomseg_app.networks.adversarial import Adversaries, relativistic
from atomseg_app.networks.image_losses import decibels, similarity
from atomseg_app.networks.rrdb import RRDBNet
from atomseg_app.networks.wedge_artefacts import WedgeArtefacts
from atomseg_app.networks.wedge_joint import WedgeCleanup, WedgeSinogram, grid_beam, moved_back, on_grid
from atomseg_app.networks.wedge_model import new_network
from atomseg_app.networks.wedge_projections import WedgeProjections
from atomseg_app.networks.wedge_residual import Obedience, WedgeResidual
from atomseg_app.networks.wedge_settings import METHODS
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import fbp, sirt
from atomseg_app.simulate.wedge import WedgeBatch, WedgeSimulator
from atomseg_app.simulate.wedge_preset import WEDGE_TRAINING

CPU = torch.device("cpu")
QUIET = replace(
    WEDGE_TRAINING, counted=0.0, shift_px=(0.0, 0.0), tilt_error_deg=(0.0, 0.0), gain=(0.0, 0.0), size_px=32
)
LIMITED = torch.arange(-60, 61, 3, dtype=torch.float64)
FULL = torch.arange(-90, 90, 2, dtype=torch.float64)
torch.manual_seed(12)
SMALL = {
    "residual": WedgeResidual(stem=4, widths=(8, 8), start=10),
    "sinogram": WedgeSinogram(angles=60, features=16, growth=16, blocks=1),
    "cleanup": WedgeCleanup(stem=4, widths=(8, 8), depth=1),
    "artefacts": WedgeArtefacts(features=16, dilations=(1, 2)),
    "projections": WedgeProjections(stem=4, widths=(8, 8), start=10),
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def batch_of(tilts: torch.Tensor, **changes: object) -> tuple[WedgeBatch, ParallelBeam]:
    return WedgeSimulator(replace(QUIET, **changes), 3, CPU).batch(4, tilts), ParallelBeam(tilts, 32)


def misfit(image: torch.Tensor, batch: WedgeBatch, beam: ParallelBeam) -> torch.Tensor:
    """Relative rms of what the views do not share with an answer, of each slice."""
    return (beam.project(image) - batch.views).norm(dim=(1, 2)) / batch.views.norm(dim=(1, 2))


@pytest.mark.parametrize("method", METHODS)
def test_an_answer_goes_with_the_scale_of_the_views_and_with_the_order_of_slices(method: str) -> None:
    batch, beam = batch_of(LIMITED)
    module = SMALL[method].eval()
    with torch.no_grad():
        answer, greater = module(batch.views, beam), module(1000 * batch.views, beam)
        turned, one = module(batch.views.flip(0), beam), module(batch.views[:1], beam)
        nothing = module(torch.zeros_like(batch.views), beam)
    assert answer.shape == batch.truth.shape
    assert float(answer.min()) >= 0
    atol = 0.02 * float(answer.max())  # bfloat16
    torch.testing.assert_close(greater / 1000, answer, rtol=0, atol=atol)
    torch.testing.assert_close(turned.flip(0), answer, rtol=0, atol=atol)
    torch.testing.assert_close(one, answer[:1], rtol=0, atol=atol)
    assert torch.isfinite(nothing).all()


def test_whatever_the_network_says_the_views_are_obeyed() -> None:
    """Networks that make every slice lighter by a third, one with steps towards the views and one without."""
    batch, beam = batch_of(LIMITED)
    found = []
    for steps in (0, 3):
        module = WedgeResidual(stem=4, widths=(8, 8), stages=1, steps=steps).eval()
        with torch.no_grad():
            module.correct[0].unet.head.bias.fill_(0.3)
            found.append(module(batch.views, beam))
    plain = sirt(beam, batch.views, 10)
    without, obeying, reached = (misfit(each, batch, beam) for each in (*found, plain))
    assert float(without.min()) > 0.5
    assert float((obeying / without).max()) < 0.4
    assert float((obeying / reached).max()) < 2


def test_steps_towards_noisy_views_are_smaller() -> None:
    batch, beam = batch_of(LIMITED)
    obey = Obedience(2)
    with torch.no_grad():
        start = torch.zeros_like(batch.truth)
        moved = [obey(start, batch.views, beam, torch.full((4,), noise)) for noise in (0.0, 0.05, 10.0)]
    sizes = [float(each.norm()) for each in moved]
    assert sizes[0] > sizes[1] > 20 * sizes[2]
    assert float(misfit(moved[0], batch, beam).mean()) < 0.3


def test_a_network_that_has_learnt_nothing_gives_the_classical_answer_obeying_the_views() -> None:
    """Its corrections begin at 0, so that training can only start where total variation ends."""
    batch, beam = batch_of(FULL)
    module = WedgeResidual(stem=4, widths=(8, 8)).eval()
    with torch.no_grad():
        answer, plain = module(batch.views, beam), sirt(beam, batch.views, 10)
    assert float((answer - batch.truth).norm()) < 0.7 * float((plain - batch.truth).norm())


def test_a_slice_of_any_size_is_filled() -> None:
    beam = ParallelBeam(LIMITED, 37)
    views = beam.project(torch.rand(2, 37, 37))
    for module in SMALL.values():
        with torch.no_grad():
            assert module.eval()(views, beam).shape == (2, 37, 37)


def test_views_on_the_grid_come_out_as_they_went_in() -> None:
    grid = grid_beam(60, 32, CPU)
    truth = WedgeSimulator(QUIET, 5, CPU).batch(3).truth
    sinogram = grid.project(truth)
    chosen = torch.arange(10, 50)
    views, tilts = sinogram[:, chosen], grid.tilt_deg[chosen]
    known, valid = on_grid(views, tilts, 60)
    assert valid.tolist() == [1.0 if 10 <= index < 50 else 0.0 for index in range(60)]
    torch.testing.assert_close(known[:, chosen], views)
    with torch.no_grad():
        filled = SMALL["sinogram"].eval().fill(views, ParallelBeam(tilts, 32))
    assert torch.equal(filled[:, chosen], known[:, chosen]), "measured views are copied back exactly"
    assert float(known[:, :10].abs().max()) == 0


def test_views_that_lie_off_are_moved_back_before_they_are_put_on_the_grid() -> None:
    truth = WedgeSimulator(QUIET, 5, CPU).batch(2).truth
    shifts = torch.linspace(-2.0, 2.0, len(LIMITED), dtype=torch.float64)
    ideal, off = ParallelBeam(LIMITED, 32), ParallelBeam(LIMITED, 32, shift_px=shifts)
    straight, views = ideal.project(truth), off.project(truth)
    before, after = ((each - straight).norm() / straight.norm() for each in (views, moved_back(views, shifts)))
    assert float(after) < 0.15 * float(before) + 0.03
    assert torch.equal(moved_back(views, torch.zeros(len(LIMITED))), views)


def test_angles_beyond_90_degrees_are_the_mirrored_views() -> None:
    grid = grid_beam(60, 32, CPU)
    truth = WedgeSimulator(QUIET, 5, CPU).batch(2).truth
    tilts = torch.arange(42.0, 160.0, 3.0, dtype=torch.float64)  # beyond 90 it goes on at -90
    known, valid = on_grid(ParallelBeam(tilts, 32).project(truth), tilts, 60)
    exact = grid.project(truth)
    places = valid > 0
    assert int(places.sum()) == len(tilts)
    torch.testing.assert_close(known[:, places], exact[:, places], rtol=1e-3, atol=1e-3)
    every = torch.arange(-90.0, 90.0, 1.5, dtype=torch.float64) + 0.7
    between, valid = on_grid(ParallelBeam(every, 32).project(truth), every, 60)
    assert float(valid.min()) == 1
    assert float((between - exact).norm() / exact.norm()) < 0.05


def test_artefacts_are_subtracted_from_the_back_projection() -> None:
    batch, beam = batch_of(LIMITED)
    module = WedgeArtefacts(features=16, dilations=(1,)).eval()
    with torch.no_grad():
        plain = fbp(beam, batch.views)
        torch.testing.assert_close(
            module(batch.views, beam), (plain - module.artefacts(plain)).clamp(min=0), rtol=0, atol=1e-6
        )
        for parameter in module.last.parameters():
            parameter.zero_()
        torch.testing.assert_close(module(batch.views, beam), plain.clamp(min=0))


def test_views_explained_by_all_views_together_have_less_noise() -> None:
    """What the network that takes noise out of projections starts from, and what its views are compared with."""
    batch, beam = batch_of(LIMITED, counted=1.0, dose=(100.0, 100.1), size_px=32)
    quiet, _ = batch_of(LIMITED)
    assert torch.equal(quiet.views, quiet.clean)
    with torch.no_grad():
        shown = WedgeProjections(stem=4, widths=(8, 8)).eval().denoise(batch.views, beam)
    noisy, left = ((each - batch.clean).norm() for each in (batch.views, shown))
    assert float(noisy) == pytest.approx(float(batch.noise.norm()) * (32 * len(LIMITED)) ** 0.5, rel=0.1)
    assert float(left) < 0.7 * float(noisy)


def test_losses_are_those_of_scikit_image() -> None:
    batch, beam = batch_of(LIMITED)
    image = sirt(beam, batch.views, 10)
    for index in range(4):
        one, other = image[index].numpy(), batch.truth[index].numpy()
        assert float(similarity(image, batch.truth)[index]) == pytest.approx(
            structural_similarity(one, other, data_range=1.0), abs=2e-4
        )
        assert float(decibels(image, batch.truth)[index]) == pytest.approx(
            peak_signal_noise_ratio(other, one, data_range=1.0), abs=1e-3
        )
    torch.testing.assert_close(similarity(image, image), torch.ones(4))


def test_network_and_critic_learn_apart_and_the_critic_learns() -> None:
    torch.manual_seed(4)
    both = Adversaries(SMALL["cleanup"], width=8)
    true = WedgeSimulator(QUIET, 5, CPU).batch(4).truth
    made = (true + 0.3 * torch.rand(true.shape)).requires_grad_()
    mine, its = both.losses(made, true)
    mine.backward(retain_graph=True)
    assert made.grad is not None
    assert all(parameter.grad is None for parameter in both.critic.parameters())
    made.grad = None
    its.backward()
    assert made.grad is None
    optimiser = torch.optim.Adam(both.critic.parameters(), 2e-3)
    first = float(its.detach())
    for _ in range(30):
        optimiser.zero_grad()
        _, its = both.losses(made.detach(), true)
        its.backward()
        optimiser.step()
    assert float(its.detach()) < 0.5 * first
    torch.testing.assert_close(relativistic(torch.ones(3), torch.zeros(3)), torch.tensor(0.0))
    torch.testing.assert_close(relativistic(torch.zeros(3), torch.zeros(3)), torch.tensor(1.0))


@pytest.mark.parametrize("method", METHODS)
def test_every_parameter_has_a_gradient_that_is_a_number(method: str) -> None:
    """In bfloat16 some dilated convolutions of some widths have none (torch 2.13 on a CPU)."""
    batch, beam = batch_of(LIMITED)
    module = new_network(method, 2)
    module(batch.views, beam).square().mean().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    with pytest.raises(ValueError, match="multiples of 16"):
        RRDBNet(features=24, growth=12)


def test_networks_are_small_enough_to_come_with_the_program() -> None:
    for method in METHODS:
        numbers = sum(parameter.numel() for parameter in new_network(method, 1).parameters())
        assert numbers <= 1_000_000
    assert sum(parameter.numel() for parameter in RRDBNet().parameters()) * 2 < 15_000_000
