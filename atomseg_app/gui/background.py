"""Small file work off the GUI thread (looking up paths, writing the journal): the one bridge from threads to Qt."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QRunnable, Qt, QThreadPool, Signal, Slot

from atomseg_app.errors import UserError

_log = logging.getLogger(__name__)


class Background(QObject):
    """One thread that does calls in order; results come back in the GUI thread. Nothing heavy: that is for jobs."""

    _finished = Signal(object, object, object)

    def __init__(self) -> None:
        super().__init__()
        self._pool = QThreadPool()
        self._pool.setMaxThreadCount(1)
        self._closed = False
        self._finished.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def run(
        self,
        function: Callable[[], Any],
        on_done: Callable[[Any], object] | None = None,
        on_failed: Callable[[Exception], object] | None = None,
    ) -> None:
        """Call ``function`` on the thread, then ``on_done(result)``, or ``on_failed(UserError or OSError)``, here."""
        if not self._closed:
            self._pool.start(_Call(function, lambda result, problem: self._tell(result, problem, on_done, on_failed)))

    def close(self) -> None:
        """Finish what was begun; nothing is delivered any more."""
        self._closed = True
        self._pool.waitForDone()

    def _tell(self, result: Any, problem: Exception | None, on_done: Any, on_failed: Any) -> None:
        if problem is not None and on_failed is None:
            _log.warning("%s", problem)
        self._finished.emit(result, problem, on_done if problem is None else on_failed)

    @Slot(object, object, object)
    def _deliver(self, result: Any, problem: Exception | None, callback: Callable[[Any], object] | None) -> None:
        if callback is not None and not self._closed:
            callback(result if problem is None else problem)


class _Call(QRunnable):
    def __init__(self, function: Callable[[], Any], tell: Callable[[Any, Exception | None], None]) -> None:
        super().__init__()
        self._function, self._tell = function, tell

    def run(self) -> None:
        try:
            result = self._function()
        except (UserError, OSError) as problem:
            self._tell(None, problem)
        else:
            self._tell(result, None)
