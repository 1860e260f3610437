"""What is drawn over the slices: the result, where it is unsure or wrong, and above them what was painted."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject, QRectF
from PySide6.QtGui import QPainter

from atomseg_app.data import Array, Volume
from atomseg_app.gui.canvas import Pointer
from atomseg_app.gui.segmentation.label_layer import CLEAR, LabelLayer, Table, colour_table, ramp_table
from atomseg_app.gui.segmentation.label_store import Box
from atomseg_app.gui.segmentation.model import SegModel
from atomseg_app.gui.segmentation.painter import window_of
from atomseg_app.gui.view_geometry import ViewGeometry
from atomseg_app.gui.volumes.slice_pane import SlicePane
from atomseg_app.gui.volumes.slices_view import SlicesView
from atomseg_app.label_classes import IGNORE
from atomseg_app.segmentation.error_codes import error_codes
from atomseg_app.segmentation.error_map import ERROR_CLASSES

ERROR_COLOURS = {each.value: each.colour for each in ERROR_CLASSES if each.value}
ERROR_TITLES = {each.value: each.name[0].upper() + each.name[1:] for each in ERROR_CLASSES if each.value}
UNSURE, UNSURE_OPACITY = "#f0e442", 0.9
_SAMPLES = 1 << 18
_MARK = colour_table({1: "#ffffff"}, 0.55)


@dataclass
class _Layers:
    """The layers of one pane, from below, and which slice they show."""

    result: LabelLayer = field(default_factory=LabelLayer)
    probable: LabelLayer = field(default_factory=LabelLayer)
    unsure: LabelLayer = field(default_factory=LabelLayer)
    preview: LabelLayer = field(default_factory=LabelLayer)
    painted: LabelLayer = field(default_factory=LabelLayer)
    marked: LabelLayer = field(default_factory=LabelLayer)

    def paint(self, painter: QPainter, geometry: ViewGeometry, device_scale: float) -> None:
        """Draw them."""
        for layer in (self.result, self.probable, self.unsure, self.preview, self.painted, self.marked):
            layer.paint(painter, geometry, device_scale)


class Overlays(QObject):
    """Keeps the overlays of all panes up to date with the model."""

    def __init__(self, model: SegModel, slices: SlicesView) -> None:
        super().__init__(slices)
        self._model, self._slices = model, slices
        self._layers = {name: _Layers() for name in slices.panes}
        self._preview: tuple[str, int, Array] | None = None
        self._marked: tuple[Array, int] | None = None
        self._unsure: tuple[Volume, tuple[float, float]] | None = None
        for name, pane in slices.panes.items():
            pane.layers.insert(1, self._layers[name].paint)
            pane.context_asked.connect(partial(self._move_cross, pane))
        slices.describe = self._describe
        slices.cut_over = lambda pane: self._cut(pane, self._layers[pane.plane.name])
        for signal in (model.current_changed, model.layers_changed):
            signal.connect(self.refresh)
        model.chosen_changed.connect(self._on_chosen)
        model.place_changed.connect(self._on_place)
        model.painted.connect(self._on_painted)

    def layers(self, pane: str) -> _Layers:
        """The layers of a pane."""
        return self._layers[pane]

    def show_preview(self, pane: str, index: int, values: Array | None) -> None:
        """Draw what a quick guess says of one slice (down, across), until that slice is left; None draws none."""
        self._preview = None if values is None else (pane, index, values)
        self._on_place()

    def mark(self, instances: Array | None, number: int) -> None:
        """Point out the voxels (z, y, x) of one number; 0 for none."""
        self._marked = None if instances is None or not number else (instances, number)
        self._on_place()

    def refresh(self) -> None:
        """Colours and slices of everything that is shown."""
        painted, result, unsure = self._tables()
        for layers in self._layers.values():
            layers.painted.set_table(painted)
            layers.preview.set_table(painted)
            layers.result.set_table(CLEAR if self._probability() is not None else result)
            layers.probable.set_table(self._probability_table())
            layers.unsure.set_table(unsure)
            layers.marked.set_table(_MARK)
        self._on_place()

    # -- inside

    def _tables(self) -> tuple[Table, Table, Table]:
        """Colours of what was painted, of the result or its errors, and of what is unsure."""
        model, entry, shown = self._model, self._model.entry, self._model.shown
        if entry is None:
            return CLEAR, CLEAR, CLEAR
        colours = {each.value: each.colour for each in entry.classes if each.value not in entry.hidden}
        found = model.result()
        result = CLEAR
        if found is not None and shown.errors:
            result = colour_table(ERROR_COLOURS, max(shown.opacity, 0.35))
        elif found is not None:
            of_result = {each.value: each.colour for each in found.labels.classes if each.value not in entry.hidden}
            result = colour_table(of_result | {v: c for v, c in colours.items() if v in of_result}, shown.opacity)
            result[0] = 0 if 0 in of_result else result[0]  # the background of a whole volume would hide it
        unsure = ramp_table(UNSURE, UNSURE_OPACITY) if shown.uncertainty and found is not None else CLEAR
        # Errors against what was painted lie under it: there they alone are shown.
        hidden = not shown.painted or (shown.errors and shown.reference < 0)
        return CLEAR if hidden else colour_table(colours, shown.opacity), result, unsure

    def _probability(self) -> Volume | None:
        """The probability that is drawn in place of the result."""
        result, shown = self._model.result(), self._model.shown
        return None if result is None or shown.errors else result.probabilities.get(shown.probability)

    def _probability_table(self) -> Table:
        entry, shown = self._model.entry, self._model.shown
        found = None if entry is None else entry.class_named(shown.probability)
        return CLEAR if found is None or self._probability() is None else ramp_table(found.colour, shown.opacity)

    def _on_chosen(self) -> None:
        if self._model.shown.errors:
            self._on_place()

    def _on_place(self) -> None:
        for name, pane in self._slices.panes.items():
            self._cut(pane, self._layers[name])
            pane.update()

    def _cut(self, pane: SlicePane, layers: _Layers) -> None:
        """Take the slices that the pane shows."""
        model, entry, result, plane = self._model, self._model.entry, self._model.result(), pane.plane
        volume = model.volume()
        if entry is None or volume is None or not 0 <= pane.index < volume.shape[plane.cut]:
            for layer in (layers.result, layers.probable, layers.unsure, layers.preview, layers.painted, layers.marked):
                layer.set_slice(None)
            return
        index = pane.index
        layers.painted.set_slice(None if entry.store is None else plane.of(entry.store.values, index))
        marked = self._marked if self._marked is not None and self._marked[0].shape == volume.shape else None
        of_mark = None if marked is None else (plane.of(marked[0], index) == marked[1]).astype(np.uint8)
        layers.marked.set_slice(of_mark)
        shown = self._preview is not None and self._preview[:2] == (plane.name, index)
        layers.preview.set_slice(self._preview[2] if self._preview is not None and shown else None)
        probable = self._probability()
        layers.probable.set_slice(None if probable is None else _as_bytes(plane.of(probable.values, index), (0.0, 1.0)))
        if result is None:
            layers.result.set_slice(None)
            layers.unsure.set_slice(None)
            return
        values = plane.of(result.labels.values, index)
        reference = model.reference() if model.shown.errors else None
        if reference is not None:
            values = error_codes(values, plane.of(reference.values, index), model.chosen)
        layers.result.set_slice(values if reference is not None or not model.shown.errors else None)
        unsure = result.uncertainty if model.shown.uncertainty else None
        layers.unsure.set_slice(
            None if unsure is None else _as_bytes(plane.of(unsure.values, index), self._limits(unsure))
        )

    def _limits(self, unsure: Volume) -> tuple[float, float]:
        if self._unsure is None or self._unsure[0] is not unsure:
            self._unsure = (unsure, _unsure_range(unsure))
        return self._unsure[1]

    def _on_painted(self, box: Box | None) -> None:
        """Colour again what was painted, and draw only that part of the panes."""
        if box is None or self._model.shown.errors:
            self._on_place()
            return
        entry = self._model.entry
        for name, pane in self._slices.panes.items():
            layer = self._layers[name].painted
            if not box.start[pane.plane.cut] <= pane.index < box.stop[pane.plane.cut] or entry is None:
                continue
            if layer.values is None and entry.store is not None:
                layer.set_slice(pane.plane.of(entry.store.values, pane.index))
            top, left, bottom, right = window_of(pane.plane, box)
            layer.recolour(top, left, bottom, right)
            where: QRectF = pane.geometry_now.rect(left - 0.5, top - 0.5, right - 0.5, bottom - 0.5)
            pane.update(where.adjusted(-2, -2, 2, 2).toAlignedRect())

    def _move_cross(self, pane: SlicePane, pointer: Pointer, _at: object) -> None:
        pane.pointed.emit(pointer.y_px, pointer.x_px)

    def _describe(self, voxel: tuple[int, int, int]) -> str:
        """Names of what lies at a voxel."""
        entry, result = self._model.entry, self._model.result()
        if entry is None:
            return ""
        value = IGNORE if entry.store is None else int(entry.store.values[voxel])
        parts = ["not painted" if value == IGNORE else f"painted {entry.class_name(value)}"]
        if result is not None:
            parts.append(f"result {entry.class_name(int(result.labels.values[voxel]))}")
            probable = self._probability()
            if probable is not None:
                parts.append(f"probability {float(probable.values[voxel]):.3f}")
            if result.uncertainty is not None and self._model.shown.uncertainty:
                parts.append(f"unsure {float(result.uncertainty.values[voxel]):.2f}")
        return ", ".join(parts)


def _unsure_range(uncertainty: Volume) -> tuple[float, float]:
    """What is drawn clear and what most opaque: the median, and nearly the highest, of some voxels."""
    values = uncertainty.values
    step = max(1, round((values.size / _SAMPLES) ** (1 / 3)))
    low, high = np.percentile(np.asarray(values[::step, ::step, ::step], np.float32), (50, 99.8))
    return float(low), float(max(high, low + 0.05))


def _as_bytes(values: Array, limits: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """Uncertainty between two limits as 0..255."""
    low, high = limits
    share = (np.nan_to_num(np.asarray(values, np.float32)) - low) / (high - low)
    return np.asarray(np.clip(share, 0, 1) * 255, np.uint8)
