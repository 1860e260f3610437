"""Help > System information: what a bug report needs, to copy."""

from __future__ import annotations

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from atomseg_app import doctor


class SystemInformation(QDialog):
    """The same block that ``atomseg doctor`` prints, and the screens."""

    def __init__(self, parent: QWidget, facts: dict[str, object]) -> None:
        super().__init__(parent)
        self.setObjectName("dialog.system")
        self.setWindowTitle("System information")
        self.resize(680, 520)
        self.text = QPlainTextEdit(f"{doctor.text(facts)}\n{screens()}", readOnly=True)
        self.text.setAccessibleName("System information")
        self.text.setProperty("role", "mono")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        copy = QPushButton("Copy")
        copy.setToolTip("Copy everything to the clipboard.")
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.text.toPlainText()))
        buttons.addButton(copy, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 16, 16, 12)
        layout.addWidget(self.text)
        layout.addWidget(buttons)


def screens() -> str:
    """Platform plug-in and screens with their sizes and scale factors."""
    shown = [
        f"  {screen.name()}: {screen.size().width()} x {screen.size().height()} at {screen.devicePixelRatio():g}x"
        for screen in QGuiApplication.screens()
    ]
    return "\n".join([f"Screens ({QGuiApplication.platformName()})", *shown])
