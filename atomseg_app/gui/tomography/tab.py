"""The workspace for tomography: data left, series or volume in the middle, the steps of the work right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, cast

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QSplitter, QStackedWidget, QVBoxLayout, QWidget

from atomseg_app import places
from atomseg_app.data import Data, Image, ImageSeries, TiltSeries, Volume
from atomseg_app.gui import entry_edits
from atomseg_app.gui.canvas import Tool
from atomseg_app.gui.context import Context
from atomseg_app.gui.contrast_bar import ContrastBar
from atomseg_app.gui.questions import ask
from atomseg_app.gui.tab import Tab, TourStep
from atomseg_app.gui.tomography import edits, saved_state
from atomseg_app.gui.tomography.actions import tomography_actions
from atomseg_app.gui.tomography.computing import Computing
from atomseg_app.gui.tomography.gathering import views_of_one
from atomseg_app.gui.tomography.model import R_BY_VIEW, TILTS, Entry, TomoModel, as_series
from atomseg_app.gui.tomography.saving import Saver
from atomseg_app.gui.tomography.script import python_script
from atomseg_app.gui.tomography.series_editing import SeriesEditing
from atomseg_app.gui.tomography.showing import Showing
from atomseg_app.gui.tomography.wedge_flow import WedgeFlow
from atomseg_app.jobs.tasks import Task, TaskResult
from atomseg_app.operations import Operation

_STRIP = (
    ("tomography.show_aligned", "tomography.tool_look", "tomography.tool_shift", "tomography.tool_crop"),
    ("tomography.show_all", "tomography.show_xy", "tomography.show_3d", "tomography.compare"),
    ("tomography.fit", "tomography.zoom_in", "tomography.zoom_out"),
    ("tomography.save_volume", "tomography.export_slice"),
)
SAMPLE = "porous_particle_tilts.mrc"


class TomographyTab(Tab):
    """From a tilt series to a volume that one can trust."""

    name: ClassVar[str] = "tomography"
    title: ClassVar[str] = "Tomography"
    purpose: ClassVar[str] = "reconstruct, compare, fill the missing wedge, judge the quality."

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.model = TomoModel()
        self.computing = Computing(context, self.model)
        self.saver = Saver(context, self.computing, self)
        self.showing = Showing(self)
        self.wedge = WedgeFlow(self)
        self.editing = SeriesEditing(context, self.model, self.saver, self)
        self.aligned = False
        self.comparing = self.smooth = self.comparing_views = False
        self.part = ""
        self.tool_name = "look"

    # -- the window's side

    def register_actions(self) -> None:
        """Register the actions."""
        self.context.actions.add_all(tomography_actions(self))

    def accepts(self, item: Data) -> bool:
        """Series of images, and volumes."""
        return isinstance(item, ImageSeries | Volume)

    def prefers(self, item: Data) -> bool:
        """Tilt series and volumes belong here."""
        return isinstance(item, TiltSeries | Volume)

    def gather(self, paths: Sequence[str]) -> list[str]:
        """Images that look like the views of one series are opened as one, if the user says so."""
        found = views_of_one(paths)
        if found is None:
            return list(paths)
        pattern, count = found
        answer = ask(
            self, self.context.theme, f"Are these {count} images one tilt series?",
            f"{pattern.name} in {pattern.parent}: one view each, in the order of their numbers.",
            "One series", "One by one", "Cancel",
        )  # fmt: skip
        return {"One series": [str(pattern)], "One by one": list(paths)}.get(answer, [])

    def add_item(self, item: Data) -> None:
        """Show one more series or volume."""
        if isinstance(item, Volume):
            self.model.add(Entry(item))
        elif isinstance(item, ImageSeries):
            self.model.add(Entry(as_series(item)))
            if isinstance(item, TiltSeries) and item.alignment is None:
                self.editing.suggest_axis(asked=False)

    def is_empty(self) -> bool:
        """Whether nothing is open."""
        return not self.model.entries

    def clear(self) -> None:
        """Close everything."""
        self.model.clear()

    def save_state(self) -> tuple[dict[str, Any], list[Data]]:
        """Every series and volume, and where the user looks."""
        return saved_state.of_model(self.model)

    def restore_state(self, state: dict[str, Any], items: list[Data]) -> None:
        """Inverse of :meth:`save_state`."""
        saved_state.restore_model(self.model, state, items)

    def tour(self) -> list[TourStep]:
        """From the series to the volume."""
        steps = self.steps
        return [
            TourStep(self.data_list, "Your data", "Series and volumes that are open. Drop more files anywhere."),
            TourStep(self.middle, "The views", "The wheel turns through the views; Ctrl and wheel zooms."),
            TourStep(self.table, "Angles", "Type angles, untick bad views. Everything can be undone."),
            TourStep(steps.angles_section, "Start here", "Check the angles and the direction of the tilt axis."),
            TourStep(steps.align_section, "Align", "One press aligns; drag or arrow keys correct single views."),
            TourStep(steps.reconstruct_section, "Reconstruct", "Watch a slice form; stop early if it is good."),
            TourStep(steps.save_section, "Save", "The volume is written with its voxel size."),
        ]  # fmt: skip

    # -- step 1: angles

    def apply_scheme(self) -> None:
        """Angles by the scheme of step 1."""
        self.steps.angles_section.unfold()
        self.editing.give_angles(self.steps.angles.angles(), f"{self.steps.angles.scheme.currentText().lower()}")

    # -- step 3: alignment

    def show_aligned(self, on: bool) -> None:
        """Draw views where the alignment puts them, or as they were recorded."""
        self.aligned = on
        self.series_page.set_aligned(on)
        self.context.actions.refresh()

    def take_tool(self, name: str) -> None:
        """Make a tool the active one: ``look``, ``shift`` (views by hand), ``crop`` (draw the part to keep)."""
        self.tool_name = name
        if name == "shift":
            self.show_aligned(True)
        elif name == "crop":
            self.show_aligned(False)  # regions are of the images as they were recorded
            self.steps.prepare_section.unfold()
        projection = self.series_page.projection
        tool = self._tools[name]
        projection.canvas.set_tool(tool)
        projection.detail.setText(tool.hint)
        projection.canvas.setFocus()
        self.context.actions.refresh()

    # -- running

    def run(self, step: str, operation: Operation) -> None:
        """Run an operation of a step with the values of its form."""
        section, panel = self.steps.parts[step]
        section.unfold()
        origin = self.model.origin()
        if operation.inputs[0] == TiltSeries.kind and origin is not None:
            self.model.show_entry(origin)  # the slice that forms is seen beside its views
        panel.run(operation.name)

    # -- view

    def step_view(self, steps: int) -> None:
        """Another view."""
        self.model.show_view(self.model.view + steps)

    def fit(self) -> None:
        """The whole picture."""
        if self.model.volume() is not None:
            (self.compare_view if self.comparing else self.slices).fit()
        else:
            self.series_page.projection.canvas.fit()

    def zoom(self, factor: float) -> None:
        """Closer or farther."""
        if self.model.volume() is not None:
            (self.compare_view if self.comparing else self.slices).zoom(factor)
        else:
            self.series_page.projection.canvas.zoom(factor)

    def contrast_bar(self) -> ContrastBar:
        """Contrast of what is shown."""
        if self.model.volume() is not None:
            return self.slices.contrast_bar
        return self.series_page.projection.contrast_bar

    def set_smooth(self, on: bool) -> None:
        """Draw enlarged pixels smoothly or as squares."""
        self.smooth = on
        self.slices.set_smooth(on)
        for view in (self.series_page.projection, self.series_page.sinogram, self.series_page.preview):
            view.set_shown(smooth=on)

    def widen(self, part: str) -> None:
        """Give one part of the volume all the room."""
        self.slices.widen(part)

    def close_current(self) -> None:
        """Close what is shown."""
        if self.model.entry is not None:
            self.context.undo.push(entry_edits.CloseEntry(self.model, self.model.current_id))

    def why_no_comparison(self) -> str:
        """Why no other volume can be compared with this one."""
        if self.comparing or self.compare_view.choices():
            return ""
        return "Reconstruct or open a second volume of the same size."

    def find_unexplained(self) -> None:
        """What the volume leaves of the views of its series, and how much of each."""
        entry, entry_id, series = self.model.entry, self.model.current_id, self.model.working_series()
        if entry is None or series is None or not isinstance(entry.data, Volume):
            return
        self.steps.quality_section.unfold()

        def done(result: TaskResult) -> None:
            residual = cast(TiltSeries, result.items[0])
            now = self.model.entries.get(entry_id)
            if now is not None:
                curves = {**now.curves, R_BY_VIEW: np.array(result.value), TILTS: np.array(residual.tilt_deg)}
                left = Entry(residual, f"{now.title}, unexplained")
                self.context.undo.push(edits.CompareViews(self.model, entry_id, replace(now, curves=curves), left))

        def ended() -> None:
            self.comparing_views = False
            self.context.actions.refresh()

        self.comparing_views = True
        task = Task("unexplained", {}, (series, entry.data))
        self.computing.task(task, f"Compare {entry.title} with the views", done, ended)

    def compare(self, on: bool) -> None:
        """Show another volume beside this one."""
        self.comparing = on
        self._on_current()
        self.context.actions.refresh()

    # -- output

    def save_volume(self) -> None:
        """Write the volume that is shown."""
        entry = self.model.entry
        if entry is not None:
            self.saver.ask_volume(entry)

    def save_picture(self) -> None:
        """Write what is shown as a picture."""
        self.showing.ask_picture()

    def save_movie(self) -> None:
        """Write views or slices as a movie."""
        self.showing.ask_movie()

    def copy_python(self) -> None:
        """Copy a script that repeats what was done to what is shown."""
        entry = self.model.entry
        if entry is not None:
            QGuiApplication.clipboard().setText(python_script(entry.data, self.model.working_series()))
            self.context.notify.info("Copied a Python script.")

    def open_sample(self) -> None:
        """Open the bundled series."""
        window = self.window()
        path = places.resources_folder() / "samples" / SAMPLE
        if hasattr(window, "open_paths"):
            window.open_paths([str(path)])

    # -- inside

    def _build(self) -> Iterator[None]:
        """Views and steps, and what they hear of each other."""
        from atomseg_app.gui.tomography.angle_table import AngleTable
        from atomseg_app.gui.tomography.compare_view import CompareView
        from atomseg_app.gui.tomography.data_list import DataList
        from atomseg_app.gui.tomography.empty_page import EmptyPage
        from atomseg_app.gui.tomography.prepare_panel import CropTool
        from atomseg_app.gui.tomography.projection_view import RowTool, ShiftTool
        from atomseg_app.gui.tomography.series_page import SeriesPage
        from atomseg_app.gui.tomography.steps import Steps
        from atomseg_app.gui.tool_strip import tool_strip
        from atomseg_app.gui.volumes.slices_view import SlicesView
        from atomseg_app.gui.volumes.volume3d import Volume3D

        theme, actions = self.context.theme, self.context.actions
        self.data_list = DataList(self.model, theme)
        self.table = AngleTable(self.model)
        self.series_page = SeriesPage(self.model, theme)
        yield
        self.volume3d = Volume3D(self.model, theme)
        self.slices = SlicesView(self.model, theme, self.volume3d)
        self.compare_view = CompareView(self.model, theme)
        self.empty = EmptyPage(theme, actions.qaction("file.open"), actions.qaction("tomography.sample"))
        self.strip = tool_strip(actions, _STRIP)
        yield
        self.steps = yield from Steps.make(self.model, self.computing, self.context, self.volume3d)
        yield
        yield from self._lay_out()
        yield
        self._tools: dict[str, Tool] = {
            "look": RowTool(self.model), "shift": ShiftTool(self.editing.move_view),
            "crop": CropTool(self.model, self.steps.prepare),
        }  # fmt: skip
        self.take_tool("look")
        self._connect()
        self._on_current()

    def _lay_out(self) -> Iterator[None]:
        self.left = QSplitter(Qt.Orientation.Vertical)
        self.left.addWidget(self.data_list)
        self.left.addWidget(self.table)
        self.left.setSizes([180, 460])
        self.pages = QStackedWidget()
        for page in (self.empty, self.series_page, self.slices, self.compare_view):
            self.pages.addWidget(page)
        self.middle = QWidget()
        column = QVBoxLayout(self.middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.strip)
        column.addWidget(self.pages, 1)
        yield
        yield from self.in_columns(self.left, self.middle, self.steps, (330, 720, 320))

    def _connect(self) -> None:
        model, rows, angles = self.model, self.table.rows, self.steps.angles
        model.current_changed.connect(self._on_current)
        model.current_changed.connect(self.wedge.follow)
        for signal in (model.current_changed, model.changed, model.entries_changed, self.computing.changed):
            signal.connect(self.context.actions.refresh)
        rows.angle_edited.connect(partial(self.editing.refusing, "Angle", self.editing.set_angle))
        rows.used_edited.connect(partial(self.editing.refusing, "Views", self.editing.set_used))
        rows.shift_edited.connect(partial(self.editing.refusing, "Shift", self.editing.set_shift))
        rows.refused.connect(partial(self.context.notify.error, "Angle"))
        angles.axis_chosen.connect(self.editing.set_axis)
        angles.pixel_given.connect(self.editing.set_pixel_size)
        angles.refused.connect(partial(self.context.notify.error, "Pixel size"))
        self.computing.previewed.connect(self._on_preview)
        self.computing.changed.connect(self._on_jobs)
        self.computing.finished.connect(self._on_finished)
        self.slices.contrast_changed.connect(self.volume3d.set_contrast)
        self.slices.contrast_changed.connect(self.compare_view.set_contrast)
        self.slices.widened.connect(self._on_widened)
        self.volume3d.surface_wanted.connect(self._make_surface)

    def _on_current(self) -> None:
        """Show the page of what is shown."""
        series, volume = self.model.series(), self.model.volume()
        page: QWidget = self.empty
        if series is not None:
            page = self.series_page
        elif volume is not None:
            self.comparing = self.comparing and bool(self.compare_view.choices())
            page = self.compare_view if self.comparing else self.slices
        self.pages.setCurrentWidget(page)
        self.strip.setVisible(page is not self.empty)
        self.table.setVisible(series is not None)
        if self.tool_name != "look":
            self.take_tool("look")

    def _on_widened(self, part: str) -> None:
        self.part = part
        self.compare(False)
        self.context.actions.refresh()

    def _on_preview(self, operation: str, name: str, array: Any) -> None:
        if name == "slice":
            job = self.computing.jobs.get(operation)
            self.series_page.show_preview(array, "Slice forming" + (f": {job.message}" if job is not None else ""))

    def _on_jobs(self) -> None:
        forming = (*self.steps.reconstruct.run.operations, *self.steps.fill.run.operations)
        if not any(name in self.computing.jobs for name in forming):
            self.series_page.end_preview()

    def _on_finished(self, operation: str, entry_id: int, result: object) -> None:
        self.wedge.on_finished(operation)
        if operation in self.steps.align.run.operations and self.model.series() is not None:
            self.show_aligned(True)

    def _make_surface(self, values: Any, level: float) -> None:
        """A mesh of what is drawn in 3D, made in the compute process."""

        def done(result: TaskResult) -> None:
            vertices, faces = (cast(Image, item).values for item in result.items)
            self.volume3d.set_surface(values, vertices, faces)

        task = Task("make-surface", {"level": level}, (Volume(values, (None,) * 3),))
        self.computing.task(task, "Make a surface", done)
