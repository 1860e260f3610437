"""The workspace for 3D segmentation: volumes left, slices with labels in the middle, the steps of the work right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSplitter, QStackedWidget, QVBoxLayout, QWidget

from atomseg_app.data import Data, Labels, Volume
from atomseg_app.errors import UserError
from atomseg_app.gui.context import Context
from atomseg_app.gui.contrast import Contrast
from atomseg_app.gui.entry_edits import CloseEntry
from atomseg_app.gui.segmentation import edits, saved_state
from atomseg_app.gui.segmentation.actions import segmentation_actions
from atomseg_app.gui.segmentation.computing import Computing
from atomseg_app.gui.segmentation.files import Files
from atomseg_app.gui.segmentation.judging import Judging
from atomseg_app.gui.segmentation.model import Entry, Result, SegModel
from atomseg_app.gui.segmentation.painter import Painter
from atomseg_app.gui.segmentation.starting import Starting
from atomseg_app.gui.tab import Tab, TourStep
from atomseg_app.gui.volumes.model import SHOWN_AS
from atomseg_app.jobs.tasks import Task, TaskResult
from atomseg_app.label_classes import IGNORE
from atomseg_app.operations import Operation

_STRIP = (
    ("segmentation.tool_look", "segmentation.tool_brush", "segmentation.tool_eraser", "segmentation.tool_threshold",
     "segmentation.tool_fill", "segmentation.tool_polygon", "segmentation.tool_lasso", "segmentation.tool_ball"),
    ("segmentation.tool_grow", "segmentation.tool_pick"),
    ("segmentation.show_painted", "segmentation.show_uncertainty", "segmentation.show_errors"),
    ("segmentation.show_all", "segmentation.show_xy", "segmentation.show_3d"),
    ("segmentation.fit",),
)  # fmt: skip


BASELINES = {"otsu": "Otsu thresholds", "forest": "Random forest"}
"""Segmentations without a network, which every network should beat."""


class SegmentationTab(Tab):
    """From a tomogram and a few painted slices to measured particles."""

    name: ClassVar[str] = "segmentation"
    title: ClassVar[str] = "3D segmentation"
    purpose: ClassVar[str] = "label every voxel, by hand or by a network, and measure the particles."

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.model = SegModel()
        self.painter = Painter(self.model, context.undo, context.notify.info)
        self.computing = Computing(context, self.model, self.painter)
        self.files = Files(self)
        self.judging = Judging(self)
        self.starting = Starting(self)
        self.tool_name = "look"
        self.part = ""
        self._ranged: Volume | None = None

    # -- the window's side

    def register_actions(self) -> None:
        """Register the actions."""
        self.context.actions.add_all(segmentation_actions(self))

    def accepts(self, item: Data) -> bool:
        """Volumes, and labels of one."""
        return isinstance(item, Volume | Labels)

    def prefers(self, item: Data) -> bool:
        """What it accepts, while it is in front; labels always."""
        return isinstance(item, Volume | Labels)

    def add_item(self, item: Data) -> None:
        """Show one more volume; labels become a result of the volume of their size. Raises UserError without one."""
        if isinstance(item, Volume):
            self.model.add(Entry(item, str(item.metadata.get(SHOWN_AS, ""))))
        elif isinstance(item, Labels):
            self.add_labels(item)

    def is_empty(self) -> bool:
        """Whether nothing is open."""
        return not self.model.entries

    def clear(self) -> None:
        """Close everything."""
        self.model.clear()

    def save_state(self) -> tuple[dict[str, Any], list[Data]]:
        """Volumes, what was painted on each, and their results."""
        return saved_state.of_model(self.model)

    def restore_state(self, state: dict[str, Any], items: list[Data]) -> None:
        """Inverse of :meth:`save_state`."""
        saved_state.restore_model(self.model, state, items)

    def tour(self) -> list[TourStep]:
        """From a volume to measured particles."""
        steps = self.steps
        return [
            TourStep(self.data_list, "Your volumes", "Drop a reconstructed volume anywhere."),
            TourStep(steps.segment_section, "A first answer", "A network that comes with the program: no painting."),
            TourStep(steps.classes_section, "Classes", "Choose one and paint it in a few slices; the rest is ignored."),
            TourStep(self.strip, "Tools", "Brush, lasso, fill, 3D ball, grow. Right click moves the cross-hair."),
            TourStep(steps.train_section, "Train", "Watch the curves; stop when they are flat, the best is kept."),
            TourStep(steps.result_section, "Look at it", "Where it is unsure or wrong, paint a little more there."),
        ]  # fmt: skip

    # -- tools

    def take_tool(self, name: str) -> None:
        """Take a tool into the hand."""
        self.tool_name = name
        self.toolbox.take(name)
        self.starting.prepare()
        self.brush_bar.show_tool(name, "" if name == "look" else self.toolbox.hint)
        self.context.actions.refresh()

    def step_brush(self, factor: float) -> None:
        """A larger or smaller brush."""
        self.brush_bar.step_radius(factor)

    def choose_class(self, row: int) -> None:
        """Paint with the class in a row of the list."""
        entry = self.model.entry
        if entry is not None and row < len(entry.classes):
            self.model.choose(entry.classes[row].value)

    # -- labels

    def add_labels(self, labels: Labels) -> None:
        """Labels as one more result of the volume of their shape. Raises UserError naming both shapes."""
        entry, entry_id = self.model.entry, self.model.current_id
        if entry is None:
            raise UserError("Open the volume first, then its labels.")
        fitting = [i for i, each in self.model.entries.items() if each.data.shape == labels.shape]
        if not fitting:
            theirs, ours = (" × ".join(map(str, reversed(item.shape))) for item in (labels, entry.data))
            raise UserError(f"The labels have {theirs} voxels, but the volume that is shown has {ours}.")
        if entry_id not in fitting:
            entry_id = fitting[0]
            self.model.show_entry(entry_id)
        self.add_result(entry_id, Result(labels, labels.source.name), "Open labels")

    def add_result(self, entry_id: int, result: Result, text: str) -> None:
        """One more result of an entry, shown at once."""
        entry = self.model.entries.get(entry_id)
        if entry is None:
            return
        known = {each.value for each in entry.classes}
        new = tuple(each for each in result.labels.classes if each.value not in known)
        names = {each.name for each in entry.classes}
        new = tuple(each if each.name not in names else replace(each, name=f"{each.name} {each.value}") for each in new)
        after = edits.with_result(replace(entry, classes=tuple(sorted((*entry.classes, *new), key=lambda c: c.value))),
                                  result)  # fmt: skip
        self.context.undo.push(edits.ChangeEntry(self.model, entry_id, text, after, edits.cost_of(result)))
        if entry_id == self.model.current_id:
            self.preview.switch(False)  # it would cover the result
            self.model.show(result=len(after.results) - 1)

    # -- running

    def run(self, operation: Operation) -> None:
        """Run an operation on the volume that is shown with the values of its form."""
        self.steps.segment_section.unfold()
        entry, entry_id = self.model.entry, self.model.current_id
        if entry is None:
            raise UserError("Nothing is open; open a volume first.")
        parameters = self.steps.segment.parameters(operation.name)

        def done(result: TaskResult) -> None:
            labels, *beside = result.items
            names = dict(zip(result.value or (), beside, strict=True))
            assert isinstance(labels, Labels)
            of_classes = {each.value: names.get(f"probability_{each.value}") for each in labels.classes}
            kept = {value: item for value, item in of_classes.items() if isinstance(item, Volume)}
            made = Result(labels, str(getattr(parameters, "model", operation.title)), names.get("entropy"), kept)
            self.add_result(entry_id, made, operation.title)
            for note in labels.history[-1].notes if labels.history else ():
                self.context.notify.info(note)

        self.computing.submit(operation, parameters, (entry.data,), f"{operation.title}: {entry.title}", done)

    def why_not_train(self) -> str:
        """Why no network can be trained now."""
        return self.steps.train.why_not() if self.built else ""

    def why_not_shown(self, layer: str) -> str:
        """Why a layer over the result cannot be drawn."""
        result = self.model.result()
        if layer == "uncertainty" and result is not None and result.uncertainty is None:
            return "Segment with Uncertainty switched on; this result has none."
        if layer == "probability" and (result is None or self.model.shown.probability not in result.probabilities):
            return "Segment with Probabilities switched on, and show that of a class."
        if layer == "errors" and self.model.reference() is None:
            return "Paint some labels, or open others of this volume, to compare with."
        return ""

    def set_preview(self, on: bool) -> None:
        """Guess the slice that is shown from what was painted, again and again, or no longer."""
        self.preview.switch(on)

    def why_no_preview(self) -> str:
        """Why nothing can be guessed."""
        return "" if not self.built or self.preview.on else self.preview.why_not()

    def run_baseline(self, how: str) -> None:
        """Segment without a network, to see what that gives: by thresholds, or by a random forest."""
        entry, entry_id = self.model.entry, self.model.current_id
        if entry is None:
            raise UserError("Nothing is open; open a volume first.")
        named = Labels(np.full((1, 1, 1), IGNORE, np.uint8), classes=entry.classes)
        labels = named if how == "otsu" else entry.annotation() or named
        title = BASELINES[how]

        def done(result: TaskResult) -> None:
            found = result.items[0]
            assert isinstance(found, Labels)
            self.add_result(entry_id, Result(found, title), title)

        self.computing.task(Task("baseline-labels", {"how": how}, (entry.data, labels)), title, done)

    def measure(self) -> None:
        """Measure the particles of the result that is shown, else of what was painted."""
        self.steps.measure_section.unfold()
        self.steps.measure.start(self.files.labels())

    def why_not_measure(self) -> str:
        """Why nothing can be measured now."""
        return self.steps.measure.why_not() if self.built else ""

    def show_particle(self, number: int) -> None:
        """Mark a particle in the slices, 0 for none."""
        particles = self.steps.measure.particles if self.built else None
        self.overlays.mark(None if particles is None else particles.instances, number)

    def why_no_error(self) -> str:
        """Why there is no next error."""
        return self.steps.errors.why_not() if self.built else "Show the errors first."

    # -- view

    def widen(self, part: str) -> None:
        """Give one part all the room."""
        self.slices.widen(part)

    def fit(self) -> None:
        """The whole slices."""
        self.slices.fit()

    def zoom(self, factor: float) -> None:
        """Closer or farther."""
        self.slices.zoom(factor)

    def close_current(self) -> None:
        """Close the volume that is shown."""
        entry = self.model.entry
        if entry is not None:
            painted = 0 if entry.store is None else entry.store.cost_bytes
            cost = int(entry.data.values.nbytes) + painted + sum(edits.cost_of(each) for each in entry.results)
            self.context.undo.push(CloseEntry(self.model, self.model.current_id, "", cost))

    # -- inside

    def _build(self) -> Iterator[None]:
        """Views and steps, and what they hear of each other."""
        from atomseg_app.gui.segmentation.brush_bar import BrushBar
        from atomseg_app.gui.segmentation.data_list import DataList
        from atomseg_app.gui.segmentation.empty_page import EmptyPage
        from atomseg_app.gui.segmentation.overlay import Overlays
        from atomseg_app.gui.segmentation.particle_table import ParticleTable
        from atomseg_app.gui.segmentation.preview import Preview
        from atomseg_app.gui.segmentation.steps import Steps
        from atomseg_app.gui.segmentation.toolbox import Toolbox
        from atomseg_app.gui.tool_strip import tool_strip
        from atomseg_app.gui.volumes.slices_view import SlicesView
        from atomseg_app.gui.volumes.volume3d import Volume3D

        theme, actions = self.context.theme, self.context.actions
        self.data_list = DataList(self.model, theme)
        self.volume3d = Volume3D(self.model, theme)
        yield
        self.slices = SlicesView(self.model, theme, self.volume3d)
        self.overlays = Overlays(self.model, self.slices)
        self.toolbox = Toolbox(
            self.model, self.painter, self.slices, partial(self._seeded, self.computing.grow),
            partial(self._seeded, self.computing.pick),
        )  # fmt: skip
        self.brush_bar = BrushBar(self.model, self.painter)
        self.particle_table = ParticleTable()
        self.preview = Preview(self.model, self.computing, self.overlays)
        yield
        self.steps = yield from Steps.make(self)
        yield
        yield from self._lay_out(EmptyPage(theme, actions.qaction("file.open")), tool_strip(actions, _STRIP))
        yield
        self._connect()
        self.take_tool("look")
        self._on_current()

    def _lay_out(self, empty: QWidget, strip: QWidget) -> Iterator[None]:
        self.empty, self.strip = empty, strip
        self.left = QSplitter(Qt.Orientation.Vertical)
        self.left.addWidget(self.data_list)
        self.left.addWidget(self.particle_table)
        self.left.setSizes([200, 420])
        self.pages = QStackedWidget()
        work = QWidget()
        column = QVBoxLayout(work)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        for widget in (self.strip, self.brush_bar):
            column.addWidget(widget)
        column.addWidget(self.slices, 1)
        self.work = work
        for page in (self.empty, work):
            self.pages.addWidget(page)
        yield
        yield from self.in_columns(self.left, self.pages, self.steps, (270, 760, 340))

    def _connect(self) -> None:
        model = self.model
        model.current_changed.connect(self._on_current)
        for signal in (
            model.current_changed, model.layers_changed, model.entries_changed, self.computing.changed,
            self.context.undo.changed,
        ):  # fmt: skip
            signal.connect(self.context.actions.refresh)
        self.preview.changed.connect(self.context.actions.refresh)
        self.slices.contrast_changed.connect(self.volume3d.set_contrast)
        self.slices.contrast_changed.connect(self._on_contrast)
        self.slices.widened.connect(self._on_widened)
        self.volume3d.surface_wanted.connect(
            lambda values, level: self.computing.make_surface(
                values, level, lambda vertices, faces: self.volume3d.set_surface(values, vertices, faces)
            )
        )

    def _on_current(self) -> None:
        self.pages.setCurrentWidget(self.empty if self.model.volume() is None else self.work)
        self.starting.prepare()

    def _on_widened(self, part: str) -> None:
        self.part = part
        self.context.actions.refresh()

    def _on_contrast(self, contrast: Contrast) -> None:
        """The range of the threshold brush begins as the brighter half of another volume."""
        if self.model.volume() is not self._ranged:
            self._ranged, middle = self.model.volume(), 0.5 * (contrast.low + contrast.high)
            self.painter.set_brush(replace(self.painter.brush, low=middle, high=contrast.high))

    def _seeded(self, compute: Any, seed: tuple[int, int, int]) -> None:
        try:
            compute(seed)
        except UserError as problem:
            self.context.notify.info(str(problem))
