"""Turns what the tools do in a slice into painted voxels, and each stroke into one undo step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject, Signal

from atomseg_app.errors import UserError
from atomseg_app.gui.segmentation import masks
from atomseg_app.gui.segmentation.edits import Paint
from atomseg_app.gui.segmentation.label_store import Box, LabelStore
from atomseg_app.gui.segmentation.model import SegModel
from atomseg_app.gui.undo import UndoStack
from atomseg_app.gui.volumes.slice_pane import Plane
from atomseg_app.label_classes import IGNORE

Mask = npt.NDArray[np.bool_]
Point = tuple[float, float]
LARGEST_RADIUS_PX = 500.0


@dataclass(frozen=True)
class Brush:
    """``radius_px`` in voxels of the smallest side; ``low`` and ``high`` are grey levels of the threshold brush."""

    radius_px: float = 8.0
    low: float = 0.0
    high: float = 1.0
    tolerance: float = 0.15
    only_empty: bool = False


class Painter(QObject):
    """Paints on the volume that is shown. ``brush_changed`` tells of another brush."""

    brush_changed = Signal()

    def __init__(self, model: SegModel, undo: UndoStack, tell: Callable[[str], object]) -> None:
        super().__init__()
        self._model, self._undo, self._tell = model, undo, tell
        self.brush = Brush()
        self._store: LabelStore | None = None
        self._value = 0
        self._text = ""
        self._entry_id = -1

    def set_brush(self, brush: Brush) -> None:
        """Paint with another brush."""
        if brush != self.brush:
            self.brush = brush
            self.brush_changed.emit()

    @property
    def busy(self) -> bool:
        """Whether a stroke is being painted."""
        return self._store is not None

    def aspect(self) -> tuple[float, float, float]:
        """Sizes of a voxel (z, y, x) over the smallest of them; 1 where they are not known."""
        volume = self._model.volume()
        sizes = (None,) * 3 if volume is None else volume.pixel_size_nm
        known = [float(size) for size in sizes if size is not None]
        if len(known) < 3:
            return 1.0, 1.0, 1.0
        z, y, x = (size / min(known) for size in known)
        return z, y, x

    # -- strokes

    def begin(self, what: str, *, erase: bool = False) -> bool:
        """Begin a stroke of the chosen class; False where there is nothing to paint on, or a lock forbids it."""
        if self._model.current_id in self._model.preparing:
            self._tell("Room for the labels of this large volume is being made; it takes a second or two.")
            return False
        entry, store = self._model.entry, self._model.store()
        if entry is None or store is None or self.busy:
            return False
        self._value = IGNORE if erase else self._model.chosen
        if self._value in store.locked:
            self._tell(f"{entry.class_name(self._value)} is locked: unlock it in the list of classes to paint with it.")
            return False
        if not self._model.shown.painted:
            self._model.show(painted=True)
        store.only_empty = self.brush.only_empty and not erase
        store.begin()
        self._store, self._entry_id = store, self._model.current_id
        self._text = f"{what} {'' if erase else entry.class_name(self._value)}".strip()
        return True

    def stamp(self, plane: Plane, index: int, start: Point, end: Point, *, grey: bool = False) -> None:
        """Draw the round brush along a line of a slice, from (down, across) to (down, across)."""
        aspect = self.aspect()
        window, mask = masks.capsule(start, end, self.brush.radius_px, (aspect[plane.down], aspect[plane.across]))
        self.fill(plane, index, window, mask, grey=grey)

    def ball(self, centre: tuple[float, float, float]) -> None:
        """Draw a ball about a voxel (z, y, x)."""
        first, mask = masks.ball(centre, self.brush.radius_px, self.aspect())
        z, y, x = first
        depth, height, width = mask.shape
        self._paint(Box((z, y, x), (z + depth, y + height, x + width)), mask, grey=False)

    def fill(self, plane: Plane, index: int, window: masks.Window, mask: Mask, *, grey: bool = False) -> None:
        """Paint a mask (down, across) in a slice."""
        box, voxels = in_volume(plane, index, window, mask)
        self._paint(box, voxels, grey=grey)

    def fill_box(self, box: Box, mask: Mask) -> None:
        """Paint a mask (z, y, x)."""
        self._paint(box, mask, grey=False)

    def end(self) -> None:
        """End the stroke: one undo step, if it changed anything."""
        store, self._store = self._store, None
        if store is None:
            return
        patch = store.end()
        if patch is not None:
            self._undo.push(Paint(self._model, self._entry_id, store, patch, self._text))

    def cancel(self) -> None:
        """Take back what was painted since the stroke began."""
        store, self._store = self._store, None
        patch = None if store is None else store.end()
        if store is not None and patch is not None:
            store.apply(patch)
            self._model.tell_painted(self._entry_id, patch.box)

    def _paint(self, box: Box, mask: Mask, *, grey: bool) -> None:
        if self._store is None:
            return
        changed = self._store.paint(box, mask, self._value, self._in_range(box) if grey else None)
        if changed is not None:
            self._model.tell_painted(self._entry_id, changed)

    def _in_range(self, box: Box) -> Mask:
        """Voxels of a box whose grey level lies in the range of the threshold brush; none beyond the volume."""
        volume = self._model.volume()
        result = np.zeros(box.shape, bool)
        inside = None if volume is None else box.within(volume.shape)
        if volume is not None and inside is not None:
            values = volume.values[inside.slices]
            place = tuple(
                slice(start - outer, stop - outer)
                for start, stop, outer in zip(inside.start, inside.stop, box.start, strict=True)
            )
            result[place] = (values >= self.brush.low) & (values <= self.brush.high)
        return result


def in_volume(plane: Plane, index: int, window: masks.Window, mask: Mask) -> tuple[Box, Mask]:
    """A window and mask (down, across) of a slice as a box and mask (z, y, x) of the volume."""
    start, stop = [0, 0, 0], [0, 0, 0]
    start[plane.cut], stop[plane.cut] = index, index + 1
    start[plane.down], stop[plane.down] = window[0], window[2]
    start[plane.across], stop[plane.across] = window[1], window[3]
    flat = mask if plane.down < plane.across else mask.T
    voxels = np.expand_dims(flat, plane.cut)
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2])), voxels


def window_of(plane: Plane, box: Box) -> masks.Window:
    """The window (top, left, bottom, right) of a box in the slices of a plane."""
    return box.start[plane.down], box.start[plane.across], box.stop[plane.down], box.stop[plane.across]


def needs_volume(model: SegModel) -> None:
    """Raise UserError where no volume is shown."""
    if model.volume() is None:
        raise UserError("Nothing is open; open a volume first.")
