"""The right side of the tab: the steps from angles to a saved volume, one section each."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from PySide6.QtWidgets import QGridLayout

from atomseg_app.gui.context import Context
from atomseg_app.gui.sections import ActionButton, Section, StepColumn, muted
from atomseg_app.gui.tomography.align_panel import AlignPanel
from atomseg_app.gui.tomography.angles_panel import AnglesPanel
from atomseg_app.gui.tomography.computing import Computing
from atomseg_app.gui.tomography.model import TomoModel
from atomseg_app.gui.tomography.prepare_panel import PreparePanel
from atomseg_app.gui.tomography.quality_panel import QualityPanel
from atomseg_app.gui.tomography.reconstruct_panel import ReconstructPanel
from atomseg_app.gui.tomography.step_operations import ALIGN, FILL, PREPARE, QUALITY, RECONSTRUCT, operations_of
from atomseg_app.gui.tomography.wedge_panel import WedgePanel
from atomseg_app.gui.volumes.show3d_panel import Show3DPanel
from atomseg_app.gui.volumes.volume3d import Volume3D


@dataclass(frozen=True, eq=False)
class _Parts:
    """The panels."""

    angles: AnglesPanel
    prepare: PreparePanel
    align: AlignPanel
    reconstruct: ReconstructPanel
    fill: WedgePanel
    quality: QualityPanel
    show3d: Show3DPanel


class Steps(StepColumn):
    """Panels of the steps; their buttons are actions of the registry, which must have been registered."""

    def __init__(self, parts: _Parts, sections: _Sections) -> None:
        (self.angles_section, self.prepare_section, self.align_section, self.reconstruct_section, self.fill_section,
         self.show_section, self.quality_section, self.save_section) = sections  # fmt: skip
        self.angles, self.prepare, self.align = parts.angles, parts.prepare, parts.align
        self.reconstruct, self.fill, self.quality = parts.reconstruct, parts.fill, parts.quality
        self.show3d = parts.show3d
        self.parts = {
            PREPARE: (self.prepare_section, self.prepare.run), ALIGN: (self.align_section, self.align.run),
            RECONSTRUCT: (self.reconstruct_section, self.reconstruct.run), FILL: (self.fill_section, self.fill.run),
            QUALITY: (self.quality_section, self.quality.run),
        }  # fmt: skip
        super().__init__("Steps", list(sections))

    @classmethod
    def make(
        cls, model: TomoModel, computing: Computing, context: Context, volume3d: Volume3D
    ) -> Generator[None, None, Steps]:
        """The steps; what a form costs is spread, so that nobody waits for all of them at once."""
        actions = context.actions
        prepare = PreparePanel(operations_of(PREPARE), model, computing, actions)
        yield
        align = AlignPanel(operations_of(ALIGN), model, computing, actions)
        yield
        reconstruct = ReconstructPanel(operations_of(RECONSTRUCT), model, computing, actions)
        yield
        fill = WedgePanel(operations_of(FILL), model, computing, actions)
        yield
        parts = _Parts(
            AnglesPanel(model, {action.id: actions.qaction(action.id) for action in actions.actions()}), prepare, align,
            reconstruct, fill, QualityPanel(operations_of(QUALITY), model, computing, actions), Show3DPanel(volume3d),
        )  # fmt: skip
        yield
        sections = yield from _sections(context, parts)
        yield
        return cls(parts, sections)


_Sections = tuple[Section, Section, Section, Section, Section, Section, Section, Section]


def _sections(context: Context, parts: _Parts) -> Generator[None, None, _Sections]:
    """The panels below their headings."""
    actions = context.actions
    saved = muted("The volume is written, never the series. Angles and alignment go with the project.")
    angles = _section("1  Series and angles", "Angles of the views, tilt axis, pixel size.", parts.angles)
    prepare = _section("2  Prepare", "Crop, bin, remove outliers and background.", parts.prepare,
                                    folded=True)  # fmt: skip
    yield
    align = _section("3  Align", "Find out where each view lies, and the tilt axis.", parts.align)
    reconstruct = _section("4  Reconstruct", "Compute the volume.", parts.reconstruct)
    yield
    show = _section("Show in 3D", "How the volume is drawn in 3D.", parts.show3d, folded=True)
    fill = _section("5  Fill the missing wedge", "Infer what the tilt range did not measure.",
                                 parts.fill, folded=True)  # fmt: skip
    yield
    quality = _section("6  Quality", "How far the volume can be trusted.", parts.quality, folded=True)
    save = _section("7  Save", "Write the volume, a picture or a movie.", saved)
    grid = QGridLayout()
    grid.setSpacing(6)
    for index, name in enumerate(("save_volume", "to_segmentation", "save_alignment", "export_slice", "movie")):
        grid.addWidget(ActionButton(actions.qaction(f"tomography.{name}")), index, 0)
    save.body.addLayout(grid)
    return angles, prepare, align, reconstruct, fill, show, quality, save


def _section(title: str, tip: str, content: object, *, folded: bool = False) -> Section:
    section = Section(title, tip, folded=folded)
    section.setObjectName(f"section.tomography.{title.split()[-1].lower()}")
    section.body.addWidget(content)  # type: ignore[arg-type]
    return section
