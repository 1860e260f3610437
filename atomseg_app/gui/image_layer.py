"""Draws an image through a view: reads what is visible at the resolution of the screen, off the thread if it is big."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject, QRectF, Signal
from PySide6.QtGui import QImage, QPainter

from atomseg_app.data import Array
from atomseg_app.gui.background import Background
from atomseg_app.gui.contrast import Contrast
from atomseg_app.gui.image_pyramid import (
    AT_ONCE_PIXELS,
    Tile,
    Window,
    overview_step,
    read_tile,
    sample,
    step_for,
    whole,
)
from atomseg_app.gui.view_geometry import ViewGeometry

_MARGIN_SHARE = 0.25  # read beyond what is visible, so that a short pan needs no new read


class ImageLayer(QObject):
    """Picture of one image. ``ready`` tells that its overview has been read; ``changed`` that there is more to draw."""

    changed = Signal()
    ready = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.values: Array | None = None
        self.sample: npt.NDArray[np.float32] = np.empty(0, np.float32)
        self.contrast = Contrast()
        self.smooth = False
        self._background = Background()
        self._tiles: list[Tile] = []  # the overview first, then the one for what is visible now
        self._pictures: list[tuple[Tile, Contrast, QImage]] = []
        self._wanted: tuple[Window, int] | None = None
        self._reading = False

    @property
    def waiting(self) -> bool:
        """Whether the image is still being read."""
        return self.values is not None and self.values.size > 0 and not self._tiles

    def set_values(self, values: Array | None) -> None:
        """Show another image (y, x), or none. ``ready`` follows, at once for images of ordinary size."""
        self.values = values
        self._tiles, self._pictures, self._wanted = [], [], None
        self.sample = np.empty(0, np.float32)
        if values is None or not values.size:
            self.ready.emit()
        elif values.size <= AT_ONCE_PIXELS:
            self._take_overview(values, (read_tile(values, whole(values.shape), 1), sample(values)))
        else:
            step = overview_step(values.shape)
            self._background.run(
                lambda: (read_tile(values, whole(values.shape), step), sample(values)),
                lambda read: self._take_overview(values, read),
            )

    def set_contrast(self, contrast: Contrast) -> None:
        """Draw with other limits or colours."""
        self.contrast = contrast
        self.changed.emit()

    def paint(self, painter: QPainter, geometry: ViewGeometry, device_scale: float) -> None:
        """Draw what is visible; ``device_scale`` is pixels of the paint device for one screen px."""
        if self.values is None or not self._tiles:
            return
        window = visible_window(geometry, self.values.shape)
        if window is None:
            return
        step = step_for(1 / (max(geometry.scale) * device_scale))
        tile = self._tile(window, step)
        painter.save()
        shrunk = tile.step * min(geometry.scale) * device_scale < 1
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self.smooth or shrunk)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)  # else edges are rounded: up to a screen px off
        left, top, right, bottom = tile.window
        picture = self._picture(tile)
        target = geometry.rect(left - 0.5, top - 0.5, right - 0.5, bottom - 0.5)
        source = QRectF(0, 0, (right - left) / tile.step, (bottom - top) / tile.step)
        painter.drawImage(target, picture, source)
        painter.restore()

    def read_for(self, geometry: ViewGeometry, device_scale: float) -> None:
        """Read now what :meth:`paint` at this scale needs, for a figure that is written once."""
        window = None if self.values is None else visible_window(geometry, self.values.shape)
        step = step_for(1 / (max(geometry.scale) * device_scale))
        if self.values is None or window is None or any(tile.serves(window, step) for tile in self._tiles):
            return
        self._tiles[1:] = [read_tile(self.values, _grown(window, self.values.shape, step), step)]

    def _take_overview(self, values: Array, read: tuple[Tile, npt.NDArray[np.float32]]) -> None:
        if values is self.values:
            self._tiles, self.sample = [read[0]], read[1]
            self.ready.emit()

    def _tile(self, window: Window, step: int) -> Tile:
        """The best tile at hand for a window; a better one is read if there is none."""
        for tile in self._tiles:
            if tile.serves(window, step):
                if tile.step == 1 and step > 1 and tile is self._tiles[0]:
                    return self._coarser(tile, step)
                return tile
        self._want(window, step)
        return self._tiles[-1] if len(self._tiles) > 1 and self._tiles[1].serves(window, 1 << 30) else self._tiles[0]

    def _coarser(self, tile: Tile, step: int) -> Tile:
        """Block means of an image that is in memory as a whole, kept until another step is asked for."""
        for other in self._tiles[1:]:
            if other.step == step:
                return other
        self._tiles[1:] = [read_tile(tile.values, tile.window, step)]
        return self._tiles[1]

    def _picture(self, tile: Tile) -> QImage:
        for known, contrast, picture in self._pictures:
            if known is tile and contrast == self.contrast:
                return picture
        colours = np.ascontiguousarray(self.contrast.colours(tile.values))
        height, width = colours.shape
        picture = QImage(colours.data, width, height, 4 * width, QImage.Format.Format_RGB32).copy()
        kept = [
            entry for entry in self._pictures if entry[1] == self.contrast and any(entry[0] is t for t in self._tiles)
        ]
        self._pictures = [*kept, (tile, self.contrast, picture)]
        return picture

    def _want(self, window: Window, step: int) -> None:
        self._wanted = (window, step)
        if not self._reading:
            self._read_next()

    def _read_next(self) -> None:
        """Read what was asked for last; what was asked for before it is of no use any more."""
        if self._wanted is None or self.values is None:
            return
        values, (window, step) = self.values, self._wanted
        self._wanted, self._reading = None, True
        grown = _grown(window, values.shape, step)
        self._background.run(
            lambda: read_tile(values, grown, step),
            lambda tile: self._take(values, tile),
            lambda _problem: self._take(None, None),
        )

    def _take(self, values: Array | None, tile: Tile | None) -> None:
        self._reading = False
        if tile is not None and values is self.values and self._tiles:
            self._tiles[1:] = [tile]
            self.changed.emit()
        self._read_next()


def visible_window(geometry: ViewGeometry, shape: tuple[int, ...]) -> Window | None:
    """Pixels of an image (y, x) that a view shows at least in part; None if there are none."""
    left, top, right, bottom = geometry.visible()
    window = (
        max(0, int(np.floor(left + 0.5))), max(0, int(np.floor(top + 0.5))),
        min(shape[1], int(np.ceil(right + 0.5))), min(shape[0], int(np.ceil(bottom + 0.5))),
    )  # fmt: skip
    return window if window[0] < window[2] and window[1] < window[3] else None


def _grown(window: Window, shape: tuple[int, ...], step: int) -> Window:
    """A window with a margin, on the grid of blocks."""
    left, top, right, bottom = window
    across, down = int((right - left) * _MARGIN_SHARE), int((bottom - top) * _MARGIN_SHARE)
    return (
        max(0, left - across) // step * step, max(0, top - down) // step * step,
        min(shape[1], right + across), min(shape[0], bottom + down),
    )  # fmt: skip
