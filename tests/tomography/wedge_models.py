"""Small wedge networks in the user's shelf: real ones, trained on nothing, that begin where classical methods end."""

from __future__ import annotations

from datetime import date

import torch

from atomseg_app.networks.architectures import make_network
from atomseg_app.networks.card import Architecture, Input, Model, ModelCard, Output, Training, list_models, user_folder
from atomseg_app.networks.store import save_model

SMALL = {
    "wedge-residual": ("atomseg-wedge-residual", {"stem": 4, "widths": [8, 8], "stages": 1, "steps": 2, "start": 25}),
    "wedge-artefacts": ("atomseg-wedge-cleanup", {"stem": 4, "widths": [8, 8], "depth": 1}),
    "wedge-sinogram": ("atomseg-wedge-sinogram", {"angles": 60, "features": 16, "growth": 16, "blocks": 1}),
    "wedge-cleanup": ("atomseg-wedge-cleanup", {"stem": 4, "widths": [8, 8], "depth": 1}),
}


def shelve(*names: str) -> None:
    """Save small networks of these names, all without any, where the program finds them; bundled ones are there."""
    bundled = {model.card.name for model in list_models() if model.origin == "bundled"}
    for name in names or SMALL:
        if name not in bundled:
            _save(name, *SMALL[name])


def _save(name: str, architecture: str, options: dict[str, object]) -> Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = make_network(architecture, options)
        for parameter in module.parameters():
            if parameter.dim() == 4 and not parameter.any():
                torch.nn.init.normal_(parameter, std=0.02)  # corrections that do something
    user_folder().mkdir(parents=True, exist_ok=True)
    card = ModelCard(
        name=name, title=f"Small {name}", task="wedge",
        architecture=Architecture(name=architecture, options=options), input=Input(normalisation="brightest-voxels"),
        outputs=(Output(name="slice", meaning="The slice.", unit="grey level"),),
        training=Training(
            preset="none", simulator_version="wedge 1", seeds=(3,), steps=0, samples=0, device="cpu", hours=0,
            converged=False, convergence_note="not trained",
        ),
        figures={}, known_limits=(), licence="GPL-3.0-or-later", created=date(2026, 11, 21),
    )  # fmt: skip
    return save_model(user_folder(), module, card)
