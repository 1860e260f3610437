"""Results that come from other threads when the widget that asked for them may be gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject
from shiboken6 import Shiboken


def while_alive(widget: QObject, callback: Callable[[Any], object]) -> Callable[[Any], None]:
    """``callback``, called only as long as ``widget`` has not been deleted by Qt."""

    def call(result: Any) -> None:
        if Shiboken.isValid(widget):
            callback(result)

    return call
