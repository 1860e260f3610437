"""A step of the tomography tab made from operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from atomseg_app.data import Data
from atomseg_app.gui import run_panel
from atomseg_app.gui.actions import ActionRegistry
from atomseg_app.gui.tomography.computing import Computing
from atomseg_app.gui.tomography.model import TomoModel
from atomseg_app.operations import Operation

WORKSPACE = "tomography"

Inputs = Callable[[Operation], tuple[Data, ...] | None]
"""What an operation is given beside, or instead of, what is shown; None for just that. Raises UserError."""


class RunPanel(run_panel.RunPanel):
    """Runs operations on the series or volume that is shown."""

    def __init__(
        self, name: str, operations: Sequence[Operation], model: TomoModel, computing: Computing,
        actions: ActionRegistry, *, can_stop: bool = False, inputs: Inputs | None = None,
    ) -> None:  # fmt: skip
        self._computing, self._inputs = computing, inputs
        signals = (model.current_changed, model.changed)
        super().__init__(WORKSPACE, name, operations, computing, actions, signals=signals, can_stop=can_stop)

    def run(self, name: str) -> None:
        """Run an operation with the values of its form. Raises UserError."""
        self.choose(name)
        given = None if self._inputs is None else self._inputs(self.operations[name])
        self._computing.run(self.operations[name], self.parameters(name), given)
