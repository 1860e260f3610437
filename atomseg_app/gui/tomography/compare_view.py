"""Two volumes of one size beside each other: linked slices, one contrast, and their difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from PySide6.QtCore import QSignalBlocker
from PySide6.QtGui import QColor, QShowEvent
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from atomseg_app.data import Array, Volume
from atomseg_app.gui.colour_maps import DIVERGING
from atomseg_app.gui.contrast import Contrast
from atomseg_app.gui.image_view import Readout
from atomseg_app.gui.theme import Theme
from atomseg_app.gui.tomography.model import Entry, TomoModel
from atomseg_app.gui.value_text import value_text
from atomseg_app.gui.volumes.slice_pane import PLANES, XY, SlicePane


class DifferencePane(SlicePane):
    """Shows another volume minus the one that it was given."""

    def __init__(self) -> None:
        super().__init__(XY)
        self.other: Volume | None = None

    def slice_of(self, volume: Volume, index: int) -> Array:
        """Difference of two slices as 32-bit floats."""
        first = np.asarray(self.plane.of(volume.values, index), np.float32)
        if self.other is None:
            return first
        return np.asarray(self.plane.of(self.other.values, index), np.float32) - first


class CompareView(QWidget):
    """The volume of the model, another one, and the second minus the first."""

    def __init__(self, model: TomoModel, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("tomography.compare")
        self._model, self._theme = model, theme
        self.first, self.second, self.difference = SlicePane(XY), SlicePane(XY), DifferencePane()
        self.panes: Sequence[SlicePane] = (self.first, self.second, self.difference)
        self.other = QComboBox()
        self.other.setAccessibleName("Volume to compare with")
        self.other.setToolTip("The other volume; only those of the same size can be compared.")
        self.plane = QComboBox()
        self.plane.setAccessibleName("Direction of the slices")
        self.plane.setToolTip("Which way both volumes are cut.")
        for plane in PLANES:
            self.plane.addItem(plane.name, plane.name)
        self.readout = Readout("How far the two slices differ")
        self._linking = False
        self._shown: tuple[object, object] = (None, None)
        self._titles = [Readout(name) for name in ("First volume", "Second volume", "Difference")]
        self._arrange()
        for pane in self.panes:
            pane.view_changed.connect(partial(self._link, pane))
            pane.stepped.connect(self._on_stepped)
            pane.pointed.connect(partial(self._on_pointed, pane))
        self.other.currentIndexChanged.connect(self.refresh)
        self.plane.currentIndexChanged.connect(self._on_plane)
        for signal in (model.current_changed, model.place_changed, model.changed, model.entries_changed):
            signal.connect(self.refresh)
        theme.changed.connect(self._on_theme)
        self._on_theme()

    def choices(self) -> dict[int, Entry]:
        """Other volumes of the same size as the one that is shown."""
        volume = self._model.volume()
        return {
            i: entry
            for i, entry in self._model.volumes().items()
            if volume is not None and i != self._model.current_id and entry.data.shape == volume.shape
        }

    def set_contrast(self, contrast: Contrast) -> None:
        """Limits and colours of both volumes; the difference is drawn even about zero, over half their range."""
        for pane in (self.first, self.second):
            pane.layer.set_contrast(contrast)
        reach = 0.5 * (contrast.high - contrast.low)
        self.difference.layer.set_contrast(replace(contrast, low=-reach, high=reach, scaling="linear",
                                                   colour_map=DIVERGING, invert=False))  # fmt: skip

    def refresh(self) -> None:
        """Show the volume of the model beside the one that is chosen."""
        if not self.isVisible():
            return
        choices = self.choices()
        if [self.other.itemData(index) for index in range(self.other.count())] != list(choices):
            blocker = QSignalBlocker(self.other)
            self.other.clear()
            for entry_id, entry in choices.items():
                self.other.addItem(entry.title, entry_id)
            blocker.unblock()
        volume, shown_entry = self._model.volume(), self._model.entry
        other = choices.get(self.other.currentData())
        if volume is None or shown_entry is None or other is None or not isinstance(other.data, Volume):
            return
        if self._shown != (volume, other.data):
            keep = self._shown[0] is not None
            self._shown = (volume, other.data)
            self.difference.other = other.data
            for pane, shown in ((self.first, volume), (self.second, other.data), (self.difference, volume)):
                pane.show_volume(shown, keep_view=keep)
            first = shown_entry.title
            names = (first, other.title, f"{other.title} \N{MINUS SIGN} {first}")
            for label, name in zip(self._titles, names, strict=True):
                label.setText(name)
        for pane in self.panes:
            pane.show_place(self._model.place)
        self._tell()

    def showEvent(self, event: QShowEvent) -> None:
        """Show what came while hidden."""
        super().showEvent(event)
        self.refresh()

    def fit(self) -> None:
        """The whole slice in each."""
        for pane in self.panes:
            pane.fit()

    def zoom(self, factor: float) -> None:
        """Zoom all."""
        self.first.zoom(factor)

    def _tell(self) -> None:
        """Differences of the slices in numbers."""
        values, first = self.difference.layer.values, self.first.layer.values
        if values is None or first is None or not np.isfinite(values).any():
            self.readout.setText("")
            return
        rms = float(np.sqrt(np.nanmean(np.square(values, dtype=np.float64))))
        whole = float(np.sqrt(np.nanmean(np.square(first, dtype=np.float64))))
        share = f", {100 * rms / whole:.1f} % of the first" if whole > 0 else ""
        most = float(np.nanmax(np.abs(values)))
        self.readout.setText(
            f"In this slice: difference {value_text(rms, 4)} rms{share}, at most {value_text(most, 4)}."
        )

    def _on_plane(self) -> None:
        plane = next(plane for plane in PLANES if plane.name == self.plane.currentData())
        for pane in self.panes:
            pane.set_plane(plane)
        self.refresh()

    def _on_stepped(self, steps: int) -> None:
        place = [float(p) for p in self._model.place]
        place[self.first.plane.cut] += steps
        self._model.show_place((place[0], place[1], place[2]))

    def _on_pointed(self, pane: SlicePane, down: float, across: float) -> None:
        place = [float(p) for p in self._model.place]
        place[pane.plane.down], place[pane.plane.across] = down, across
        self._model.show_place((place[0], place[1], place[2]))

    def _link(self, source: SlicePane) -> None:
        """The same part of all three."""
        if self._linking:
            return
        self._linking = True
        for pane in self.panes:
            if pane is not source and not source.fitted:
                now, wanted = pane.geometry_now, source.geometry_now
                pane.set_geometry_now(replace(now, x=wanted.x, y=wanted.y, zoom=wanted.zoom))
            elif pane is not source:
                pane.fit()
        self._linking = False

    def _on_theme(self) -> None:
        colours = self._theme.colours
        for pane in self.panes:
            pane.paper, pane.ink = QColor(colours.window), QColor(colours.text)
            pane.focus_colour = QColor(colours.focus)
            pane.update()

    def _arrange(self) -> None:
        bar = QHBoxLayout()
        bar.setContentsMargins(8, 4, 8, 4)
        for text, box in (("Compare with", self.other), ("Slices", self.plane)):
            bar.addWidget(QLabel(text))
            bar.addWidget(box)
            bar.addSpacing(16)
        bar.addStretch(1)
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        grid.setRowStretch(1, 1)
        for column, (label, pane) in enumerate(zip(self._titles, self.panes, strict=True)):
            grid.addWidget(label, 0, column)
            grid.addWidget(pane, 1, column)
            grid.setColumnStretch(column, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(bar)
        layout.addLayout(grid, 1)
        layout.addWidget(self.readout)
