"""Opens the window's dialogs, each once."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QDialog, QWidget

from atomseg_app import __version__
from atomseg_app.gui.actions import ActionRegistry
from atomseg_app.gui.background import Background
from atomseg_app.gui.questions import Question
from atomseg_app.gui.settings import Settings
from atomseg_app.gui.status import Devices
from atomseg_app.gui.theme import Theme


class Dialogs(QObject):
    """Dialogs of one window; they do not block it, and are made when they are first wanted."""

    def __init__(
        self, window: QWidget, actions: ActionRegistry, settings: Settings, theme: Theme, background: Background
    ) -> None:
        super().__init__(window)
        self._window, self._actions, self._settings, self._theme = window, actions, settings, theme
        self._background = background
        self.devices: Devices | None = None
        self._open: dict[str, QDialog] = {}

    def palette(self) -> None:
        """Command palette."""
        from atomseg_app.gui.palette import CommandPalette

        dialog = self._open.get("palette")
        if not isinstance(dialog, CommandPalette):
            dialog = self._open["palette"] = CommandPalette(self._actions, self._window)
        dialog.open_over(self._window)

    def preferences(self) -> None:
        """Preferences."""
        from atomseg_app.gui.preferences import Preferences
        from atomseg_app.gui.shortcuts import ShortcutEditor

        devices = self.devices
        if devices is not None:
            self._show(
                "preferences",
                lambda: Preferences(self._window, self._settings, devices, ShortcutEditor(self._actions)),
            )

    def cheat_sheet(self) -> None:
        """All shortcuts."""
        from atomseg_app.gui.shortcuts import CheatSheet

        self._show("cheat sheet", lambda: CheatSheet(self._window, self._actions))

    def system_information(self) -> None:
        """System information, collected in the background."""
        from atomseg_app import doctor
        from atomseg_app.gui.system_info import SystemInformation

        self._background.run(
            lambda: doctor.collect(with_torch=False),
            lambda facts: self._show("system", lambda: SystemInformation(self._window, facts)),
        )

    def about(self) -> None:
        """Version and licence."""
        text = (
            "Atomic columns, tomograms and segmented particles from electron microscopes, with numbers one can "
            "publish.\n\nFree software under the GNU General Public License, version 3 or later, without any warranty."
        )
        self._show("about", lambda: Question(self._window, self._theme, f"AtomSeg {__version__}", text, ("Close",)))

    def _show(self, name: str, make: Callable[[], QDialog]) -> None:
        dialog = self._open.get(name)
        if dialog is None:
            dialog = self._open[name] = make()
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.finished.connect(lambda: self._open.pop(name, None))
        dialog.show()
        dialog.raise_()
        dialog.activateWindow()
