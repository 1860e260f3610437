"""Takes results out: tables as files or to the clipboard, and the view as a figure. Asks first, then does."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from atomseg_app.data import Columns, Data, Image
from atomseg_app.errors import FileError, UserError
from atomseg_app.gui import figure_export
from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.context import Context
from atomseg_app.gui.image_view import ImageView
from atomseg_app.gui.settings import Setting
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult

_DPI = (96, 150, 300, 600)
EXPORT_FOLDER = Setting("atoms.export_folder", "")
ON_WHITE = Setting("atoms.figure_on_white", True)
FIGURE_DPI = Setting("atoms.figure_dpi", 300, lambda v: v in _DPI)

TABLE_FILTERS = {
    "CSV table (*.csv)": ("csv", ".csv"),
    "JSON (*.json)": ("json", ".json"),
    "Extended XYZ (*.xyz)": ("xyz", ".xyz"),
    "atomap HDF5 (*.hdf5)": ("atomap-hdf5", ".hdf5"),
}
FIGURE_FILTERS = {
    "PNG (*.png)": ".png", "TIFF (*.tif)": ".tif", "SVG (*.svg)": ".svg", "PDF (*.pdf)": ".pdf",
}  # fmt: skip


class Exporter:
    """Exports of one tab."""

    def __init__(self, context: Context, view: ImageView, parent: QWidget) -> None:
        self._context, self._view, self._parent = context, view, parent
        self._background = Background()

    def ask_table(self, columns: Columns, image: Image) -> None:
        """Ask where and in which format, then write the table."""
        name = self._place(columns, "_columns.csv")
        chosen, kind = QFileDialog.getSaveFileName(self._parent, "Export table", name, ";;".join(TABLE_FILTERS))
        if chosen:
            form, ending = TABLE_FILTERS.get(kind, TABLE_FILTERS["CSV table (*.csv)"])
            path = Path(chosen)
            known = {end: key for key, end in TABLE_FILTERS.values()}
            if path.suffix.lower() in known:
                form = known[path.suffix.lower()]
            else:
                path = self._named(path, ending)
            self.write_table(columns, image, path, form)

    def write_table(self, columns: Columns, image: Image, path: Path, form: str) -> Job:
        """Write the table as a job."""
        inputs: tuple[Data, ...] = (columns, image) if form == "atomap-hdf5" else (columns,)

        def done(result: TaskResult) -> None:
            self._remember(Path(result.value))

        def failed(job: Job) -> None:
            if job.state == "failed":
                self._context.notify.error("The table could not be written", UserError(job.error), job.report_text())

        task = Task("export", {"path": str(path), "format": form}, inputs)
        return self._context.jobs.submit(task, f"Export {path.name}", done, failed)

    def ask_figure(self, source: Image | Columns) -> None:
        """Ask where, in which format and at which resolution, then write the figure."""
        name = self._place(source, "_figure.png")
        chosen, kind = QFileDialog.getSaveFileName(self._parent, "Export figure", name, ";;".join(FIGURE_FILTERS))
        if not chosen:
            return
        path = Path(chosen)
        if path.suffix.lower() not in figure_export.FORMATS:
            path = self._named(path, FIGURE_FILTERS.get(kind, ".png"))
        settings = self._context.settings
        raster = figure_export.FORMATS[path.suffix.lower()] in ("PNG", "TIFF")
        dialog = FigureDialog(
            self._parent, self._view, settings.get(FIGURE_DPI), white=settings.get(ON_WHITE), raster=raster
        )
        accepted = dialog.exec() == QDialog.DialogCode.Accepted
        dpi, white = dialog.dpi(), dialog.white.isChecked()
        dialog.deleteLater()
        if accepted:
            settings.set(FIGURE_DPI, dpi)
            settings.set(ON_WHITE, white)
            self.write_figure(path, dpi, white=white)

    def write_figure(self, path: Path, dpi: float, *, white: bool = False) -> None:
        """Draw the view as it is shown, or on ``white``, and write it; pictures are packed on another thread."""
        canvas = self._view.canvas
        scale = dpi / figure_export.SCREEN_DPI
        self._view.layer.read_for(canvas.geometry_now, scale)
        with figure_export.on_white(canvas) if white else contextlib.nullcontext():
            if figure_export.FORMATS[path.suffix.lower()] in ("SVG", "PDF"):
                figure_export.write_vector(canvas, path)
                self._remember(path)
                return
            picture = figure_export.render(canvas, dpi)

        def failed(problem: Exception) -> None:
            self._context.notify.error("The figure could not be written", problem)

        write = figure_export.raster_writer(picture, path, dpi)
        self._background.run(write, while_alive(self._parent, self._remember), while_alive(self._parent, failed))

    def _place(self, source: Columns | Image, ending: str) -> str:
        """Where a result goes unless the user says otherwise: where the last one went, else beside the input."""
        folder = self._context.settings.get(EXPORT_FOLDER) or str(Path(source.source.path or ".").parent)
        return str(Path(folder) / f"{source.source.name}{ending}")

    def _named(self, path: Path, ending: str) -> Path:
        """A name with its extension, which the dialog has not asked about. Raises FileError if it is there already."""
        named = path.with_name(path.name + ending)
        if named.exists():
            raise FileError(f"{named} is already there; give another name, or choose it in the dialog to replace it.")
        return named

    def _remember(self, path: Path) -> None:
        self._context.settings.set(EXPORT_FOLDER, str(path.parent))
        self._context.notify.info(f"Written: {path.name}")


class FigureDialog(QDialog):
    """Asks for background and, for pictures made of pixels (``raster``), resolution of a figure, and tells its size."""

    def __init__(self, parent: QWidget, view: ImageView, dpi: int, *, white: bool, raster: bool) -> None:
        super().__init__(parent)
        self.setObjectName("dialog.figure")
        self.setWindowTitle("Export figure")
        self._rect = figure_export.figure_rect(view.canvas)
        self.box = QComboBox()
        self.box.setAccessibleName("Resolution")
        self.box.setToolTip("Pixels per inch: journals ask for 300, or 600 for lines.")
        for value in _DPI:
            self.box.addItem(f"{value} dpi" + (" (as on the screen)" if value == _DPI[0] else ""), value)
        self.box.setCurrentIndex(self.box.findData(dpi))
        self.size_text = QLabel()
        self.box.currentIndexChanged.connect(self._show_size)
        self._raster = raster
        self.white = QCheckBox("Black on white, as for print")
        self.white.setToolTip("Colour bars and their texts on white instead of on the colour of the window.")
        self.white.setChecked(white)
        form = QFormLayout()
        if raster:
            form.addRow("Resolution", self.box)
        form.addRow("Size", self.size_text)
        form.addRow(self.white)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setSpacing(14)
        layout.addLayout(form)
        layout.addWidget(buttons)
        self._show_size()

    def dpi(self) -> int:
        """The resolution chosen."""
        return int(self.box.currentData())

    def _show_size(self) -> None:
        scale = self.dpi() / figure_export.SCREEN_DPI
        size = np.ceil([self._rect.width() * scale, self._rect.height() * scale]).astype(int)
        cm = np.array([self._rect.width(), self._rect.height()]) / figure_export.SCREEN_DPI * 2.54
        paper = f"{cm[0]:.1f} × {cm[1]:.1f} cm"
        self.size_text.setText(f"{size[0]} × {size[1]} px  ({paper})" if self._raster else paper)
