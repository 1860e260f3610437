"""What is drawn over the volume: which result, how opaque, and where it is unsure."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from atomseg_app.errors import UserError
from atomseg_app.gui.actions import ActionRegistry
from atomseg_app.gui.sections import ActionButton, muted
from atomseg_app.gui.segmentation import edits
from atomseg_app.gui.segmentation.classes_panel import share_text
from atomseg_app.gui.segmentation.model import Entry, Result, SegModel
from atomseg_app.gui.segmentation.overlay import UNSURE, UNSURE_OPACITY
from atomseg_app.gui.segmentation.probability_bar import ProbabilityBar
from atomseg_app.gui.undo import UndoStack
from atomseg_app.label_classes import IGNORE

_NONE = -1
_COUNTED = 1 << 23


class ResultPanel(QWidget):
    """Follows the model, and tells it what to show."""

    def __init__(self, model: SegModel, undo: UndoStack, actions: ActionRegistry) -> None:
        super().__init__()
        self._model, self._undo = model, undo
        self.result = QComboBox()
        self.result.setAccessibleName("Result that is shown")
        self.result.setToolTip("Which segmentation of this volume is drawn over it.")
        self.remove = QPushButton("Remove")
        self.remove.setToolTip("Forget the result that is shown; can be undone.")
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(5, 100)
        self.opacity.setAccessibleName("Opacity of the labels")
        self.opacity.setToolTip("How opaque labels are drawn over the grey levels.")
        self.probability = QComboBox()
        self.probability.setAccessibleName("Probability that is shown")
        self.probability.setToolTip("Draw how probable a class is in place of the result.")
        self.bar = ProbabilityBar()
        self.unsure_bar = ProbabilityBar()
        self.unsure_bar.show_unsure(UNSURE, UNSURE_OPACITY)
        self.fractions = muted()
        self.fractions.setAccessibleName("Volume fractions of the result")
        self._boxes = {}
        switches = QGridLayout()
        switches.setSpacing(6)
        for row, name in enumerate(("show_painted", "show_uncertainty")):
            self._boxes[name] = ActionBox(actions, f"segmentation.{name}")
            switches.addWidget(self._boxes[name], row, 0)
        top = QHBoxLayout()
        top.addWidget(self.result, 1)
        top.addWidget(self.remove)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Opacity", self.opacity)
        form.addRow("Probability of", self.probability)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(top)
        layout.addLayout(form)
        layout.addWidget(self.bar)
        layout.addLayout(switches)
        layout.addWidget(self.unsure_bar)
        layout.addWidget(self.fractions)
        layout.addWidget(ActionButton(actions.qaction("segmentation.use_result")))
        self.result.currentIndexChanged.connect(lambda _index: model.show(result=int(self.result.currentData())))
        self.probability.currentIndexChanged.connect(
            lambda _index: model.show(probability=int(self.probability.currentData()))
        )
        self.opacity.valueChanged.connect(lambda value: model.show(opacity=value / 100))
        self.remove.clicked.connect(lambda _checked: self.remove_result())
        for signal in (model.current_changed, model.layers_changed):
            signal.connect(self.refresh)
        self._counted: tuple[object, str] = (None, "")
        self.refresh()

    def remove_result(self) -> None:
        """Forget the result that is shown."""
        entry, index, result = self._model.entry, self._model.shown.result, self._model.result()
        if entry is None or result is None:
            raise UserError("No result is shown.")
        after = edits.without_result(entry, index)
        self._model.show(result=min(index, len(after.results) - 1), errors=False, reference=_NONE)
        self._undo.push(
            edits.ChangeEntry(
                self._model, self._model.current_id, f"Remove {result.name}", after, edits.cost_of(result)
            )
        )

    def refresh(self) -> None:
        """Show what is shown."""
        entry, shown, result = self._model.entry, self._model.shown, self._model.result()
        blockers = [QSignalBlocker(self.result), QSignalBlocker(self.opacity)]
        names = [] if entry is None else [each.name for each in entry.results]
        self.result.clear()
        self.result.addItem("None" if names else "No result yet", _NONE)
        for index, name in enumerate(names):
            self.result.addItem(name, index)
        self.result.setCurrentIndex(self.result.findData(shown.result if result is not None else _NONE))
        self.opacity.setValue(round(100 * shown.opacity))
        for blocker in blockers:
            blocker.unblock()
        self.result.setEnabled(bool(names))
        self.result.setToolTip(
            "Which segmentation of this volume is drawn over it." if names else "Segment the volume, or open labels."
        )
        self.opacity.setEnabled(entry is not None)
        self._show_probability()
        self.remove.setEnabled(result is not None)
        self.remove.setToolTip("Forget the result that is shown; can be undone." if result is not None else
                               "No result is shown.")  # fmt: skip
        for box in self._boxes.values():
            box.follow()
        self.unsure_bar.setVisible(shown.uncertainty and result is not None)
        self.fractions.setText(self._fractions())
        self.fractions.setVisible(bool(self.fractions.text()))

    def _show_probability(self) -> None:
        """The classes whose probabilities the result has, and the colour bar of the one that is shown."""
        entry, shown, result = self._model.entry, self._model.shown, self._model.result()
        known = {} if result is None or entry is None else result.probabilities
        blocker = QSignalBlocker(self.probability)
        self.probability.clear()
        self.probability.addItem("None", _NONE)
        for value in known:
            assert entry is not None
            self.probability.addItem(entry.class_name(value), value)
        self.probability.setCurrentIndex(max(0, self.probability.findData(shown.probability)))
        blocker.unblock()
        self.probability.setEnabled(bool(known))
        self.probability.setToolTip(
            "Draw how probable a class is in place of the result."
            if known
            else "Segment with Probabilities switched on; what is shown has none."
        )
        drawn = None if entry is None or shown.probability not in known else entry.class_named(shown.probability)
        self.bar.setVisible(drawn is not None and not shown.errors)
        if drawn is not None:
            self.bar.show_class(drawn.name, drawn.colour, shown.opacity)

    def _fractions(self) -> str:
        """Share of each class in the result; counted once."""
        entry, result = self._model.entry, self._model.result()
        if entry is None or result is None:
            return ""
        if self._counted[0] is not result:
            self._counted = (result, fractions_text(entry, result))
        return self._counted[1]


def fractions_text(entry: Entry, result: Result) -> str:
    """Share of each class in what a result labels; of a large volume every few slices are counted."""
    values = result.labels.values
    step = max(1, values.size // _COUNTED)
    counts = np.zeros(256, np.int64)
    for plane in values[::step]:
        counts += np.bincount(plane.ravel(), minlength=256)
    whole = int(counts[:IGNORE].sum())
    named = {each.value: each.name for each in (*entry.classes, *result.labels.classes)}
    parts = [f"{named[value]} {share_text(int(counts[value]), whole)}" for value in sorted(named) if counts[value]]
    return ", ".join(parts) + (f" (of every {step} slices)" if step > 1 else "")


class ActionBox(QCheckBox):
    """A tick box for a checkable action of the registry."""

    def __init__(self, actions: ActionRegistry, action_id: str) -> None:
        super().__init__()
        self._action, self._declared = actions.qaction(action_id), actions.action(action_id)
        self.setObjectName(f"button.{action_id}")
        self.clicked.connect(lambda _checked: self._action.trigger())
        self._action.changed.connect(self.follow)
        self._action.triggered.connect(lambda _checked: self.follow())  # what it says was done after it changed
        self.follow()

    def follow(self) -> None:
        """Show what the action says now."""
        self.setText(self._action.text())
        self.setAccessibleName(self._action.text())
        self.setEnabled(self._action.isEnabled())
        self.setToolTip(self._action.toolTip())
        blocker = QSignalBlocker(self)
        self.setChecked(self._declared.checked is not None and self._declared.checked())
        blocker.unblock()
