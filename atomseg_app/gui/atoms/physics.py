"""From columns to physics in the window: the steps that measure, what their results show, and the plot."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QFileDialog, QSplitter, QWidget

from atomseg_app.data import Data
from atomseg_app.gui.actions import Action
from atomseg_app.gui.atoms.export import EXPORT_FOLDER, FIGURE_DPI
from atomseg_app.gui.atoms.measuring import INTENSITY_OPERATIONS, LATTICE_OPERATIONS, SHOWN, Measuring
from atomseg_app.gui.atoms.model import AtomsModel
from atomseg_app.gui.atoms.operations_panel import OperationsPanel
from atomseg_app.gui.atoms.overlay import Overlay
from atomseg_app.gui.atoms.plot_panel import PlotPanel
from atomseg_app.gui.atoms.show_panel import ShowPanel
from atomseg_app.gui.context import Context
from atomseg_app.gui.sections import Section
from atomseg_app.operations import Operation

_ICONS = {
    "measure-lattice": "mdi6.grid", "measure-strain": "mdi6.arrow-expand",
    "measure-polarisation": "mdi6.arrow-top-right-thick", "gpa": "mdi6.waveform",
    "measure-intensities": "mdi6.sigma", "count-atoms": "mdi6.counter", "find-defects": "mdi6.alert-rhombus-outline",
}  # fmt: skip
_SHORTCUTS = {
    "measure-lattice": "F6", "measure-strain": "F7", "measure-polarisation": "F8", "find-defects": "F9",
}  # fmt: skip
_PLOT_FILTERS = {"PNG (*.png)": ".png", "TIFF (*.tif)": ".tif"}


class Physics(QObject):
    """Owns :attr:`measuring`, and, once built, the panels; :attr:`plots` once it was asked for."""

    def __init__(self, context: Context, model: AtomsModel) -> None:
        super().__init__()
        self._context, self._model = context, model
        self.measuring = Measuring(context, model)
        self.panels: tuple[OperationsPanel, ...] = ()
        self.sections: tuple[Section, ...] = ()
        self.plots_shown = False
        self.plots: PlotPanel | None = None
        self._show: ShowPanel

    # -- the tab's side

    def actions(self) -> list[Action]:
        """An action for each operation, and those of the plot."""
        groups = (("lattice", LATTICE_OPERATIONS), ("intensity", INTENSITY_OPERATIONS))
        return [
            *(self._action(operation, section) for section, operations in groups for operation in operations),
            Action("atoms.plots", "Plot of the columns", self.show_plots,
                   "A histogram of any quantity, or one against another, below the picture; select in either.",
                   "Measure", "Ctrl+Shift+H", "mdi6.chart-scatter-plot", self._no_columns_to_plot, checkable=True,
                   checked=lambda: self.plots_shown, section="plots"),
            Action("atoms.export_plot", "Export plot…", self.ask_plot, "Write the plot as PNG or TIFF, black on white.",
                   "File/Export", "", "mdi6.image-outline", self._no_plot, section="export"),
        ]  # fmt: skip

    def build(self, show: ShowPanel, overlay: Overlay) -> None:
        """Make the panels, after the actions have been registered."""
        actions = self._context.actions
        self._show = show
        titles = (
            ("5  Lattice and strain", "Lattice, strain and polar shifts of the columns, geometric phase of the image.",
             LATTICE_OPERATIONS),
            ("6  Intensities and defects", "Intensities, numbers of atoms, and what does not belong to the crystal.",
             INTENSITY_OPERATIONS),
        )  # fmt: skip
        for title, tip, operations in titles:
            panel = OperationsPanel(title.split("  ")[1], operations, self._model, self.measuring, actions)
            section = Section(title, tip, folded=True)
            section.body.addWidget(panel)
            self.panels += (panel,)
            self.sections += (section,)
        show.changed.connect(overlay.set_style)
        overlay.coloured.connect(show.show_colouring)
        model = self._model
        for signal in (model.current_changed, model.frame_changed, model.columns_changed, model.calibration_changed):
            signal.connect(self._offer)
        self.measuring.changed.connect(actions.refresh)
        self.measuring.measured.connect(self._show_result)
        self._offer()

    def below(self, view: QWidget) -> QSplitter:
        """The picture, with room for the plot below it: that is made when it is asked for."""
        self._splitter = QSplitter(Qt.Orientation.Vertical)
        self._splitter.addWidget(view)
        self._splitter.setCollapsible(0, False)
        return self._splitter

    # -- what the user does

    def run(self, operation: Operation) -> None:
        """Run an operation with what its form says. Raises UserError."""
        for panel, section in zip(self.panels, self.sections, strict=True):
            if operation.name in panel.operations:
                section.unfold()
                panel.choose(operation.name)
                self.measuring.run(operation, panel.parameters(operation.name))

    def show_plots(self, shown: bool) -> None:
        """Show or hide the plot; it begins with what colours the markers."""
        self.plots_shown = shown
        if self.plots is None:
            self.plots = self._make_plots()
        self.plots.setVisible(shown)
        if shown:
            self.plots.show_quantities(self._show.style_now.quantity or "nearest", self.plots.choice.y)
            self.plots.view.setFocus()
        self._context.actions.refresh()

    def ask_plot(self) -> None:
        """Ask where, then write the plot."""
        entry = self._model.entry
        if entry is None or self.plots is None:
            return
        settings = self._context.settings
        folder = settings.get(EXPORT_FOLDER) or str(Path(entry.data.source.path or ".").parent)
        name = str(Path(folder) / f"{entry.data.source.name}_plot.png")
        chosen, kind = QFileDialog.getSaveFileName(self.plots, "Export plot", name, ";;".join(_PLOT_FILTERS))
        if chosen:
            path = Path(chosen)
            if path.suffix.lower() not in (".png", ".tif", ".tiff"):
                path = path.with_name(path.name + _PLOT_FILTERS.get(kind, ".png"))
            self.plots.write(path, settings.get(FIGURE_DPI))
            settings.set(EXPORT_FOLDER, str(path.parent))
            self._context.notify.info(f"Written: {path.name}")

    # -- inside

    def _make_plots(self) -> PlotPanel:
        actions = self._context.actions
        plots = PlotPanel(self._model, actions.qaction("atoms.export_plot"), actions.qaction("atoms.plots"))
        self._splitter.addWidget(plots)
        self._splitter.setCollapsible(1, False)
        self._splitter.setStretchFactor(0, 1)
        height = self._splitter.height()
        self._splitter.setSizes([round(0.64 * height), round(0.36 * height)])
        return plots

    def _action(self, operation: Operation, section: str) -> Action:
        return Action(
            f"atoms.{operation.name}", operation.title, partial(self.run, operation), operation.description, "Measure",
            _SHORTCUTS.get(operation.name, ""), _ICONS.get(operation.name, ""),
            partial(self.measuring.why_not, operation), section=section,
        )  # fmt: skip

    def _no_columns_to_plot(self) -> str:
        columns = self._model.columns()
        if columns is None:
            return "Open an image first."
        return "" if len(columns) or self.plots_shown else "Find columns first."

    def _no_plot(self) -> str:
        if not self.plots_shown or self.plots is None:
            return "Show the plot first."
        return "" if self.plots.can_write() else "Nothing is plotted."

    def _offer(self) -> None:
        self._show.show_columns(self._model.columns())

    def _show_result(self, name: str, result: Data) -> None:
        """Colour by what was measured, in the step Show."""
        shown = SHOWN.get(name)
        if shown is not None:
            self._show.take(shown.quantity, shown.vectors)
