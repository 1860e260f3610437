"""The gated U-Net: every size, every kind, what open and closed gates are, its reach, and that it learns."""

from __future__ import annotations

import itertools

import pytest
import torch

from atomseg_app.errors import UserError
from atomseg_app.networks.architectures import make_network
from atomseg_app.networks.gated_unet import Gate, GatedUNet, fused
from atomseg_app.networks.segmentation_losses import cross_entropy, dice

KINDS = {"unet": (False, False), "attention": (True, False), "attention-res": (True, True)}
SMALL = (4, 6, 8)


def network(kind: str, dimensions: int = 2, *, channels: int = 1, widths: tuple[int, ...] = SMALL, norm: str = "batch"):  # type: ignore[no-untyped-def]
    gates, residual = KINDS[kind]
    torch.manual_seed(3)
    return GatedUNet(channels, 3, dimensions, widths, gates, residual, norm)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
def test_any_size_is_answered_pixel_for_pixel(kind: str, norm: str) -> None:
    flat, solid = network(kind, norm=norm), network(kind, 3, norm=norm)
    for size in (1, 2, 3, 7, 8, 31, 97):
        for other in (1, 5, 64):
            assert flat(torch.randn(1, 1, size, other)).shape == (1, 3, size, other)
    for size in itertools.product((1, 5, 13), repeat=3):
        assert solid(torch.randn(1, 1, *size)).shape == (1, 3, *size)


def test_every_size_from_1_to_97() -> None:
    module = network("attention-res").eval()
    with torch.no_grad():
        for size in range(1, 98):
            assert module(torch.zeros(1, 1, size, 98 - size)).shape[2:] == (size, 98 - size)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dimensions", [2, 3])
def test_gradients_reach_every_parameter(kind: str, dimensions: int) -> None:
    module = network(kind, dimensions)
    module(torch.randn(2, 1, *(16,) * dimensions)).square().mean().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("dimensions", [2, 3])
def test_open_gates_are_a_plain_network_and_closed_ones_let_nothing_through(dimensions: int) -> None:
    gated, plain = network("attention", dimensions).eval(), network("unet", dimensions).eval()
    plain.load_state_dict({n: v for n, v in gated.state_dict().items() if not n.startswith("gates.")})
    x = torch.randn(1, 1, *(24,) * dimensions)
    for gate in gated.gates:
        assert isinstance(gate, Gate)
        torch.nn.init.constant_(gate.psi.bias, 100.0)
    torch.testing.assert_close(gated(x), plain(x))
    logits, alphas = gated.with_gates(x)
    torch.testing.assert_close(logits, plain(x))
    assert all((alpha == 1).all() and alpha.shape[2:] == x.shape[2:] for alpha in alphas)
    for gate in gated.gates:
        torch.nn.init.constant_(gate.psi.bias, -100.0)
    flat = gated(x + 0)
    assert not torch.allclose(flat, plain(x))
    assert all((alpha < 1e-20).all() for alpha in gated.with_gates(x)[1])


def test_gates_lie_between_0_and_1_for_odd_sizes() -> None:
    _, alphas = network("attention-res").with_gates(torch.randn(2, 1, 29, 33) * 5)
    assert len(alphas) == len(SMALL) - 1
    for alpha in alphas:
        assert alpha.shape == (2, 1, 29, 33)
        assert ((alpha > 0) & (alpha < 1)).all()


@pytest.mark.parametrize(
    ("kind", "dimensions", "count"),
    [("unet", 2, 450_115), ("attention", 2, 466_358), ("attention-res", 2, 488_582), ("unet", 3, 1_325_923),
     ("attention", 3, 1_352_918), ("attention-res", 3, 1_375_142)],
)  # fmt: skip
def test_numbers_of_parameters_are_known(kind: str, dimensions: int, count: int) -> None:
    module = network(kind, dimensions, widths=(16, 32, 64, 128))
    assert sum(parameter.numel() for parameter in module.parameters()) == count


def test_an_answer_depends_on_nothing_beyond_its_reach() -> None:
    module = network("attention-res").eval()
    torch.manual_seed(1)
    x = torch.randn(1, 1, 128, 128)
    reach = module.reach_px
    near, far = x.clone(), x.clone()
    far[..., 64 + reach + 1 :] += 10
    far[..., : 64 - reach] += 10
    far[..., 64 + reach + 1 :, :] += 10
    near[..., 64, 64 + 6] += 10
    with torch.no_grad():
        centre = module(x)[..., 64, 64]
        torch.testing.assert_close(module(far)[..., 64, 64], centre)
        assert not torch.allclose(module(near)[..., 64, 64], centre)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dimensions", [2, 3])
def test_folding_the_norms_changes_no_answer(kind: str, dimensions: int) -> None:
    module = network(kind, dimensions)
    x = torch.randn(2, 1, *(16,) * dimensions)
    module(3 * x + 1)  # gives the norms something to have learnt
    module.eval()
    with torch.no_grad():
        before = module(x)
        torch.testing.assert_close(fused(module)(x), before, atol=1e-4, rtol=1e-4)
    assert not any(isinstance(part, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d) for part in module.modules())
    other = network(kind, dimensions, norm="group").eval()
    before = other(x)
    assert torch.equal(fused(other)(x), before)


def test_a_seed_gives_the_same_answer_again() -> None:
    x = torch.randn(1, 1, 40, 40)
    assert torch.equal(network("attention-res").eval()(x), network("attention-res").eval()(x))


@pytest.mark.parametrize("kind", KINDS)
def test_one_patch_is_learnt_by_heart(kind: str) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    yy, xx = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    truth = (((yy - 30) ** 2 + (xx - 34) ** 2) < 24**2).long()
    truth[((yy - 20) ** 2 + (xx - 30) ** 2) < 4**2] = 2
    image = (truth.float() + 0.8 * torch.randn(64, 64))[None, None]
    module = network(kind, widths=(12, 24, 48))
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-2)
    for _ in range(150):
        logits = module(image)
        loss = cross_entropy(logits, truth[None]) + dice(logits, truth[None])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = module(image).argmax(1)[0]
    for value in range(3):
        both = ((found == value) & (truth == value)).sum()
        assert 2 * both / ((found == value).sum() + (truth == value).sum()) > 0.99


@pytest.mark.parametrize(
    "options", [{"dimensions": 4}, {"widths": []}, {"widths": [0, 4]}, {"norm": "layer"}, {"colours": 3}]
)
def test_options_of_a_card_that_make_no_network_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UserError):
        make_network("atomseg-gated-unet", options)
