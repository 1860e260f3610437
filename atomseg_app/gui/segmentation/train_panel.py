"""Train a network on what was painted: what to train, its curves, stop, pause, discard, continue."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QVBoxLayout

from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.context import Context
from atomseg_app.gui.fields import ChoiceField
from atomseg_app.gui.networks.train_page import TrainPage
from atomseg_app.gui.segmentation.dice_curves import DiceCurves
from atomseg_app.gui.segmentation.model import SegModel
from atomseg_app.gui.segmentation.model_menu import ModelMenu
from atomseg_app.gui.segmentation.training_run import SegmentationRun
from atomseg_app.label_classes import IGNORE
from atomseg_app.networks.card import Model, list_models
from atomseg_app.networks.training_log import Entry
from atomseg_app.segmentation.settings import LASTING, TITLES

_SHORTEST = 14  # letters of a name that a narrow panel shows


class TrainPanel(TrainPage):
    """The panel of the tab. A model whose network is another than the one chosen cannot be begun from.

    ``started`` when a training began, whose curves are wanted in view.
    """

    started = Signal()

    lasting: ClassVar[tuple[str, ...]] = LASTING
    begin: ClassVar[str] = "Train"
    idle: ClassVar[str] = "Paint each class in a few slices, then train. A first answer takes minutes."

    def __init__(self, context: Context, model: SegModel) -> None:
        self._volumes = model
        self._models: list[Model] = []
        self._looking = Background()
        self.dice = DiceCurves()
        run = SegmentationRun(context, self._looking, context.jobs, model)
        super().__init__(context, run, minutes=5.0)
        self.run.setParent(self)
        self._reason = self.why_not_start()
        for signal in (model.current_changed, model.layers_changed, model.painted):
            signal.connect(self._on_labels)
        self._name_choices()
        self._begin_from = ModelMenu(self.form.fields["start_from"], "Random weights")
        self.look_for_models()
        self.run.finished.connect(lambda _name: self.look_for_models())
        self.run.look()

    def why_not(self) -> str:
        """Why no training can be started now."""
        return "A network is being trained." if self.run.running else self.why_not_start()

    def why_not_start(self) -> str:
        """Why the volume that is shown can teach nothing yet."""
        entry = self._volumes.entry
        if entry is None:
            return "Open a volume first."
        known = 0 if entry.store is None else int(np.count_nonzero(entry.store.counts[:IGNORE]))
        return "" if known > 1 else "Paint at least two classes in some slices first: that is what it learns from."

    def look_for_models(self) -> None:
        """Offer the models that are there as a beginning."""
        self._looking.run(lambda: list_models("segmentation"), while_alive(self, self._take_models))

    def start(self) -> None:
        """Start with a name that is free, unless the user typed one."""
        if not self.chosen():
            name = self.form.fields["name"]
            name.set_value(free_name(str(name.value()), [model.card.name for model in self._models]))
        super().start()
        if self.run.running:
            self.started.emit()

    def _on_labels(self, _box: object = None) -> None:
        """The button follows what is painted; nothing else does, and strokes come fast."""
        reason = self.why_not_start()
        if reason != self._reason:
            self._reason = reason
            self.refresh()

    def _take_models(self, models: list[Model]) -> None:
        self._models = models
        self._begin_from.set_models(models)

    def _name_choices(self) -> None:
        """Names of networks in words."""
        field = self.form.fields["architecture"]
        if isinstance(field, ChoiceField):
            field.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            field.box.setMinimumContentsLength(_SHORTEST)
            for index in range(field.box.count()):
                field.box.setItemText(index, TITLES.get(field.box.itemData(index), field.box.itemText(index)))
            field.box.view().setMinimumWidth(
                field.box.fontMetrics().horizontalAdvance(max(TITLES.values(), key=len)) + 40
            )

    def _show_log(self, entries: list[Entry]) -> None:
        entry = self._volumes.entry
        colours = {} if entry is None else {each.name: each.colour for each in entry.classes}
        self.dice.show_log(entries, colours)
        if entries:
            self.dice.show_steps(entries[-1]["step"])
        self._show_curves(bool(entries) or self.run.running)
        super()._show_log(entries)

    def show_empty_curves(self) -> None:
        """Curves of a training that has not told anything yet."""
        self.dice.show_log([], {})
        self._show_curves(True)

    def _show_curves(self, shown: bool) -> None:
        self.curves.setVisible(shown)
        self.dice.setVisible(shown)

    def _arrange(self) -> None:
        grid = QGridLayout()
        grid.setSpacing(6)
        grid.addWidget(self.start_button, 0, 0)
        grid.addWidget(self.stop_button, 0, 1)
        grid.addWidget(self.pause_button, 1, 0)
        grid.addWidget(self.discard_button, 1, 1)
        self.curves.setFixedHeight(150)
        self.dice.setFixedHeight(170)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for widget in (self.runs, self.form):
            layout.addWidget(widget)
        layout.addLayout(grid)
        for shown in (self.bar, self.state, self.curves, self.dice):
            layout.addWidget(shown)
        self._show_curves(False)


def free_name(wished: str, taken: list[str]) -> str:
    """A name that no model has: the wished one, or with a number."""
    name, count = wished, 2
    while name in taken:
        name, count = f"{wished}-{count}", count + 1
    return name
