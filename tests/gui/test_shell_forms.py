"""Forms: every kind of field, what can be typed, and what is said when it is wrong."""

from __future__ import annotations

from typing import Literal

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QLineEdit, QToolButton
from pytestqt.qtbot import QtBot

from atomseg_app.atoms.operations import FindColumns, RefitColumns
from atomseg_app.errors import UserError
from atomseg_app.gui.fields import ChoiceField, SwitchField
from atomseg_app.gui.forms import ParameterForm
from atomseg_app.operations import Parameters, all_operations, parameter


class Everything(Parameters):
    """One field of every kind."""

    sigma_px: float = parameter(2.5, "Width of a column.", unit="px", gt=0, le=50)
    count: int = parameter(3, "How many.", ge=1, le=9)
    seed: int | None = parameter(None, "Start of the random numbers.")
    kind: Literal["gauss", "lorentz"] = parameter("gauss", "Shape of a column.")
    split: bool = parameter(True, "Split peaks.")
    region_px: tuple[int, int, int, int] | None = parameter(None, "Part of the image.", unit="px")
    weights: tuple[float, ...] = parameter((1.0, 2.0), "Weights.")
    name: str = parameter("run", "Name of the run.")
    hidden: float = parameter(1.0, "Rarely needed.", advanced=True)


@pytest.fixture
def form(qtbot: QtBot) -> ParameterForm:
    form = ParameterForm(Everything)
    qtbot.addWidget(form)
    with qtbot.waitExposed(form):
        form.show()
    return form


def edit(form: ParameterForm, name: str) -> QLineEdit:
    """The line that a field is typed in."""
    widget = form.fields[name].focusProxy()
    assert isinstance(widget, QLineEdit)
    return widget


def type_text(form: ParameterForm, name: str, text: str) -> None:
    """Type over a field with real key presses."""
    line = edit(form, name)
    line.setFocus()
    line.selectAll()
    QTest.keyClick(line, Qt.Key.Key_Delete)
    QTest.keyClicks(line, text)


def test_defaults_of_every_operation_make_valid_parameters(qtbot: QtBot) -> None:
    for operation in all_operations().values():
        form = ParameterForm(operation.parameters)
        qtbot.addWidget(form)
        assert form.parameters() == operation.parameters()


@pytest.mark.parametrize(("typed", "value"), [("0.5", 0.5), ("0,5", 0.5), (" 1e-3 ", 1e-3), ("50", 50.0)])
def test_point_and_comma_are_decimal_points(form: ParameterForm, typed: str, value: float) -> None:
    type_text(form, "sigma_px", typed)
    assert form.parameters() == Everything(sigma_px=value)


@pytest.mark.parametrize(("name", "typed", "words"), [
    ("sigma_px", "0", "above 0, at most 50"),
    ("sigma_px", "50.1", "above 0, at most 50"),
    ("sigma_px", "abc", "not a number"),
    ("sigma_px", "", "nothing"),
    ("sigma_px", "nan", "out of range"),
    ("sigma_px", "inf", "out of range"),
    ("sigma_px", "1,000,000", "not a number"),
    ("count", "2.5", "whole number"),
    ("count", "0", "at least 1, at most 9"),
    ("region_px", "1 2 3", "4 whole numbers"),
    ("region_px", "1 2 3 x", "4 whole numbers"),
])  # fmt: skip
def test_wrong_input_is_explained(form: ParameterForm, name: str, typed: str, words: str) -> None:
    type_text(form, name, typed)
    with pytest.raises(UserError) as refusal:
        form.parameters()
    assert words in str(refusal.value)
    assert form.fields[name].title in str(refusal.value)
    assert edit(form, name).property("invalid") is True
    assert words in edit(form, name).toolTip()
    form.fields[name].reset()
    assert edit(form, name).property("invalid") is False
    assert form.parameters() == Everything()


@pytest.mark.parametrize("typed", ["10 20 300 400", "10, 20, 300, 400", "10;20;300;400"])
def test_a_region_is_four_numbers_or_the_whole_image(form: ParameterForm, typed: str) -> None:
    assert edit(form, "region_px").placeholderText() == "whole image"
    type_text(form, "region_px", typed)
    assert form.values()["region_px"] == (10, 20, 300, 400)
    type_text(form, "region_px", "")
    assert form.values()["region_px"] is None


def test_real_lists_keep_the_comma_for_decimals(form: ParameterForm) -> None:
    type_text(form, "weights", "0,5 1.5; 2")
    assert form.values()["weights"] == (0.5, 1.5, 2.0)


def test_an_empty_optional_number_is_none(form: ParameterForm) -> None:
    type_text(form, "seed", "42")
    assert form.values()["seed"] == 42
    type_text(form, "seed", "")
    assert form.values()["seed"] is None


def test_arrow_keys_step_within_the_bounds(form: ParameterForm) -> None:
    line = edit(form, "count")
    for _ in range(20):
        QTest.keyClick(line, Qt.Key.Key_Up)
    assert form.values()["count"] == 9
    QTest.keyClick(edit(form, "sigma_px"), Qt.Key.Key_Up)
    assert form.values()["sigma_px"] == pytest.approx(2.6)


def test_double_click_on_a_label_brings_the_default_back(form: ParameterForm) -> None:
    type_text(form, "sigma_px", "7")
    label = next(label for label in form.findChildren(QLabel) if label.text() == "Sigma")
    QTest.mouseDClick(label, Qt.MouseButton.LeftButton)
    assert form.values()["sigma_px"] == 2.5


def test_every_field_tells_its_range_default_and_purpose(form: ParameterForm) -> None:
    for name, info in Everything.model_fields.items():
        tip = form.fields[name].toolTip()
        assert tip.startswith(str(info.description))
        editor = form.fields[name].focusProxy()
        assert editor is not None
        assert editor.toolTip() == tip
    assert "Above 0, at most 50; default 2.5 px" in form.fields["sigma_px"].toolTip()
    units = [label.text() for label in form.findChildren(QLabel)]
    assert units.count("px") == 2


def test_values_can_be_set_and_tell_once(form: ParameterForm, qtbot: QtBot) -> None:
    changes: list[None] = []
    form.changed.connect(lambda: changes.append(None))
    form.set_values({"sigma_px": 4, "kind": "lorentz", "split": False, "region_px": [1, 2, 3, 4]})
    assert len(changes) == 1
    assert form.parameters() == Everything(sigma_px=4, kind="lorentz", split=False, region_px=(1, 2, 3, 4))
    form.reset()
    assert form.parameters() == Everything()


def test_choices_and_switches_are_operated_by_hand(form: ParameterForm, qtbot: QtBot) -> None:
    kind, split = form.fields["kind"], form.fields["split"]
    assert isinstance(kind, ChoiceField)
    assert isinstance(split, SwitchField)
    with qtbot.waitSignal(form.changed):
        QTest.keyClick(kind.box, Qt.Key.Key_Down)
    with qtbot.waitSignal(form.changed):
        QTest.mouseClick(split.box, Qt.MouseButton.LeftButton, pos=QPoint(8, split.box.height() // 2))
    assert form.values()["kind"] == "lorentz"
    assert form.values()["split"] is False


def test_advanced_fields_are_folded_away(form: ParameterForm) -> None:
    assert not form.fields["hidden"].isVisible()
    fold = form.findChild(QToolButton)
    assert fold is not None
    QTest.mouseClick(fold, Qt.MouseButton.LeftButton)
    assert form.fields["hidden"].isVisible()


@pytest.mark.parametrize("model", [FindColumns, RefitColumns])
def test_fields_have_names_for_screen_readers(qtbot: QtBot, model: type[Parameters]) -> None:
    form = ParameterForm(model)
    qtbot.addWidget(form)
    for field in form.fields.values():
        editor = field.focusProxy()
        assert editor is not None
        assert editor.accessibleName()
        assert editor.accessibleDescription()
