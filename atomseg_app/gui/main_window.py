"""The main window: start page and workspaces, docks, and the wiring between the services."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QEvent, QMimeData, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QPaintEvent
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QDockWidget,
    QFileDialog,
    QMainWindow,
    QStackedWidget,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from atomseg_app.data import Data
from atomseg_app.errors import UserError
from atomseg_app.gui import window_layout
from atomseg_app.gui.actions import ActionRegistry
from atomseg_app.gui.background import Background
from atomseg_app.gui.context import Context
from atomseg_app.gui.dialogs import Dialogs
from atomseg_app.gui.jobs_panel import JobsPanel
from atomseg_app.gui.log_window import LogRelay, LogWindow
from atomseg_app.gui.menus import Menus
from atomseg_app.gui.notify import Notifier
from atomseg_app.gui.opening import Opener, file_filter
from atomseg_app.gui.project_flow import ProjectFlow
from atomseg_app.gui.questions import ask
from atomseg_app.gui.session import Session
from atomseg_app.gui.settings import LAST_FOLDER, WORKSPACE, Settings
from atomseg_app.gui.shell_actions import shell_actions
from atomseg_app.gui.start_page import StartPage
from atomseg_app.gui.status import Devices, StatusBadges
from atomseg_app.gui.tab import Tab
from atomseg_app.gui.theme import Theme
from atomseg_app.gui.tour import Tour
from atomseg_app.gui.undo import UndoStack
from atomseg_app.jobs.engine import JobEngine


class MainWindow(QMainWindow):
    """Window with the given workspaces. ``first_frame`` comes once, when it has been painted for the first time."""

    first_frame = Signal()

    def __init__(
        self,
        app: QApplication,
        settings: Settings,
        workspaces: Sequence[type[Tab]],
        relay: LogRelay | None = None,
        jobs: JobEngine | None = None,
    ) -> None:
        super().__init__()
        self.setObjectName("window.main")
        self.setAcceptDrops(True)
        self._painted = self._closing = self._in_close_event = False
        self._was_empty = True
        self._open_with: dict[str, list[tuple[Data, str]]] = {}  # what waits for the user's choice, by kind
        theme = Theme(app, settings)
        self.context = Context(
            ActionRegistry(settings, theme), UndoStack(), jobs or JobEngine(), settings, Notifier(self, theme), theme
        )
        self.background = Background()
        self.tabs: dict[str, Tab] = {cls.name: cls(self.context) for cls in workspaces}
        self.tab_bar, self.stack = QTabBar(), QStackedWidget()
        for name in self.tabs:
            self.tab_bar.addTab(self.tabs[name].title)
        self.session = Session(self.context, self.tabs, self.background)
        self.flow = ProjectFlow(self, self.context, self.session, self.background)
        self.opener = Opener(self.context, self.background, self)
        self.devices = Devices(self.context.jobs, settings)
        self.dialogs = Dialogs(self, self.context.actions, settings, theme, self.background)
        self.dialogs.devices = self.devices
        self.jobs_dock = self._dock("Jobs", JobsPanel(self.context.jobs, theme))
        self.log_dock = self._dock("Log", LogWindow(relay or LogRelay()))
        self.tabifyDockWidget(self.jobs_dock, self.log_dock)
        self.context.actions.add_all(shell_actions(self))
        for tab in self.tabs.values():
            self.context.actions.owner = tab.title
            tab.register_actions()
        self.context.actions.owner = ""
        self.menus = Menus(self, self.context.actions)
        self._build_content()
        self.badges = StatusBadges(self.statusBar(), self.context.jobs, self.devices)
        self.statusBar().setSizeGripEnabled(False)
        self._connect()
        window_layout.restore(self, settings)
        self._refresh()

    # -- what is shown

    def show_start_page(self) -> None:
        """Show the start page; the tabs bring the workspaces back."""
        self.start_page.refresh()
        self.stack.setCurrentWidget(self.start_page)

    def show_workspace(self, name: str) -> None:
        """Show a workspace."""
        names = list(self.tabs)
        self.tabs[name].build()
        self.tab_bar.setCurrentIndex(names.index(name))
        self.stack.setCurrentWidget(self.tabs[name])
        self.context.settings.set(WORKSPACE, name)
        self.context.actions.front = self.tabs[name].title
        self.context.actions.refresh()

    def current_tab(self) -> Tab:
        """The workspace whose tab is in front."""
        return list(self.tabs.values())[self.tab_bar.currentIndex()]

    def show_opened(self, item: Data, path: str) -> None:
        """Show what was read from a file; where two workspaces want it and neither is in front, the user chooses."""
        wanting = [tab for tab in self.tabs.values() if tab.prefers(item)]
        if len(wanting) < 2 or self.current_tab() in wanting:
            self.show_item(item, path)
            return
        waiting = self._open_with.setdefault(item.kind, [])
        waiting.append((item, path))
        if len(waiting) > 1:  # the question is on the screen already
            return
        workspace = self._ask_workspace(item, wanting)
        for each, where in self._open_with.pop(item.kind):
            if workspace:
                self.show_item(each, where, workspace)

    def show_item(self, item: Data, path: str = "", workspace: str = "") -> None:
        """Show an item in a workspace, or the first that takes its kind; tell the user if none does."""
        current = self.current_tab()
        tabs = list(self.tabs.values())
        wanting = [tab for tab in (current, *tabs) if tab.prefers(item)]
        asked = [self.tabs[workspace]] if workspace else []
        taker = next((tab for tab in (*asked, *wanting, current, *tabs) if tab.accepts(item)), None)
        if taker is None:
            title = f"{item.source.name} cannot be shown"
            kind = item.kind.replace("-", " ")
            self.context.notify.error(
                title, f"It is a {kind}; this version shows images, tilt series, volumes and labels."
            )
            return
        taker.build()
        try:
            taker.add_item(item)
        except UserError as problem:
            self.context.notify.error(f"{item.source.name} cannot be shown", problem)
            return
        self.show_workspace(taker.name)
        self.session.item_opened()
        if path:
            self.context.settings.add_recent(path)

    def has_tour(self) -> bool:
        """Whether the workspace in front has a guided tour."""
        return type(self.current_tab()).tour is not Tab.tour

    def start_tour(self) -> None:
        """Start the guided tour of the workspace in front."""
        self.show_workspace(self.current_tab().name)
        tour = Tour(self, self.context.theme, self.current_tab().tour())
        tour.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        tour.start()

    def set_full_screen(self, on: bool) -> None:
        """Fill the screen, or go back."""
        self.setWindowState(Qt.WindowState.WindowFullScreen if on else Qt.WindowState.WindowNoState)

    def reset_layout(self) -> None:
        """Window, docks and tool bars as at the first start."""
        self.setWindowState(Qt.WindowState.WindowNoState)
        window_layout.default_size(self)
        for dock in (self.jobs_dock, self.log_dock):
            dock.setFloating(False)
            self.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
            dock.hide()
        self.tabifyDockWidget(self.jobs_dock, self.log_dock)
        self.addToolBar(self.menus.toolbar)
        self.menus.toolbar.show()

    # -- files

    def ask_files(self) -> None:
        """Ask for files and open them."""
        folder = self.context.settings.get(LAST_FOLDER)
        paths, _ = QFileDialog.getOpenFileNames(self, "Open files", folder, file_filter())
        self.open_paths(paths)

    def ask_folder(self) -> None:
        """Ask for a folder and open what it holds."""
        folder = QFileDialog.getExistingDirectory(self, "Open folder", self.context.settings.get(LAST_FOLDER))
        if folder:
            self.open_paths([folder])

    def open_paths(self, paths: Sequence[str]) -> None:
        """Open files, folders and projects."""
        if paths:
            self.context.settings.set(LAST_FOLDER, str(Path(paths[0]).parent))
            try:
                self.opener.open_paths(self.current_tab().gather(paths))
            except UserError as problem:
                self.context.notify.error("The files cannot be opened as one series", problem)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Welcome files."""
        if _paths(event.mimeData()):
            event.acceptProposedAction()
            self.start_page.set_hot(True)

    def dropEvent(self, event: QDropEvent) -> None:
        """Open what was dropped."""
        self.start_page.set_hot(False)
        paths = _paths(event.mimeData())
        if paths:
            event.acceptProposedAction()
            QTimer.singleShot(0, lambda: self.open_paths(paths))  # after the drag has ended for its source

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Files dropped on any part of the window are ours, whatever lies there."""
        if watched is not self.windowHandle() or QApplication.activeModalWidget() is not None:
            return False
        if event.type() == QEvent.Type.DragLeave:
            self.start_page.set_hot(False)
        if isinstance(event, QDropEvent) and _paths(event.mimeData()):  # drag enter and move are kinds of it
            if event.type() == QEvent.Type.Drop:
                self.dropEvent(event)
            else:
                event.acceptProposedAction()
                self.start_page.set_hot(True)
            return True
        return False

    # -- the end

    def cancel_all_jobs(self) -> None:
        """Stop every waiting and running job."""
        for job in self.context.jobs.active():
            self.context.jobs.cancel(job.id)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask about running jobs and unsaved work; then end everything that was started."""
        self._in_close_event = True
        if not self._closing and not self.session.saving and self._may_stop_jobs():
            self.flow.settle(self.close_now)  # now, or after the project was saved
        event.setAccepted(self._closing)
        self._in_close_event = False

    def paintEvent(self, event: QPaintEvent) -> None:
        """Tell of the first frame."""
        super().paintEvent(event)
        if not self._painted:
            self._painted = True
            self.windowHandle().installEventFilter(self)
            QTimer.singleShot(0, self.first_frame.emit)

    def _ask_workspace(self, item: Data, wanting: Sequence[Tab]) -> str:
        """Name of the workspace that the user chooses, empty for none."""
        titles = {tab.title: tab.name for tab in wanting}
        text = "\n".join(f"{tab.title}: {tab.purpose}" for tab in wanting)
        answer = ask(self, self.context.theme, f"Open {item.source.name} with", text, *titles, "Cancel")
        return titles.get(answer, "")

    def _may_stop_jobs(self) -> bool:
        running = [job.title for job in self.context.jobs.active() if job is not self.devices.job]
        if not running:
            return True
        names = ", ".join(running[:3]) + (f" and {len(running) - 3} more" if len(running) > 3 else "")
        title = f"{len(running)} job{' is' if len(running) == 1 else 's are'} not finished"
        answer = ask(self, self.context.theme, title, f"Closing stops: {names}.", "Stop and close", "Keep working")
        return answer == "Stop and close"

    @property
    def closed(self) -> bool:
        """Whether everything that the window started was ended."""
        return self._closing

    def close_now(self) -> None:
        """Close without asking: what is not saved is lost, jobs are stopped, and every process is ended."""
        self._closing = True
        for dialog in self.findChildren(QDialog):
            if dialog.isVisible():
                dialog.reject()  # a movie that is being written leaves nothing behind
        window_layout.save(self, self.context.settings)
        self.context.jobs.shutdown()
        self.background.close()
        self.session.end()
        self.context.settings.flush()
        if not self._in_close_event:  # within one, Qt ignores it
            self.close()

    # -- building

    def _dock(self, title: str, content: QWidget) -> QDockWidget:
        dock = QDockWidget(title, self)
        dock.setObjectName(f"dock.{title.lower()}")
        dock.setAccessibleName(title)
        dock.setWidget(content)
        self.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
        dock.hide()
        dock.visibilityChanged.connect(self._refresh_actions)
        return dock

    def _build_content(self) -> None:
        context = self.context
        self.start_page = StartPage(context.actions, context.settings, context.theme, self.background)
        self.tab_bar.setAccessibleName("Workspaces")
        self.tab_bar.setExpanding(False)
        self.stack.addWidget(self.start_page)
        for tab in self.tabs.values():
            self.stack.addWidget(tab)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.tab_bar)
        layout.addWidget(context.notify.banners)
        layout.addWidget(self.stack, 1)
        self.setCentralWidget(content)
        wanted = context.settings.get(WORKSPACE)
        if wanted in self.tabs:
            self.tab_bar.setCurrentIndex(list(self.tabs).index(wanted))
        context.actions.front = self.current_tab().title

    def _connect(self) -> None:
        context = self.context
        context.actions.refused.connect(context.notify.error)
        for signal in (context.jobs.job_added, context.jobs.job_finished):
            signal.connect(self._refresh_actions)
        self.session.changed.connect(self._refresh)
        self.tab_bar.tabBarClicked.connect(self._tab_clicked)
        self.start_page.open_paths.connect(self.open_paths)
        self.opener.opened.connect(self.show_opened)
        self.opener.project.connect(self.flow.open_path)
        self.badges.clicked.connect(self.context.actions.qaction("view.jobs").trigger)

    def _refresh_actions(self) -> None:
        if not self._closing:
            self.context.actions.refresh()

    def _tab_clicked(self, index: int) -> None:
        if index >= 0:
            self.show_workspace(list(self.tabs)[index])

    def _refresh(self) -> None:
        """Title, undo texts, and the page that fits: the start page while nothing is open."""
        self.setWindowTitle(f"{self.session.title()} - AtomSeg")
        undo, actions = self.context.undo, self.context.actions
        actions.set_title("edit.undo", f"Undo {undo.undo_text()}".strip())
        actions.set_title("edit.redo", f"Redo {undo.redo_text()}".strip())
        for action_id in ("edit.undo", "edit.redo"):
            actions.qaction(action_id).setIconText(actions.action(action_id).label)
        actions.refresh()
        if self.session.empty != self._was_empty:
            self._was_empty = self.session.empty
            if self._was_empty:
                self.show_start_page()
            else:
                self.show_workspace(self.current_tab().name)


def _paths(mime: QMimeData) -> list[str]:
    return [url.toLocalFile() for url in mime.urls() if url.isLocalFile()]
