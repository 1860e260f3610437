"""The log while the program runs: newest lines at the end, filtered by level and words."""

from __future__ import annotations

import logging
from collections import deque

from PySide6.QtCore import QObject, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from atomseg_app import places

_LINES = 5000
_LEVELS = {
    "Everything": logging.DEBUG,
    "Information": logging.INFO,
    "Warnings": logging.WARNING,
    "Errors": logging.ERROR,
}


class LogRelay(logging.Handler):
    """Keeps the last records and passes new ones to the GUI thread."""

    class _Bridge(QObject):
        line = Signal(int, str)

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s  %(levelname)-8s %(name)s: %(message)s", "%H:%M:%S"))
        self.lines: deque[tuple[int, str]] = deque(maxlen=_LINES)
        self._bridge = self._Bridge()
        self.line = self._bridge.line

    def emit(self, record: logging.LogRecord) -> None:
        """Keep and pass on one record."""
        entry = (record.levelno, self.format(record))
        self.lines.append(entry)
        self.line.emit(*entry)


class LogWindow(QWidget):
    """Text of the log with a filter."""

    def __init__(self, relay: LogRelay) -> None:
        super().__init__()
        self.setObjectName("panel.log")
        self.setAccessibleName("Log")
        self._relay = relay
        self.level = QComboBox()
        self.level.setAccessibleName("Lowest level shown")
        self.level.addItems(list(_LEVELS))
        self.level.setCurrentText("Information")
        self.words = QLineEdit(placeholderText="Only lines with…", clearButtonEnabled=True)
        self.words.setAccessibleName("Only lines with these words")
        self.text = QPlainTextEdit(readOnly=True, maximumBlockCount=_LINES)
        self.text.setAccessibleName("Log lines")
        self.text.setProperty("role", "mono")
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        copy = QPushButton("Copy")
        copy.setToolTip("Copy the lines shown.")
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.text.toPlainText()))
        folder = QPushButton("Open log folder")
        folder.setToolTip("Show the folder with the log files.")
        folder.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(places.log_folder()))))
        row = QHBoxLayout()
        row.addWidget(QLabel("Show"))
        for widget in (self.level, self.words, copy, folder):
            row.addWidget(widget)
        row.setStretch(2, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addLayout(row)
        layout.addWidget(self.text, 1)
        self.level.currentTextChanged.connect(self.refill)
        self.words.textChanged.connect(self.refill)
        relay.line.connect(self._add, Qt.ConnectionType.QueuedConnection)
        self.refill()

    def refill(self) -> None:
        """Show all kept lines that pass the filter."""
        self.text.setPlainText("\n".join(line for level, line in self._relay.lines if self._passes(level, line)))
        self.text.verticalScrollBar().setValue(self.text.verticalScrollBar().maximum())

    def _add(self, level: int, line: str) -> None:
        if self._passes(level, line):
            self.text.appendPlainText(line)

    def _passes(self, level: int, line: str) -> bool:
        return level >= _LEVELS[self.level.currentText()] and self.words.text().lower() in line.lower()
