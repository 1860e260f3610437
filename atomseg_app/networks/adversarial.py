"""Adversarial training: a critic that tells made pictures from true ones, taught in the same steps as the network.

Relativistic average least squares (Jolicoeur-Martineau, ICLR 2019), as TomoFillNet's networks were trained with. Both
networks are one module, so that the training loop's optimiser, checkpoints and averages hold both.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.func import functional_call


class Adversaries(nn.Module):
    """A network of wedges and its critic; as a network it is the former."""

    def __init__(self, network: nn.Module, width: int = 16) -> None:
        super().__init__()
        self.network = network
        self.critic = Critic(width)

    def forward(self, *values: Any) -> torch.Tensor:
        """What the network gives."""
        result: torch.Tensor = self.network(*values)
        return result

    def losses(self, made: torch.Tensor, true: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The network's loss, which does not change the critic, and the critic's, which does not change the network.

        Pictures are (pictures, y, x), those of one place in both are of the same object.
        """
        fixed = {name: value.detach() for name, value in self.critic.named_parameters()}
        seen_true, seen_made = (
            functional_call(self.critic, fixed, (true,)),
            functional_call(self.critic, fixed, (made,)),
        )
        return relativistic(seen_made, seen_true), relativistic(self.critic(true), self.critic(made.detach()))


class Critic(nn.Module):
    """Maps pictures (pictures, y, x), 32 pixels a side or more, to how true they look, one number for each patch."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        widths = (width, 2 * width, 4 * width, 4 * width)
        layers: list[nn.Module] = [nn.Conv2d(1, width, 3, padding=1), nn.LeakyReLU(0.2)]
        for before, after in zip((width, *widths), widths, strict=False):
            layers += [
                nn.Conv2d(before, after, 4, stride=2, padding=1),
                nn.GroupNorm(4, after),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 1))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Shape (pictures, 1, y / 16, x / 16)."""
        result: torch.Tensor = self.layers(pictures[:, None].float())
        return result


def relativistic(better: torch.Tensor, worse: torch.Tensor) -> torch.Tensor:
    """Least where ``better`` looks truer by 1 than ``worse`` does on average, and ``worse`` less so by 1."""
    above, below = better - worse.mean() - 1, worse - better.mean() + 1
    return ((above**2).mean() + (below**2).mean()) / 2
