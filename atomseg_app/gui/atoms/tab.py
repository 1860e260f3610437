"""The workspace for atomic columns in 2D images: data left, picture in the middle, the steps of the work right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtGui import QGuiApplication, QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QMenu, QSplitter, QVBoxLayout, QWidget

from atomseg_app.data import Columns, Data, Image, ImageSeries, Volume
from atomseg_app.errors import UserError
from atomseg_app.gui.atoms import edits, saved_state
from atomseg_app.gui.atoms.actions import atoms_actions
from atomseg_app.gui.atoms.computing import Computing
from atomseg_app.gui.atoms.export import Exporter
from atomseg_app.gui.atoms.model import AtomsModel, new_entry
from atomseg_app.gui.atoms.overlay import Overlay
from atomseg_app.gui.atoms.physics import Physics
from atomseg_app.gui.atoms.toolbox import Toolbox
from atomseg_app.gui.canvas import Pointer
from atomseg_app.gui.context import Context
from atomseg_app.gui.image_layer import visible_window
from atomseg_app.gui.image_view import ImageView
from atomseg_app.gui.tab import Tab, TourStep

if TYPE_CHECKING:
    from atomseg_app.gui.atoms.batch_dialog import BatchDialog
    from atomseg_app.gui.networks.dialog import NetworksDialog

NOT_CALIBRATED = "The pixel size of this image is not known: lengths are shown in px until you give it."
_FFT_DELAY_MS = 250
_STRIP = (
    ("atoms.tool_select", "atoms.tool_add", "atoms.tool_delete", "atoms.tool_lasso"),
    ("atoms.tool_region", "atoms.tool_distance", "atoms.tool_calibrate"),
    ("image.fit", "image.one_to_one", "image.zoom_in", "image.zoom_out"),
)


class AtomsTab(Tab):
    """Find, correct, measure and export atomic columns."""

    name: ClassVar[str] = "atoms"
    title: ClassVar[str] = "2D atoms"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.model = AtomsModel()
        self.computing = Computing(context, self.model)
        self.physics = Physics(context, self.model)
        self.view = ImageView(context.theme)
        self.view.setParent(self)  # until it is laid out
        self.overlay = Overlay(self.view, self.model)
        self.exporter = Exporter(context, self.view, self)
        self.batch: BatchDialog | None = None
        self.networks: NetworksDialog | None = None
        self.fft_on = False
        self._asked: set[int] = set()
        self.toolbox = Toolbox(self.view, self.model, self.overlay.markers, self.computing, self._fit_parameters)
        self._fft_timer = QTimer(self, singleShot=True, interval=_FFT_DELAY_MS)
        self._fft_timer.timeout.connect(self._update_fft)

    # -- the window's side

    def register_actions(self) -> None:
        """Register the actions."""
        self.context.actions.add_all([*atoms_actions(self), *self.physics.actions()])

    def accepts(self, item: Data) -> bool:
        """Images, series, volumes (slice by slice), and tables of columns for an image that is open."""
        return isinstance(item, Image | ImageSeries | Volume | Columns)

    def add_item(self, item: Data) -> None:
        """Show one more image, or a table on the image it belongs to. Raises UserError for a table without image."""
        if isinstance(item, Columns):
            self._attach(item)
            return
        assert isinstance(item, Image | ImageSeries | Volume)
        self.model.add(new_entry(item))

    def is_empty(self) -> bool:
        """Whether no image is open."""
        return not self.model.entries

    def clear(self) -> None:
        """Close everything."""
        self.model.clear()
        self._asked.clear()

    def save_state(self) -> tuple[dict[str, Any], list[Data]]:
        """Every image followed by its columns; and how they are shown."""
        state, items = saved_state.of_model(self.model)
        return {**state, "markers": saved_state.of_style(self.overlay.markers.style)}, items

    def restore_state(self, state: dict[str, Any], items: list[Data]) -> None:
        """Inverse of :meth:`save_state`; columns whose image is missing are left out."""
        saved_state.restore_model(self.model, state, items)
        style = saved_state.to_style(state.get("markers", {}))
        self.steps.show_panel.show_style(style)
        self.overlay.set_style(style)

    def tour(self) -> list[TourStep]:
        """From the file to the table."""
        return [
            TourStep(self.data_list, "Your images", "Images and series that are open. Drop more files anywhere."),
            TourStep(self.view.canvas, "The picture", "The wheel zooms; hold Space, or use the middle button, to pan."),
            TourStep(self.view.contrast_bar, "Contrast", "Drag the limits in the histogram, or press Auto."),
            TourStep(
                self.steps.find_panel.button,
                "Find columns",
                "Finds every column and fits its position, with an error bar.",
            ),
            TourStep(self.tool_strip, "Correct", "Add, move, delete or lasso columns. Every step can be undone."),
            TourStep(self.steps.measure, "Measure", "Spacings, distances with errors, and the power spectrum."),
            TourStep(self.table, "The table", "Rows and markers are selected together. Export it as CSV."),
        ]

    # -- actions

    def find_columns(self) -> None:
        """Find the columns of the image that is shown."""
        self.steps.find_section.unfold()
        self.computing.find(self.steps.find_panel.parameters())

    def refit(self) -> None:
        """Fit the selected columns again, or all."""
        columns = self.model.columns()
        if columns is not None:
            ids = self.model.selection if len(self.model.selection) else columns.table["column_id"]
            self.computing.refit(ids.tolist(), self._fit_parameters())

    def take_tool(self, name: str) -> None:
        """Make a tool the active one."""
        self.toolbox.take(name)
        if name == "calibrate":
            self.steps.calibrate_section.unfold()
        self.context.actions.refresh()

    def delete_selected(self) -> None:
        """Delete what is selected."""
        self.computing.delete(self.model.selection.tolist())

    def select_all(self) -> None:
        """Select every column of the image."""
        columns = self.model.columns()
        self.model.select([] if columns is None else columns.table["column_id"].astype(np.int64))

    def select_inverse(self) -> None:
        """Select what is not selected."""
        columns = self.model.columns()
        if columns is not None:
            self.model.select(np.setdiff1d(columns.table["column_id"], self.model.selection))

    def close_current(self) -> None:
        """Close the image that is shown."""
        if self.model.entry is not None:
            self.context.undo.push(edits.CloseEntry(self.model, self.model.current_id))

    def show_fft(self, shown: bool) -> None:
        """Show or hide the power spectrum."""
        self.fft_on = shown
        self.steps.measure_section.unfold()
        self.steps.measure.set_fft_shown(shown)
        self._update_fft()
        self.context.actions.refresh()

    def export_table(self) -> None:
        """Write the columns of all frames."""
        entry = self.model.entry
        if entry is not None:
            self.exporter.ask_table(entry.columns, entry.image(self.model.frame))

    def export_figure(self) -> None:
        """Write the view as it is shown."""
        image = self.model.image()
        if image is not None:
            self.exporter.ask_figure(image)

    def copy_table(self) -> None:
        """Copy the selected columns, or all, as text."""
        columns = self.model.columns()
        if columns is None:
            return
        rows = self.model.selected_rows()
        rows = rows if len(rows) else np.arange(len(columns))
        QGuiApplication.clipboard().setText(self.table.columns.as_text(rows))
        self.context.notify.info(f"Copied {len(rows)} column{'' if len(rows) == 1 else 's'}.")

    def copy_python(self) -> None:
        """Copy a script that finds these columns again."""
        from atomseg_app.gui.atoms.script import python_script

        entry = self.model.entry
        if entry is not None:
            QGuiApplication.clipboard().setText(python_script(entry.data, entry.columns, self.model.frame))
            self.context.notify.info("Copied a Python script.")

    def open_batch(self) -> None:
        """Open the queue for many files, with the parameters of the form."""
        from atomseg_app.gui.atoms.batch_dialog import BatchDialog

        self.build()
        parameters = self.steps.find_panel.parameters().model_copy(update={"region_px": None})
        if self.batch is None or not self.batch.running():
            self.batch = BatchDialog(self.context, parameters, self)
            self.batch.open_file.connect(self._open_from_batch)
        self.batch.show()
        self.batch.raise_()

    def open_networks(self) -> None:
        """Show the networks, what they were trained on, and how to train one."""
        from atomseg_app.gui.networks.dialog import NetworksDialog

        self.networks = self.networks or NetworksDialog(self.context, self)
        self.networks.show()
        self.networks.raise_()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter on the picture finds columns."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.view.canvas.hasFocus():
            self.context.actions.trigger("atoms.find")
        else:
            super().keyPressEvent(event)

    # -- inside

    def _build(self) -> Iterator[None]:
        from atomseg_app.gui.atoms.data_list import DataList, FrameBar
        from atomseg_app.gui.atoms.steps import Steps
        from atomseg_app.gui.atoms.table import ColumnTable
        from atomseg_app.gui.tool_strip import tool_strip

        self.data_list = DataList(self.model, self.context.theme)
        self.table = ColumnTable(self.model)
        yield
        left = QSplitter(Qt.Orientation.Vertical)
        left.addWidget(self.data_list)
        left.addWidget(self.table)
        left.setSizes([160, 480])
        self.tool_strip = tool_strip(self.context.actions, _STRIP)
        self.frame_bar = FrameBar(self.model)
        middle = QWidget()
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.tool_strip)
        column.addWidget(self.physics.below(self.view), 1)
        column.addWidget(self.frame_bar)
        yield
        self.steps = yield from Steps.make(self.model, self.computing, self.context, self.physics, self.overlay)
        yield
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.addWidget(left)
        splitter.addWidget(middle)
        splitter.addWidget(self.steps)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes([312, 740, 310])
        splitter.setCollapsible(1, False)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(splitter)
        self._connect()
        self.overlay.show_image()

    def _connect(self) -> None:
        model = self.model
        for signal in (model.selection_changed, model.current_changed, model.columns_changed, model.entries_changed):
            signal.connect(self.context.actions.refresh)
        model.frame_changed.connect(self.context.actions.refresh)
        self.computing.changed.connect(self.context.actions.refresh)
        model.calibration_changed.connect(self._on_calibrated)
        model.current_changed.connect(self._on_current)
        self.overlay.spacings_changed.connect(self.steps.measure.show_spacings)
        self.steps.measure.rows_chosen.connect(self._select_rows)
        self.steps.calibrate.calibrated.connect(self.computing.calibrate)
        self.toolbox.distance_measured.connect(self.steps.measure.show_distance)
        self.toolbox.line_drawn.connect(self._on_known_length)
        self.steps.calibrate.refused.connect(partial(self.context.notify.error, "Calibrate"))
        self.view.canvas.view_changed.connect(self._fft_timer.start)
        self.view.canvas.context_asked.connect(self._show_menu)
        self.table.activated_column.connect(self._show_row)
        self.table.clicked.connect(lambda index: self._show_row(int(self.table.columns.order[index.row()])))
        model.frame_changed.connect(self._fft_timer.start)

    def _attach(self, columns: Columns) -> None:
        """Put a table on the open image it was found in, else on the one shown if it fits."""
        entry_id = self.model.entry_for(columns)
        if entry_id is None:
            height, width = columns.image_shape
            raise UserError(f"These columns belong to an image of {width} × {height} px; open it first.")
        entry = replace(self.model.entries[entry_id], columns=columns)
        self.context.undo.push(edits.ChangeEntry(self.model, entry_id, "Open columns", entry))

    def _fit_parameters(self) -> dict[str, Any]:
        values = self.steps.find_panel.parameters().model_dump(mode="json")
        return {name: values[name] for name in ("shape", "device")}

    def _select_rows(self, rows: Any) -> None:
        columns = self.model.columns()
        if columns is not None:
            self.model.select(columns.table["column_id"][rows])

    def _show_row(self, row: int) -> None:
        columns = self.model.columns()
        if columns is not None and row < len(columns):
            self.view.canvas.centre_on(float(columns.table["x_px"][row]), float(columns.table["y_px"][row]))

    def _on_current(self) -> None:
        self._ask_calibration()
        self.steps.measure.show_distance("")
        self.toolbox.cancel()
        self._fft_timer.start()

    def _on_calibrated(self) -> None:
        self._ask_calibration()
        self._fft_timer.start()

    def _ask_calibration(self) -> None:
        """Ask once for each image without a pixel size, while it is shown."""
        image = self.model.image()
        if image is None or image.calibrated:
            self.context.notify.banners.dismiss(NOT_CALIBRATED)
        elif self.model.current_id not in self._asked:
            self._asked.add(self.model.current_id)
            self.context.notify.warn(NOT_CALIBRATED, "Calibrate…", self._show_calibration)

    def _on_known_length(self, line_px: tuple[float, float]) -> None:
        self.steps.calibrate_section.unfold()
        self.steps.calibrate.show_line(line_px)

    def _show_calibration(self) -> None:
        self.steps.calibrate_section.unfold()
        self.steps.calibrate.pixel.setFocus()

    def _update_fft(self) -> None:
        image = self.model.image()
        window = None if image is None else visible_window(self.view.canvas.geometry_now, image.shape)
        self.steps.measure.show_spectrum(image, window)

    def _show_menu(self, pointer: Pointer, place: QPoint) -> None:
        row = self.overlay.markers.nearest(self.view.canvas.geometry_now, pointer.at)
        columns = self.model.columns()
        if row >= 0 and columns is not None and row not in self.model.selected_rows():
            self.model.select([int(columns.table["column_id"][row])])
        menu = QMenu(self)
        for action_id in ("atoms.find", "atoms.refit", "atoms.delete_selected", "", "atoms.select_all",
                          "atoms.select_inverse", "", "image.fit", "image.fft", "", "atoms.export_table",
                          "atoms.export_figure"):  # fmt: skip
            if action_id:
                menu.addAction(self.context.actions.qaction(action_id))
            else:
                menu.addSeparator()
        menu.popup(place)
        menu.aboutToHide.connect(menu.deleteLater)

    def _open_from_batch(self, path: str) -> None:
        window = self.window()
        if hasattr(window, "open_paths"):
            window.open_paths([path])
