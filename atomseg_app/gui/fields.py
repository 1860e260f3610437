"""Widgets for one value each, made from the type and bounds of a parameter: number, choice, switch, list, text."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo
from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QKeyEvent, QWheelEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLineEdit, QSizePolicy, QWidget

from atomseg_app.errors import UserError

CHOICE_TITLES = {
    "log": "Laplacian of Gaussian", "hough": "Circular Hough",
    "cpu": "CPU", "cuda": "CUDA GPU", "mps": "Apple GPU",
    "mlem": "MLEM", "osem": "OSEM", "sirt": "SIRT", "os-sirt": "OS-SIRT", "sart": "SART", "cgls": "CGLS",
    "fbp": "Filtered back projection", "wbp": "Weighted back projection", "dart": "DART", "tv": "Total variation",
    "asd-pocs": "ASD-POCS", "fista-tv": "FISTA-TV", "resire": "RESIRE", "sirt-like": "SIRT-like",
}  # fmt: skip


class Field(QWidget):
    """One value of a form. ``value`` raises :class:`UserError` while what is typed is no valid value."""

    changed = Signal()

    def __init__(self, title: str, default: Any) -> None:
        super().__init__()
        self.title = title
        self.default = default
        self.row = QHBoxLayout(self)
        self.row.setContentsMargins(0, 0, 0, 0)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def value(self) -> Any:
        """Value as the model takes it."""
        raise NotImplementedError

    def set_value(self, value: Any) -> None:
        """Show a value."""
        raise NotImplementedError

    def default_text(self) -> str:
        """The default as the user reads it."""
        return str(self.default)

    def reset(self) -> None:
        """Back to the default."""
        self.set_value(self.default)


class _LineField(Field):
    """A field typed as text; what cannot be parsed is marked and explained in the tooltip."""

    def __init__(self, title: str, default: Any, parse: Callable[[str], Any], show: Callable[[Any], str]) -> None:
        super().__init__(title, default)
        self._parse, self._show = parse, show
        self.edit = _ResetLineEdit(self)
        self.setFocusProxy(self.edit)
        self.edit.setText(show(default))
        self.edit.textChanged.connect(self._on_text)
        self.row.addWidget(self.edit)

    def value(self) -> Any:
        return self._parse(self.edit.text())

    def set_value(self, value: Any) -> None:
        self.edit.setText(self._show(value))

    def default_text(self) -> str:
        return self._show(self.default) or self.edit.placeholderText()

    def _on_text(self) -> None:
        problem = ""
        try:
            self.value()
        except UserError as error:
            problem = str(error)
        if bool(problem) != bool(self.edit.property("invalid")):
            self.edit.setProperty("invalid", bool(problem))
            self.edit.style().polish(self.edit)
        self.edit.setToolTip(problem or self.toolTip())
        self.changed.emit()


class _ResetLineEdit(QLineEdit):
    def __init__(self, field: Field) -> None:
        super().__init__()
        self._field = field
        self.setMinimumWidth(7 * self.fontMetrics().averageCharWidth() + 14)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        menu = self.createStandardContextMenu()
        menu.addSeparator()
        menu.addAction(f"Reset to default ({self._field.default_text()})", self._field.reset)
        menu.exec(event.globalPos())
        menu.deleteLater()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Up and down step a number."""
        if isinstance(self._field, NumberField) and event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._field.step(1 if event.key() == Qt.Key.Key_Up else -1)
        else:
            super().keyPressEvent(event)


class NumberField(_LineField):
    """Whole or real number within bounds; "," counts as a decimal point, Up and Down step."""

    def __init__(self, title: str, default: float | None, *, whole: bool, optional: bool, info: FieldInfo) -> None:
        self.bounds = Bounds(info)
        self._whole, self._optional = whole, optional
        super().__init__(title, default, self._parse_number, number_text)
        if optional:
            self.edit.setPlaceholderText("automatic")

    def step(self, direction: int) -> None:
        """Change by 1, or by a tenth of the leading digit of a real number; stops at the bounds."""
        try:
            now = self.value()
        except UserError:
            now = self.default
        now = 0.0 if now is None else now
        size = 1.0 if self._whole else 10.0 ** (math.floor(math.log10(abs(now) or 1.0)) - (0 if now == 0 else 1))
        new = round(now + direction * size, 12)
        if self.bounds.allow(new):
            self.set_value(int(new) if self._whole else new)

    def _parse_number(self, text: str) -> float | None:
        text = text.strip().replace(",", ".").replace("\N{MINUS SIGN}", "-")
        if not text and self._optional:
            return None
        try:
            number = int(text) if self._whole else float(text)
        except ValueError:
            kind = "a whole number" if self._whole else "a number"
            raise UserError(
                f"{self.title}: {text or 'nothing'!r} is not {kind}; type {self.bounds.text(kind)}."
            ) from None
        if not math.isfinite(number) or not self.bounds.allow(number):
            raise UserError(f"{self.title}: {text} is out of range; type {self.bounds.text('a number')}.")
        return number


class ChoiceField(Field):
    """One of a few names."""

    def __init__(self, title: str, default: Any, choices: tuple[Any, ...]) -> None:
        super().__init__(title, default)
        self.box = _CalmComboBox()
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.setFocusProxy(self.box)
        for choice in choices:
            self.box.addItem(choice_title(choice), choice)
        self.set_value(default)
        self.box.currentIndexChanged.connect(self.changed)
        self.row.addWidget(self.box)

    def value(self) -> Any:
        return self.box.currentData()

    def set_value(self, value: Any) -> None:
        self.box.setCurrentIndex(self.box.findData(value))

    def default_text(self) -> str:
        return choice_title(self.default)


class _CalmComboBox(QComboBox):
    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the scrolling form: a passing pointer must not change a value."""
        event.ignore()


class SwitchField(Field):
    """Yes or no."""

    def __init__(self, title: str, default: bool) -> None:
        super().__init__(title, default)
        self.box = QCheckBox()
        self.setFocusProxy(self.box)
        self.box.setChecked(default)
        self.box.toggled.connect(self.changed)
        self.row.addWidget(self.box)

    def value(self) -> bool:
        return self.box.isChecked()

    def set_value(self, value: bool) -> None:
        self.box.setChecked(value)

    def default_text(self) -> str:
        return "on" if self.default else "off"


class ListField(_LineField):
    """Numbers separated by spaces, semicolons or (whole ones) commas; empty is ``None`` where the model allows it."""

    def __init__(self, title: str, default: Any, *, kind: type, count: int | None, empty_text: str) -> None:
        self._kind, self._count, self._empty_text = kind, count, empty_text
        super().__init__(title, default, self._parse_list, self._show_list)
        self.edit.setPlaceholderText(empty_text)

    def _parse_list(self, text: str) -> tuple[Any, ...] | None:
        if not text.strip() and self._empty_text:
            return None
        spaced = text.replace(";", " ")
        parts = (spaced.replace(",", " ") if self._kind is int else spaced.replace(",", ".")).split()
        what = f"{self._count if self._count else ''} {'whole ' if self._kind is int else ''}numbers".strip()
        try:
            numbers = tuple(self._kind(part) for part in parts)
        except ValueError:
            numbers = ()
        if not numbers or (self._count is not None and len(numbers) != self._count):
            raise UserError(f"{self.title}: {text!r} is not {what} separated by spaces.")
        return numbers

    def _show_list(self, value: Any) -> str:
        return "" if value is None else " ".join(number_text(number) for number in value)


class TextField(_LineField):
    """Plain text; empty is ``None`` where the model allows it."""

    def __init__(self, title: str, default: str | None, *, optional: bool) -> None:
        super().__init__(title, default, lambda text: (text or None) if optional else text, lambda text: text or "")


class Bounds:
    """Bounds of a number, as its model declares them."""

    def __init__(self, info: FieldInfo) -> None:
        self.ge = self.gt = -math.inf
        self.le = self.lt = math.inf
        for rule in info.metadata:
            if isinstance(rule, annotated_types.Ge):
                self.ge = _number(rule.ge)
            elif isinstance(rule, annotated_types.Gt):
                self.gt = _number(rule.gt)
            elif isinstance(rule, annotated_types.Le):
                self.le = _number(rule.le)
            elif isinstance(rule, annotated_types.Lt):
                self.lt = _number(rule.lt)

    def allow(self, number: float) -> bool:
        """Whether the number lies within."""
        return self.gt < number < self.lt and self.ge <= number <= self.le

    def text(self, kind: str) -> str:
        """The range in words ("a number above 0, at most 1000")."""
        parts = [
            f"{words} {number_text(bound)}"
            for words, bound in (
                ("above", self.gt), ("at least", self.ge), ("below", self.lt), ("at most", self.le),
            )
            if math.isfinite(bound)
        ]  # fmt: skip
        return f"{kind} {', '.join(parts)}".strip()


def field_for(title: str, info: FieldInfo, empty_text: str) -> Field:
    """Widget for a field of a parameter model. Raises TypeError for a type that has none."""
    annotation, optional = _without_none(info.annotation)
    default = info.get_default(call_default_factory=True) if not info.is_required() else None
    origin = get_origin(annotation)
    if origin is Literal:
        return ChoiceField(title, default, get_args(annotation))
    if annotation is bool:
        return SwitchField(title, bool(default))
    if annotation in (int, float):
        return NumberField(title, default, whole=annotation is int, optional=optional, info=info)
    if origin is tuple:
        kinds = get_args(annotation)
        count = None if Ellipsis in kinds else len(kinds)
        return ListField(title, default, kind=kinds[0], count=count, empty_text=empty_text if optional else "")
    if annotation is str:
        return TextField(title, default if optional else default or "", optional=optional)
    raise TypeError(f"there is no field for {info.annotation!r}")


def quietly(field: Field, value: Any) -> None:
    """Show a value without telling of a change."""
    blocker = QSignalBlocker(field)
    field.set_value(value)
    blocker.unblock()


def number_text(number: float | None) -> str:
    """Shortest text of a number with a decimal point, whatever the locale; nothing for ``None``."""
    if number is None:
        return ""
    return str(number) if isinstance(number, int) else f"{number:.10g}"


def choice_title(choice: Any) -> str:
    """Name of a choice as shown."""
    text = str(choice)
    return CHOICE_TITLES.get(text, text.replace("-", " ").replace("_", " ").capitalize())


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [part for part in get_args(annotation) if part is not type(None)]
        return rest[0], len(rest) < len(get_args(annotation))
    return annotation, False


def _number(bound: Any) -> float:
    return float(bound)
