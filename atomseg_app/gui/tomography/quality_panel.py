"""Step 5: how far a volume can be trusted: how well it explains the views, and Fourier shell correlation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtWidgets import QVBoxLayout, QWidget

from atomseg_app.data import Volume
from atomseg_app.gui.actions import ActionRegistry
from atomseg_app.gui.sections import ActionButton, muted
from atomseg_app.gui.tomography.computing import Computing
from atomseg_app.gui.tomography.curve_view import Curve, CurveView
from atomseg_app.gui.tomography.model import R_BY_VIEW, TILTS, TomoModel
from atomseg_app.gui.tomography.run_panel import RunPanel
from atomseg_app.operations import Operation


class QualityPanel(QWidget):
    """What is known of the volume that is shown, and measures of quality to run."""

    def __init__(
        self, operations: Sequence[Operation], model: TomoModel, computing: Computing, actions: ActionRegistry
    ) -> None:
        super().__init__()
        self._model = model
        self.run = RunPanel("Measure the quality", operations, model, computing, actions)
        self.state = muted()
        self.state.setAccessibleName("How well the volume explains the views")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.state)
        layout.addWidget(self.run)
        self.run.setVisible(bool(operations))
        self.plot = CurveView("R-factor of each view", "tilt / °", "R / %")
        self.plot.setToolTip("What of each view the volume does not explain. Click to show the view.")
        self.plot.clicked.connect(self._show_view)
        self.plot.hide()
        layout.addWidget(ActionButton(actions.qaction("tomography.unexplained")))
        layout.addWidget(self.plot)
        for signal in (model.current_changed, model.changed):
            signal.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is known of the volume."""
        volume = self._model.volume()
        self.state.setText("Show a reconstructed volume." if volume is None else volume_text(volume))
        entry = self._model.entry
        curves = {} if entry is None else entry.curves
        found = R_BY_VIEW in curves
        self.plot.setVisible(found)
        if found:
            order = np.argsort(curves[TILTS])
            self.plot.set_curves([Curve("R", curves[TILTS][order], 100 * curves[R_BY_VIEW][order])])

    def _show_view(self, tilt_deg: float) -> None:
        """Show the view of the series nearest to an angle."""
        origin, series = self._model.origin(), self._model.working_series()
        if origin is not None and series is not None:
            self._model.show_entry(origin)
            self._model.show_view(int(np.nanargmin(np.abs(np.asarray(series.tilt_deg) - tilt_deg))))


def volume_text(volume: Volume) -> str:
    """How a volume was made, and how much of the views it leaves unexplained."""
    lines = []
    r_factor, iterations = volume.metadata.get("r_factor"), volume.metadata.get("iterations")
    if isinstance(r_factor, float):
        lines.append(f"R-factor {100 * r_factor:.2f} %: what of the views its projections do not explain.")
    if isinstance(iterations, int):
        lines.append(f"{iterations} iterations.")
    for step in volume.history[-1:]:
        lines += list(step.notes)
    return "\n".join(lines) or "Nothing is known of how this volume was made."
