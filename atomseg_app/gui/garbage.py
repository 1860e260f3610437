"""Python's garbage is collected in the thread of the window, between events.

Left to itself the collector runs in whichever thread makes an object at the wrong moment, and in the middle of
whatever that or the window's thread is doing. What it finds may be widgets in a cycle; deleted while Qt walks over all
widgets, or from another thread, they end the program.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

_EVERY_MS = 1000


class WindowGarbage(QObject):
    """Collects once a second what the interpreter's own thresholds say; made in the window's thread."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        gc.disable()
        timer = QTimer(self, interval=_EVERY_MS)
        timer.timeout.connect(self.collect)
        timer.start()

    def collect(self) -> None:
        """Collect the oldest generation that is due."""
        due = [generation for generation in range(3) if gc.get_count()[generation] > gc.get_threshold()[generation]]
        if due:
            gc.collect(due[-1])
