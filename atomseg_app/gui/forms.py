"""Forms made from parameter models: one labelled row per field with unit, range, tooltip and default."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QMouseEvent
from PySide6.QtWidgets import QGridLayout, QLabel, QMenu, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from atomseg_app.errors import UserError
from atomseg_app.gui.fields import Field, NumberField, SwitchField, field_for, quietly
from atomseg_app.operations import Parameters


class ParameterForm(QWidget):
    """Form of a parameter model. Double-click a label, or its context menu, brings the default back."""

    changed = Signal()

    def __init__(self, model: type[Parameters], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"form.{model.__name__}")
        self.setAccessibleName(f"Parameters of {model.__name__}")
        self._model = model
        self.fields: dict[str, Field] = {}
        self._beside: dict[str, list[QWidget]] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        plain, advanced = QWidget(), QWidget()
        grids = {False: _grid(plain), True: _grid(advanced)}
        for name, info in model.model_fields.items():
            self._add_row(grids[bool(_extra(info).get("advanced"))], name, info)
        layout.addWidget(plain)
        if grids[True].count():
            layout.addWidget(_fold(advanced))
            layout.addWidget(advanced)

    def values(self) -> dict[str, Any]:
        """Values as typed, by field name. Raises UserError for one that is no valid value."""
        return {name: field.value() for name, field in self.fields.items()}

    def parameters(self) -> Parameters:
        """The model with these values. Raises UserError naming the field and what is wrong."""
        values = self.values()
        try:
            return self._model.model_validate(values)
        except ValidationError as problem:
            first = problem.errors()[0]
            field = self.fields.get(str(first["loc"][0])) if first["loc"] else None
            raise UserError(f"{field.title if field else 'Parameters'}: {first['msg']}.") from None

    def set_values(self, values: dict[str, Any]) -> None:
        """Show values by field name; fields not named keep theirs. Tells of the change once."""
        for name, value in values.items():
            quietly(self.fields[name], tuple(value) if isinstance(value, list) else value)
        self.changed.emit()

    def show_field(self, name: str, shown: bool) -> None:
        """Show or hide the row of a field; it keeps its value."""
        for widget in (self.fields[name], *self._beside[name]):
            widget.setVisible(shown)

    def reset(self) -> None:
        """Every field back to its default."""
        self.set_values({name: field.default for name, field in self.fields.items()})

    def _add_row(self, grid: QGridLayout, name: str, info: FieldInfo) -> None:
        unit = str(_extra(info).get("unit", ""))
        title = field_title(name, unit)
        field = field_for(title, info, "whole image" if name.startswith("region") else "all")
        field.setObjectName(f"field.{name}")
        editor = field.focusProxy() or field
        editor.setAccessibleName(f"{title} ({unit})" if unit else title)
        editor.setAccessibleDescription(info.description or "")
        field.setToolTip(tooltip(info.description or "", field, unit))
        editor.setToolTip(field.toolTip())
        field.changed.connect(self.changed)
        label = _FieldLabel(title, field)
        row = grid.rowCount()
        grid.addWidget(label, row, 0)
        grid.addWidget(field, row, 1)
        self._beside[name] = [label]
        if unit:
            mark = QLabel(unit)
            mark.setProperty("role", "muted")
            grid.addWidget(mark, row, 2)
            self._beside[name].append(mark)
        self.fields[name] = field


class _FieldLabel(QLabel):
    def __init__(self, title: str, field: Field) -> None:
        super().__init__(title)
        self._field = field
        self.setBuddy(field)
        self.setToolTip(field.toolTip())
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._field.reset()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        menu = QMenu(self)
        menu.addAction(f"Reset to default ({self._field.default_text()})", self._field.reset)
        menu.exec(event.globalPos())
        menu.deleteLater()


def field_title(name: str, unit: str) -> str:
    """Name of a field as shown: without the unit that its name carries ("region_px" is "Region")."""
    for suffix in (f"_{unit.lower()}", "_px", "_nm", "_deg", "_pm", "_s"):
        if len(suffix) > 1 and name.endswith(suffix):
            name = name.removesuffix(suffix)
            break
    return name.replace("_", " ").capitalize()


def tooltip(description: str, field: Field, unit: str) -> str:
    """The sentence of the field, its range and its default."""
    facts = []
    if isinstance(field, NumberField):
        facts.append(field.bounds.text(""))
    if not isinstance(field, SwitchField) or field.default:
        facts.append(f"default {field.default_text()}{' ' + unit if unit else ''}")
    return f"{description}\n{'; '.join(fact for fact in facts if fact).capitalize()}".strip()


def _extra(info: FieldInfo) -> dict[str, Any]:
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def _grid(widget: QWidget) -> QGridLayout:
    grid = QGridLayout(widget)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(8)
    grid.setVerticalSpacing(6)
    grid.setColumnStretch(1, 1)
    return grid


def _fold(content: QWidget) -> QToolButton:
    button = QToolButton()
    button.setText("Advanced")
    button.setToolTip("Show or hide the settings that are rarely needed.")
    button.setAccessibleName("Advanced settings")
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    button.setArrowType(Qt.ArrowType.RightArrow)
    button.setCheckable(True)
    content.hide()

    def toggle(shown: bool) -> None:
        content.setVisible(shown)
        button.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)

    button.toggled.connect(toggle)
    return button
