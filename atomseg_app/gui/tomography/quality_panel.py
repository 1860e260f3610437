"""Step 5: how far a volume can be trusted: Fourier shell correlation, residuals of the views."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QVBoxLayout, QWidget

from atomseg_app.gui.actions import ActionRegistry
from atomseg_app.gui.sections import muted
from atomseg_app.gui.tomography.computing import Computing
from atomseg_app.gui.tomography.model import TomoModel
from atomseg_app.gui.tomography.run_panel import RunPanel
from atomseg_app.operations import Operation


class QualityPanel(QWidget):
    """Runs measures of quality and shows their curves."""

    def __init__(
        self, operations: Sequence[Operation], model: TomoModel, computing: Computing, actions: ActionRegistry
    ) -> None:
        super().__init__()
        self._model, self._computing = model, computing
        self.run = RunPanel("Measure the quality", operations, model, computing, actions)
        self.empty = muted("Nothing to measure yet.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.run)
        layout.addWidget(self.empty)
        self.run.setVisible(bool(operations))
        self.empty.setVisible(not operations)
