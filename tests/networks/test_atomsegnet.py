"""AtomSegNet's networks as published: sizes, shapes, ranges, gradients; its loss in closed form."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from atomseg_app.networks.atomsegnet import PUBLISHED_RECIPE, AtomSegNetLoss, NestedUNet, SigmoidUNet


@pytest.mark.parametrize(("kind", "millions"), [(SigmoidUNet, 1.74), (NestedUNet, 9.16)])
def test_as_many_parameters_as_published(kind: type[nn.Module], millions: float) -> None:
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in kind().parameters())
    assert count == pytest.approx(1e6 * millions, rel=0.01)


@pytest.mark.parametrize(("kind", "low"), [(SigmoidUNet, 0.0), (NestedUNet, -1.0)])
def test_answers_have_the_shape_of_images_and_stay_in_range(kind: type[nn.Module], low: float) -> None:
    module = kind((4, 4, 4, 4, 4))
    image = torch.rand((2, 1, 48, 80), generator=torch.Generator().manual_seed(1))
    answer = module(image)
    assert answer.shape == image.shape
    assert answer.min() >= low
    assert answer.max() <= 1
    answer.sum().backward()
    silent = [name for name, part in module.named_parameters() if part.grad is None]
    assert not silent


@pytest.mark.parametrize("kind", [SigmoidUNet, NestedUNet])
def test_answers_move_with_the_image(kind: type[nn.Module]) -> None:
    """Shifted by one cell of the coarsest grid, far from the borders: the same answer, shifted."""
    torch.manual_seed(1)
    module = kind((4, 4, 4)).eval()
    image = torch.rand((1, 1, 160, 160))
    with torch.no_grad():
        here, there = module(image), module(image.roll((module.stride, 2 * module.stride), (2, 3)))
    moved = here.roll((module.stride, 2 * module.stride), (2, 3))
    inner = slice(2 * module.stride + module.reach_px, -module.reach_px)
    assert torch.allclose(there[..., inner, inner], moved[..., inner, inner], atol=1e-6)


def test_the_loss_is_the_published_one() -> None:
    out, target = torch.tensor([[[[0.5, 0.0]]]]), torch.tensor([[[[1.0, 0.25]]]])
    expected = (0.25 / (1.0 + 0.1) + 0.0625 / (0.25 + 0.1)) / 2
    assert AtomSegNetLoss(10)(out, target).item() == pytest.approx(expected, rel=1e-6)
    assert AtomSegNetLoss(10)(target, target).item() == 0
    scaled = AtomSegNetLoss(10)(7 * out, 7 * target).item()
    assert scaled == pytest.approx(7 * expected, rel=1e-6)  # grows with grey levels as counts do


def test_the_loss_of_an_empty_target_is_finite() -> None:
    out = torch.full((1, 1, 2, 2), 0.5, requires_grad=True)
    loss = AtomSegNetLoss(100)(out, torch.zeros(1, 1, 2, 2))
    loss.backward()
    assert loss.item() == pytest.approx(25)
    assert torch.isfinite(out.grad).all()


@pytest.mark.parametrize("kind", [SigmoidUNet, NestedUNet])
def test_the_published_recipe_lowers_the_loss(kind: type[nn.Module]) -> None:
    """A few steps on one batch of discs in noise: the loss halves."""
    torch.manual_seed(1)
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    disc = (((y % 16 - 8) ** 2 + (x % 16 - 8) ** 2) < 16).float().expand(PUBLISHED_RECIPE.batch, 1, 32, 32)
    image = (disc + 0.2 * torch.randn(disc.shape)).clamp(0, 1)
    module, loss = kind((8, 8, 16)).train(), AtomSegNetLoss(PUBLISHED_RECIPE.loss_k)
    optimiser = torch.optim.SGD(
        module.parameters(), lr=PUBLISHED_RECIPE.learning_rate, momentum=PUBLISHED_RECIPE.momentum
    )
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        value = loss(module(image), disc)
        value.backward()
        optimiser.step()
        losses.append(value.item())
    assert losses[-1] < 0.5 * losses[0]
