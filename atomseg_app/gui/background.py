"""Small file work off the GUI thread (looking up paths, writing the journal): the one bridge from threads to Qt."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, QRunnable, Qt, QThreadPool, Signal, Slot

from atomseg_app.errors import UserError

_log = logging.getLogger(__name__)


class Background(QObject):
    """One thread that does calls in order; results come back in the GUI thread. Nothing heavy: that is for jobs."""

    _finished = Signal(object)

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
        """Call ``function`` on the thread, then ``on_done(result)``, or ``on_failed(problem)``, here.

        A problem that is no UserError or OSError is a defect: its traceback is logged, and where nobody takes it, it is
        raised here, where the window's hook tells the user.
        """
        if not self._closed:
            self._pool.start(_Call(function, on_done, on_failed, self._finished.emit))

    def close(self) -> None:
        """Finish what was begun; nothing is delivered any more."""
        self._closed = True
        self._pool.waitForDone()

    @Slot(object)
    def _deliver(self, tell: Callable[[], object]) -> None:
        if not self._closed:
            tell()


class _Call(QRunnable):
    def __init__(
        self,
        function: Callable[[], Any],
        on_done: Callable[[Any], object] | None,
        on_failed: Callable[[Exception], object] | None,
        finished: Callable[[Callable[[], object]], None],
    ) -> None:
        super().__init__()
        self._function, self._on_done, self._on_failed, self._finished = function, on_done, on_failed, finished

    def run(self) -> None:
        """Called on the thread; what goes back is one call to make."""
        try:
            result = self._function()
        except (UserError, OSError) as problem:
            if self._on_failed is None:
                _log.warning("%s", problem)
            else:
                self._finished(partial(self._on_failed, problem))
        except Exception as problem:  # noqa: BLE001 - nobody else sees what is raised on this thread
            _log.exception("A defect on the background thread")
            self._finished(partial(self._on_failed or _raise, problem))
        else:
            if self._on_done is not None:
                self._finished(partial(self._on_done, result))


def _raise(problem: Exception) -> None:
    raise problem
