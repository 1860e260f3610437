"""A button beside a field that names a model: the models for segmentation, and those in files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtWidgets import QFileDialog, QLineEdit, QMenu, QToolButton

from atomseg_app.gui.fields import Field
from atomseg_app.networks.card import Model

_ORIGINS = {"bundled": "comes with the program", "yours": "yours", "file": "from a file"}


class ModelMenu(QToolButton):
    """``empty`` is what the field means without a name; "" where it needs one."""

    def __init__(self, field: Field, empty: str = "") -> None:
        super().__init__()
        self._field, self._empty = field, empty
        self.setObjectName("button.choose_model")
        self.setText("…")
        self.setAccessibleName(f"Choose the model: {field.title}")
        self.setToolTip("Choose one of the models that are installed, or the file of one.")
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.choices = QMenu(self)
        self.setMenu(self.choices)
        field.row.addWidget(self)
        edit = field.focusProxy()
        if empty and isinstance(edit, QLineEdit):
            edit.setPlaceholderText(empty.lower())
        self.set_models([])

    def set_models(self, models: Sequence[Model]) -> None:
        """Offer these."""
        self.choices.clear()
        if self._empty:
            self.choices.addAction(self._empty, lambda: self._field.set_value(None))
        for model in models:
            card = model.card
            text = f"{card.name}: {card.title} ({_ORIGINS.get(model.origin, model.origin)})"
            self.choices.addAction(text, partial(self._field.set_value, card.name))
        if not models:
            self.choices.addAction("No model is installed yet").setEnabled(False)
        self.choices.addSeparator()
        self.choices.addAction("From a file…", self._ask)

    def _ask(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Model", "", "Models (*.json *.safetensors);;All files (*)")
        if path:
            self._field.set_value(path)
