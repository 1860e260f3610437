"""Model cards for the tests: small networks with true cards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from atomseg_app.networks.card import Architecture, Input, ModelCard, Output, Training


@pytest.fixture
def make_card() -> Callable[..., ModelCard]:
    """Factory: the card of a small U-Net of AtomSegNet's kind, with fields changed as asked for."""

    def make(**changes: object) -> ModelCard:
        training = Training(
            preset="smoke", simulator_version="1", seeds=(1, 2), held_out=("spinel",), steps=50, samples=200,
            device="cpu", hours=0.01, converged=False, convergence_note="Fifty steps, for a test.",
        )  # fmt: skip
        card = ModelCard(
            name="small-unet", title="Small U-Net", task="columns",
            architecture=Architecture(name="atomsegnet-unet", options={"widths": [4, 6, 8]}),
            input=Input(normalisation="range-0-1", column_sigma_px=(1.5, 3.0)),
            outputs=(Output(name="circle", meaning="Circular mask of every column."),),
            training=training, figures={"F1": 0.5, "F1 of": "nothing in particular"},
            known_limits=("Made for a test.",), licence="GPL-3.0-or-later", created=date(2026, 11, 21),
        )  # fmt: skip
        return ModelCard.model_validate({**card.model_dump(), **changes})

    return make
