"""Starting the window: arguments, one instance, log and hooks, and what waits until the first frame is painted."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEvent, Qt, QTimer, Signal, qVersion
from PySide6.QtGui import QFileOpenEvent, QGuiApplication, QIcon
from PySide6.QtWidgets import QApplication

from atomseg_app import __version__, logs, places
from atomseg_app.gui import instances
from atomseg_app.gui.garbage import WindowGarbage
from atomseg_app.gui.hooks import Hooks
from atomseg_app.gui.log_window import LogRelay
from atomseg_app.gui.main_window import MainWindow
from atomseg_app.gui.probe import FirstFrame, check
from atomseg_app.gui.settings import LOG_LEVEL, SECOND_WINDOW, Settings
from atomseg_app.gui.system_info import screens
from atomseg_app.gui.tab import Tab

_BUILD_AFTER_MS = 300  # of the workspace that the user will see first, while the start page is being read
_BUILD_PAUSE_MS = 15

_log = logging.getLogger(__name__)


class Application(QApplication):
    """Application that hands on the files the system asks it to open (double-click on macOS)."""

    file_asked = Signal(str)

    def __init__(self, arguments: list[str]) -> None:
        super().__init__(arguments)
        WindowGarbage(self)

    def event(self, event: QEvent) -> bool:
        """Take requests to open a file."""
        if isinstance(event, QFileOpenEvent) and event.file():
            self.file_asked.emit(event.file())
            return True
        return super().event(event)


def workspaces() -> list[type[Tab]]:
    """Workspaces of this version, in the order of their tabs."""
    from atomseg_app.gui.atoms.tab import AtomsTab
    from atomseg_app.gui.segmentation.tab import SegmentationTab
    from atomseg_app.gui.tomography.tab import TomographyTab

    return [AtomsTab, TomographyTab, SegmentationTab]


def main(argv: Sequence[str] | None = None) -> int:
    """Open the window and return the exit code of the program."""
    options = _parse(list(sys.argv[1:] if argv is None else argv))
    if options.info:
        from atomseg_app import doctor

        sys.stdout.write(doctor.text(doctor.collect(with_torch=False)))
        return 0
    checking = options.files[:1] == ["window-check"]
    files = [] if checking else [*options.open, *options.files]
    logs.start(places.log_folder(), __version__)
    relay = LogRelay()
    logging.getLogger().addHandler(relay)
    app = make_application()
    settings = Settings(persistent=not (options.safe_mode or checking))
    if options.reset_settings:
        settings.reset()
    alone = checking or options.safe_mode or settings.get(SECOND_WINDOW)
    if not alone and instances.hand_over(files):
        _log.info("handed %d files to the window that is open", len(files))
        return 0
    first_frame = FirstFrame()
    window = MainWindow(app, settings, workspaces(), relay)
    hooks = Hooks(window.context.notify)
    _set_log_level(settings)
    settings.changed.connect(lambda key: _set_log_level(settings) if key == LOG_LEVEL.key else None)
    app.file_asked.connect(lambda path: window.open_paths([path]))
    server = instances.InstanceServer(window)
    server.files.connect(lambda paths: _welcome(window, paths))
    window.first_frame.connect(lambda: _after_first_frame(window, server, files, quiet=checking, alone=alone))
    window.show()
    try:
        if checking:
            code = check(first_frame, window.context.jobs, window.show_item, measure=options.probe,
                         first=lambda: _building(window), then=lambda: _answering(window))  # fmt: skip
            window.session.close_all()
            window.close()
            return code
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl+C in the terminal ends the program at once
        return app.exec()
    finally:
        server.close()
        hooks.remove()
        logging.getLogger().removeHandler(relay)


def _building(window: MainWindow) -> dict[str, Any]:
    """How long the window gives no answer while workspaces are made."""
    from atomseg_app.gui.answer_probe import measure_building

    return {"building": measure_building(window)}


def _answering(window: MainWindow) -> dict[str, Any]:
    """How long it gives no answer while a user works, and how long painting labels takes."""
    from atomseg_app.gui.answer_probe import measure_answers
    from atomseg_app.gui.segmentation.paint_probe import measure_painting
    from atomseg_app.gui.segmentation.tab import SegmentationTab

    tab = window.tabs[SegmentationTab.name]
    assert isinstance(tab, SegmentationTab)
    answers = measure_answers(window)
    return {"answers": answers, **measure_painting(window, tab)}


def make_application() -> Application:
    """The Qt application with its name and icon."""
    QGuiApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    app = Application(["AtomSeg"])
    app.setApplicationName("AtomSeg")
    app.setApplicationVersion(__version__)
    app.setDesktopFileName("AtomSeg")
    icon = QIcon()
    for path in sorted((places.resources_folder() / "icons").glob("atomseg-*.png")):
        icon.addFile(str(path))
    app.setWindowIcon(icon)
    return app


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("atomseg-window", description="AtomSeg's window. Files are opened in it.")
    parser.add_argument("files", nargs="*", metavar="FILE", help="files, folders or a project to open")
    parser.add_argument("--open", action="append", default=[], metavar="FILE", help="a file to open")
    parser.add_argument("--version", action="version", version=f"AtomSeg {__version__}")
    parser.add_argument("--info", action="store_true", help="print system information and exit")
    parser.add_argument("--safe-mode", action="store_true", help="start with default settings and keep them untouched")
    parser.add_argument("--reset-settings", action="store_true", help="bring all settings back to their defaults")
    parser.add_argument("--probe", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _after_first_frame(
    window: MainWindow, server: instances.InstanceServer, files: list[str], *, quiet: bool, alone: bool
) -> None:
    """What a user need not wait for: the compute process, recovery, files, and listening for later starts."""
    window.context.jobs.start()
    QTimer.singleShot(_BUILD_AFTER_MS, window, lambda: _build_some(window))
    _log.info("Qt %s, %s", qVersion(), screens())
    if quiet:
        return
    window.devices.look()
    if not alone and not server.listen():
        _log.warning("another window is being found by later starts")
    window.flow.offer_recovery()
    window.open_paths([str(Path(path).absolute()) for path in files])


def _build_some(window: MainWindow) -> None:
    """Have the workspaces made bit by bit, the one in front first; what the user does comes between."""
    if not window.closed and any(tab.build_more() for tab in (window.current_tab(), *window.tabs.values())):
        QTimer.singleShot(_BUILD_PAUSE_MS, window, lambda: _build_some(window))


def _welcome(window: MainWindow, paths: list[str]) -> None:
    """A later start handed its files over: open them and come to the front."""
    window.open_paths(paths)
    window.setWindowState(window.windowState() & ~Qt.WindowState.WindowMinimized)
    window.raise_()
    window.activateWindow()


def _set_log_level(settings: Settings) -> None:
    logging.getLogger("atomseg_app").setLevel(settings.get(LOG_LEVEL))


if __name__ == "__main__":
    sys.exit(main())
