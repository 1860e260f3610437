"""Which networks can be trained, one entry a kind; torch-free. The command line and the window are made from this."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from atomseg_app.errors import UserError
from atomseg_app.networks.column_settings import TrainColumns
from atomseg_app.networks.wedge_settings import TrainWedge
from atomseg_app.operations import Parameters


@dataclass(frozen=True)
class Kind:
    """A kind of network to train: ``train(settings, folder, report, *, shelf, resume, checkpoint_s) -> Model``.

    ``keep(folder, report, *, shelf) -> Model`` saves the best network of a run that was stopped. Both are named by
    their import path (``package.module:name``).
    """

    name: str
    title: str
    description: str
    settings: type[Parameters]
    train: str
    keep: str

    def load(self, path: str) -> Callable[..., Any]:
        """Import and return one of the functions."""
        module, _, name = path.partition(":")
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return function


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "columns",
            "Columns in 2D images",
            "Train the network that finds atomic columns and shows images denoised, on simulated pictures.",
            TrainColumns,
            "atomseg_app.networks.column_model:train_columns",
            "atomseg_app.networks.column_model:keep_columns",
        ),
        Kind(
            "wedge",
            "Missing wedge of tilt series",
            "Train a network that recovers what the tilt range did not measure, on simulated slices.",
            TrainWedge,
            "atomseg_app.networks.wedge_model:train_wedge",
            "atomseg_app.networks.wedge_model:keep_wedge",
        ),
    )
}


def kind(name: str) -> Kind:
    """Kind of a name. Raises UserError listing the known ones."""
    if name not in KINDS:
        raise UserError(f"There is no kind of network {name!r} to train; known: {', '.join(KINDS)}.")
    return KINDS[name]
