"""Where the pixels of an image lie on the screen; image coordinates count from the centre of the first pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF

Floats = npt.NDArray[np.float64]

_LEAST_ZOOM, _MOST_ZOOM = 1e-4, 400.0
_FIT_MARGIN = 0.97


@dataclass(frozen=True)
class ViewGeometry:
    """View of ``width`` x ``height`` screen px centred on (``x``, ``y``) in image px.

    ``zoom`` is screen px for the shorter side of an image pixel; ``aspect`` (x, y) >= 1 stretches the longer one.
    """

    width: float = 1.0
    height: float = 1.0
    x: float = 0.0
    y: float = 0.0
    zoom: float = 1.0
    aspect: tuple[float, float] = (1.0, 1.0)

    @property
    def scale(self) -> tuple[float, float]:
        """Screen px for one image px along (x, y)."""
        return self.zoom * self.aspect[0], self.zoom * self.aspect[1]

    def to_screen(self, xy_px: npt.ArrayLike) -> Floats:
        """Screen positions of image positions (n, 2)."""
        points = np.asarray(xy_px, np.float64)
        centre = np.array([self.width, self.height]) / 2
        return (points - (self.x, self.y)) * self.scale + centre

    def to_image(self, point: QPointF) -> tuple[float, float]:
        """Image position of a screen position."""
        across, down = self.scale
        return self.x + (point.x() - self.width / 2) / across, self.y + (point.y() - self.height / 2) / down

    def point(self, x_px: float, y_px: float) -> QPointF:
        """Screen position of an image position."""
        across, down = self.scale
        return QPointF((x_px - self.x) * across + self.width / 2, (y_px - self.y) * down + self.height / 2)

    def rect(self, left: float, top: float, right: float, bottom: float) -> QRectF:
        """Screen rectangle between two image positions."""
        return QRectF(self.point(left, top), self.point(right, bottom))

    def visible(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the view in image px."""
        left, top = self.to_image(QPointF(0, 0))
        right, bottom = self.to_image(QPointF(self.width, self.height))
        return left, top, right, bottom

    def resized(self, width: float, height: float) -> ViewGeometry:
        """The same centre and zoom in a view of another size."""
        return replace(self, width=max(1.0, width), height=max(1.0, height))

    def panned(self, dx: float, dy: float) -> ViewGeometry:
        """Moved by screen px, as if the image were dragged."""
        across, down = self.scale
        return replace(self, x=self.x - dx / across, y=self.y - dy / down)

    def zoomed(self, factor: float, at: QPointF | None = None) -> ViewGeometry:
        """Zoomed by a factor; what is at screen position ``at`` (default: the middle) stays there."""
        at = QPointF(self.width / 2, self.height / 2) if at is None else at
        zoom = min(max(self.zoom * factor, _LEAST_ZOOM), _MOST_ZOOM)
        fixed = self.to_image(at)
        new = replace(self, zoom=zoom)
        moved = new.point(*fixed)
        return new.panned(at.x() - moved.x(), at.y() - moved.y())

    def fitted(self, shape: Sequence[int]) -> ViewGeometry:
        """The whole image of ``shape`` (y, x) in the middle."""
        height, width = shape
        zoom = min(self.width / (width * self.aspect[0]), self.height / (height * self.aspect[1])) * _FIT_MARGIN
        zoom = min(max(zoom, _LEAST_ZOOM), _MOST_ZOOM)
        return replace(self, x=(width - 1) / 2, y=(height - 1) / 2, zoom=zoom)


def aspect_of(pixel_size_nm: Sequence[float | None]) -> tuple[float, float]:
    """Stretch of a pixel along (x, y) so that it is drawn to scale; square where a size is not known."""
    size_y, size_x = pixel_size_nm[-2:]
    if size_x is None or size_y is None:
        return 1.0, 1.0
    shorter = min(size_x, size_y)
    return size_x / shorter, size_y / shorter
