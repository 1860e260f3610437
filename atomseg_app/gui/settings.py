"""Settings of the program: one JSON file, written atomically, read by typed keys."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from PySide6.QtCore import QObject, QTimer, Signal

from atomseg_app import places
from atomseg_app.errors import FileError
from atomseg_app.io.atomic_write import write_text

T = TypeVar("T")
_log = logging.getLogger(__name__)

RECENT_FILES_KEPT = 15
WRITE_DELAY_MS = 400  # a slider writes once, when it comes to rest
_MAX_BYTES = 4 << 20


def _anything(_: Any) -> bool:
    return True


@dataclass(frozen=True)
class Setting(Generic[T]):
    """A named value with its default; a stored value of another type, or one that ``valid`` refuses, is not used."""

    key: str
    default: T
    valid: Callable[[T], bool] = _anything


THEME = Setting("appearance.theme", "system", lambda v: v in ("light", "dark", "system"))
FONT_SCALE_PERCENT = Setting("appearance.font_scale_percent", 100, lambda v: 80 <= v <= 200)
DEVICE = Setting("compute.device", "auto")
LOG_LEVEL = Setting("log.level", "INFO", lambda v: v in ("DEBUG", "INFO", "WARNING", "ERROR"))
SECOND_WINDOW = Setting("start.second_window", False)
AUTOSAVE_S = Setting("projects.autosave_s", 30, lambda v: 5 <= v <= 600)
SHORTCUTS: Setting[dict[str, str]] = Setting("shortcuts", {})
RECENT_FILES: Setting[list[str]] = Setting("recent.files", [])
WINDOW_GEOMETRY = Setting("window.geometry", "")
WINDOW_LAYOUT = Setting("window.layout", "")
WORKSPACE = Setting("window.workspace", "")
LAST_FOLDER = Setting("files.last_folder", "")


class Settings(QObject):
    """Typed settings; ``changed`` carries the key. Tabs declare their own :class:`Setting` objects."""

    changed = Signal(str)

    def __init__(self, path: Path | None = None, *, persistent: bool = True) -> None:
        """Read ``path`` (default: the user's settings file); not ``persistent``: start from defaults, write nothing."""
        super().__init__()
        self.path = path or places.settings_folder() / "settings.json"
        self._persistent = persistent
        self._values: dict[str, Any] = _read(self.path) if persistent else {}
        self._timer = QTimer(self, singleShot=True, interval=WRITE_DELAY_MS)
        self._timer.timeout.connect(self.flush)

    def get(self, setting: Setting[T]) -> T:
        """Stored value, or the default where none is stored or the stored one is not valid."""
        value = self._values.get(setting.key, setting.default)
        if type(value) is not type(setting.default) or not setting.valid(value):
            return setting.default
        return value

    def set(self, setting: Setting[T], value: T) -> None:
        """Keep a value and write the file shortly after."""
        if self.get(setting) == value:
            return
        self._values[setting.key] = value
        self._timer.start()
        self.changed.emit(setting.key)

    def add_recent(self, path: str) -> None:
        """Put a file or project on top of the recent ones."""
        kept = [known for known in self.get(RECENT_FILES) if known != path]
        self.set(RECENT_FILES, [path, *kept][:RECENT_FILES_KEPT])

    def remove_recent(self, path: str) -> None:
        """Take a file off the recent ones."""
        self.set(RECENT_FILES, [known for known in self.get(RECENT_FILES) if known != path])

    def reset(self) -> None:
        """Back to defaults, all of them."""
        keys = list(self._values)
        self._values.clear()
        self.flush()
        for key in keys:
            self.changed.emit(key)

    def flush(self) -> None:
        """Write now; a folder that cannot be written is logged, since settings are no reason to stop work."""
        self._timer.stop()
        if not self._persistent:
            return
        try:
            write_text(self.path, json.dumps(self._values, indent=1, ensure_ascii=False))
        except FileError as problem:
            _log.warning("%s", problem)


def _read(path: Path) -> dict[str, Any]:
    """Content of the file, or nothing: a damaged one is put aside, so that the program starts."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("larger than any settings file")
        values = json.loads(path.read_text("utf-8"))
        if not isinstance(values, dict):
            raise ValueError("no JSON object")
        return values
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        _log.warning("Settings in %s are unreadable (%s); starting from defaults.", path, problem)
        damaged = path.with_suffix(".damaged.json")
        if path.exists() and os.access(path.parent, os.W_OK):
            os.replace(path, damaged)
        return {}
