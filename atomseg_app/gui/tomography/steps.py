"""The right side of the tab: the steps from angles to a saved volume, one section each."""

from __future__ import annotations

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


class Steps(StepColumn):
    """Panels of the steps; their buttons are actions of the registry, which must have been registered."""

    def __init__(self, model: TomoModel, computing: Computing, context: Context, volume3d: Volume3D) -> None:
        actions = context.actions
        self.angles = AnglesPanel(model, {action.id: actions.qaction(action.id) for action in actions.actions()})
        self.prepare = PreparePanel(operations_of(PREPARE), model, computing, actions)
        self.align = AlignPanel(operations_of(ALIGN), model, computing, actions)
        self.reconstruct = ReconstructPanel(operations_of(RECONSTRUCT), model, computing, actions)
        self.fill = WedgePanel(operations_of(FILL), model, computing, actions)
        self.quality = QualityPanel(operations_of(QUALITY), model, computing, actions)
        self.show3d = Show3DPanel(volume3d)
        self.saved = muted("The volume is written, never the series. Angles and alignment go with the project.")
        self.angles_section = _section(
            "1  Series and angles", "Angles of the views, tilt axis, pixel size.", self.angles
        )
        self.prepare_section = _section("2  Prepare", "Crop, bin, remove outliers and background.", self.prepare,
                                        folded=True)  # fmt: skip
        self.align_section = _section("3  Align", "Find out where each view lies, and the tilt axis.", self.align)
        self.reconstruct_section = _section("4  Reconstruct", "Compute the volume.", self.reconstruct)
        self.show_section = _section("Show in 3D", "How the volume is drawn in 3D.", self.show3d, folded=True)
        self.fill_section = _section("5  Fill the missing wedge", "Infer what the tilt range did not measure.",
                                     self.fill, folded=True)  # fmt: skip
        self.quality_section = _section("6  Quality", "How far the volume can be trusted.", self.quality, folded=True)
        self.save_section = _section("7  Save", "Write the volume, a picture or a movie.", self.saved)
        self.parts = {
            PREPARE: (self.prepare_section, self.prepare.run), ALIGN: (self.align_section, self.align.run),
            RECONSTRUCT: (self.reconstruct_section, self.reconstruct.run), FILL: (self.fill_section, self.fill.run),
            QUALITY: (self.quality_section, self.quality.run),
        }  # fmt: skip
        grid = QGridLayout()
        grid.setSpacing(6)
        for index, name in enumerate(("save_volume", "to_segmentation", "save_alignment", "export_slice", "movie")):
            grid.addWidget(ActionButton(actions.qaction(f"tomography.{name}")), index, 0)
        self.save_section.body.addLayout(grid)
        super().__init__(
            "Steps",
            [self.angles_section, self.prepare_section, self.align_section, self.reconstruct_section,
             self.fill_section, self.show_section, self.quality_section, self.save_section],
        )  # fmt: skip


def _section(title: str, tip: str, content: object, *, folded: bool = False) -> Section:
    section = Section(title, tip, folded=folded)
    section.setObjectName(f"section.tomography.{title.split()[-1].lower()}")
    section.body.addWidget(content)  # type: ignore[arg-type]
    return section
