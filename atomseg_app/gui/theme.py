"""Light, dark or as the system says, switched while running; and the size of the text."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QIcon, QPalette
from PySide6.QtWidgets import QApplication

from atomseg_app.gui.colours import DARK, LIGHT, Colours
from atomseg_app.gui.icons import FontIcon
from atomseg_app.gui.settings import FONT_SCALE_PERCENT, THEME, Settings
from atomseg_app.gui.stylesheet import stylesheet

_SYSTEM_FONT = "atomseg.system_font"


class Theme(QObject):
    """Look of the program. ``changed`` comes after a new look or text size is in force."""

    changed = Signal()

    def __init__(self, app: QApplication, settings: Settings) -> None:
        super().__init__()
        self._app = app
        self._settings = settings
        self._base_font = _system_font(app)
        if self._base_font.pointSizeF() <= 0:
            self._base_font.setPointSizeF(10)
        self.colours: Colours = LIGHT
        app.setStyle("Fusion")
        self.apply()
        settings.changed.connect(self._on_setting)
        app.styleHints().colorSchemeChanged.connect(self._on_system)

    @property
    def font_pt(self) -> float:
        """Size of ordinary text in points."""
        return self._base_font.pointSizeF() * self._settings.get(FONT_SCALE_PERCENT) / 100

    def apply(self) -> None:
        """Put the settings in force.

        The style sheet is taken off first: replacing one, Qt styles each widget once more for every widget around it,
        and reaches widgets through addresses that it noted before; taken off and put on, it styles each widget once.
        """
        self.colours = DARK if self._is_dark() else LIGHT
        font = QFont(self._base_font)
        font.setPointSizeF(self.font_pt)
        self._app.setStyleSheet("")
        self._app.setFont(font)
        self._app.setPalette(palette(self.colours))
        self._app.setStyleSheet(stylesheet(self.colours, self.font_pt))
        self.changed.emit()

    def icon(self, name: str, role: str = "text") -> QIcon:
        """Icon by its qtawesome name ("mdi6.magnify") in the colour ``role`` of the look, following its changes."""
        return QIcon(FontIcon(name, lambda: self.colours, role))

    def _is_dark(self) -> bool:
        wish = self._settings.get(THEME)
        if wish == "system":
            return self._app.styleHints().colorScheme() == Qt.ColorScheme.Dark
        return wish == "dark"

    def _on_setting(self, key: str) -> None:
        if key in (THEME.key, FONT_SCALE_PERCENT.key):
            self.apply()

    def _on_system(self) -> None:
        if self._settings.get(THEME) == "system" and self._is_dark() != self.colours.dark:
            self.apply()


def _system_font(app: QApplication) -> QFont:
    """Font of the system, remembered with the application before the first scaling."""
    if app.property(_SYSTEM_FONT) is None:
        app.setProperty(_SYSTEM_FONT, QFont(app.font()))
    return QFont(app.property(_SYSTEM_FONT))


def palette(colours: Colours) -> QPalette:
    """Qt palette of a look."""
    role, group = QPalette.ColorRole, QPalette.ColorGroup
    result = QPalette()
    for name, colour in (
        (role.Window, colours.window), (role.WindowText, colours.text),
        (role.Base, colours.base), (role.AlternateBase, colours.alternate), (role.Text, colours.text),
        (role.Button, colours.control), (role.ButtonText, colours.text), (role.BrightText, colours.on_error),
        (role.ToolTipBase, colours.surface), (role.ToolTipText, colours.text), (role.PlaceholderText, colours.muted),
        (role.Highlight, colours.selection), (role.HighlightedText, colours.on_selection),
        (role.Accent, colours.accent), (role.Link, colours.link), (role.LinkVisited, colours.link),
        (role.Light, colours.control_hover), (role.Midlight, colours.control_hover), (role.Mid, colours.border),
        (role.Dark, colours.border), (role.Shadow, colours.border),
    ):  # fmt: skip
        result.setColor(name, QColor(colour))
    for name in (role.WindowText, role.Text, role.ButtonText, role.HighlightedText):
        faint = QColor(colours.muted)
        faint.setAlphaF(0.6)
        result.setColor(group.Disabled, name, faint)
    return result
