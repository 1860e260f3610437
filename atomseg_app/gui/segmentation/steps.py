"""The right side of the tab: from classes to exports, one section each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QGridLayout, QWidget

from atomseg_app.gui.sections import ActionButton, Section, StepColumn, muted
from atomseg_app.gui.segmentation.classes_panel import ClassesPanel
from atomseg_app.gui.segmentation.computing import CLEANING
from atomseg_app.gui.segmentation.errors_panel import ErrorsPanel
from atomseg_app.gui.segmentation.measure_panel import MeasurePanel
from atomseg_app.gui.segmentation.result_panel import ActionBox, ResultPanel
from atomseg_app.gui.segmentation.segment_panel import SegmentPanel
from atomseg_app.gui.segmentation.surfaces_panel import SurfacesPanel
from atomseg_app.gui.segmentation.train_panel import TrainPanel
from atomseg_app.gui.volumes.show3d_panel import Show3DPanel

if TYPE_CHECKING:
    from atomseg_app.gui.segmentation.tab import SegmentationTab


class Steps(StepColumn):
    """Panels of the steps; their buttons are actions of the registry, which must have been registered."""

    def __init__(self, tab: SegmentationTab) -> None:
        context, model, computing = tab.context, tab.model, tab.computing
        actions = context.actions
        self.classes = ClassesPanel(model, context)
        self.train = TrainPanel(context, model)
        self.segment = SegmentPanel(model, computing, actions)
        self.result = ResultPanel(model, context.undo, actions)
        self.errors = ErrorsPanel(model, computing, actions)
        self.measure = MeasurePanel(model, computing, context, tab.particle_table)
        self.surfaces = SurfacesPanel(model, computing, tab.volume3d)
        self.show3d = Show3DPanel(tab.volume3d)
        self.classes_section = _section("1  Classes and labels", "What is painted, and in which colour.", self.classes)
        self.classes_section.body.addLayout(_buttons(tab, ("add_class", "remove_class", "between", "open_labels")))
        self.classes_section.body.addWidget(ActionBox(actions, "segmentation.preview"))
        self.clean_section = _section(
            "Tidy up labels", "Edits of the chosen class in the whole volume.",
            muted("Of the chosen class, in the whole volume:"), folded=True,
        )  # fmt: skip
        self.clean_section.body.addLayout(_buttons(tab, (*CLEANING, "clear_labels")))
        self.train_section = _section("2  Train", "A network learns from what you painted.", self.train)
        self.segment_section = _section("3  Segment", "A network labels the whole volume.", self.segment)
        self.segment_section.body.addWidget(muted("Without a network, to compare with:"))
        self.segment_section.body.addLayout(_buttons(tab, ("otsu", "forest")))
        self.result_section = _section("4  Result", "What is drawn over the volume.", self.result)
        self.errors_section = _section(
            "5  Errors", "Where the result differs from a reference.", self.errors, folded=True
        )
        self.measure_section = _section("6  Measure", "Count and measure the particles.", self.measure, folded=True)
        self.show_section = _section("Show in 3D", "How the volume is drawn in 3D.", self.surfaces, folded=True)
        self.show_section.body.addWidget(self.show3d)
        self.save_section = _section(
            "7  Save", "Labels, pictures, movies.",
            muted("The result that is shown is written, else what was painted."),
        )  # fmt: skip
        self.save_section.body.addLayout(
            _buttons(tab, ("save_labels", "save_meshes", "save_picture", "movie"), columns=1)
        )
        super().__init__(
            "Steps",
            [self.classes_section, self.clean_section, self.train_section, self.segment_section, self.result_section,
             self.errors_section, self.measure_section, self.show_section, self.save_section],
        )  # fmt: skip
        self.train.run.finished.connect(self.segment.look_for_models)
        self.train.started.connect(self._show_training)
        self.errors.changed.connect(actions.refresh)
        self.measure.measured.connect(actions.refresh)
        self.measure.chosen.connect(tab.show_particle)

    def _show_training(self) -> None:
        """Its buttons, progress and curves, once there is room for them."""

        def look() -> None:
            self.ensureWidgetVisible(self.train.dice, 0, 8)
            self.ensureWidgetVisible(self.train.start_button, 0, 8)

        self.train.show_empty_curves()
        QTimer.singleShot(0, self, look)


def _section(title: str, tip: str, content: QWidget, *, folded: bool = False) -> Section:
    section = Section(title, tip, folded=folded)
    section.setObjectName(f"section.segmentation.{title.split()[-1].lower()}")
    section.body.addWidget(content)
    return section


def _buttons(tab: SegmentationTab, names: tuple[str, ...], columns: int = 2) -> QGridLayout:
    grid = QGridLayout()
    grid.setSpacing(6)
    for index, name in enumerate(names):
        button = ActionButton(tab.context.actions.qaction(f"segmentation.{name}"))
        grid.addWidget(button, index // columns, index % columns)
    return grid
