"""Measure the particles of the result: settings, figures of the whole, histogram of sizes, table linked with slices."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QLineF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QFileDialog, QLineEdit, QProgressBar, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from atomseg_app.data import Labels
from atomseg_app.errors import UserError
from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.context import Context
from atomseg_app.gui.forms import ParameterForm
from atomseg_app.gui.sections import ActionButton, muted
from atomseg_app.gui.segmentation.computing import Computing
from atomseg_app.gui.segmentation.model import SegModel
from atomseg_app.gui.segmentation.particle_table import ParticleTable
from atomseg_app.gui.segmentation.particles import Particles, from_result, write_csv
from atomseg_app.gui.value_text import value_text
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult
from atomseg_app.segmentation.measure_settings import MeasureLabels

_BINS = 18


class MeasurePanel(QWidget):
    """``chosen`` tells of another particle: its number, 0 for none; ``measured`` that there are others."""

    chosen = Signal(int)
    measured = Signal()

    def __init__(self, model: SegModel, computing: Computing, context: Context, table: ParticleTable) -> None:
        super().__init__()
        self._model, self._computing, self._context, self.table = model, computing, context, table
        self._background = Background()
        self.particles: Particles | None = None
        self._known: dict[int, tuple[object, Particles]] = {}
        self.job: Job | None = None
        self.form = ParameterForm(MeasureLabels)
        for name, hint in (("particles", "the last class"), ("support", "the class above it")):
            edit = self.form.fields[name].focusProxy()
            if isinstance(edit, QLineEdit):
                edit.setPlaceholderText(hint)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setAccessibleName("Progress of measuring")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Give up measuring; what was measured before stays.")
        self.cancel.clicked.connect(lambda _checked: self._give_up())
        self.totals = muted()
        self.totals.setAccessibleName("Figures of the whole")
        self.histogram = Histogram()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.form)
        layout.addWidget(ActionButton(context.actions.qaction("segmentation.measure"), primary=True))
        for widget in (self.bar, self.cancel, self.histogram, self.totals):
            layout.addWidget(widget)
        layout.addWidget(ActionButton(context.actions.qaction("segmentation.save_particles")))
        for signal in (model.current_changed, model.layers_changed):
            signal.connect(self.refresh)
        model.place_changed.connect(self._on_place)
        table.chosen.connect(self._on_row)
        context.jobs.job_changed.connect(self._on_progress)
        self.refresh()

    def start(self, labels: Labels) -> None:
        """Measure the particles of labels. Raises UserError for a setting that cannot be."""
        settings, entry_id, source = self.form.parameters(), self._model.current_id, self._source()

        def done(result: TaskResult) -> None:
            self._known[entry_id] = (source, from_result(result))
            self.refresh()

        def ended() -> None:
            self.job = None
            self.refresh()
            self.measured.emit()

        task = Task("measure-labels", {"settings": settings.model_dump(mode="json")}, (labels,))
        self.job = self._computing.task(task, "Measure particles", done, ended)
        self.refresh()
        self.measured.emit()

    def refresh(self) -> None:
        """Show what was measured of what is shown."""
        source, particles = self._known.get(self._model.current_id, (None, None))
        if particles is not None and source is not self._source():
            particles = None
        running = self.job is not None
        self.bar.setVisible(running)
        self.cancel.setVisible(running)
        if particles is not self.particles:
            self.particles = particles
            self.table.show_particles(particles)
            self.histogram.show_particles(particles)
            self.chosen.emit(0)
            self.measured.emit()
        self.table.setVisible(particles is not None)
        self.histogram.setVisible(particles is not None and len(particles) > 1)
        self.totals.setText("" if particles is None else "\n".join(each.text() for each in particles.totals))
        self.totals.setVisible(particles is not None)

    def why_not(self) -> str:
        """Why nothing can be measured now."""
        return "It is running." if self.job is not None else ""

    def save(self) -> None:
        """Ask where, and write the table."""
        if self.particles is None:
            raise UserError("Measure the particles first.")
        entry = self._model.entry
        name = "particles.csv" if entry is None else f"{entry.title}_particles.csv"
        chosen, _ = QFileDialog.getSaveFileName(self, "Save particles", name, "CSV (*.csv)")
        if chosen:
            path = Path(chosen)
            self.write(path if path.suffix.lower() == ".csv" else Path(f"{path}.csv"))

    def write(self, path: Path) -> None:
        """Write the table."""
        particles, told = self.particles, self._context.notify
        if particles is not None:
            failed = while_alive(self, partial(told.error, "The particles could not be written"))
            wrote = while_alive(self, lambda written: told.info(f"Written: {written.name}"))
            self._background.run(lambda: write_csv(path, particles), wrote, failed)

    def _give_up(self) -> None:
        if self.job is not None:
            self._context.jobs.cancel(self.job.id)

    def _on_progress(self, job: Job) -> None:
        if job is self.job:
            self.bar.setValue(round(1000 * job.fraction))
            self.bar.setFormat(job.message or "Waiting")

    def _source(self) -> object:
        """What would be measured: the result that is shown, else the voxels that were painted."""
        result, entry = self._model.result(), self._model.entry
        return result if result is not None else None if entry is None else entry.store

    def _on_row(self, row: int) -> None:
        """Show the particle of a row in the slices."""
        if self.particles is not None:
            self._model.show_place(self.particles.place(row))
            self.chosen.emit(int(self.particles.columns["particle_id"][row]))

    def _on_place(self) -> None:
        """Show the particle under the cross-hair in the table."""
        particles = self.particles
        if particles is not None and particles.instances.shape == getattr(self._model.volume(), "shape", None):
            row = particles.row_at(self._model.place)
            if row >= 0:
                self.table.choose(row)
                self.chosen.emit(int(particles.columns["particle_id"][row]))


class Histogram(QWidget):
    """Diameters of the particles that are whole, with the likelier fit."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("segmentation.histogram")
        self.setAccessibleName("Histogram of particle diameters")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.particles: Particles | None = None

    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(280, 9 * self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:
        """The same height."""
        return QSize(160, self.sizeHint().height())

    def show_particles(self, particles: Particles | None) -> None:
        """Show others."""
        self.particles = particles
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Bars, fit, axis with units."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        palette = self.palette()
        painter.fillRect(self.rect(), palette.base())
        painter.setPen(QPen(palette.mid().color(), 1))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        particles = self.particles
        if particles is not None:
            sizes = particles.columns["diameter"][particles.columns["at_border"] == 0]
            if len(sizes) > 1:
                self._paint(painter, particles, sizes)
        painter.end()

    def _paint(self, painter: QPainter, particles: Particles, sizes: np.ndarray[Any, Any]) -> None:
        high = float(sizes.max()) * 1.08
        counts, edges = np.histogram(sizes, _BINS, (0.0, high))
        line, palette = self.fontMetrics().height(), self.palette()
        area = QRectF(self.rect()).adjusted(8, line + 6, -8, -2 * line - 4)
        most, bar = max(1, int(counts.max())), area.width() / _BINS
        colour = palette.link().color()
        colour.setAlphaF(0.65)
        for index, count in enumerate(counts):
            height = area.height() * count / most
            painter.fillRect(QRectF(area.left() + index * bar + 1, area.bottom() - height, bar - 2, height), colour)
        ink = palette.text().color()
        painter.setPen(QPen(ink, 1))
        painter.drawLine(QLineF(area.bottomLeft(), area.bottomRight()))
        fit = particles.fits[0] if particles.fits else None
        if fit is not None:
            x = np.linspace(high / 400, high, 200)
            y = density(fit, x) * len(sizes) * (edges[1] - edges[0])
            points = QPolygonF()
            for place, count in zip(x, y, strict=True):
                top = area.bottom() - area.height() * min(float(count) / most, 1.1)
                points.append(QRectF(area.left() + float(place) / high * area.width(), top, 0, 0).topLeft())
            painter.setPen(QPen(ink, 1.6, Qt.PenStyle.DashLine))
            painter.drawPolyline(points)
        painter.setPen(ink)
        inside = self.rect().adjusted(8, 2, -8, -2)
        left, right = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
        top_edge, bottom_edge = Qt.AlignmentFlag.AlignTop, Qt.AlignmentFlag.AlignBottom
        title = f"{len(sizes)} whole particles, at most {most} a bar"
        painter.drawText(inside, left | top_edge, title)
        painter.drawText(inside.adjusted(0, 0, 0, -line), left | bottom_edge, "0")
        painter.drawText(inside.adjusted(0, 0, 0, -line), right | bottom_edge, value_text(high, 3))
        told = f"Diameter ({particles.unit})" + ("" if fit is None else f", {fit_text(fit, particles.unit)}")
        painter.drawText(inside, Qt.AlignmentFlag.AlignHCenter | bottom_edge, told)


def density(fit: Mapping[str, Any], sizes: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Probability a unit of size of a normal or log-normal fit."""
    centre, width = float(fit["centre"]), float(fit["width"])
    if fit["name"] == "normal":
        return np.asarray(np.exp(-0.5 * ((sizes - centre) / width) ** 2) / (width * np.sqrt(2 * np.pi)))
    bell = np.exp(-0.5 * (np.log(sizes / centre) / width) ** 2)
    return np.asarray(bell / (sizes * width * np.sqrt(2 * np.pi)))


def fit_text(fit: Mapping[str, Any], unit: str) -> str:
    """A fit in words."""
    centre, width = float(fit["centre"]), float(fit["width"])
    if fit["name"] == "normal":
        return f"normal {centre:.3g} ± {width:.2g} {unit}"
    return f"log-normal {centre:.3g} {unit}, σ {width:.2g}"
