"""Step 4: the algorithm with its parameters, and how the residual falls while it runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtWidgets import QVBoxLayout, QWidget

from atomseg_app.data import Array, Volume
from atomseg_app.gui.actions import ActionRegistry
from atomseg_app.gui.tomography.computing import Computing
from atomseg_app.gui.tomography.curve_view import Curve, CurveView
from atomseg_app.gui.tomography.model import TomoModel
from atomseg_app.gui.tomography.run_panel import RunPanel
from atomseg_app.operations import Operation

RESIDUAL = "R-factor"
"""What a reconstruction reports over its iterations."""
_ONLY = {
    "filter": ("fbp",), "relaxation": ("sirt", "os-sart", "sart", "gradient"),
    "subsets": ("os-sart", "osem", "asd-pocs"), "tv_weight": ("tv", "fista-tv"), "damping": ("tikhonov",),
    "grey_levels": ("dart",),
}  # fmt: skip
"""Fields that only some algorithms look at."""
_NOT = {"iterations": ("fbp",), "preview_slice": ("fbp",), "stop": ("fbp",)}
"""Fields that some algorithms do not look at."""


class ReconstructPanel(QWidget):
    """Runs a reconstruction; shows the curves that it reports, and those of the volume that is shown."""

    def __init__(
        self, operations: Sequence[Operation], model: TomoModel, computing: Computing, actions: ActionRegistry
    ) -> None:
        super().__init__()
        self._model, self._computing = model, computing
        self.run = RunPanel("Reconstruct", operations, model, computing, actions, can_stop=True)
        self.run.form_made.connect(self._on_form)
        self.plot = CurveView("Residual over iterations", "iteration", "residual")
        self.plot.setToolTip("How far the projections of the volume are from the views, after each iteration.")
        self.plot.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.run)
        layout.addWidget(self.plot)
        computing.previewed.connect(self._on_preview)
        computing.finished.connect(self._on_finished)
        model.current_changed.connect(self.refresh)

    def refresh(self) -> None:
        """Show the curves of the volume that is shown, or of the job that runs."""
        entry = self._model.entry
        running = next((self._computing.curves[name] for name in self.run.operations if name in self._computing.jobs),
                       None)  # fmt: skip
        curves = running if running is not None else ({} if entry is None else entry.curves)
        lines = [Curve(name, np.arange(1, len(values) + 1, dtype=float), values) for name, values in curves.items()
                 if values.ndim == 1 and len(values) > 1 and name == RESIDUAL]  # fmt: skip
        self.plot.set_curves(lines)
        self.plot.setVisible(bool(lines))

    def _on_form(self, name: str) -> None:
        """Show only what the algorithm that is chosen asks for."""
        form = self.run.forms[name]

        def follow() -> None:
            algorithm = form.fields["algorithm"].value()
            for field, algorithms in _ONLY.items():
                if field in form.fields:
                    form.show_field(field, algorithm in algorithms)
            for field, algorithms in _NOT.items():
                if field in form.fields:
                    form.show_field(field, algorithm not in algorithms)

        if "algorithm" in form.fields:
            form.fields["algorithm"].changed.connect(follow)
            follow()

    def _on_preview(self, operation: str, name: str, array: Array) -> None:
        if operation in self.run.operations and array.ndim == 1:
            self.refresh()

    def _on_finished(self, operation: str, entry_id: int, result: object) -> None:
        if operation not in self.run.operations:
            return
        self.refresh()
        volume = self._model.volume()
        if isinstance(volume, Volume) and volume.history:
            step = volume.history[-1]
            size = " × ".join(str(count) for count in reversed(volume.shape))
            self.run.show_result(f"{size} voxels in {step.seconds:.1f} s on {step.device.upper()}.")
