"""The tools for the picture of columns: which one is in use, and what is measured with lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, Signal

from atomseg_app.gui.atoms.computing import Computing
from atomseg_app.gui.atoms.markers import MarkerLayer
from atomseg_app.gui.atoms.measure_panel import distance_text
from atomseg_app.gui.atoms.model import AtomsModel
from atomseg_app.gui.atoms.tools import AddTool, DeleteTool, LassoTool, LineTool, RegionTool, SelectTool
from atomseg_app.gui.canvas import Tool
from atomseg_app.gui.image_view import ImageView

Place = tuple[float, float]


class Toolbox(QObject):
    """Tools of a view by name; ``name`` is the one in use. ``distance_measured`` carries its text; ``line_drawn`` the
    extent (x, y) in px of a line whose length the user knows. ``fit_parameters`` says how columns are fitted that are
    added or moved.
    """

    distance_measured = Signal(str)
    line_drawn = Signal(object)

    def __init__(
        self, view: ImageView, model: AtomsModel, markers: MarkerLayer, computing: Computing,
        fit_parameters: Callable[[], dict[str, Any]],
    ) -> None:  # fmt: skip
        super().__init__()
        self._view, self._model = view, model
        parts = (view.canvas, model, markers)
        self._distance = LineTool(
            *parts, title="Distance", snap=True, on_line=self._on_distance,
            hint="Click two columns for their distance with its error; other points serve, too.",
        )  # fmt: skip
        self._calibrate = LineTool(
            *parts, title="Calibrate", snap=False, on_line=self._on_known_length,
            hint="Draw a line whose length you know, as along a scale bar in the picture.",
        )  # fmt: skip
        self._tools: dict[str, Tool] = {
            "select": SelectTool(*parts, on_moved=lambda i, x, y: computing.move(i, x, y, fit_parameters())),
            "add": AddTool(*parts, on_added=lambda x, y: computing.add(x, y, fit_parameters())),
            "delete": DeleteTool(*parts, on_deleted=computing.delete),
            "lasso": LassoTool(*parts),
            "region": RegionTool(*parts),
            "distance": self._distance,
            "calibrate": self._calibrate,
        }
        self.name = "select"
        view.canvas.set_tool(self._tools[self.name])

    def take(self, name: str) -> None:
        """Put a tool into use."""
        self.name = name
        tool = self._tools[name]
        self._view.canvas.set_tool(tool)
        self._view.detail.setText(tool.hint)
        self._view.canvas.setFocus()

    def cancel(self) -> None:
        """Forget what was begun with the tool in use."""
        self._tools[self.name].cancel()

    def _on_distance(self, first: Place, second: Place, rows: tuple[int, int]) -> None:
        image = self._model.image()
        if image is not None:
            self._distance.text = distance_text(first, second, rows, self._model.columns(), image)
            self.distance_measured.emit(self._distance.text)
            self._view.canvas.update()

    def _on_known_length(self, first: Place, second: Place, rows: tuple[int, int]) -> None:
        across, down = second[0] - first[0], second[1] - first[1]
        self._calibrate.text = f"{float(np.hypot(across, down)):.1f} px"
        self.line_drawn.emit((across, down))
