"""The methods that fill a missing wedge, as one kind of function: views of some slices and their beam to slices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from atomseg_app.errors import UserError
from atomseg_app.networks.card import ModelCard, find_model
from atomseg_app.networks.store import load_model
from atomseg_app.networks.wedge_joint import WedgeCleanup, WedgeSinogram
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.tomography.wedge_complete import agreeing

if TYPE_CHECKING:
    from atomseg_app.tomography.operations import FillWedge

Fill = Callable[[torch.Tensor, ParallelBeam], torch.Tensor]
"""Views (slices, view, t) and their beam to slices (slices, z, x)."""

USUAL = {"best": ("wedge-residual",), "residual": ("wedge-artefacts",), "joint": ("wedge-sinogram", "wedge-cleanup")}
"""Models of each method, by name."""
_PRESET = {
    "wedge-residual": "residual", "wedge-artefacts": "artefacts", "wedge-sinogram": "sinogram",
    "wedge-cleanup": "cleanup",
}  # fmt: skip


@dataclass(frozen=True)
class Method:
    """A method that fills slice by slice: the function, its networks, and the cards they came with."""

    fill: Fill
    modules: tuple[nn.Module, ...]
    cards: tuple[ModelCard, ...]

    @property
    def models(self) -> str:
        """Names of the models, for notes."""
        return " and ".join(card.name for card in self.cards)


def method_of(settings: FillWedge, device: torch.device) -> Method:
    """Method of the settings with its models on a device; best obeys complete series until nothing but noise is left.

    Raises UserError where a model is missing or of another kind.
    """
    first, *second = USUAL[settings.method]
    if settings.method != "joint":
        module, card = _wedge_model(settings.model, first, device)
        return Method(agreeing(module) if settings.method == "best" else module, (module,), (card,))
    filler, filler_card = _wedge_model(settings.sinogram_model, first, device)
    cleaner, cleaner_card = _wedge_model(settings.model, second[0], device)
    if not isinstance(filler, WedgeSinogram) or not isinstance(cleaner, WedgeCleanup):
        raise UserError(
            "The joint model needs a network that fills sinograms and one that cleans slices, not "
            f"{filler_card.name!r} ({filler_card.title}) and {cleaner_card.name!r} ({cleaner_card.title}); name others."
        )

    def joint(views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
        return cleaner.clean(filler.slices(filler.fill(views, beam), beam))

    return Method(joint, (filler, cleaner), (filler_card, cleaner_card))


def _wedge_model(chosen: str | None, usual: str, device: torch.device) -> tuple[nn.Module, ModelCard]:
    name = chosen or usual
    try:
        model = find_model(name)
    except UserError:
        if chosen:
            raise
        raise UserError(
            f"The model {usual!r} is not installed; train it ('atomseg train wedge --preset {_PRESET[usual]} "
            f"--name {usual}' saves it where -o says) and name its card (--model FILE), or choose another method."
        ) from None
    if model.card.task != "wedge":
        raise UserError(f"The model {name!r} is one for {model.card.task}; filling a wedge needs one for wedge.")
    module, card = load_model(model, device)
    return module, card
