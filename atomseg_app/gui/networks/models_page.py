"""The networks that can be used: a list, and the card of the one chosen, to be read."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QListWidget, QListWidgetItem, QPushButton, QTextBrowser, QVBoxLayout, QWidget

from atomseg_app.errors import UserError
from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.context import Context
from atomseg_app.gui.questions import ask
from atomseg_app.gui.rows import TwoLineDelegate
from atomseg_app.gui.sections import muted
from atomseg_app.networks.card import Model, ModelCard, broken_models, list_models
from atomseg_app.simulate.preset import told_version

_MODEL = Qt.ItemDataRole.UserRole + 10
_ORIGINS = {"bundled": "comes with the program", "yours": "yours", "file": "from a file"}
_ICONS = {"bundled": "mdi6.package-variant-closed", "yours": "mdi6.account-outline", "file": "mdi6.file-outline"}


class ModelsPage(QWidget):
    """``chosen(Model or None)`` when another model is looked at."""

    chosen = Signal(object)

    def __init__(self, context: Context, background: Background) -> None:
        super().__init__()
        self._context, self._background = context, background
        self.list = QListWidget()
        self.list.setObjectName("networks.models")
        self.list.setAccessibleName("Networks")
        self.list.setItemDelegate(TwoLineDelegate(self.list))
        self.list.setUniformItemSizes(True)
        self.list.setMinimumWidth(260)
        self.list.currentItemChanged.connect(self._show)
        self.card = QTextBrowser()
        self.card.setAccessibleName("Card of the network")
        self.card.setOpenLinks(False)
        self.problems = muted()
        self.problems.setAccessibleName("Networks that cannot be used")
        self.delete_button = QPushButton("Delete…")
        self.delete_button.setObjectName("networks.delete")
        self.delete_button.setAutoDefault(False)
        self.delete_button.clicked.connect(lambda _checked: self.delete())
        left = QVBoxLayout()
        left.addWidget(self.list, 1)
        left.addWidget(self.delete_button)
        row = QHBoxLayout()
        row.addLayout(left)
        row.addWidget(self.card, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(row, 1)
        layout.addWidget(self.problems)
        self.problems.hide()
        self._show()

    def current(self) -> Model | None:
        """The model that is looked at."""
        item = self.list.currentItem()
        found: Model | None = None if item is None else item.data(_MODEL)
        return found

    def refresh(self, choose: str = "") -> None:
        """Look for models again; show the one of a name, or the one that was shown."""
        before = self.current()
        name = choose or (before.card.name if before is not None else "")

        def look() -> tuple[list[Model], list[str]]:
            return list_models(), broken_models()

        self._background.run(look, while_alive(self, lambda found: self._fill(found[0], found[1], name)))

    def delete(self) -> None:
        """Delete the model that is looked at, after asking."""
        model = self.current()
        if model is None or model.origin != "yours":
            return
        text = f"{model.card_path.parent} will no longer hold it. This cannot be undone."
        if ask(self, self._context.theme, f"Delete {model.card.name}?", text, "Delete", "Cancel") != "Delete":
            return

        def remove() -> None:
            for path in (model.card_path, model.weights_path):
                path.unlink(missing_ok=True)

        def failed(problem: Exception) -> None:
            self._context.notify.error(f"{model.card.name} was not deleted", UserError(str(problem)))

        self._background.run(remove, while_alive(self, lambda _: self.refresh()), failed)

    def _fill(self, models: list[Model], problems: list[str], name: str) -> None:
        self.list.clear()
        for model in models:
            item = QListWidgetItem(self._context.theme.icon(_ICONS[model.origin]), model.card.name)
            item.setData(_MODEL, model)
            item.setData(TwoLineDelegate.SECOND_LINE, f"{model.card.title} · {_ORIGINS[model.origin]}")
            item.setToolTip(f"{model.card.title}\n{model.weights_path}")
            self.list.addItem(item)
            if model.card.name == name:
                self.list.setCurrentItem(item)
        if self.list.currentItem() is None and self.list.count():
            self.list.setCurrentRow(0)
        self.problems.setText("\n".join(problems))
        self.problems.setVisible(bool(problems))
        self._show()

    def _show(self) -> None:
        model = self.current()
        if model is None:
            self.card.setPlainText("No network is installed. Train one, or put its two files into the models folder.")
        else:
            self.card.setHtml(card_html(model.card))
        why_not = (
            "Choose a network first." if model is None
            else "" if model.origin == "yours" else "It comes with the program; only your own can be deleted."
        )  # fmt: skip
        self.delete_button.setEnabled(not why_not)
        self.delete_button.setToolTip(why_not or "Delete this network of yours from the disk.")
        self.chosen.emit(model)


def card_html(card: ModelCard) -> str:
    """A card as text to read."""
    training = card.training
    sigma = card.input.column_sigma_px
    adapted = [("Adapted from", training.adapted_from)] if training.adapted_from else []
    parts = [
        f"<h2>{escape(card.title)}</h2>",
        _table(
            [("Name", card.name), ("Made on", f"{card.created:%Y-%m-%d}"), ("Licence", card.licence),
             ("Network", f"{card.architecture.name}, {card.parameters:,} numbers"),
             ("Column widths", "any" if sigma is None else f"{sigma[0]:g} to {sigma[1]:g} px (rms)"),
             ("Answers", ", ".join(output.name.replace("_", " ") for output in card.outputs))]
        ),
        "<h3>Training</h3>",
        _table(
            [*adapted, ("Pictures",
              f"preset {training.preset}, simulator version {told_version(training.simulator_version)}"),
             ("Seeds", ", ".join(map(str, training.seeds))),
             ("Length", f"{training.steps:,} steps, {training.samples:,} pictures, {training.hours:.3g} h "
                        f"on {training.device}"),
             *([("In all", f"{training.samples_in_all:,} pictures, {training.hours_in_all:.3g} h, with what it began "
                           "from")] if training.samples_before else []),
             ("Converged", f"{'yes' if training.converged else 'no'}. {training.convergence_note}"),
             *([("Loss", training.losses(8))] if training.loss_curve else []),
             ("Never seen", f"{len(training.held_out)} structures: {', '.join(training.held_out)}"
              if training.held_out else "no structures were held out")]
        ),
        "<h3>Figures</h3>" if card.figures else "",
        _table((name, f"{value:.4g}" if isinstance(value, float) else value) for name, value in card.figures.items()),
        "<h3>Known limits</h3>" if card.known_limits else "",
        f"<ul>{''.join(f'<li>{escape(limit)}</li>' for limit in card.known_limits)}</ul>",
    ]  # fmt: skip
    return "".join(parts)


def _table(rows: Iterable[tuple[str, object]]) -> str:
    cells = "".join(
        f'<tr><td style="padding-right: 12px">{escape(name)}</td><td>{escape(str(value))}</td></tr>'
        for name, value in rows
    )
    return f"<table>{cells}</table>" if cells else ""
