"""Step 3: alignment at one press or step by step, by hand, before and after, and the shifts of all views as a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from atomseg_app.alignment import Alignment
from atomseg_app.data import Array
from atomseg_app.gui.actions import ActionRegistry
from atomseg_app.gui.sections import muted
from atomseg_app.gui.tomography.computing import STEPS, Computing
from atomseg_app.gui.tomography.curve_view import Curve, CurveView
from atomseg_app.gui.tomography.model import TomoModel
from atomseg_app.gui.tomography.run_panel import RunPanel
from atomseg_app.operations import Operation


class AlignPanel(QWidget):
    """Runs the steps of alignment and shows what they found."""

    def __init__(
        self, operations: Sequence[Operation], model: TomoModel, computing: Computing, actions: ActionRegistry
    ) -> None:
        super().__init__()
        self._model = model
        self.run = RunPanel("Align", operations, model, computing, actions)
        self.state = muted()
        self.state.setAccessibleName("Alignment of this series")
        self.plot = CurveView("Shifts of the views", "view", "px")
        self.plot.setToolTip("Shift of every view across and along the tilt axis. Click to show that view.")
        self.plot.clicked.connect(lambda place: model.show_view(round(place) - 1))
        buttons = QGridLayout()
        buttons.setSpacing(6)
        for index, name in enumerate(("show_aligned", "tool_shift", "clear_alignment", "load_alignment")):
            button = QToolButton()
            button.setDefaultAction(actions.qaction(f"tomography.{name}"))
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            button.setAccessibleName(actions.action(f"tomography.{name}").title)
            buttons.addWidget(button, index // 2, index % 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for widget in (self.run, self.state, self.plot):
            layout.addWidget(widget)
        layout.addLayout(buttons)
        computing.previewed.connect(self._on_preview)
        for signal in (model.current_changed, model.changed):
            signal.connect(self.refresh)
        model.place_changed.connect(self._mark)
        self.refresh()

    def refresh(self) -> None:
        """Show the alignment of the series."""
        series = self._model.series()
        alignment = None if series is None else series.alignment
        self.plot.setVisible(alignment is not None)
        self.state.setVisible(series is not None)
        if alignment is None:
            self.state.setText("This series is not aligned.")
            return
        self._show_shifts(np.asarray(alignment.shift_x_px), np.asarray(alignment.shift_y_px))
        steps = () if series is None else series.metadata.get(STEPS, ())
        self.state.setText("\n".join([alignment_text(alignment), *steps_text(steps)]))

    def _on_preview(self, operation: str, name: str, array: Array) -> None:
        """Show the shifts that a running alignment has got to."""
        if operation in self.run.operations and name == "shifts":
            self.plot.setVisible(True)
            self._show_shifts(array[:, 0], array[:, 1])

    def _show_shifts(self, across: Array, along: Array) -> None:
        views = np.arange(1, len(across) + 1, dtype=float)
        curves = [Curve("across", views, np.asarray(across, float)), Curve("along", views, np.asarray(along, float))]
        self.plot.set_curves(curves, mark=self._model.view + 1.0)

    def _mark(self) -> None:
        self.plot.set_mark(self._model.view + 1.0)


def alignment_text(alignment: Alignment) -> str:
    """Axis and spread of the shifts in a line or two."""
    across, along = np.asarray(alignment.shift_x_px), np.asarray(alignment.shift_y_px)
    lines = [
        f"Axis {alignment.axis_offset_px:+.2f} px from the middle, turned by {alignment.axis_rotation_deg:+.2f}°.",
        f"Shifts up to {np.abs(across).max(initial=0):.2f} px across and {np.abs(along).max(initial=0):.2f} px along.",
    ]
    return "\n".join(lines).replace("-", "\N{MINUS SIGN}")


def steps_text(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each step of an alignment did to the R-factor, a line each."""
    lines = []
    for step in steps:
        before, after = float(step.get("r_before", np.nan)), float(step.get("r_after", np.nan))
        back = "" if step.get("kept", True) else ", taken back"
        name = str(step.get("step", ""))
        lines.append(f"{name[:1].upper()}{name[1:]}: R {100 * before:.2f} → {100 * after:.2f} %{back}")
    return lines
