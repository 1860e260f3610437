"""Looks, access and layout: both themes, large text, names for screen readers, geometry."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QRect, Qt
from PySide6.QtGui import QGuiApplication, QPalette
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QDialog,
    QLabel,
    QLineEdit,
    QPushButton,
    QTabBar,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from atomseg_app.data import Image, Source
from atomseg_app.gui import window_layout
from atomseg_app.gui.colours import DARK, LIGHT
from atomseg_app.gui.main_window import MainWindow
from atomseg_app.gui.plain_plot import plain_plot
from atomseg_app.gui.preferences import Preferences
from atomseg_app.gui.settings import FONT_SCALE_PERCENT, THEME, WINDOW_GEOMETRY, Settings
from atomseg_app.jobs.tasks import Task
from tests.gui.driving import OPEN_MS


@pytest.mark.parametrize("look", ["light", "dark"])
def test_panels_are_drawn_in_the_look_in_force(shell: MainWindow, qtbot: QtBot, look: str) -> None:
    colours = DARK if look == "dark" else LIGHT
    shell.context.settings.set(THEME, "dark" if look == "light" else "light")
    shell.context.settings.set(THEME, look)
    shell.jobs_dock.show()
    qtbot.wait(50)
    for panel in (shell.start_page, shell.jobs_dock.widget(), shell.statusBar(), shell.menuBar(), shell.menus.toolbar):
        picture = panel.grab().toImage()
        ground = picture.pixelColor(picture.width() - 3, picture.height() // 2).lightness()
        assert (ground < 80) == colours.dark, (type(panel).__name__, ground)
        assert panel.palette().color(QPalette.ColorRole.WindowText).name() == colours.text


class Counting(QWidget):
    """Counts how often it is told of another style."""

    changes = 0

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        self.changes += event.type() == QEvent.Type.StyleChange


def test_a_change_of_look_styles_each_widget_once_however_deep_it_lies(shell: MainWindow) -> None:
    """Qt replaces a style sheet once for each widget around: with ten of them a change took a second."""
    outermost = widget = Counting(shell)
    for _ in range(10):
        widget = Counting(widget)
    outermost.show()
    widget.changes = outermost.changes = 0
    shell.context.settings.set(THEME, "dark")
    assert 1 <= widget.changes <= 2, "once as the old style sheet comes off, once as the new one comes on"
    assert outermost.changes == widget.changes
    assert widget.palette().color(QPalette.ColorRole.WindowText).name() == DARK.text


def test_plots_leave_no_menus_behind(qapp: QApplication) -> None:
    """Menus of plots that were gone piled up, and were styled with every change of look."""
    before = len(qapp.topLevelWidgets())
    parent = QWidget()
    plain_plot(parent)
    assert len(qapp.topLevelWidgets()) > before + 1, "pyqtgraph makes a menu"
    parent.deleteLater()
    for _ in range(2):  # the plot, then its menu
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert len(qapp.topLevelWidgets()) == before


@pytest.mark.parametrize("scale", [100, 150])
def test_no_control_is_cut_on_a_small_screen(
    main_window: MainWindow, qtbot: QtBot, scale: int, screenshot: Callable[[QWidget, str], None]
) -> None:
    window = main_window
    window.context.settings.set(FONT_SCALE_PERCENT, scale)
    window.resize(1366, 768)
    window.jobs_dock.show()
    window.context.jobs.submit(Task("no such task"), "A job with a long title that says what it does")
    qtbot.waitUntil(lambda: not window.context.jobs.active(), timeout=OPEN_MS)
    qtbot.wait(100)
    screenshot(window, f"start-{scale}")
    assert cut_controls(window) == []
    window.jobs_dock.hide()
    window.show_item(Image(np.random.default_rng(1).normal(size=(64, 96)), (None, None), Source("uncalibrated.tif")))
    qtbot.wait(100)
    screenshot(window, f"workspace-{scale}")
    assert cut_controls(window) == []
    assert window.width() <= 1366, "the window fits"
    assert window.height() <= 768
    window.dialogs.preferences()
    dialog = window.findChild(Preferences)
    assert dialog is not None
    for page in range(dialog.pages.count()):
        dialog.pages.setCurrentIndex(page)
        qtbot.wait(20)
        assert cut_controls(dialog) == []
    assert dialog.width() <= 1366
    assert dialog.height() <= 768
    dialog.close()
    window.context.settings.set(FONT_SCALE_PERCENT, 100)


def cut_controls(window: QWidget) -> list[str]:
    """Visible controls that are smaller than what they show."""
    cut = []
    for widget in window.findChildren(QWidget):
        if not widget.isVisible() or not isinstance(widget, QAbstractButton | QComboBox | QLabel | QLineEdit):
            continue
        if isinstance(widget, QLabel) and not widget.text():
            continue  # nothing to cut
        wanted = widget.minimumSizeHint() if isinstance(widget, QLabel | QLineEdit | QComboBox) else widget.sizeHint()
        if isinstance(widget, QPushButton) and widget.property("role") == "row":
            wanted.setWidth(0)  # gives way on purpose, with an ellipsis and a tooltip
        if isinstance(widget, QToolButton) and widget.objectName() == "qt_toolbar_ext_button":
            cut.append("the tool bar does not fit")
        if widget.width() < wanted.width() or widget.height() < wanted.height():
            cut.append(
                f"{type(widget).__name__} {widget.objectName()} {widget.accessibleName()} {widget.size()} < {wanted}"
            )
    return cut


def test_every_control_has_a_name_for_screen_readers(main_window: MainWindow) -> None:
    main_window.show_item(Image(np.zeros((8, 9)), (0.1, 0.1)))
    main_window.dialogs.preferences()
    nameless = []
    for widget in main_window.findChildren(QWidget):
        if not (widget.focusPolicy() & Qt.FocusPolicy.TabFocus) or widget.objectName().startswith("qt_"):
            continue
        if widget.window().windowType() == Qt.WindowType.Popup:
            continue  # lists of combo boxes, which are read by their box
        if isinstance(widget, QTabBar) and widget.parent() is main_window:
            continue  # Qt's own for docks in one place, read by its tabs
        text = widget.text() if isinstance(widget, QAbstractButton) else ""
        if not (widget.accessibleName() or text or isinstance(widget.parent(), QComboBox | QLineEdit)):
            nameless.append(f"{type(widget).__name__} in {type(widget.parent()).__name__}")
    custom = [w for w in main_window.findChildren(QWidget) if type(w).__module__.startswith("atomseg_app.gui")]
    nameless += [
        type(w).__name__
        for w in custom
        if not (w.accessibleName() or isinstance(w, QLabel | QDialog | QAbstractButton)) and w.focusPolicy()
    ]
    main_window.findChild(Preferences).close()  # type: ignore[union-attr]
    assert nameless == []


def test_geometry_docks_and_workspace_come_back(make_window: Callable[..., MainWindow], qtbot: QtBot) -> None:
    first = make_window()
    first.setGeometry(40, 50, 740, 600)
    first.jobs_dock.show()
    first.log_dock.hide()
    qtbot.wait(50)
    size = first.size()
    first.close_now()
    second = make_window(settings=Settings())
    assert second.size() == size
    assert second.jobs_dock.isVisible()
    assert not second.log_dock.isVisible()


def test_a_window_of_a_screen_that_is_gone_comes_back(make_window: Callable[..., MainWindow]) -> None:
    window = make_window()
    window.setGeometry(9000, 7000, 4000, 3000)
    window_layout.bring_on_screen(window)
    screen = QGuiApplication.primaryScreen().availableGeometry()
    assert screen.contains(window.frameGeometry())


def test_damaged_layout_does_no_harm(make_window: Callable[..., MainWindow]) -> None:
    settings = Settings()
    settings.set(WINDOW_GEOMETRY, "AAAA////not a geometry\N{SNOWMAN}")
    window = make_window(settings=settings)
    assert QGuiApplication.primaryScreen().availableGeometry().intersects(window.geometry())


def test_reset_layout(shell: MainWindow) -> None:
    shell.jobs_dock.setFloating(True)
    shell.jobs_dock.show()
    shell.menus.toolbar.hide()
    shell.setGeometry(QRect(0, 0, 640, 480))
    shell.context.actions.trigger("view.reset_layout")
    assert not shell.jobs_dock.isFloating()
    assert not shell.jobs_dock.isVisible()
    assert shell.menus.toolbar.isVisible()
    assert shell.width() > 640
