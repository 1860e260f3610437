"""The tools of the slices: which one is in hand, in every pane, and what those that compute find."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QObject, Signal

from atomseg_app.gui.canvas import Tool
from atomseg_app.gui.segmentation.model import SegModel
from atomseg_app.gui.segmentation.painter import Painter
from atomseg_app.gui.segmentation.tools import (
    BallTool,
    BrushTool,
    FillTool,
    LassoTool,
    PolygonTool,
    SeedTool,
)
from atomseg_app.gui.volumes.slice_pane import CrossTool, SlicePane
from atomseg_app.gui.volumes.slices_view import SlicesView

TOOLS = {
    "look": ("Cross-hair", "C", "mdi6.crosshairs", "Click or drag moves the cross-hair, and with it the other slices."),
    "brush": ("Brush", "B", "mdi6.brush", "Paint the chosen class with a round brush in any of the slices."),
    "eraser": ("Eraser", "E", "mdi6.eraser", "Take labels away: the voxels teach nothing any more."),
    "fill": ("Fill", "F", "mdi6.format-color-fill", "Fill the connected part of a slice that has one class."),
    "polygon": ("Polygon", "P", "mdi6.vector-polygon", "Click corner after corner round what has the class."),
    "lasso": ("Lasso", "O", "mdi6.lasso", "Drag round what has the class."),
    "ball": ("3D ball", "S", "mdi6.sphere", "Paint balls that reach through the slices."),
    "threshold": ("Threshold brush", "T", "mdi6.format-paint", "Paint only grey levels within a range."),
    "grow": ("Grow a region", "G", "mdi6.auto-fix", "Click a particle: the connected voxels of like grey level are "
             "labelled, in 3D."),
    "pick": ("Take a connected part", "U", "mdi6.selection-drag",
             "Click a connected part of the labels or of the result: all of it gets the chosen class, in 3D."),
}  # fmt: skip
"""Title, shortcut, icon and tip of every tool, by name."""

Seeded = Callable[[tuple[int, int, int]], object]


class Toolbox(QObject):
    """Tools of three panes. ``changed`` tells that another one is in hand."""

    changed = Signal()

    def __init__(self, model: SegModel, painter: Painter, slices: SlicesView, grow: Seeded, pick: Seeded) -> None:
        super().__init__(slices)
        self._panes = slices.panes
        self._tools = {name: self._of(pane, painter, model, grow, pick) for name, pane in self._panes.items()}
        self.name = "look"

    def take(self, name: str) -> None:
        """Take a tool into the hand, in all slices."""
        self.name = name
        for pane_name, pane in self._panes.items():
            pane.set_tool(self._tools[pane_name][name])
        self.changed.emit()

    @property
    def hint(self) -> str:
        """How the tool in hand is used."""
        return self._tools["XY"][self.name].hint

    def tool(self, pane: str) -> Tool:
        """The tool of a pane that is in hand."""
        return self._tools[pane][self.name]

    @staticmethod
    def _of(pane: SlicePane, painter: Painter, model: SegModel, grow: Seeded, pick: Seeded) -> dict[str, Tool]:
        seeded = partial(SeedTool, pane, painter, model)
        return {
            "look": CrossTool(pane),
            "brush": BrushTool(pane, painter, model),
            "eraser": BrushTool(pane, painter, model, erase=True),
            "threshold": BrushTool(pane, painter, model, grey=True),
            "fill": FillTool(pane, painter, model),
            "polygon": PolygonTool(pane, painter, model),
            "lasso": LassoTool(pane, painter, model),
            "ball": BallTool(pane, painter, model),
            "grow": seeded(
                "Grow a region", "Click a voxel: connected voxels of like grey level get the class, in 3D.", grow
            ),
            "pick": seeded(
                "Take a connected part", "Click a connected part of labels or result: all of it gets the class.", pick,
            ),
        }  # fmt: skip
