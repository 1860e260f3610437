"""AtomSegNet's U-Net as a finder on the hard set, where a model of that architecture is installed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import nn

from atomseg_app.atoms.locators import Method, locate
from atomseg_app.atoms.network_pass import resampled
from atomseg_app.benchmarks.hard_set import Finder, Found, Picture
from atomseg_app.benchmarks.table import print_table
from atomseg_app.networks.card import ModelCard, list_models
from atomseg_app.networks.columns import SIGMA_PX, Normalisation
from atomseg_app.networks.mask_training import zero_to_one
from atomseg_app.networks.store import load_model
from atomseg_app.networks.tiling import apply_tiled
from atomseg_app.operations import Report

ARCHITECTURE = "atomsegnet-unet"
_LOCATORS: dict[str, Method] = {"Hough": "hough", "watershed": "split-watershed"}
_WAYS = {"as it is": False, "resized by the true width": True}


@dataclass(frozen=True)
class MaskNetwork:
    """Columns located in the mask that a network of AtomSegNet's makes of a picture.

    ``resized``: the picture is first brought to the scale of the training by its true column width, which stands for a
    user who does that by hand as well as can be.
    """

    model: str
    locator: Method
    resized: bool

    def __call__(self, picture: Picture) -> Found:
        """Centres of the columns of a picture."""
        module, card = _loaded(self.model)
        pixels = torch.from_numpy(np.ascontiguousarray(picture.values))
        height, width = pixels.shape
        if self.resized:
            factor = SIGMA_PX / picture.sigma_px
            pixels = resampled(pixels, (max(16, round(height * factor)), max(16, round(width * factor))))
        mask = apply_tiled(module, _normalised(pixels, card), Report())
        places = locate(mask.reshape(pixels.shape).float().cpu().numpy(), self.locator)
        ratio = np.array([width / pixels.shape[1], height / pixels.shape[0]])
        return Found((places + 0.5) * ratio - 0.5)


def baselines() -> tuple[dict[str, Finder], list[str]]:
    """Finders with AtomSegNet's U-Net from the model store, and the names of those that have no trained model."""
    names = [model.card.name for model in list_models() if model.card.architecture.name == ARCHITECTURE]
    titles = [
        (f"AtomSegNet's U-Net + {name}, {way}", locator, resized)
        for name, locator in _LOCATORS.items()
        for way, resized in _WAYS.items()
    ]
    if not names:
        return {}, [title for title, _, _ in titles]
    finders: dict[str, Finder] = {}
    for name in names:
        suffix = f" ({name})" if len(names) > 1 else ""
        finders |= {title + suffix: MaskNetwork(name, locator, resized) for title, locator, resized in titles}
    return finders, []


def training() -> None:
    """Print how long the networks of the hard set's table were trained: one whose loss still falls proves little."""
    rows = [
        [
            card.name,
            f"{card.training.samples_in_all:,}",
            f"{card.training.hours_in_all:.2g}",
            card.training.convergence_note,
        ]
        for card in (model.card for model in list_models())
        if card.task in ("columns", "masks")
    ]
    print_table("The networks and their training.", ["network", "pictures", "hours", "loss"], rows)


def _normalised(pixels: torch.Tensor, card: ModelCard) -> torch.Tensor:
    """Grey levels as the card says the network learnt them: by mean and spread, or scaled to 0..1 as published."""
    if card.input.normalisation == "mean-and-sd":
        return Normalisation.of(pixels).apply(pixels)
    return zero_to_one(pixels)


@lru_cache(maxsize=2)
def _loaded(name: str) -> tuple[nn.Module, ModelCard]:
    return load_model(name)
