"""How the volume is drawn in 3D: projection, translucent with an opacity curve, or surface; clipping; box."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from atomseg_app.gui.value_text import value_text
from atomseg_app.gui.volumes.look import with_clip
from atomseg_app.gui.volumes.transfer_editor import DEFAULT, TransferEditor
from atomseg_app.gui.volumes.volume3d import Volume3D

MODES = {"mip": "Maximum along the view", "translucent": "Translucent", "surface": "Surface"}
_STEPS = 200
_MODE_TIP = "Maximum along each line of sight, translucent as smoke, or the surface at one value."


class Show3DPanel(QWidget):
    """Controls of a :class:`Volume3D`."""

    def __init__(self, view: Volume3D) -> None:
        super().__init__()
        self._view = view
        self.mode = QComboBox()
        self.mode.setAccessibleName("Drawn as")
        self.mode.setToolTip(_MODE_TIP)
        for key, title in MODES.items():
            self.mode.addItem(title, key)
        self.transfer = TransferEditor()
        self.level = QSlider(Qt.Orientation.Horizontal)
        self.level.setRange(0, _STEPS)
        self.level.setValue(_STEPS // 2)
        self.level.setAccessibleName("Value of the surface")
        self.level.setToolTip("Value at which the surface lies, between the limits of the contrast.")
        self.level_text = QLineEdit()
        self.level_text.setAccessibleName("Value of the surface as a number")
        self.level_text.setToolTip("Value at which the surface lies. Enter applies it.")
        self.level_text.setMaximumWidth(9 * self.fontMetrics().averageCharWidth() + 16)
        self.box = QCheckBox("Box with its size")
        self.box.setToolTip("Draw the edges of the volume.")
        self.box.setChecked(True)
        self.cross = QCheckBox("Cross-hair")
        self.cross.setToolTip("Draw lines through the voxel at which the slices are cut, in the colours of the slices.")
        self.cross.setChecked(True)
        self.reset = QPushButton("First view")
        self.reset.setToolTip("Look at the whole volume from the first direction again.")
        self._clips: list[tuple[QSlider, QSlider]] = []
        self._arrange()
        self.mode.currentIndexChanged.connect(self._on_mode)
        self.transfer.changed.connect(lambda points: view.set_look(replace(view.look, points=points)))
        self.level.valueChanged.connect(self._on_level)
        self.level_text.returnPressed.connect(self._on_level_text)
        self.box.toggled.connect(lambda on: view.set_look(replace(view.look, box=on)))
        self.cross.toggled.connect(lambda on: view.set_look(replace(view.look, cross=on)))
        self.reset.clicked.connect(lambda _checked: view.reset_camera())
        view.ready.connect(self.refresh)
        view.parts_changed.connect(self._on_parts)
        self._on_mode()

    def refresh(self) -> None:
        """Show the values of the volume that is drawn."""
        self.transfer.set_counts(self._view.counts())
        self._show_level()

    def _on_parts(self) -> None:
        """How grey levels are drawn means nothing while other surfaces are drawn in their place."""
        free = not self._view.parts
        for widget in (self.mode, self.transfer, self._level_row):
            widget.setEnabled(free)
        self.mode.setToolTip(_MODE_TIP if free else "Surfaces are drawn in place of the grey levels; hide those first.")

    def _on_mode(self) -> None:
        mode = self.mode.currentData()
        self.transfer.setVisible(mode == "translucent")
        self._level_row.setVisible(mode == "surface")
        self._view.set_look(replace(self._view.look, mode=mode))

    def _on_level(self, step: int) -> None:
        low, high = self._view.limits()
        self._view.set_look(replace(self._view.look, level=low + step / _STEPS * (high - low)))
        self._show_level()

    def _on_level_text(self) -> None:
        try:
            value = float(self.level_text.text().strip().replace(",", ".").replace("\N{MINUS SIGN}", "-"))
        except ValueError:
            self._show_level()
            return
        self._view.set_look(replace(self._view.look, level=value))
        self._show_level()

    def _show_level(self) -> None:
        low, high = self._view.limits()
        level = self._view.level()
        blocker = QSignalBlocker(self.level)
        self.level.setValue(round((level - low) / (high - low) * _STEPS) if high > low else _STEPS // 2)
        blocker.unblock()
        self.level_text.setText(value_text(level, 4))

    def _on_clip(self, axis: int, moved: QSlider) -> None:
        first, last = self._clips[axis]
        if first.value() >= last.value():  # keep a slab: the other end gives way
            other = last if moved is first else first
            blocker = QSignalBlocker(other)
            other.setValue(moved.value() + (1 if moved is first else -1))
            blocker.unblock()
        low, high = first.value() / 100, last.value() / 100
        self._view.set_look(with_clip(self._view.look, axis, min(low, high), max(low, high)))

    def _arrange(self) -> None:
        self._level_row = QWidget()
        row = QHBoxLayout(self._level_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("Value"))
        row.addWidget(self.level, 1)
        row.addWidget(self.level_text)
        clips = QGridLayout()
        clips.setHorizontalSpacing(8)
        clips.setColumnStretch(1, 1)
        clips.setColumnStretch(2, 1)
        clips.addWidget(QLabel("Cut off"), 0, 0)
        for column, text in ((1, "from"), (2, "to")):
            clips.addWidget(QLabel(text), 0, column)
        for axis, name in enumerate("zyx"):
            sliders = []
            for end, value in (("Begin", 0), ("End", 100)):
                slider = QSlider(Qt.Orientation.Horizontal)
                slider.setRange(0, 100)
                slider.setValue(value)
                slider.setAccessibleName(f"{end} of what is shown along {name}")
                slider.setToolTip(f"{end} of what is shown along {name}, in % of the volume.")
                slider.valueChanged.connect(lambda _value, axis=axis, slider=slider: self._on_clip(axis, slider))
                sliders.append(slider)
            self._clips.append((sliders[0], sliders[1]))
            line = 3 - axis
            clips.addWidget(QLabel(name), line, 0)
            clips.addWidget(sliders[0], line, 1)
            clips.addWidget(sliders[1], line, 2)
        bottom = QHBoxLayout()
        bottom.addWidget(self.cross)
        bottom.addStretch(1)
        bottom.addWidget(self.reset)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for widget in (self.mode, self.transfer, self._level_row):
            layout.addWidget(widget)
        layout.addLayout(clips)
        layout.addWidget(self.box)
        layout.addLayout(bottom)
        self.transfer.set_points(DEFAULT)
