"""Exceptions and Qt messages that nobody handled: all in the log, the serious ones in the one error dialog."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from types import TracebackType

from PySide6.QtCore import QMessageLogContext, QObject, Qt, QtMsgType, Signal, qInstallMessageHandler

from atomseg_app.errors import UserError
from atomseg_app.gui.notify import Notifier

_log = logging.getLogger("atomseg_app.unhandled")
_qt_log = logging.getLogger("qt")

_QT_LEVELS = {
    QtMsgType.QtDebugMsg: logging.DEBUG,
    QtMsgType.QtInfoMsg: logging.INFO,
    QtMsgType.QtWarningMsg: logging.WARNING,
    QtMsgType.QtCriticalMsg: logging.ERROR,
    QtMsgType.QtFatalMsg: logging.CRITICAL,
}


class Hooks(QObject):
    """Takes over the hooks of Python and Qt until :meth:`remove`."""

    _problem = Signal(str, object, str)

    def __init__(self, notifier: Notifier) -> None:
        super().__init__()
        self._problem.connect(notifier.error, Qt.ConnectionType.QueuedConnection)
        self._before = (sys.excepthook, threading.excepthook, sys.unraisablehook)
        sys.excepthook = self._on_exception
        threading.excepthook = self._on_thread
        sys.unraisablehook = self._on_unraisable
        self._qt_before = qInstallMessageHandler(on_qt_message)

    def remove(self) -> None:
        """Give the hooks back."""
        sys.excepthook, threading.excepthook, sys.unraisablehook = self._before
        qInstallMessageHandler(self._qt_before)

    def _on_exception(
        self, kind: type[BaseException], problem: BaseException, trace: TracebackType | None, where: str = ""
    ) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, problem, trace)
            return
        details = "".join(traceback.format_exception(kind, problem, trace))
        _log.error("Unhandled exception%s:\n%s", where, details)
        if isinstance(problem, UserError):
            self._problem.emit("That did not work", problem, details)
            return
        text = (
            f"{kind.__name__}: {problem}\n\nYour data are still there. Save the project, and copy this report to the "
            "developers if it happens again."
        )
        self._problem.emit("Something went wrong inside the program", text, details)

    def _on_thread(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
            name = args.thread.name if args.thread else "unknown"
            self._on_exception(args.exc_type, args.exc_value, args.exc_traceback, f" in thread {name}")

    def _on_unraisable(self, unraisable: sys.UnraisableHookArgs) -> None:
        trace = "".join(traceback.format_exception(unraisable.exc_type, unraisable.exc_value, unraisable.exc_traceback))
        _log.error("%s %r:\n%s", unraisable.err_msg or "Exception ignored in", unraisable.object, trace)


def on_qt_message(kind: QtMsgType, context: QMessageLogContext, text: str) -> None:
    """Qt's own messages go to the log, at their level."""
    _qt_log.log(
        _QT_LEVELS.get(kind, logging.WARNING), "%s%s", f"{context.category}: " if context.category else "", text
    )
