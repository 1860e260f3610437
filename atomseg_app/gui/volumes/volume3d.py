"""The 3D pane: asks whether OpenGL is there, imports VisPy when first shown, and keeps the picture up to date."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QColor, QGuiApplication, QImage, QShowEvent
from PySide6.QtWidgets import QLabel, QPushButton, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from atomseg_app.data import Volume
from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.colour_maps import colour_table
from atomseg_app.gui.contrast import Contrast
from atomseg_app.gui.image_view import Readout
from atomseg_app.gui.scale_bar import length_text
from atomseg_app.gui.sections import WrappedLabel
from atomseg_app.gui.theme import Theme
from atomseg_app.gui.volumes import figure3d
from atomseg_app.gui.volumes.gl_check import GlFacts, gl_facts
from atomseg_app.gui.volumes.legend import Legend
from atomseg_app.gui.volumes.look import Look
from atomseg_app.gui.volumes.model import VolumeModel
from atomseg_app.gui.volumes.part import Part
from atomseg_app.gui.volumes.shrinking import shrunk, step_for
from atomseg_app.gui.volumes.slice_pane import PLANES
from atomseg_app.gui.volumes.transfer_editor import opacity_at

if TYPE_CHECKING:
    from atomseg_app.gui.volumes.scene3d import Scene

MOST_VOXELS = 512**3
"""More are drawn at a lower resolution, so that a graphics card with 1 GB still can."""
MOST_IN_SOFTWARE = 128**3
_LEVELS = 64
_REST_MS, _FRAME_MS = 300, 30
_GROUND, _LINES, _SURFACE = "#0d1015", "#8d99ab", "#b9c8de"
"""Colours behind and round a volume, in every look: bright grey levels need a dark ground, as in the slices."""

Floats = npt.NDArray[np.float32]


class Volume3D(QStackedWidget):
    """Shows the model's volume in 3D. ``surface_wanted(values, level)`` asks for a mesh; ``ready`` when drawn;
    ``parts_changed`` when surfaces take the place of the volume, or give it back.
    """

    surface_wanted = Signal(object, float)
    ready = Signal()
    parts_changed = Signal()

    def __init__(self, model: VolumeModel[Any], theme: Theme, facts: Callable[[], GlFacts] = gl_facts) -> None:
        super().__init__()
        self.setObjectName("volumes.3d")
        self.setAccessibleName("Volume in 3D")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self._model, self._theme, self._facts_of = model, theme, facts
        self.facts: GlFacts | None = None
        self.scene: Scene | None = None
        self.look = Look()
        self.drawn: Floats | None = None
        self.notice_text = ""
        self.legend_shown = Legend()
        self._contrast = Contrast()
        self._volume: Volume | None = None
        self._loading = False
        self._background = Background()
        self._parts: Sequence[Part] = ()
        self._arrange()
        self._bar_delay = QTimer(self, singleShot=True, interval=0)
        self._bar_delay.timeout.connect(self._show_bar)
        self._delay = QTimer(self, singleShot=True, interval=250)
        self._delay.timeout.connect(self._ask_surface)
        for signal in (model.current_changed, model.changed):
            signal.connect(self.refresh)
        self._cross_delay = QTimer(self, singleShot=True)
        self._cross_delay.timeout.connect(self._show_cross)
        model.place_changed.connect(self._on_place)
        theme.changed.connect(self._on_theme)

    # -- what is shown

    @property
    def usable(self) -> bool:
        """Whether 3D can be drawn here, as far as is known."""
        return self.facts is None or not self.facts.problem

    def set_look(self, look: Look) -> None:
        """Draw in another way."""
        before, self.look = self.look, look
        if self.scene is None or self.drawn is None:
            return
        if look.mode != before.mode and look.mode != "surface":
            self.scene.set_method(look.mode)
        self.scene.show_volume(look.mode != "surface")
        self._show_parts()
        if look.points != before.points or look.mode != before.mode:
            self._colour()
        if look.clip != before.clip:
            self.scene.set_clipping(look.clip)
        if look.box != before.box:
            self.scene.show_box(look.box)
        if look.cross != before.cross:
            self._show_cross()
        if look.mode == "surface" and (look.level != before.level or before.mode != "surface"):
            self._delay.start()

    def set_contrast(self, contrast: Contrast) -> None:
        """Draw with other limits or colours; those of the slices."""
        self._contrast = contrast
        self._colour()

    def set_surface(self, values: object, vertices: Floats, faces: npt.NDArray[np.int32]) -> None:
        """Show a mesh made of ``values`` (what :attr:`drawn` was when it was asked for)."""
        if self.scene is not None and values is self.drawn and self.look.mode == "surface":
            self.scene.set_surface(vertices, faces, QColor(_SURFACE))
            self.scene.show_volume(False)

    def set_parts(self, parts: Sequence[Part]) -> None:
        """Show surfaces in place of the volume; none shows the volume again."""
        changed, self._parts = bool(parts) != bool(self._parts), parts
        if changed:
            self.parts_changed.emit()
        if self.scene is not None and self.drawn is not None:
            self.scene.show_volume(self.look.mode != "surface")
            self._show_parts()

    def set_legend(self, legend: Legend) -> None:
        """Say below the picture, and in figures, what its colours stand for."""
        self.legend_shown = legend
        self.legend.setText(legend.rich_text())
        self.legend.setVisible(bool(legend.marks))

    @property
    def parts(self) -> Sequence[Part]:
        """The surfaces that are shown in place of the volume."""
        return self._parts

    def counts(self) -> npt.NDArray[np.float64]:
        """How often values occur from the low to the high limit."""
        if self.drawn is None:
            return np.zeros(1)
        part = self.drawn.ravel()[:: max(1, self.drawn.size >> 19)]
        return np.histogram(part, _LEVELS, (self._contrast.low, max(self._contrast.high, self._contrast.low + 1e-9)))[
            0
        ].astype(float)

    def limits(self) -> tuple[float, float]:
        """Limits of the contrast."""
        return self._contrast.low, self._contrast.high

    def level(self) -> float:
        """Value of the surface; halfway between the limits until one is chosen."""
        low, high = self.limits()
        return low + 0.5 * (high - low) if self.look.level is None else self.look.level

    def reset_camera(self) -> None:
        """Look at the whole volume from the first direction."""
        if self.scene is not None:
            self.scene.reset_camera()

    def picture(self) -> npt.NDArray[np.uint8] | None:
        """What is drawn (y, x, rgba), if anything is."""
        return None if self.scene is None or self.drawn is None else self.scene.picture()

    def figure(self, rgba: npt.NDArray[np.uint8] | None = None, scale: float = 1.0) -> QImage | None:
        """What is drawn, or was, with scale bar, legend and the size of the box, if anything is."""
        rgba = self.picture() if rgba is None else rgba
        if rgba is None or self.scene is None or self._volume is None:
            return None
        per_px = self.scene.length_per_px() * self.scene.canvas.size[0] / rgba.shape[1]
        box = self.size_line.text() if self.look.box else ""
        calibrated = None not in self._volume.pixel_size_nm
        return figure3d.figure(rgba, per_px, calibrated, self.legend_shown, box, self.font(), scale)

    def refresh(self) -> None:
        """Show the volume of the model, once this is on screen."""
        volume = self._model.volume()
        if volume is None:
            if self.scene is not None:
                self.scene.clear()
            self._volume = self.drawn = None
            return
        known = self._volume
        same = known is not None and known.values is volume.values and known.pixel_size_nm == volume.pixel_size_nm
        if same or not self.isVisible():
            return
        if not self._begin():
            return
        self._load(volume)

    def showEvent(self, event: QShowEvent) -> None:
        """Draw what was missed while hidden."""
        super().showEvent(event)
        QTimer.singleShot(0, self, self.refresh)

    # -- inside

    def _begin(self) -> bool:
        """Look for OpenGL, then import VisPy in the background; whether there is a scene to draw in."""
        if self.scene is not None:
            return True
        if self.facts is None:
            self.facts = self._facts_of()
            if self.facts.problem:
                self._explain(self.facts.problem, self.facts.report)
        if self.facts.problem or self._loading:
            return False
        self._loading = True
        self._background.run(_import_scene, while_alive(self, self._make_scene), while_alive(self, self._failed))
        return False

    def _make_scene(self, scene_class: Any) -> None:
        try:
            self.scene = scene_class()
        except Exception as problem:  # noqa: BLE001 - drivers fail in many ways; the slices must go on working
            self._failed(problem)
            return
        self._loading = False
        place = self._canvas_page.layout()
        assert isinstance(place, QVBoxLayout)
        place.insertWidget(0, self.scene.widget, 1)
        self.scene.widget.setMinimumSize(80, 80)
        self.scene.widget.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.scene.widget.setAccessibleName("Volume in 3D: drag turns, wheel zooms, Shift and drag pans")
        self.scene.widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.depth_bar = figure3d.DepthBar(self.scene.widget)
        self.scene.canvas.events.draw.connect(lambda _event: self._bar_delay.start())
        self._on_theme()
        self.refresh()

    def _failed(self, problem: Exception) -> None:
        report = "" if self.facts is None else self.facts.report
        self._explain("The 3D view could not be started on this display. The slices work without it.",
                      f"{report}\n{type(problem).__name__}: {problem}")  # fmt: skip
        self.facts = GlFacts("failed", report)

    def _load(self, volume: Volume) -> None:
        """Shrink and copy in the background what is to be drawn."""
        assert self.scene is not None
        assert self.facts is not None
        self._volume = volume
        most = MOST_IN_SOFTWARE if self.facts.software else MOST_VOXELS
        limit = self.scene.texture_limit()
        step = step_for(volume.shape, limit, most)
        self.notice_text = self._reason(volume, step, limit)
        self.notice.setText(self.notice_text)
        self.notice.setVisible(bool(self.notice_text))
        self._background.run(
            lambda: shrunk(volume.values, step), while_alive(self, lambda drawn: self._take(volume, drawn, step))
        )

    def _reason(self, volume: Volume, step: int, limit: int) -> str:
        if step == 1:
            return ""
        shown = " × ".join(str(size // step) for size in reversed(volume.shape))
        if max(volume.shape) > limit:
            why = f"this graphics card takes at most {limit} voxels a side"
        elif self.facts is not None and self.facts.software:
            why = "there is no graphics card, so the processor draws it"
        else:
            why = "it is too large for the memory of most graphics cards"
        return f"Drawn at 1/{step} of its resolution ({shown} voxels), since {why}."

    def _take(self, volume: Volume, drawn: Floats, step: int) -> None:
        if volume is not self._volume or self.scene is None:
            return
        self.drawn = drawn
        scale = [size * step for size in self._scale_of(volume)]
        self.scene.set_volume(drawn, scale, (drawn.shape[0], drawn.shape[1], drawn.shape[2]))
        if self.look.mode != "surface":
            self.scene.set_method(self.look.mode)
        self.scene.set_clipping(self.look.clip)
        self.scene.show_box(self.look.box)
        self._show_cross()
        self._colour()
        self._show_parts()
        self.size_line.setText(_box_text(volume))
        if self.look.mode == "surface":
            self._delay.start()
        self.ready.emit()

    @staticmethod
    def _scale_of(volume: Volume) -> list[float]:
        """Sizes of a voxel (z, y, x) in nm; 1 where they are not known."""
        sizes = volume.pixel_size_nm
        return [float(size or 1.0) for size in (sizes if None not in sizes else (1.0,) * 3)]

    def _show_parts(self) -> None:
        volume = self._volume
        if self.scene is None or volume is None:
            return
        self.scene.set_parts(self._parts, self._scale_of(volume), volume.shape)
        if self._parts:
            self.scene.hide_volume()

    def _show_bar(self) -> None:
        """The scale bar after the camera moved; not while it is drawn, which would draw it again and again."""
        if self.scene is not None and self._volume is not None and self.drawn is not None:
            self.depth_bar.show_scale(self.scene.length_per_px(), None not in self._volume.pixel_size_nm)

    def _on_place(self) -> None:
        """The cross-hair follows that of the slices; where the processor draws 3D, once that rests."""
        if self.scene is not None and self.look.cross and self.facts is not None:
            self._cross_delay.start(_REST_MS if self.facts.software else _FRAME_MS)

    def _show_cross(self) -> None:
        if self.scene is None or self._volume is None:
            return
        place = self._model.place if self.look.cross and self.drawn is not None else None
        self.scene.show_cross(place, self._scale_of(self._volume), self._volume.shape, [p.colour for p in PLANES])

    def _ask_surface(self) -> None:
        if self.drawn is not None and self.look.mode == "surface":
            self.surface_wanted.emit(self.drawn, self.level())

    def _colour(self) -> None:
        if self.scene is None or self.drawn is None:
            return
        table = colour_table(self._contrast.colour_map, self._contrast.invert, _LEVELS).astype(np.float32) / 255
        places = np.linspace(0, 1, _LEVELS)
        # The box behind is seen through what is dark in a maximum projection.
        opacity = np.clip(3 * places, 0, 1) if self.look.mode == "mip" else opacity_at(self.look.points, places)
        rgba = np.column_stack([table, opacity]).astype(np.float32)
        self.scene.set_colours(rgba, self._contrast.low, self._contrast.high)

    def _on_theme(self) -> None:
        if self.scene is not None:
            self.scene.set_background(QColor(_GROUND), QColor(_LINES))

    def _explain(self, text: str, report: str) -> None:
        self.explanation.setText(text)
        self._report = f"{text}\n{report}"
        self.setCurrentWidget(self._explain_page)

    def _arrange(self) -> None:
        self.notice = WrappedLabel()
        self.notice.setProperty("role", "small")
        self.notice.setAccessibleName("About the resolution in 3D")
        self.notice.hide()
        self.legend = QLabel(textFormat=Qt.TextFormat.RichText, wordWrap=True)
        self.legend.setObjectName("volumes.legend")
        self.legend.setAccessibleName("What the colours in 3D stand for")
        self.legend.hide()
        self.size_line = Readout("Size of the box")
        self._canvas_page = QWidget()
        page = QVBoxLayout(self._canvas_page)
        page.setContentsMargins(0, 0, 0, 0)
        page.setSpacing(1)
        page.addStretch(0)
        page.addWidget(self.legend)
        page.addWidget(self.size_line)
        page.addWidget(self.notice)
        self.addWidget(self._canvas_page)
        self._explain_page = QWidget()
        words = QVBoxLayout(self._explain_page)
        words.setContentsMargins(24, 24, 24, 24)
        title = QLabel("3D cannot be shown here")
        title.setProperty("role", "heading")
        self.explanation = WrappedLabel()
        self.explanation.setAccessibleName("Why 3D cannot be shown")
        self.explanation.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        copy = QPushButton("Copy report")
        copy.setToolTip("Copy what is known of the graphics of this computer, to send to a developer.")
        copy.clicked.connect(lambda _checked: QGuiApplication.clipboard().setText(self._report))
        self._report = ""
        words.addStretch(1)
        words.addWidget(title)
        words.addWidget(self.explanation)
        words.addWidget(copy, 0, Qt.AlignmentFlag.AlignLeft)
        words.addStretch(2)
        self.addWidget(self._explain_page)


def _import_scene() -> Any:
    """Read VisPy on the background's thread, where it keeps nobody waiting."""
    # VisPy asks for these when the first canvas is made and the first volume drawn: a quarter second for the window.
    for name in ("vispy.app.backends._pyside6", "OpenGL.GL"):
        importlib.import_module(name)
    from atomseg_app.gui.volumes.scene3d import Scene

    return Scene


def _box_text(volume: Volume) -> str:
    sizes = volume.pixel_size_nm
    if None in sizes:
        return "Box: " + " × ".join(str(size) for size in reversed(volume.shape)) + " voxels (x × y × z)"
    lengths = [length_text(count * float(size or 0), 4) for count, size in zip(volume.shape, sizes, strict=True)]
    return "Box: " + " × ".join(reversed(lengths)) + " (x × y × z)"
