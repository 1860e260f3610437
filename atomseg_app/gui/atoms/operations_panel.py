"""A step with several operations: one is chosen, its form, button, progress, result and notes are shown."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCompleter, QFileDialog, QLineEdit, QToolButton

from atomseg_app.gui.actions import ActionRegistry
from atomseg_app.gui.atoms.measured_edits import input_of
from atomseg_app.gui.atoms.measuring import Measuring
from atomseg_app.gui.atoms.model import AtomsModel
from atomseg_app.gui.atoms.summaries import notes, summary
from atomseg_app.gui.fields import Field
from atomseg_app.gui.forms import ParameterForm
from atomseg_app.gui.run_panel import RunPanel
from atomseg_app.gui.sections import muted
from atomseg_app.operations import Operation

_EMPTY = {"reflection_1": "the strongest", "reflection_2": "the next strongest", "library": "none"}
_INTENSITIES = ("integrated_intensity", "fit_intensity", "cell_intensity", "amplitude")
_REGIONS = {"measure-strain": "the whole grain"}


class OperationsPanel(RunPanel):
    """Measures the image that is shown; beside the forms stand what was found and what was noted."""

    def __init__(
        self, name: str, operations: Sequence[Operation], model: AtomsModel, measuring: Measuring,
        actions: ActionRegistry,
    ) -> None:  # fmt: skip
        self._model = model
        self.notes = muted()
        self.notes.setProperty("role", "small")
        self.notes.setAccessibleName(f"Notes on: {name}")
        signals = (model.columns_changed, model.current_changed, model.frame_changed)
        tip = "What is measured of the columns, or of the image."
        super().__init__("atoms", name, operations, measuring, actions, signals=signals, tip=tip)
        self.layout().addWidget(self.notes)  # type: ignore[union-attr]
        model.selection_changed.connect(self._tell_regions)
        self.form_made.connect(lambda _name: self._tell_regions())

    def refresh(self) -> None:
        """Show what is chosen, whether it runs, and what it gave for the image that is shown."""
        super().refresh()
        if not self.isVisible():  # a folded section: drawn when it is shown
            return
        entry, name = self._model.entry, self.operation().name
        columns = None if entry is None else input_of(entry, self._model.frame)
        self.show_result("\n".join(summary(name, columns)))
        self.notes.setText("\n".join(notes(name, columns)))
        self.notes.setVisible(bool(self.notes.text()))

    def _form_of(self, operation: Operation) -> ParameterForm:
        form = ParameterForm(operation.parameters)
        for name, field in form.fields.items():
            edit = field.focusProxy()
            empty = _REGIONS.get(operation.name, "") if name.startswith("region") else _EMPTY.get(name, "")
            if empty and isinstance(edit, QLineEdit):
                edit.setPlaceholderText(empty)
            if name == "quantity" and isinstance(edit, QLineEdit):
                edit.setCompleter(_completer(edit))
            if name == "region_px":
                field.row.addWidget(self._region_button(field))
            elif name == "library":
                field.row.addWidget(self._file_button(field))
        return form

    def _region_button(self, field: Field) -> QToolButton:
        """Takes over the rectangle that was drawn with the tool *Region to search*."""
        button = QToolButton()
        button.setObjectName("button.take_region")
        button.setText("Take")
        button.setAccessibleName("Take the region drawn in the picture")
        button.clicked.connect(lambda _checked: field.set_value(self._model.region_px))
        return button

    def _file_button(self, field: Field) -> QToolButton:
        button = QToolButton()
        button.setText("…")
        button.setAccessibleName("Choose the file of the library")
        button.setToolTip("Choose a text file with simulated intensities of columns of 1, 2, 3 ... atoms.")

        def ask(_checked: bool) -> None:
            path, _ = QFileDialog.getOpenFileName(
                self, "Library of intensities", "", "Text (*.txt *.csv *.dat);;All (*)"
            )
            if path:
                field.set_value(path)

        button.clicked.connect(ask)
        return button

    def _tell_regions(self) -> None:
        """Whether there is a region to take, and how to draw one."""
        drawn = self._model.region_px is not None
        tip = "Take the rectangle drawn in the picture with the tool Region to search."
        for button in self.findChildren(QToolButton, "button.take_region"):
            button.setEnabled(drawn)
            button.setToolTip(tip if drawn else f"{tip}\nNot now: no rectangle is drawn.")


def _completer(edit: QLineEdit) -> QCompleter:
    """Offers the intensities that a table can carry while one is typed."""
    completer = QCompleter(list(_INTENSITIES), edit)
    completer.setFilterMode(Qt.MatchFlag.MatchContains)
    return completer
