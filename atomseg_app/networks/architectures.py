"""The networks that a model card may name: a fixed list, because a card comes from anywhere."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from atomseg_app.errors import UserError

ARCHITECTURES = {
    "atomseg-columns": "atomseg_app.networks.columns:ColumnNetwork",
    "atomseg-wedge-artefacts": "atomseg_app.networks.wedge_artefacts:WedgeArtefacts",
    "atomseg-gated-unet": "atomseg_app.networks.gated_unet:GatedUNet",
    "atomseg-wedge-cleanup": "atomseg_app.networks.wedge_joint:WedgeCleanup",
    "atomseg-wedge-projections": "atomseg_app.networks.wedge_projections:WedgeProjections",
    "atomseg-wedge-residual": "atomseg_app.networks.wedge_residual:WedgeResidual",
    "atomseg-wedge-sinogram": "atomseg_app.networks.wedge_joint:WedgeSinogram",
    "atomsegnet-unet": "atomseg_app.networks.atomsegnet:SigmoidUNet",
    "atomsegnet-unetpp": "atomseg_app.networks.atomsegnet:NestedUNet",
}
"""Class of each architecture by the name that cards use; made with the card's options as keyword arguments."""

LARGEST_NETWORK = 32_000_000
"""Numbers that a network may have: what the largest weights file holds in float16."""
_LARGEST_OPTION, _LARGEST_IN_LIST = 256, 4096
_MOST_OPTIONS = 16


def make_network(name: str, options: Mapping[str, Any]) -> nn.Module:
    """New network of an architecture, with random weights; torch's random numbers are left as they were.

    Options may be numbers to 256, words, flags and short lists of them, with numbers to 4096. Raises UserError for an
    unknown architecture or options it does not take, before memory is taken for it.
    """
    state = network_state(name, options)
    if sum(tensor.numel() for tensor in state.values()) > LARGEST_NETWORK:
        raise UserError(f"The options of the network {name!r} make it too large (over {LARGEST_NETWORK:,} numbers).")
    with torch.random.fork_rng(devices=[]):
        return _construct(name, options)


def network_state(name: str, options: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Names and shapes of an architecture's weights as tensors without memory (device "meta"). Raises UserError."""
    if name not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise UserError(f"This version knows no network {name!r} (known: {known}); a newer one may.")
    if len(options) > _MOST_OPTIONS or not all(_harmless(value) for value in options.values()):
        raise UserError(f"The options of the network {name!r} are none that it can be made with: {str(options)[:200]}.")
    with torch.device("meta"):
        return dict(_construct(name, options).state_dict())


def _construct(name: str, options: Mapping[str, Any]) -> nn.Module:
    module, _, attribute = ARCHITECTURES[name].partition(":")
    constructor: type[nn.Module] = getattr(importlib.import_module(module), attribute)
    try:
        return constructor(**options)
    except (TypeError, ValueError, RuntimeError, OverflowError, ZeroDivisionError, IndexError) as problem:
        sentence = str(problem).splitlines()[0][:200] if str(problem) else type(problem).__name__
        raise UserError(f"The network {name!r} cannot be made with these options: {sentence}.") from None


def _harmless(value: Any, *, nested: bool = False) -> bool:
    """Whether an option is small enough that making a network with it takes no time."""
    if isinstance(value, list | tuple) and not nested:
        return len(value) <= _MOST_OPTIONS and all(_harmless(item, nested=True) for item in value)
    if isinstance(value, str):
        return len(value) <= 64
    largest = _LARGEST_IN_LIST if nested else _LARGEST_OPTION
    return value is None or (isinstance(value, int | float) and abs(value) <= largest)
