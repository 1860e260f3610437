"""Segment the whole volume by a model: which one, how thoroughly, and what came out."""

from __future__ import annotations

from atomseg_app.gui.actions import ActionRegistry
from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.forms import ParameterForm
from atomseg_app.gui.run_panel import RunPanel
from atomseg_app.gui.segmentation.actions import WORKSPACE
from atomseg_app.gui.segmentation.computing import Computing
from atomseg_app.gui.segmentation.model import SegModel
from atomseg_app.gui.segmentation.model_menu import ModelMenu
from atomseg_app.networks.card import Model, list_models
from atomseg_app.operations import Operation
from atomseg_app.segmentation.operations import SEGMENT


class SegmentPanel(RunPanel):
    """The form of the operation; uncertainty is asked for from the start, since it says where to paint next."""

    def __init__(self, model: SegModel, computing: Computing, actions: ActionRegistry) -> None:
        self._looking = Background()
        self._menu: ModelMenu | None = None
        self._models: list[Model] = []
        super().__init__(
            WORKSPACE, "Segment", (SEGMENT,), computing, actions,
            signals=(model.current_changed, model.changed, model.layers_changed),
        )  # fmt: skip
        self.look_for_models()

    def look_for_models(self, choose: str = "") -> None:
        """Offer the models that are there; take one."""
        self._looking.run(lambda: list_models("segmentation"), while_alive(self, self._take_models))
        if choose:
            self.form(SEGMENT.name).fields["model"].set_value(choose)

    def _take_models(self, models: list[Model]) -> None:
        self._models = models
        if self._menu is not None:
            self._menu.set_models(models)
        form = self.form(SEGMENT.name)
        names = [model.card.name for model in models]
        field = form.fields["model"]
        if names and field.value() == field.default and field.default not in names:
            field.set_value(names[0])

    def _form_of(self, operation: Operation) -> ParameterForm:
        form = super()._form_of(operation)
        form.set_values({"uncertainty": True})
        self._menu = ModelMenu(form.fields["model"])
        self._menu.set_models(self._models)
        return form
