"""The right side of the tab: from classes to exports, one section each."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class _Parts:
    """The panels."""

    classes: ClassesPanel
    train: TrainPanel
    segment: SegmentPanel
    result: ResultPanel
    errors: ErrorsPanel
    measure: MeasurePanel
    surfaces: SurfacesPanel
    show3d: Show3DPanel


class Steps(StepColumn):
    """Panels of the steps; their buttons are actions of the registry, which must have been registered."""

    def __init__(self, tab: SegmentationTab, parts: _Parts, sections: _Sections) -> None:
        actions = tab.context.actions
        (self.classes_section, self.clean_section, self.train_section, self.segment_section, self.result_section,
         self.errors_section, self.measure_section, self.show_section, self.save_section) = sections  # fmt: skip
        self.classes, self.train, self.segment, self.result = parts.classes, parts.train, parts.segment, parts.result
        self.errors, self.measure = parts.errors, parts.measure
        self.surfaces, self.show3d = parts.surfaces, parts.show3d
        super().__init__("Steps", list(sections))
        self.train.run.finished.connect(self.segment.look_for_models)
        self.train.started.connect(self._show_training)
        self.errors.changed.connect(actions.refresh)
        self.measure.measured.connect(actions.refresh)
        self.measure.chosen.connect(tab.show_particle)

    @classmethod
    def make(cls, tab: SegmentationTab) -> Generator[None, None, Steps]:
        """The steps; what a form costs is spread, so that nobody waits for all of them at once."""
        context, model, computing, actions = tab.context, tab.model, tab.computing, tab.context.actions
        train = TrainPanel(context, model)
        yield
        segment = SegmentPanel(model, computing, actions)
        yield
        measure = MeasurePanel(model, computing, context, tab.particle_table)
        yield
        parts = _Parts(
            ClassesPanel(model, context), train, segment, ResultPanel(model, context.undo, actions),
            ErrorsPanel(model, computing, actions), measure, SurfacesPanel(model, computing, tab.volume3d),
            Show3DPanel(tab.volume3d),
        )  # fmt: skip
        yield
        sections = yield from _sections(tab, parts)
        yield
        return cls(tab, parts, sections)

    def _show_training(self) -> None:
        """Its buttons, progress and curves, once there is room for them."""

        def look() -> None:
            self.ensureWidgetVisible(self.train.dice, 0, 8)
            self.ensureWidgetVisible(self.train.start_button, 0, 8)

        self.train.show_empty_curves()
        QTimer.singleShot(0, self, look)


_Sections = tuple[Section, Section, Section, Section, Section, Section, Section, Section, Section]


def _sections(tab: SegmentationTab, parts: _Parts) -> Generator[None, None, _Sections]:
    """The panels below their headings."""
    actions = tab.context.actions
    classes = _section("1  Classes and labels", "What is painted, and in which colour.", parts.classes)
    classes.body.addLayout(_buttons(tab, ("add_class", "remove_class", "between", "open_labels")))
    classes.body.addWidget(ActionBox(actions, "segmentation.preview"))
    clean = _section(
        "Tidy up labels", "Edits of the chosen class in the whole volume.",
        muted("Of the chosen class, in the whole volume:"), folded=True,
    )  # fmt: skip
    clean.body.addLayout(_buttons(tab, (*CLEANING, "clear_labels")))
    yield
    train = _section("2  Train", "A network learns from what you painted.", parts.train)
    segment = _section("3  Segment", "A network labels the whole volume.", parts.segment)
    segment.body.addWidget(muted("Without a network, to compare with:"))
    segment.body.addLayout(_buttons(tab, ("otsu", "forest")))
    yield
    result = _section("4  Result", "What is drawn over the volume.", parts.result)
    errors = _section("5  Errors", "Where the result differs from a reference.", parts.errors, folded=True)
    yield
    measure = _section("6  Measure", "Count and measure the particles.", parts.measure, folded=True)
    show = _section("Show in 3D", "How the volume is drawn in 3D.", parts.surfaces, folded=True)
    show.body.addWidget(parts.show3d)
    save = _section(
        "7  Save", "Labels, pictures, movies.",
        muted("The result that is shown is written, else what was painted."),
    )  # fmt: skip
    save.body.addLayout(_buttons(tab, ("save_labels", "save_meshes", "save_picture", "movie"), columns=1))
    return classes, clean, train, segment, result, errors, measure, show, save


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
