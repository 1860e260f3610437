"""The drawing area of an image view: layers over each other, wheel zoom, panning in every tool, and one active tool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QEnterEvent,
    QFocusEvent,
    QFont,
    QFontInfo,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from atomseg_app.gui.view_geometry import ViewGeometry

_WHEEL_FACTOR = 1.2  # for one notch, 15 degrees
_KEY_FACTOR = 1.4
_KEY_PAN_PX = 60.0

PaintLayer = Callable[[QPainter, ViewGeometry, float], None]
"""``paint(painter, geometry, device_scale)`` in screen px; ``device_scale`` is device pixels for one of them."""


@dataclass(frozen=True)
class Pointer:
    """Where the pointer is: in image px, and on the screen; with the keys held."""

    x_px: float
    y_px: float
    at: QPointF
    shift: bool = False
    control: bool = False


class Tool:
    """What the left button does. The base does nothing; ``hint`` tells the user how to use it."""

    title = "Look"
    hint = "Wheel zooms; drag with the middle button or with Space held to pan."
    cursor = Qt.CursorShape.ArrowCursor

    def press(self, pointer: Pointer) -> None:
        """The left button went down."""

    def drag(self, pointer: Pointer) -> None:
        """The pointer moved with the left button down."""

    def release(self, pointer: Pointer) -> None:
        """The left button went up."""

    def hover(self, pointer: Pointer | None) -> None:
        """The pointer moved with no button down, or left (None)."""

    def cancel(self) -> None:
        """Forget what was begun: Escape, or another tool was taken."""

    def finish(self) -> bool:
        """Enter was pressed; returns whether that meant something."""
        return False

    def paint(self, painter: QPainter, geometry: ViewGeometry) -> None:
        """Draw what is being done."""


class Canvas(QWidget):
    """Shows layers through a :class:`ViewGeometry`. ``view_changed`` tells of another geometry, ``hovered`` of the
    pointer (None when it left), ``context_asked`` of a click with the right button.
    """

    view_changed = Signal()
    hovered = Signal(object)
    context_asked = Signal(object, object)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("view.canvas")
        self.setAccessibleName("Image")
        self.setAccessibleDescription("Arrow keys pan, plus and minus zoom, zero fits the image into the view.")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 120)
        self.layers: list[PaintLayer] = []
        self.screen_layers: list[PaintLayer] = []
        self.side_layers: list[tuple[float, Callable[[QPainter, QRectF], None]]] = []
        self.paper = QColor("#ffffff")
        self.ink = QColor("#000000")
        self.focus_colour = QColor("#2f7de1")
        self.geometry_now = ViewGeometry()
        self.shape: tuple[int, int] | None = None
        self._fitted = True  # the view follows the window until the user zooms or pans
        self._tool = Tool()
        self._pan_from: QPointF | None = None
        self._pressed = False
        self._space = False

    # -- view

    def set_shape(self, shape: tuple[int, int] | None, aspect: tuple[float, float], *, keep_view: bool = False) -> None:
        """Show an image of ``shape`` (y, x), its pixels stretched by ``aspect`` (x, y)."""
        keep = keep_view and shape == self.shape and aspect == self.geometry_now.aspect
        self.shape = shape
        if not keep:
            size = self.plot_size()
            self.geometry_now = ViewGeometry(size.width(), size.height(), aspect=aspect)
            self.fit()
        self.update()

    def plot_size(self) -> QRectF:
        """The part of the widget in which the image is shown: what the side layers leave."""
        side = sum(width for width, _ in self.side_layers)
        return QRectF(0, 0, max(1.0, self.width() - side), max(1.0, self.height()))

    def picture_rect(self) -> QRectF:
        """The part of the view that the image fills, in screen px."""
        plot = self.plot_size()
        if self.shape is None:
            return plot
        height, width = self.shape
        return plot.intersected(self.geometry_now.rect(-0.5, -0.5, width - 0.5, height - 0.5))

    def set_side_layers(self, layers: list[tuple[float, Callable[[QPainter, QRectF], None]]]) -> None:
        """Things drawn at the right of the image, with their widths: colour bars."""
        self.side_layers = layers
        self._resize()
        self.update()

    def set_geometry_now(self, geometry: ViewGeometry, *, fitted: bool = False) -> None:
        """Look somewhere else; ``fitted`` views go on following the window."""
        self._fitted = fitted
        self._show(geometry)

    def fit(self) -> None:
        """The whole image in the view."""
        self._fitted = True
        if self.shape is not None:
            self._show(self.geometry_now.fitted(self.shape))

    @property
    def fitted(self) -> bool:
        """Whether the view follows the size of the window, showing the whole image."""
        return self._fitted

    def one_to_one(self) -> None:
        """One pixel of the screen for one of the image."""
        self.zoom(1 / (self.geometry_now.zoom * self.devicePixelRatioF()))

    def zoom(self, factor: float, at: QPointF | None = None) -> None:
        """Zoom by a factor about a screen position."""
        self.set_geometry_now(self.geometry_now.zoomed(factor, at))

    def centre_on(self, x_px: float, y_px: float) -> None:
        """Pan so that an image position is in view, if it is not."""
        left, top, right, bottom = self.geometry_now.visible()
        if not (left <= x_px <= right and top <= y_px <= bottom):
            point = self.geometry_now.point(x_px, y_px)
            middle = QPointF(self.geometry_now.width / 2, self.geometry_now.height / 2)
            self.set_geometry_now(self.geometry_now.panned(middle.x() - point.x(), middle.y() - point.y()))

    def tool(self) -> Tool:
        """The active tool."""
        return self._tool

    def set_tool(self, tool: Tool) -> None:
        """Take a tool; what the last one had begun is forgotten."""
        self._tool.cancel()
        self._tool = tool
        self._show_cursor()
        self.update()

    # -- drawing

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw everything, and the frame that shows the keyboard focus."""
        painter = QPainter(self)
        self.paint_all(painter, self.devicePixelRatioF())
        painter.save()
        painter.setClipRect(self.plot_size())
        for layer in self.screen_layers:
            layer(painter, self.geometry_now, self.devicePixelRatioF())
        painter.restore()
        if self.hasFocus():
            painter.setPen(QPen(self.focus_colour, 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(QRectF(self.rect()).adjusted(1, 1, -1, -1))
        painter.end()

    def paint_all(self, painter: QPainter, device_scale: float) -> None:
        """Draw paper, layers, tool and side layers in screen px; figures are drawn by the same call."""
        plot = self.plot_size()
        painter.fillRect(QRectF(0, 0, self.width(), self.height()), self.paper)
        painter.setFont(self.pixel_font())
        painter.save()
        painter.setClipRect(plot)
        for layer in self.layers:
            layer(painter, self.geometry_now, device_scale)
        self._tool.paint(painter, self.geometry_now)
        painter.restore()
        left = plot.right()
        for width, paint in self.side_layers:
            painter.save()
            paint(painter, QRectF(left, 0, width, self.height()))
            painter.restore()
            left += width

    def pixel_font(self, share: float = 1.0) -> QFont:
        """The font in screen px: in points it would have another size on paper of another resolution."""
        font = QFont(self.font())
        font.setPixelSize(max(1, round(QFontInfo(self.font()).pixelSize() * share)))
        return font

    def sizeHint(self) -> QSize:
        """As large as the window allows."""
        return QSize(800, 700)

    # -- events

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the whole image in view, or the centre where it was."""
        self._resize()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom about the pointer."""
        notches = event.angleDelta().y() / 120
        if notches:
            self.zoom(_WHEEL_FACTOR**notches, event.position())
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin to pan, or hand the press to the tool."""
        button = event.button()
        if button == Qt.MouseButton.MiddleButton or (button == Qt.MouseButton.LeftButton and self._space):
            self._pan_from = event.position()
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
        elif button == Qt.MouseButton.LeftButton:
            self._pressed = True
            self._tool.press(self._pointer(event))
            self.update()
        elif button == Qt.MouseButton.RightButton:
            self.context_asked.emit(self._pointer(event), event.globalPosition().toPoint())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Pan, drag or hover."""
        pointer = self._pointer(event)
        if self._pan_from is not None:
            moved = event.position() - self._pan_from
            self._pan_from = event.position()
            self.set_geometry_now(self.geometry_now.panned(moved.x(), moved.y()))
        elif self._pressed:
            self._tool.drag(pointer)
            self.update()
        else:
            self._tool.hover(pointer)
        self.hovered.emit(pointer)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End panning or dragging."""
        if self._pan_from is not None and event.button() in (Qt.MouseButton.MiddleButton, Qt.MouseButton.LeftButton):
            self._pan_from = None
            self._show_cursor()
        elif self._pressed and event.button() == Qt.MouseButton.LeftButton:
            self._pressed = False
            self._tool.release(self._pointer(event))
            self.update()

    def leaveEvent(self, event: QEvent) -> None:
        """The pointer is somewhere else."""
        self._tool.hover(None)
        self.hovered.emit(None)

    def enterEvent(self, event: QEnterEvent) -> None:
        """Show the tool's cursor."""
        self._show_cursor()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Pan, zoom, fit; Escape gives up what the tool had begun, Enter completes it."""
        key = event.key()
        pans = {
            Qt.Key.Key_Left: (_KEY_PAN_PX, 0), Qt.Key.Key_Right: (-_KEY_PAN_PX, 0),
            Qt.Key.Key_Up: (0, _KEY_PAN_PX), Qt.Key.Key_Down: (0, -_KEY_PAN_PX),
        }  # fmt: skip
        if key == Qt.Key.Key_Space:
            self._space = True
            self._show_cursor()
        elif key in pans:
            self.set_geometry_now(self.geometry_now.panned(*pans[Qt.Key(key)]))
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.zoom(_KEY_FACTOR)
        elif key == Qt.Key.Key_Minus:
            self.zoom(1 / _KEY_FACTOR)
        elif key == Qt.Key.Key_0:
            self.fit()
        elif key == Qt.Key.Key_Escape:
            self._pressed = False
            self._tool.cancel()
            self.update()
        elif key not in (Qt.Key.Key_Return, Qt.Key.Key_Enter) or not self._tool.finish():
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Space let go: the tool is back."""
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self._space = False
            self._show_cursor()
        else:
            super().keyReleaseEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """A key let go elsewhere is not seen here."""
        self._space = False
        super().focusOutEvent(event)

    def _resize(self) -> None:
        size = self.plot_size()
        geometry = self.geometry_now.resized(size.width(), size.height())
        if self._fitted and self.shape is not None:
            geometry = geometry.fitted(self.shape)
        self._show(geometry)

    def _show(self, geometry: ViewGeometry) -> None:
        if geometry != self.geometry_now:
            self.geometry_now = geometry
            self.view_changed.emit()
            self.update()

    def _show_cursor(self) -> None:
        self.setCursor(Qt.CursorShape.OpenHandCursor if self._space else self._tool.cursor)

    def _pointer(self, event: QMouseEvent) -> Pointer:
        keys = event.modifiers()
        x_px, y_px = self.geometry_now.to_image(event.position())
        return Pointer(
            x_px, y_px, event.position(),
            bool(keys & Qt.KeyboardModifier.ShiftModifier), bool(keys & Qt.KeyboardModifier.ControlModifier),
        )  # fmt: skip
