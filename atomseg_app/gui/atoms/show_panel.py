"""How columns are drawn: quantity and colours, size, error bars; and what is laid over the image."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QFormLayout, QHBoxLayout, QLabel, QSlider, QWidget

from atomseg_app.gui.atoms.markers import ErrorStyle, MarkerStyle
from atomseg_app.gui.atoms.quantities import QUANTITIES
from atomseg_app.gui.colour_maps import TITLES

_EXAGGERATIONS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class ShowPanel(QWidget):
    """``changed`` carries the :class:`MarkerStyle`."""

    changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.style_now = MarkerStyle()
        self.shown = QCheckBox("Show columns")
        self.shown.setToolTip("Draw a marker at each column.")
        self.quantity = QComboBox()
        self.quantity.setObjectName("show.quantity")
        self.quantity.setAccessibleName("Colour of the markers")
        self.quantity.setToolTip("Quantity that colours the markers; its values are beside the colour bar.")
        self.quantity.addItem("One colour", "")
        for key, quantity in QUANTITIES.items():
            self.quantity.addItem(quantity.title, key)
        self.colour_map = QComboBox()
        self.colour_map.setAccessibleName("Colour map of the markers")
        self.colour_map.setToolTip("Colours from the lowest to the highest value of the quantity.")
        for key, title in TITLES.items():
            self.colour_map.addItem(title, key)
        self.scale = QSlider(Qt.Orientation.Horizontal)
        self.scale.setRange(30, 300)
        self.scale.setAccessibleName("Size of the markers")
        self.scale.setToolTip("Size of the markers; 100 % leaves the atoms visible at any zoom.")
        self.scale_text = QLabel()
        self.errors = QComboBox()
        self.errors.setObjectName("show.errors")
        self.errors.setAccessibleName("Error bars")
        self.errors.setToolTip("One standard deviation of each position, enlarged by the factor beside.")
        for style in ErrorStyle:
            self.errors.addItem(style.value, style)
        self.exaggeration = QComboBox()
        self.exaggeration.setAccessibleName("Enlargement of the error bars")
        self.exaggeration.setToolTip("How many times larger than true the error bars are drawn.")
        for factor in _EXAGGERATIONS:
            self.exaggeration.addItem(f"× {factor}", float(factor))
        self._arrange()
        self.show_style(self.style_now)
        self.shown.toggled.connect(self._tell)
        self.scale.valueChanged.connect(self._tell)
        for box in (self.quantity, self.colour_map, self.errors, self.exaggeration):
            box.currentIndexChanged.connect(self._tell)

    def show_style(self, style: MarkerStyle) -> None:
        """Show a style without telling of it."""
        self.style_now = style
        boxes = (self.quantity, self.colour_map, self.errors, self.exaggeration)
        blockers = [QSignalBlocker(widget) for widget in (self.shown, self.scale, *boxes)]
        self.shown.setChecked(style.shown)
        self.scale.setValue(round(style.size * 100))
        self.scale_text.setText(f"{round(style.size * 100)} %")
        for box, value in zip(boxes, (style.quantity, style.colour_map, style.errors, style.exaggeration), strict=True):
            box.setCurrentIndex(max(0, box.findData(value)))
        self.colour_map.setEnabled(bool(style.quantity))
        self.exaggeration.setEnabled(style.errors is not ErrorStyle.NONE)
        for blocker in blockers:
            blocker.unblock()

    def _tell(self) -> None:
        style = replace(
            self.style_now,
            shown=self.shown.isChecked(),
            quantity=self.quantity.currentData(),
            colour_map=self.colour_map.currentData(),
            size=self.scale.value() / 100,
            errors=ErrorStyle(self.errors.currentText()),
            exaggeration=self.exaggeration.currentData(),
        )
        self.show_style(style)
        self.changed.emit(style)

    def _arrange(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(6)
        form.addRow(self.shown)
        form.addRow("Colour", self.quantity)
        form.addRow("Map", self.colour_map)
        size = QHBoxLayout()
        size.addWidget(self.scale, 1)
        size.addWidget(self.scale_text)
        form.addRow("Size", size)
        errors = QHBoxLayout()
        errors.addWidget(self.errors, 1)
        errors.addWidget(self.exaggeration)
        form.addRow("Errors", errors)
