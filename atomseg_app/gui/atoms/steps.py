"""The right side of the tab: the steps from calibration to export, one section each."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from atomseg_app.gui.atoms.calibrate_panel import CalibratePanel
from atomseg_app.gui.atoms.computing import Computing
from atomseg_app.gui.atoms.find_panel import FindPanel
from atomseg_app.gui.atoms.measure_panel import MeasurePanel
from atomseg_app.gui.atoms.model import AtomsModel
from atomseg_app.gui.atoms.overlay import Overlay
from atomseg_app.gui.atoms.physics import Physics
from atomseg_app.gui.atoms.show_panel import ShowPanel
from atomseg_app.gui.context import Context
from atomseg_app.gui.sections import ActionButton, Section, StepColumn, muted


@dataclass(frozen=True, eq=False)
class _Parts:
    """The panels."""

    calibrate: CalibratePanel
    find_panel: FindPanel
    show_panel: ShowPanel
    measure: MeasurePanel


class Steps(StepColumn):
    """Panels of the steps; their buttons are actions of the registry, which must have been registered."""

    def __init__(self, model: AtomsModel, context: Context, physics: Physics, parts: _Parts) -> None:
        actions = context.actions
        self.calibrate, self.find_panel, self.show_panel = parts.calibrate, parts.find_panel, parts.show_panel
        self.measure = parts.measure
        self.selection_text = muted("Nothing is selected.")
        self.calibrate_section = Section("1  Calibrate", "Give the size of a pixel, if the file does not.")
        self.calibrate_section.body.addWidget(self.calibrate)
        self.find_section = Section("2  Find", "Find the atomic columns of the image.")
        self.find_section.body.addWidget(self.find_panel)
        self.find_section.body.addWidget(ActionButton(actions.qaction("atoms.networks")))
        correct = Section("3  Correct", "Add, move and delete columns with the tools above the picture.")
        correct.body.addWidget(self.selection_text)
        self.measure_section = Section("4  Measure", "Spacings, distances, power spectrum.")
        self.measure_section.body.addWidget(self.measure)
        self.measure_section.body.addWidget(ActionButton(actions.qaction("atoms.plots")))
        show = Section("Show", "How the columns are drawn.")
        show.body.addWidget(self.show_panel)
        export = Section("7  Export", "Take tables and figures out.")
        for section, action_ids in (
            (correct, ("atoms.refit", "atoms.delete_selected")),
            (
                export,
                ("atoms.export_table", "atoms.export_figure", "atoms.export_plot", "atoms.copy_table", "atoms.batch"),
            ),
        ):
            for action_id in action_ids:
                section.body.addWidget(ActionButton(actions.qaction(action_id)))
        super().__init__(
            "Steps",
            [self.calibrate_section, self.find_section, correct, show, self.measure_section, *physics.sections, export],
        )
        self._model = model
        model.selection_changed.connect(self._count_selected)

    @classmethod
    def make(
        cls, model: AtomsModel, computing: Computing, context: Context, physics: Physics, overlay: Overlay
    ) -> Generator[None, None, Steps]:
        """The steps; what a form costs is spread, so that nobody waits for all of them at once."""
        actions = context.actions
        calibrate = CalibratePanel(model, actions.qaction("atoms.tool_calibrate"))
        find_panel = FindPanel(model, computing, context.settings, actions.qaction("atoms.find"))
        yield
        show_panel = ShowPanel()
        physics.build(show_panel, overlay)
        yield
        measure = MeasurePanel(actions.qaction("atoms.tool_distance"), actions.qaction("image.fft"))
        return cls(model, context, physics, _Parts(calibrate, find_panel, show_panel, measure))

    def _count_selected(self) -> None:
        count = len(self._model.selection)
        words = "Nothing is selected." if not count else f"{count:,} column{' is' if count == 1 else 's are'} selected."
        self.selection_text.setText(words)
