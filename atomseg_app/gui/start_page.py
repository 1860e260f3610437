"""Start page: where to drop files, recent ones, samples, projects and what is new. Shown while nothing is open."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from atomseg_app import __version__
from atomseg_app.gui.actions import ActionRegistry
from atomseg_app.gui.background import Background
from atomseg_app.gui.elided import RowButton
from atomseg_app.gui.rows import IconLabel
from atomseg_app.gui.settings import RECENT_FILES, Settings
from atomseg_app.gui.theme import Theme
from atomseg_app.gui.welcome import news, samples

_WIDTH_CHARACTERS = 150
_NEWS_AFTER_MS = 100


class StartPage(QScrollArea):
    """Empty state of the window. ``open_paths`` carries files to open."""

    open_paths = Signal(list)

    def __init__(self, actions: ActionRegistry, settings: Settings, theme: Theme, background: Background) -> None:
        super().__init__()
        self.setObjectName("page.start")
        self.setAccessibleName("Start page")
        self.setWidgetResizable(True)
        self._actions, self._settings, self._theme, self._background = actions, settings, theme, background
        self._missing: set[str] = set()
        page = QWidget()
        page.setMaximumWidth(_WIDTH_CHARACTERS * self.fontMetrics().averageCharWidth())
        outer = QWidget()
        centring = QHBoxLayout(outer)
        centring.setContentsMargins(28, 22, 28, 22)
        centring.addStretch(1)
        centring.addWidget(page, 20)
        centring.addStretch(1)
        self.setWidget(outer)
        grid = QGridLayout(page)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(14)
        grid.addLayout(self._heading(), 0, 0, 1, 2)
        self.drop = self._drop_target()
        grid.addWidget(self.drop, 1, 0, 1, 2)
        self._recent_rows = QVBoxLayout()
        self._recent_rows.setSpacing(0)
        grid.addWidget(self._card("Recent", self._recent_rows), 2, 0, 2, 1)
        grid.addWidget(self._samples_card(), 2, 1)
        grid.addWidget(self._news_card(), 3, 1)
        grid.setRowStretch(4, 1)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)
        settings.changed.connect(lambda key: self.refresh() if key == RECENT_FILES.key else None)
        self.refresh()

    def refresh(self) -> None:
        """List the recent files; whether they are still there is looked up in the background."""
        paths = self._settings.get(RECENT_FILES)
        self._list_recent(paths)
        self._background.run(lambda: {path for path in paths if not Path(path).exists()}, self._mark_missing)

    def set_hot(self, hot: bool) -> None:
        """Show that files are being dragged over the window."""
        self.drop.setProperty("hot", hot)
        self.drop.style().polish(self.drop)

    def _heading(self) -> QVBoxLayout:
        title = QLabel("AtomSeg")
        title.setProperty("role", "title")
        line = QLabel(f"Atomic columns with sub-pixel positions and error bars. Version {__version__}")
        line.setProperty("role", "muted")
        layout = QVBoxLayout()
        layout.setSpacing(2)
        layout.addWidget(title)
        layout.addWidget(line)
        return layout

    def _drop_target(self) -> QFrame:
        frame = QFrame()
        frame.setProperty("role", "drop")
        frame.setAccessibleName("Drop images here")
        heading = QLabel("Drop images, folders or a project here", wordWrap=True)
        heading.setProperty("role", "heading")
        formats = QLabel("DM3/DM4, EMD, SER, MRC, TIFF, HDF5, HSPY, NPY, PNG and more. Files stay where they are.")
        formats.setProperty("role", "muted")
        formats.setWordWrap(True)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(heading)
        words.addWidget(formats)
        row = QHBoxLayout(frame)
        row.setContentsMargins(22, 20, 18, 20)
        row.setSpacing(14)
        row.addWidget(IconLabel(self._theme.icon("mdi6.tray-arrow-down", "accent"), 2.2))
        row.addLayout(words, 1)
        for action_id, role in (("file.open", "primary"), ("project.open", ""), ("project.new", "")):
            row.addWidget(self._action_button(action_id, role))
        return frame

    def _action_button(self, action_id: str, role: str) -> QPushButton:
        qaction = self._actions.qaction(action_id)
        button = QPushButton(qaction.text())
        button.setObjectName(f"start.{action_id}")
        button.setToolTip(qaction.toolTip())
        if role:
            button.setProperty("role", role)
        button.setAutoDefault(True)
        button.clicked.connect(qaction.trigger)
        return button

    def _card(self, title: str, rows: QVBoxLayout) -> QFrame:
        card = QFrame()
        card.setProperty("role", "card")
        card.setAccessibleName(title)
        card.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        heading = QLabel(title)
        heading.setProperty("role", "heading")
        layout = QVBoxLayout(card)
        layout.setContentsMargins(16, 12, 10, 12)
        layout.setSpacing(8)
        layout.addWidget(heading)
        layout.addLayout(rows)
        layout.addStretch(1)
        return card

    def _samples_card(self) -> QFrame:
        rows = QVBoxLayout()
        rows.setSpacing(0)
        for sample in samples():
            button = RowButton(sample.title, sample.description, self._theme.icon("mdi6.image-outline", "accent"))
            button.setObjectName(f"sample.{sample.path.stem}")
            button.clicked.connect(partial(self.open_paths.emit, [str(sample.path)]))
            rows.addWidget(button)
        return self._card("Samples", rows)

    def _news_card(self) -> QFrame:
        text = QLabel(textFormat=Qt.TextFormat.MarkdownText)
        # A long text is laid out again whenever a widget round it gets a parent, which took a fifth of the start.
        QTimer.singleShot(_NEWS_AFTER_MS, text, lambda: text.setText(news() or "This is the first version."))
        text.setWordWrap(True)
        text.setAlignment(Qt.AlignmentFlag.AlignTop)
        area = QScrollArea(widgetResizable=True)
        area.setWidget(text)
        area.setAccessibleName("What is new")
        area.setMinimumHeight(6 * self.fontMetrics().height())
        area.setMaximumHeight(14 * self.fontMetrics().height())
        area.viewport().setAutoFillBackground(False)
        text.setAutoFillBackground(False)
        rows = QVBoxLayout()
        rows.addWidget(area)
        return self._card("What's new", rows)

    def _list_recent(self, paths: list[str]) -> None:
        while self._recent_rows.count():
            item = self._recent_rows.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for path in paths:
            self._recent_rows.addWidget(self._recent_row(path))
        if not paths:
            none = QLabel("What you open is listed here.")
            none.setProperty("role", "muted")
            self._recent_rows.addWidget(none)

    def _recent_row(self, path: str) -> QWidget:
        place = Path(path)
        missing = path in self._missing
        icon: QIcon = self._theme.icon(
            "mdi6.folder-outline" if place.suffix == ".atomseg" else "mdi6.file-image-outline"
        )
        button = RowButton(
            place.name, f"{'Not found in ' if missing else ''}{place.parent}", icon, Qt.TextElideMode.ElideMiddle
        )
        button.setEnabled(not missing)
        button.setObjectName(f"recent.{place.name}")
        button.clicked.connect(partial(self.open_paths.emit, [path]))
        remove = QToolButton()
        remove.setIcon(self._theme.icon("mdi6.close", "muted"))
        remove.setAccessibleName(f"Remove {place.name} from this list")
        remove.setToolTip("Remove from this list; the file itself stays.")
        remove.clicked.connect(partial(self._settings.remove_recent, path))
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(button, 1)
        layout.addWidget(remove)
        return row

    def _mark_missing(self, missing: set[str]) -> None:
        if missing != self._missing:
            self._missing = missing
            self._list_recent(self._settings.get(RECENT_FILES))
