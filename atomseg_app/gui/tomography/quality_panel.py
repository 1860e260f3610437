"""Step 5: how far a volume can be trusted: what it explains of its views, Fourier shells of halves or a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import QComboBox, QVBoxLayout, QWidget

from atomseg_app.data import Data, Volume
from atomseg_app.errors import UserError
from atomseg_app.gui.actions import ActionRegistry
from atomseg_app.gui.scale_bar import length_text
from atomseg_app.gui.sections import ActionButton, muted
from atomseg_app.gui.tomography.computing import Computing
from atomseg_app.gui.tomography.curve_view import Curve, CurveView
from atomseg_app.gui.tomography.model import R_BY_VIEW, TILTS, TomoModel
from atomseg_app.gui.tomography.run_panel import RunPanel
from atomseg_app.operations import Operation

_THRESHOLDS = (("0.143", "at 0.143"), ("0.5", "at 0.5"), ("half_bit", "at half a bit"))


class QualityPanel(QWidget):
    """What is known of the volume that is shown, and measures of quality to run."""

    def __init__(
        self, operations: Sequence[Operation], model: TomoModel, computing: Computing, actions: ActionRegistry
    ) -> None:
        super().__init__()
        self._model = model
        self.run = RunPanel("Measure the quality", operations, model, computing, actions, inputs=self._inputs)
        self.reference = QComboBox()
        self.reference.setAccessibleName("Reference")
        self.reference.setToolTip("The volume to compare with; only those of the same size can be.")
        self.state = muted()
        self.state.setAccessibleName("How far the volume can be trusted")
        self.by_view = CurveView("R-factor of each view", "tilt / °", "R / %")
        self.by_view.setToolTip("What of each view the volume does not explain. Click to show the view.")
        self.by_view.clicked.connect(self._show_view)
        self.shells = CurveView("Fourier shell correlation", "frequency / voxel⁻¹", "FSC")
        self.shells.setToolTip("How far two volumes agree at each spatial frequency; 1 is the same.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for widget in (self.state, self.shells, self.by_view, ActionButton(actions.qaction("tomography.unexplained")),
                       self.run, self.reference):  # fmt: skip
            layout.addWidget(widget)
        self.run.chosen.connect(self.refresh)
        for signal in (model.current_changed, model.changed, model.entries_changed):
            signal.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is known of the volume."""
        entry, volume = self._model.entry, self._model.volume()
        self.state.setText("Show a reconstructed volume." if volume is None else volume_text(volume))
        curves = {} if entry is None else entry.curves
        self.by_view.setVisible(R_BY_VIEW in curves)
        if R_BY_VIEW in curves:
            order = np.argsort(curves[TILTS])
            self.by_view.set_curves([Curve("R", curves[TILTS][order], 100 * curves[R_BY_VIEW][order])])
        shells = shell_curves({} if volume is None else volume.metadata)
        self.shells.setVisible(bool(shells))
        self.shells.set_curves(shells)
        self._list_references()

    def _list_references(self) -> None:
        """Other volumes of the same size, for the operation that takes one."""
        takes_two = bool(self.run.operations) and len(self.run.operation().inputs) > 1
        volume = self._model.volume()
        fitting = {
            i: entry.title
            for i, entry in self._model.volumes().items()
            if volume is not None and i != self._model.current_id and entry.data.shape == volume.shape
        }
        if [self.reference.itemData(index) for index in range(self.reference.count())] != list(fitting):
            blocker = QSignalBlocker(self.reference)
            self.reference.clear()
            for entry_id, title in fitting.items():
                self.reference.addItem(f"Reference: {title}", entry_id)
            blocker.unblock()
        self.reference.setVisible(takes_two and bool(fitting))

    def _inputs(self, operation: Operation) -> tuple[Data, ...] | None:
        """The volume that is shown and the reference, where an operation takes two."""
        if len(operation.inputs) == 1:
            return None
        volume, reference = self._model.volume(), self._model.entries.get(self.reference.currentData())
        if volume is None or reference is None:
            raise UserError("There is no second volume of this size to compare with; open one, or reconstruct again.")
        return volume, reference.data

    def _show_view(self, tilt_deg: float) -> None:
        """Show the view of the series nearest to an angle."""
        origin, series = self._model.origin(), self._model.working_series()
        if origin is not None and series is not None:
            self._model.show_entry(origin)
            self._model.show_view(int(np.nanargmin(np.abs(np.asarray(series.tilt_deg) - tilt_deg))))


def shell_curves(facts: Mapping[str, Any]) -> list[Curve]:
    """Fourier shell correlation and its usual thresholds, from the metadata of a volume; empty where there is none."""
    correlation = np.asarray(facts.get("fsc", ()), float)
    frequency = np.asarray(facts.get("fsc_cycles_per_voxel", ()), float)
    if not len(correlation) or len(correlation) != len(frequency):
        return []
    ends = frequency[[0, -1]]
    return [
        Curve("FSC", frequency, correlation),
        Curve("0.5", ends, np.full(2, 0.5), level=True),
        Curve("0.143", ends, np.full(2, 0.143), level=True),
    ]


def volume_text(volume: Volume) -> str:
    """How a volume was made, and what is known of its quality."""
    facts, lines = volume.metadata, []
    r_factor, iterations = facts.get("r_factor"), facts.get("iterations")
    if isinstance(r_factor, float):
        lines.append(f"R-factor {100 * r_factor:.2f} %: what of the views its projections do not explain.")
    if isinstance(iterations, int):
        lines.append(f"{iterations} iteration{'' if iterations == 1 else 's'}.")
    for name, words in _THRESHOLDS:
        nm, voxels = facts.get(f"resolution_{name}_nm"), facts.get(f"resolution_{name}_voxels")
        if nm or voxels:
            lines.append(f"Resolution {length_text(float(nm), 4) if nm else f'{voxels} voxels'} {words}.")
        elif "fsc" in facts:
            lines.append(f"Resolution {words}: better than the voxels can show.")
    for name, title, unit in (("psnr_db", "PSNR", " dB"), ("ssim", "SSIM", ""), ("nrmse", "NRMSE", "")):
        if isinstance(facts.get(name), float):
            lines.append(f"{title} {facts[name]:.4g}{unit}")
    for step in volume.history[-1:]:
        lines += list(step.notes)
    return "\n".join(lines) or "Nothing is known of how this volume was made."
