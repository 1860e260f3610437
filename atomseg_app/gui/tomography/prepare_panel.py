"""Step 2: crop, bin and clean the views; the part to keep is drawn over the picture."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QFileDialog, QLineEdit, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from atomseg_app.errors import UserError
from atomseg_app.gui.actions import ActionRegistry
from atomseg_app.gui.canvas import Pointer, Tool
from atomseg_app.gui.fields import Field
from atomseg_app.gui.tomography.computing import Computing
from atomseg_app.gui.tomography.model import TomoModel
from atomseg_app.gui.tomography.run_panel import RunPanel
from atomseg_app.gui.view_geometry import ViewGeometry
from atomseg_app.operations import Operation

_ELSEWHERE = ("exclude", "tilt_axis")
"""Fields that step 1 has: views and axis of the series itself."""
_FILES = ("gain", "dark")
Region = tuple[int, int, int, int]


class PreparePanel(QWidget):
    """Runs the preparation of a series."""

    def __init__(
        self, operations: Sequence[Operation], model: TomoModel, computing: Computing, actions: ActionRegistry
    ) -> None:
        super().__init__()
        self._actions = actions
        self.run = RunPanel("Prepare the views", operations, model, computing, actions)
        self.run.form_made.connect(self._on_form)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.run)
        if operations:
            self.run.form(operations[0].name)

    def region(self) -> Region | None:
        """Part to keep as the form has it; None for all, or while what is typed is no region."""
        for form in self.run.forms.values():
            if "region_px" in form.fields:
                try:
                    value: Region | None = form.fields["region_px"].value()
                except UserError:
                    return None
                return value
        return None

    def set_region(self, region: Region | None) -> None:
        """Show another part to keep in the form."""
        for form in self.run.forms.values():
            if "region_px" in form.fields:
                form.set_values({"region_px": region})

    def _on_form(self, name: str) -> None:
        form = self.run.forms[name]
        for field in _ELSEWHERE:
            if field in form.fields:
                form.show_field(field, False)
        if "region_px" in form.fields:
            row = form.fields["region_px"]
            draw = QToolButton()
            draw.setDefaultAction(self._actions.qaction("tomography.tool_crop"))
            draw.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
            draw.setAccessibleName("Draw the part to keep")
            draw.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
            row.row.addWidget(draw)
            edit = row.focusProxy()
            if isinstance(edit, QLineEdit):
                edit.setPlaceholderText("whole image")
        for field in _FILES:
            if field in form.fields:
                form.fields[field].row.addWidget(self._file_button(form.fields[field], field))

    def _file_button(self, field: Field, name: str) -> QToolButton:
        edit = field.focusProxy()
        if isinstance(edit, QLineEdit):
            edit.setPlaceholderText("none")
        button = QToolButton()
        button.setText("…")
        button.setAccessibleName(f"Choose the file of the {name} reference")
        button.setToolTip(f"Choose the file of the {name} reference.")

        def ask(_checked: bool) -> None:
            path, _ = QFileDialog.getOpenFileName(self, f"File of the {name} reference")
            if path:
                field.set_value(path)

        button.clicked.connect(ask)
        return button


class CropTool(Tool):
    """Drag a rectangle: the part of the views to keep. A click without a drag keeps all."""

    title = "Part to keep"
    hint = "Drag a rectangle: only this part of the views is kept by Prepare series. Click: the whole image."
    cursor = Qt.CursorShape.CrossCursor

    def __init__(self, model: TomoModel, panel: PreparePanel) -> None:
        self._model, self._panel = model, panel
        self._from: Pointer | None = None
        self._to: Pointer | None = None

    def press(self, pointer: Pointer) -> None:
        """Begin a rectangle."""
        self._from = self._to = pointer

    def drag(self, pointer: Pointer) -> None:
        """Make it larger."""
        self._to = pointer

    def release(self, pointer: Pointer) -> None:
        """Take it over into the form."""
        self._to = pointer
        self._panel.set_region(self._rectangle())
        self._from = self._to = None

    def cancel(self) -> None:
        """Forget it."""
        self._from = self._to = None

    def paint(self, painter: QPainter, geometry: ViewGeometry) -> None:
        """Draw the rectangle, and shade what goes."""
        region = self._rectangle() if self._from is not None else self._panel.region()
        if region is None:
            return
        left, top, right, bottom = region
        kept = geometry.rect(left - 0.5, top - 0.5, right - 0.5, bottom - 0.5)
        whole = QRectF(0, 0, geometry.width, geometry.height)
        painter.save()
        shade = QColor(0, 0, 0, 110)
        painter.fillRect(QRectF(0, 0, whole.width(), max(0.0, kept.top())), shade)
        painter.fillRect(QRectF(0, kept.bottom(), whole.width(), max(0.0, whole.height() - kept.bottom())), shade)
        painter.fillRect(QRectF(0, kept.top(), max(0.0, kept.left()), kept.height()), shade)
        painter.fillRect(QRectF(kept.right(), kept.top(), max(0.0, whole.width() - kept.right()), kept.height()), shade)
        painter.setPen(QPen(QColor(255, 176, 0), 1.5))
        painter.drawRect(kept)
        painter.restore()

    def _rectangle(self) -> Region | None:
        """Pixels inside the rectangle that is drawn; None where it has no area."""
        series = self._model.series()
        if self._from is None or self._to is None or series is None:
            return None
        height, width = series.shape[1:]
        left, right = sorted((self._from.x_px, self._to.x_px))
        top, bottom = sorted((self._from.y_px, self._to.y_px))
        box = (max(0, round(left)), max(0, round(top)), min(width, round(right) + 1), min(height, round(bottom) + 1))
        return box if box[2] - box[0] > 1 and box[3] - box[1] > 1 else None
