"""Preferences: every change takes effect at once."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QSpinBox,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from atomseg_app.gui.settings import (
    AUTOSAVE_S,
    DEVICE,
    FONT_SCALE_PERCENT,
    LOG_LEVEL,
    SECOND_WINDOW,
    THEME,
    Setting,
    Settings,
)
from atomseg_app.gui.shortcuts import ShortcutEditor
from atomseg_app.gui.status import Devices

_THEMES = {"system": "As the system", "light": "Light", "dark": "Dark"}
_LEVELS = {"DEBUG": "Everything", "INFO": "Information", "WARNING": "Warnings", "ERROR": "Errors only"}


class Preferences(QDialog):
    """Settings of the program, by topic."""

    def __init__(self, parent: QWidget, settings: Settings, devices: Devices, shortcuts: ShortcutEditor) -> None:
        super().__init__(parent)
        self.setObjectName("dialog.preferences")
        self.setWindowTitle("Preferences")
        self._settings, self._devices = settings, devices
        self.pages = QTabWidget()
        self.pages.setAccessibleName("Topics")
        self.pages.setUsesScrollButtons(False)
        self.device = QComboBox()
        self.pages.addTab(self._appearance(), "Appearance")
        self.pages.addTab(self._computing(), "Computing")
        self.pages.addTab(self._projects(), "Start and projects")
        self.pages.addTab(shortcuts, "Shortcuts")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        reset = QPushButton("Reset all")
        reset.setToolTip("Bring every preference, shortcut and the list of recent files back to the defaults.")
        reset.clicked.connect(self._reset)
        buttons.addButton(reset, QDialogButtonBox.ButtonRole.ResetRole)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 14, 14, 12)
        layout.setSpacing(12)
        layout.addWidget(self.pages)
        layout.addWidget(buttons)
        devices.changed.connect(self._fill_devices)
        self._fill_devices()

    def _appearance(self) -> QWidget:
        page, form = _page()
        theme = self._choice(THEME, _THEMES, "Light or dark colours, or those of the system.")
        form.addRow("Colours", theme)
        scale = QSlider(Qt.Orientation.Horizontal)
        scale.setRange(80, 200)
        scale.setSingleStep(5)
        scale.setAccessibleName("Text size in percent")
        scale.setToolTip("Size of all text, 80 to 200 %; default 100 %.")
        shown = QSpinBox(minimum=80, maximum=200, singleStep=5, suffix=" %")
        shown.setAccessibleName("Text size in percent")
        shown.setKeyboardTracking(False)
        for widget in (scale, shown):
            widget.setValue(self._settings.get(FONT_SCALE_PERCENT))

        def resize_text() -> None:
            if not scale.isSliderDown():  # while it is dragged the slider would move under the pointer
                self._settings.set(FONT_SCALE_PERCENT, scale.value())

        scale.sliderReleased.connect(resize_text)
        scale.valueChanged.connect(resize_text)
        scale.valueChanged.connect(shown.setValue)
        shown.valueChanged.connect(scale.setValue)
        row = QHBoxLayout()
        row.addWidget(scale, 1)
        row.addWidget(shown)
        form.addRow("Text size", row)
        return page

    def _computing(self) -> QWidget:
        page, form = _page()
        self.device.setAccessibleName("Device")
        self.device.setToolTip("Where computations run unless a form says otherwise.")
        self.device.activated.connect(lambda: self._settings.set(DEVICE, self.device.currentData()))
        form.addRow("Device", self.device)
        self._device_note = QLabel(wordWrap=True)
        self._device_note.setProperty("role", "small")
        form.addRow("", self._device_note)
        form.addRow("Log", self._choice(LOG_LEVEL, _LEVELS, "How much is written to the log."))
        return page

    def _projects(self) -> QWidget:
        page, form = _page()
        second = QCheckBox("Open files in a new window")
        second.setToolTip("When the program is started again with a file, open another window instead of this one.")
        second.setChecked(self._settings.get(SECOND_WINDOW))
        second.toggled.connect(lambda on: self._settings.set(SECOND_WINDOW, on))
        form.addRow("Second start", second)
        autosave = QSpinBox(minimum=5, maximum=600, singleStep=5, suffix=" s")
        autosave.setAccessibleName("Recovery copy every (seconds)")
        autosave.setToolTip("How often unsaved work is kept for recovery, 5 to 600 s; after 20 edits in any case.")
        autosave.setValue(self._settings.get(AUTOSAVE_S))
        autosave.valueChanged.connect(lambda value: self._settings.set(AUTOSAVE_S, value))
        form.addRow("Recovery copy every", autosave)
        return page

    def _choice(self, setting: Setting[str], choices: dict[str, str], tip: str) -> QComboBox:
        box = QComboBox()
        box.setToolTip(tip)
        box.setAccessibleName(tip)
        for value, title in choices.items():
            box.addItem(title, value)
        box.setCurrentIndex(box.findData(self._settings.get(setting)))
        box.activated.connect(lambda: self._settings.set(setting, box.currentData()))
        return box

    def _fill_devices(self) -> None:
        self.device.clear()
        self.device.addItem("Automatic (the fastest that works)", "auto")
        for device in self._devices.found:
            self.device.addItem(device_title(device), device["kind"])
            if not device["usable"]:
                self.device.model().item(self.device.count() - 1).setEnabled(False)  # type: ignore[attr-defined]
        wish = self._settings.get(DEVICE)
        if self.device.findData(wish) < 0:
            self.device.addItem(f"{wish.upper()} (not found)", wish)
        self.device.setCurrentIndex(self.device.findData(wish))
        self._device_note.setText(self._devices.warning() or f"In use: {self._devices.text()}")

    def _reset(self) -> None:
        self._settings.reset()
        self.accept()


def device_title(device: dict[str, Any]) -> str:
    """Name, free memory and capability of a device, or why it cannot be used."""
    facts = [device["capability"], f"{device['free_bytes'] / 2**30:.1f} GB free"]
    return f"{device['name']}  ({device['why_not'] or ', '.join(fact for fact in facts if fact)})"


def _page() -> tuple[QWidget, QFormLayout]:
    page = QWidget()
    form = QFormLayout(page)
    form.setContentsMargins(18, 18, 18, 18)
    form.setHorizontalSpacing(14)
    form.setVerticalSpacing(12)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    return page, form
