"""The column network of a name, ready to run; kept between runs, because loading takes longer than a small image."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import nn

from atomseg_app.errors import UserError
from atomseg_app.networks.card import find_model
from atomseg_app.networks.column_model import ARCHITECTURE
from atomseg_app.networks.store import load_model


def column_network(name: str, device: torch.device) -> nn.Module:
    """Network of a model's name or file, in evaluation mode. Raises UserError if it is absent or for another task."""
    model = find_model(name)
    if model.card.architecture.name != ARCHITECTURE:
        hint = (
            "; it gives a mask alone, to compare with in 'atomseg bench networks'" if model.card.task == "masks" else ""
        )
        raise UserError(
            f"The model {model.card.name!r} is no column network{hint}; 'atomseg models' lists those there are."
        )
    return _loaded(str(model.card_path), model.card.sha256, device)


@lru_cache(maxsize=2)
def _loaded(path: str, sha256: str, device: torch.device) -> nn.Module:
    """By content: a model that was trained again under its name is another one."""
    return load_model(path, device)[0]
