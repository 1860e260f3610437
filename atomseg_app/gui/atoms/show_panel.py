"""How columns are drawn: quantity and colours with their limits, size, error bars, arrows, and marks of defects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QFormLayout, QHBoxLayout, QLabel, QSlider, QWidget

from atomseg_app.data import Columns
from atomseg_app.gui.atoms.colouring import Colouring, with_quantity
from atomseg_app.gui.atoms.limits_bar import LimitsBar
from atomseg_app.gui.atoms.markers import ErrorStyle, MarkerStyle
from atomseg_app.gui.atoms.quantities import QUANTITIES, available, title_of, vectors_of
from atomseg_app.gui.colour_maps import ALL_TITLES

_EXAGGERATIONS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_NO_VECTORS = "Measure displacements or a polar shift first."


class ShowPanel(QWidget):
    """``changed`` carries the :class:`MarkerStyle`."""

    changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.style_now = MarkerStyle()
        self._columns: Columns | None = None
        self.shown = QCheckBox("Show columns")
        self.shown.setToolTip("Draw a marker at each column.")
        self.filled = QCheckBox("Filled")
        self.filled.setToolTip("Draw discs instead of rings: colours are read more easily, atoms less.")
        self.quantity = _box(
            "show.quantity", "Colour of the markers",
            "Quantity that colours the markers; its values are beside the colour bar.",
        )  # fmt: skip
        self.quantity.setMaxVisibleItems(24)
        self.colour_map = _box(
            "show.map", "Colour map of the markers", "Colours from the lowest to the highest value of the quantity."
        )
        _fill(self.colour_map, ALL_TITLES.items())
        self.limits = LimitsBar()
        self.scale = QSlider(Qt.Orientation.Horizontal)
        self.scale.setRange(30, 300)
        self.scale.setAccessibleName("Size of the markers")
        self.scale.setToolTip("Size of the markers; 100 % leaves the atoms visible at any zoom.")
        self.scale_text = QLabel()
        self.errors = _box(
            "show.errors", "Error bars", "One standard deviation of each position, enlarged by the factor beside."
        )
        for style in ErrorStyle:
            self.errors.addItem(style.value, style)
        self.exaggeration = _box(
            "show.exaggeration", "Enlargement of the error bars", "How many times larger than true they are drawn."
        )
        _fill(self.exaggeration, ((float(factor), f"× {factor}") for factor in _EXAGGERATIONS))
        self.vectors = _box("show.vectors", "Arrows", "")
        self.enlargement = _box(
            "show.enlargement", "Enlargement of the arrows",
            "How many times longer than true the arrows are drawn; Auto fills the spacing. The key tells the length.",
        )  # fmt: skip
        _fill(self.enlargement, [(0.0, "Auto"), *((float(factor), f"× {factor}") for factor in _EXAGGERATIONS)])
        self.defects = QCheckBox("Mark defects")
        self.defects.setToolTip(
            "Mark vacant sites, foreign and extra columns, dislocations and boundaries, with a legend."
        )
        self._arrange()
        self.show_columns(None)
        for switch in (self.shown, self.filled, self.defects):
            switch.toggled.connect(self._tell)
        self.scale.valueChanged.connect(self._tell)
        self.quantity.currentIndexChanged.connect(self._take_quantity)
        for box in (self.colour_map, self.errors, self.exaggeration, self.vectors, self.enlargement):
            box.currentIndexChanged.connect(self._tell)
        self.limits.changed.connect(self._take_limits)

    def show_columns(self, columns: Columns | None) -> None:
        """Offer the quantities and vectors that these columns have."""
        self._columns = columns
        blockers = [QSignalBlocker(box) for box in (self.quantity, self.vectors)]
        items = [(key, quantity.title) for key, quantity in available(columns).items()]
        style = self.style_now
        if style.quantity and style.quantity not in dict(items):
            items.append((style.quantity, f"{title_of(style.quantity)} (not measured)"))
        _fill(self.quantity, [("", "One colour"), *items])
        self.quantity.insertSeparator(1 + len(QUANTITIES))
        vectors = vectors_of(columns)
        _fill(self.vectors, [("", "None"), *((key, vector.title) for key, vector in vectors.items())])
        for box, words in (
            (self.vectors, "Vectors that are drawn as arrows over the picture, with a key arrow of known length."),
            (self.enlargement, "How many times longer than true the arrows are drawn; Auto fills the spacing."),
        ):
            box.setEnabled(bool(vectors))
            box.setToolTip(words if vectors else f"{words}\nNot now: {_NO_VECTORS}")
        for blocker in blockers:
            blocker.unblock()
        self.show_style(style)

    def show_colouring(self, colouring: Colouring | None) -> None:
        """Show the limits in force."""
        self.limits.show_colouring(colouring)
        of_kinds = colouring is not None and colouring.of_kinds
        self.colour_map.setEnabled(bool(self.style_now.quantity) and not of_kinds)

    def show_style(self, style: MarkerStyle) -> None:
        """Show a style without telling of it."""
        self.style_now = style
        values = (
            (self.quantity, style.quantity), (self.colour_map, style.colour_map), (self.errors, style.errors),
            (self.exaggeration, style.exaggeration), (self.vectors, style.vectors),
            (self.enlargement, style.enlargement),
        )  # fmt: skip
        blockers = [
            QSignalBlocker(w) for w in (self.shown, self.filled, self.defects, self.scale, *(box for box, _ in values))
        ]
        self.shown.setChecked(style.shown)
        self.defects.setChecked(style.defects)
        self.filled.setChecked(style.filled)
        self.scale.setValue(round(style.size * 100))
        self.scale_text.setText(f"{round(style.size * 100)} %")
        for box, value in values:
            box.setCurrentIndex(max(0, box.findData(value)))
        self.exaggeration.setEnabled(style.errors is not ErrorStyle.NONE)
        for blocker in blockers:
            blocker.unblock()

    def take(self, quantity: str = "", vectors: str = "") -> None:
        """Colour by a quantity and draw vectors, as if the user had chosen them; "" leaves what there is."""
        style = self.style_now
        if quantity:
            style = with_quantity(style, quantity, available(self._columns).get(quantity))
        self._change(replace(style, vectors=vectors or style.vectors))

    def _take_quantity(self) -> None:
        key = self.quantity.currentData()
        self._change(with_quantity(self.style_now, key, available(self._columns).get(key)))

    def _take_limits(self, limits: tuple[float, float] | None) -> None:
        self._change(replace(self.style_now, limits=limits))

    def _tell(self) -> None:
        known = self.vectors.findData(self.style_now.vectors) >= 0
        self._change(
            replace(
                self.style_now,
                shown=self.shown.isChecked(),
                colour_map=self.colour_map.currentData(),
                size=self.scale.value() / 100,
                errors=ErrorStyle(self.errors.currentText()),
                exaggeration=self.exaggeration.currentData(),
                # What these columns do not have may come back by undo: it is not forgotten.
                vectors=self.vectors.currentData() if known else self.style_now.vectors,
                enlargement=self.enlargement.currentData(),
                defects=self.defects.isChecked(),
                filled=self.filled.isChecked(),
            )
        )

    def _change(self, style: MarkerStyle) -> None:
        self.show_style(style)
        self.changed.emit(style)

    def _arrange(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(6)
        form.addRow(_beside(self.shown, self.filled))
        form.addRow("Colour", self.quantity)
        form.addRow("Map", self.colour_map)
        form.addRow(self.limits)
        form.addRow("Size", _beside(self.scale, self.scale_text))
        form.addRow("Errors", _beside(self.errors, self.exaggeration))
        form.addRow("Arrows", _beside(self.vectors, self.enlargement))
        form.addRow(self.defects)


def _box(object_name: str, name: str, tip: str) -> QComboBox:
    box = QComboBox()
    box.setObjectName(object_name)
    box.setAccessibleName(name)
    box.setToolTip(tip)
    box.setMinimumContentsLength(6)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return box


def _fill(box: QComboBox, items: Iterable[tuple[object, str]]) -> None:
    box.clear()
    for data, title in items:
        box.addItem(title, data)


def _beside(wide: QWidget, narrow: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.addWidget(wide, 1)
    row.addWidget(narrow)
    return row
