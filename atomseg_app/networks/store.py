"""The model store: networks loaded from and saved as weights with a card; see ``card.py`` for what lists them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import torch
from torch import nn

from atomseg_app.errors import FileError, UserError
from atomseg_app.io.atomic_write import atomic_open
from atomseg_app.networks.architectures import make_network, network_state
from atomseg_app.networks.card import Model, ModelCard, bundled_folder, find_model, list_models, user_folder
from atomseg_app.networks.weights import LARGEST_FILE, pack_weights, read_weights

_LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}

LARGEST_BUNDLED = 15_000_000
"""Bytes of weights that may come with the program."""


def load_model(name: Model | str | os.PathLike[str], device: torch.device | str = "cpu") -> tuple[nn.Module, ModelCard]:
    """Network of a model on a device, float32 and channels-last, in evaluation mode, with its card.

    ``name`` is that of a model, a path, or what :func:`find_model` returned. Raises UserError, in one sentence, if the
    card or the weights are absent, damaged, too large, or do not belong together.
    """
    model = name if isinstance(name, Model) else find_model(name)
    made = model.card.architecture
    weights = read_weights(model.weights_path, network_state(made.name, made.options), model.card.sha256)
    module = make_network(made.name, made.options)
    module.load_state_dict(weights)
    return channels_last(module.to(device)).eval(), model.card


def channels_last(module: nn.Module) -> nn.Module:
    """The module itself, the kernels of its convolutions laid out as they are computed fastest."""
    for parameter in module.parameters():
        if parameter.ndim in _LAYOUTS:
            parameter.data = parameter.data.contiguous(memory_format=_LAYOUTS[parameter.ndim])
    return module


def save_model(folder: Path, module: nn.Module, card: ModelCard, *, overwrite: bool = False) -> Model:
    """Save a network as ``NAME.safetensors`` and ``NAME.json`` in a folder; returns the model with its checksum.

    Both are written beside their names first and then put in place one after the other; should the machine stop
    between the two, loading says that they do not belong together. Raises UserError if the name is taken (by any
    bundled model where the folder is the user's) or the weights are larger than allowed, ValueError if the module is
    not of the card's architecture.
    """
    state = module.state_dict()
    expected = network_state(card.architecture.name, card.architecture.options)
    if {n: t.shape for n, t in state.items()} != {n: t.shape for n, t in expected.items()}:
        raise ValueError(f"the network is not the one its card describes: {card.architecture}")
    card_path, weights_path = folder / f"{card.name}.json", folder / f"{card.name}.safetensors"
    bundled = folder.resolve() == bundled_folder().resolve()
    if not overwrite and (card_path.exists() or weights_path.exists()):
        raise FileError(f"There is already a model {card.name!r} in {folder}; choose another name.")
    taken = {model.card.name for model in list_models() if model.origin == "bundled"}
    if card.name in taken and folder.resolve() == user_folder().resolve():
        raise UserError(f"A model that comes with the program is named {card.name!r}; choose another name.")
    content = pack_weights(state)
    most = LARGEST_BUNDLED if bundled else LARGEST_FILE
    if len(content) > most:
        raise UserError(
            f"The weights of {card.name!r} take {len(content):,} bytes; at most {most:,} are allowed there."
        )
    checksum = hashlib.sha256(content).hexdigest()
    parameters = sum(tensor.numel() for tensor in module.parameters())
    saved = card.model_copy(update={"sha256": checksum, "parameters": parameters})
    with atomic_open(card_path) as new_card, atomic_open(weights_path) as new_weights:
        new_weights.write(content)
        new_card.write(f"{saved.model_dump_json(indent=2)}\n".encode())
    return Model(saved, card_path, "bundled" if bundled else "yours" if folder == user_folder() else "file")
