"""Edits of the series that is shown: angles, axis, views in use, pixel size, shifts; each a step that can be undone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
from PySide6.QtWidgets import QFileDialog, QWidget

from atomseg_app.data import TiltSeries
from atomseg_app.errors import UserError
from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.context import Context
from atomseg_app.gui.tomography import edits
from atomseg_app.gui.tomography.model import TomoModel, with_data
from atomseg_app.gui.tomography.paste_dialog import PasteDialog
from atomseg_app.gui.tomography.placing import moved_on_detector
from atomseg_app.gui.tomography.saving import Saver
from atomseg_app.io.alignment_files import read_alignment, write_alignment
from atomseg_app.operations import Report
from atomseg_app.tomography.angle_lists import read_angle_file
from atomseg_app.tomography.axis_direction import AxisOffer, offer_axis
from atomseg_app.tomography.tilts import with_angles

NAMES = {"y": "vertical", "x": "horizontal"}
Angles = Sequence[float] | npt.NDArray[np.float64]


class SeriesEditing:
    """What the user does to the series of one tab. Asking changes nothing; doing asks nothing."""

    def __init__(self, context: Context, model: TomoModel, saver: Saver, parent: QWidget) -> None:
        self._context, self._model, self._saver, self._parent = context, model, saver, parent
        self._background = Background()
        self._offer = ""
        model.current_changed.connect(self._withdraw)

    def paste_angles(self) -> None:
        """Angles from a list that the user pastes."""
        series = self.series()
        known = "\n".join(f"{angle:g}" for angle in series.tilt_deg if np.isfinite(angle))
        dialog = PasteDialog(self._parent, len(series.values), known)
        accepted, angles = dialog.exec() == PasteDialog.DialogCode.Accepted, dialog.angles
        dialog.deleteLater()
        if accepted:
            self.give_angles(angles, "the pasted list")

    def load_angles(self) -> None:
        """Angles from a file."""
        folder = str(Path(self.series().source.path or ".").parent)
        chosen, _ = QFileDialog.getOpenFileName(
            self._parent,
            "Angles from a file",
            folder,
            "Angles (*.rawtlt *.tlt *.mdoc *.txt *.csv *.dat);;All files (*)",
        )
        if chosen:
            self.read_angles(Path(chosen))

    def read_angles(self, path: Path) -> None:
        """Give all views the angles of a file. Raises UserError."""
        self.give_angles(read_angle_file(path), path.name)

    def toggle_excluded(self, views: Sequence[int]) -> None:
        """Exclude some views, or use them again if all of them are excluded."""
        series = self.series()
        again = set(views) <= set(series.excluded)
        count = f"{len(views)} views" if len(views) > 1 else f"view {views[0] + 1}"
        self._change(f"{'Use' if again else 'Exclude'} {count}", edits.with_used(series, views, used=again))

    def suggest_axis(self, *, asked: bool = True) -> None:
        """Tell which direction of the axis fits the images; the user decides. Not ``asked``: only if another does."""
        series = self.series()

        def tell(offer: AxisOffer) -> None:
            now, better = NAMES[series.tilt_axis], "" if offer.axis is None else NAMES[offer.axis]
            if better and better != now and series is self._model.series():
                text = f"The views agree with a tilt axis that is {better}, but it is set to {now}."
                self._offer = text
                self._context.notify.warn(text, "Switch the axis", partial(self._switch, series, offer.axis))
            elif asked and better:
                self._context.notify.info(f"The views agree with a tilt axis that is {now}, as it is set.")
            elif asked:
                self._context.notify.info("The views do not tell the direction of the axis; see how the sample turns.")

        self._background.run(lambda: offer_axis(series), while_alive(self._parent, tell))

    def _withdraw(self) -> None:
        """An offer speaks of the series that is shown, as it is."""
        if self._offer:
            self._context.notify.banners.dismiss(self._offer)
            self._offer = ""

    def _switch(self, series: TiltSeries, axis: Any) -> None:
        """Take the axis that was offered for a series, if that one is still shown."""
        shown = self._model.series()
        if shown is not None and shown.values is series.values:
            self.set_axis(axis)

    def clear_alignment(self) -> None:
        """Forget the alignment."""
        self._change("Clear alignment", edits.with_alignment(self.series(), None))

    def load_alignment(self) -> None:
        """Alignment from a file."""
        folder = str(Path(self.series().source.path or ".").parent)
        chosen, _ = QFileDialog.getOpenFileName(
            self._parent, "Alignment from a file", folder, "Alignments (*.xf *.csv);;All files (*)"
        )
        if chosen:
            self.read_alignment(Path(chosen))

    def read_alignment(self, path: Path) -> None:
        """Take an alignment from a file. Raises UserError."""
        series = self.series()
        report = Report(on_log=lambda _level, text: self._context.notify.info(text))
        alignment = read_alignment(path, len(series.values), report, series.tilt_axis)
        self._change("Load alignment", edits.with_alignment(series, alignment))

    def save_alignment(self) -> None:
        """Alignment to a file."""
        entry = self._model.entry
        if entry is None:
            return
        place = str(self._saver.place(entry, "_alignment.csv"))
        chosen, kind = QFileDialog.getSaveFileName(self._parent, "Save alignment", place, "CSV (*.csv);;IMOD (*.xf)")
        if chosen:
            path = Path(chosen)
            if path.suffix.lower() not in (".csv", ".xf"):
                path = path.with_name(path.name + (".xf" if "xf" in kind else ".csv"))
            write_alignment(path, self.series())
            self._saver.remember(path)

    def series(self) -> TiltSeries:
        """The series that is shown. Raises UserError if none is."""
        series = self._model.series()
        if series is None:
            raise UserError("No tilt series is shown; open one first.")
        return series

    def _change(self, text: str, data: TiltSeries, drag: object = None) -> None:
        entry = self._model.entry
        if entry is not None and data is not entry.data:
            command = edits.ChangeEntry(self._model, self._model.current_id, text, with_data(entry, data), drag)
            self._context.undo.push(command)

    def refusing(self, title: str, act: Any, *arguments: Any) -> None:
        """Do something; what is refused is told in a sentence, and the old value is shown again."""
        try:
            act(*arguments)
        except UserError as problem:
            self._context.notify.error(title, problem)
            self._model.changed.emit()

    def give_angles(self, angles: Angles, name: str) -> None:
        """Give all views angles; ``name`` is where they are from. Raises UserError."""
        series = with_angles(
            self.series(), angles, Report(on_log=lambda _, text: self._context.notify.info(text)), name
        )
        self._change("Give angles", series)

    def set_angle(self, view: int, angle: float) -> None:
        """Give one view another angle. Raises UserError."""
        self._change(f"Angle of view {view + 1}", edits.with_angles(self.series(), {view: angle}))

    def set_used(self, view: int, used: bool) -> None:
        """Use one view, or exclude it. Raises UserError."""
        text = f"{'Use' if used else 'Exclude'} view {view + 1}"
        self._change(text, edits.with_used(self.series(), [view], used=used))

    def set_shift(self, view: int, name: str, value: float) -> None:
        """Change one number of a view's alignment. Raises UserError."""
        self._change(f"Shift of view {view + 1}", edits.with_shift(self.series(), view, name, value))

    def set_axis(self, axis: str) -> None:
        """Give the tilt axis another direction (``x`` or ``y``)."""
        self._withdraw()
        self._change("Tilt axis", edits.with_axis(self.series(), cast(Literal["x", "y"], axis)))

    def set_pixel_size(self, size_nm: float) -> None:
        """Give the pixels another size."""
        series = self.series()
        self._change("Pixel size", series.with_pixel_size(size_nm))

    def move_view(self, dx_px: float, dy_px: float, drag: object) -> None:
        """Move the view that is shown by px of the picture; moves of one ``drag`` are one step."""
        series, view = self.series(), self._model.view
        across, along = moved_on_detector(series, view, dx_px, dy_px)
        key = ("shift", view, drag)
        self._change(f"Shift view {view + 1}", edits.shifted(series, view, across, along), key)
