"""Pixel size, typed, from the field of view, or from a known distance in the image."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QGridLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from atomseg_app.errors import UserError
from atomseg_app.gui.atoms.model import AtomsModel
from atomseg_app.gui.sections import ActionButton, muted


class CalibratePanel(QWidget):
    """``calibrated(size_y_nm, size_x_nm)`` when the user gives a size; ``refused`` explains what is no length."""

    calibrated = Signal(object, object)
    refused = Signal(str)

    def __init__(self, model: AtomsModel, line_action: QAction) -> None:
        super().__init__()
        self._model = model
        self._line_px: tuple[float, float] | None = None
        self.pixel = _edit("Pixel size", "Size of a pixel in pm, along x if pixels are not square. Enter applies it.")
        self.field = _edit("Field of view", "Width of the whole image in nm. Enter applies it.")
        self.length = _edit("Length of the line", "True length in nm of the line that you drew. Enter applies it.")
        self.apply = QPushButton("Apply")
        self.apply.setToolTip("Compute the pixel size from the line and its length.")
        self.state = muted()
        self.line_text = QLabel("Length of the line")
        self.pixel.returnPressed.connect(self._from_pixel)
        self.field.returnPressed.connect(self._from_field)
        self.length.returnPressed.connect(self._from_line)
        self.apply.clicked.connect(self._from_line)
        grid = QGridLayout()
        grid.setSpacing(6)
        for row, (title, edit, unit) in enumerate(
            (("Pixel size", self.pixel, "pm"), ("Field of view", self.field, "nm"), ("", self.length, "nm"))
        ):
            grid.addWidget(QLabel(title) if title else self.line_text, row, 0)
            grid.addWidget(edit, row, 1)
            mark = QLabel(unit)
            mark.setProperty("role", "muted")
            grid.addWidget(mark, row, 2)
            if edit is self.length:
                self._line_widgets: list[QWidget] = [self.line_text, edit, mark, self.apply]
        grid.addWidget(self.apply, 3, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.state)
        layout.addLayout(grid)
        layout.addWidget(ActionButton(line_action))
        for signal in (model.current_changed, model.calibration_changed):
            signal.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the calibration of the image."""
        image = self._model.image()
        for edit in (self.pixel, self.field):
            edit.setEnabled(image is not None)
            edit.clear()
        self.show_line(None)
        if image is None:
            self.state.setText("No image is open.")
            return
        size_y, size_x = image.pixel_size_nm
        if size_x is None or size_y is None:
            self.state.setText("The pixel size is not known: lengths are in px until you give it.")
            return
        square = abs(size_x - size_y) < 1e-6 * size_x
        text = f"{size_x * 1000:.5g} pm" if square else f"{size_x * 1000:.5g} × {size_y * 1000:.5g} pm (x × y)"
        self.state.setText(f"One pixel is {text}.")
        self.pixel.setText(f"{size_x * 1000:.6g}")
        self.field.setText(f"{size_x * image.shape[1]:.6g}")

    def show_line(self, line_px: tuple[float, float] | None) -> None:
        """Ask for the true length of a line of (dx, dy) px; None: there is no line."""
        self._line_px = line_px
        for widget in self._line_widgets:
            widget.setVisible(line_px is not None)
        if line_px is not None:
            self.length.clear()
            self.length.setFocus()

    def _from_pixel(self) -> None:
        size = self._number(self.pixel, "Pixel size")
        if size is not None:
            self._tell(size / 1000)

    def _from_field(self) -> None:
        width, image = self._number(self.field, "Field of view"), self._model.image()
        if width is not None and image is not None:
            self._tell(width / image.shape[1])

    def _from_line(self) -> None:
        length = self._number(self.length, "Length of the line")
        if length is not None and self._line_px is not None:
            across, down = self._line_px
            ratio = self._ratio()
            self._tell(length / (across**2 + (down * ratio) ** 2) ** 0.5)

    def _tell(self, size_x_nm: float) -> None:
        self.calibrated.emit(size_x_nm * self._ratio(), size_x_nm)

    def _ratio(self) -> float:
        """Height of a pixel over its width, as the file says; 1 where it says nothing."""
        image = self._model.image()
        if image is None or image.pixel_size_nm[0] is None or image.pixel_size_nm[1] is None:
            return 1.0
        return image.pixel_size_nm[0] / image.pixel_size_nm[1]

    def _number(self, edit: QLineEdit, title: str) -> float | None:
        try:
            return positive_number(edit.text(), title)
        except UserError as problem:
            self.refused.emit(str(problem))
            return None


def positive_number(text: str, title: str) -> float:
    """A length as typed, "," or "." as decimal point. Raises UserError."""
    try:
        number = float(text.strip().replace(",", "."))
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise UserError(f"{title}: {text.strip() or 'nothing'!r} is no length; type a number above 0, such as 12.5.")
    return number


def _edit(name: str, tip: str) -> QLineEdit:
    edit = QLineEdit()
    edit.setObjectName(f"calibrate.{name.split()[0].lower()}")
    edit.setAccessibleName(name)
    edit.setToolTip(tip)
    return edit
