"""The networks that fill a missing wedge, as far as they are installed, as functions of views and beam."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache

import torch
from torch import nn

from atomseg_app.errors import UserError
from atomseg_app.networks.card import find_model
from atomseg_app.networks.store import load_model
from atomseg_app.networks.wedge_joint import WedgeCleanup, WedgeSinogram
from atomseg_app.rays.parallel_beam import ParallelBeam

Fill = Callable[[torch.Tensor, ParallelBeam], torch.Tensor]
"""From views (slices, view, t) and their beam to slices (slices, z, x)."""

OURS, PROJECTIONS = "ours", "wedge-projections"
METHODS: dict[str, tuple[str, ...]] = {
    OURS: ("wedge-residual",),
    "residual (Ge)": ("wedge-artefacts",),
    "joint (Ding)": ("wedge-sinogram", "wedge-cleanup"),
    "sinogram only": ("wedge-sinogram",),
    "clean-up only": ("wedge-cleanup",),
}
"""Models of each method, by name."""
COMPARED = METHODS | {"ours, as long as theirs": ("wedge-residual-short",)}
"""With ours as it was after as many hours of training as the papers' methods had."""


def installed(methods: Mapping[str, tuple[str, ...]] = METHODS) -> dict[str, Fill]:
    """Methods whose models are all there."""
    return {name: _function(models) for name, models in methods.items() if all(map(there, models))}


def training_of(models: Iterable[str]) -> str:
    """What models were trained with: slices, hours, and whether the loss had stopped falling."""
    told = []
    for model in models:
        training = find_model(model).card.training
        state = "converged" if training.converged else "not converged"
        told.append(f"{training.samples_in_all:,} slices, {training.hours_in_all:.2f} h, {training.device}, {state}")
    return "; ".join(told)


def converged(model: str) -> bool:
    """Whether the loss of an installed model had stopped falling when its training ended."""
    return find_model(model).card.training.converged


def there(model: str) -> bool:
    """Whether a model of that name is installed."""
    try:
        find_model(model)
    except UserError:
        return False
    return True


@cache
def network(model: str) -> nn.Module:
    """The network of a model, loaded once a process."""
    return load_model(model)[0]


def _function(models: tuple[str, ...]) -> Fill:
    if len(models) == 1:
        return lambda views, beam: _answer(network(models[0]), views, beam)
    return lambda views, beam: _joint(network(models[0]), network(models[1]), views, beam)


def _answer(module: nn.Module, views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
    with torch.no_grad():
        answer: torch.Tensor = module(views, beam)
    return answer


def _joint(sinogram: nn.Module, cleanup: nn.Module, views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
    """Views filled in, back projection, tomogram cleaned."""
    if not isinstance(sinogram, WedgeSinogram) or not isinstance(cleanup, WedgeCleanup):
        raise UserError("The joint model needs a network of sinograms and one that cleans tomograms; install both.")
    with torch.no_grad():
        return cleanup.clean(sinogram(views, beam))
