"""The window's own actions: files, projects, editing, looks, help. Tabs add theirs to the same registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QUrl
from PySide6.QtGui import QAction, QDesktopServices

from atomseg_app import places
from atomseg_app.gui.actions import Action
from atomseg_app.gui.settings import FONT_SCALE_PERCENT, THEME, Settings

if TYPE_CHECKING:
    from atomseg_app.gui.main_window import MainWindow

Role = QAction.MenuRole
_SCALE_STEP, _SMALLEST, _LARGEST = 10, 80, 200


def shell_actions(window: MainWindow) -> list[Action]:
    """Every action of the window itself."""
    return [*_file(window), *_edit(window), *_view(window), *_jobs(window), *_help(window)]


def _file(w: MainWindow) -> list[Action]:
    def nothing_open() -> str:
        return "Nothing is open yet." if w.session.empty else ""

    def cannot_save() -> str:
        if w.session.saving:
            return "The project is being saved."
        return nothing_open() if w.session.path is None else ""

    return [
        Action("file.open", "Open files…", w.ask_files, "Open images of any supported format, or a project.", "File",
               "Ctrl+O", "mdi6.folder-open-outline", toolbar=True, label="Open", section="open"),
        Action("file.open_folder", "Open folder…", w.ask_folder, "Open every readable file of a folder.", "File",
               "Ctrl+Shift+O", "mdi6.folder-multiple-outline", section="open"),
        Action("project.new", "New project", w.flow.new, "Close everything and start with an empty project.", "File",
               "Ctrl+N", "mdi6.file-plus-outline", section="project"),
        Action("project.open", "Open project…", w.flow.open, "Open a project file that was saved before.", "File",
               "", "mdi6.folder-star-outline", section="project"),
        Action("project.save", "Save project", lambda: w.flow.save(), "Save everything that is open as a project.",
               "File", "Ctrl+S", "mdi6.content-save-outline", cannot_save, toolbar=True, label="Save",
               section="project"),
        Action("project.save_as", "Save project as…", lambda: w.flow.save_as(), "Save the project under another name.",
               "File", "Ctrl+Shift+S", "mdi6.content-save-edit-outline", nothing_open, section="project"),
        Action("app.quit", "Quit", w.close, "Close the window; unsaved work is asked about.", "File", "Ctrl+Q",
               "mdi6.power", section="quit", role=Role.QuitRole),
    ]  # fmt: skip


def _edit(w: MainWindow) -> list[Action]:
    undo = w.context.undo
    return [
        Action("edit.undo", "Undo", undo.undo, "Take the last change back.", "Edit", "Ctrl+Z", "mdi6.undo",
               lambda: "" if undo.undo_text() else "There is nothing to undo.", section="undo", toolbar=True,
               label="Undo"),
        Action("edit.redo", "Redo", undo.redo, "Do the change again that was taken back.", "Edit", "Ctrl+Shift+Z",
               "mdi6.redo", lambda: "" if undo.redo_text() else "There is nothing to redo.", section="undo",
               toolbar=True, label="Redo"),
        Action("edit.preferences", "Preferences…", w.dialogs.preferences,
               "Change looks, device, recovery and shortcuts.", "Edit", "Ctrl+,", "mdi6.cog-outline",
               section="preferences", role=Role.PreferencesRole),
    ]  # fmt: skip


def _view(w: MainWindow) -> list[Action]:
    settings = w.context.settings

    def colours(name: str, title: str, tip: str) -> Action:
        return Action(f"view.colours_{name}", title, lambda _checked: settings.set(THEME, name), tip, "View/Colours",
                      checkable=True, checked=lambda: settings.get(THEME) == name)  # fmt: skip

    def at(limit: int, words: str) -> str:
        return f"The text has its {words} size." if settings.get(FONT_SCALE_PERCENT) == limit else ""

    return [
        Action("view.start_page", "Start page", w.show_start_page, "Show recent files, samples and what is new.",
               "View", "", "mdi6.home-outline", section="page"),
        Action("view.jobs", "Jobs panel", w.jobs_dock.setVisible, "Show or hide what runs, with progress and log.",
               "View", "Ctrl+J", checkable=True,
               checked=lambda: not w.jobs_dock.isHidden(), section="panels"),
        Action("view.log", "Log", w.log_dock.setVisible, "Show or hide the log of the program.", "View", "Ctrl+L",
               checkable=True, checked=lambda: not w.log_dock.isHidden(), section="panels"),
        Action("view.larger_text", "Larger text", lambda: scale_text(settings, _SCALE_STEP),
               "Make all text larger by a step.", "View", "Ctrl+Alt++", "mdi6.format-font-size-increase",
               lambda: at(_LARGEST, "largest"), section="text"),
        Action("view.smaller_text", "Smaller text", lambda: scale_text(settings, -_SCALE_STEP),
               "Make all text smaller by a step.", "View", "Ctrl+Alt+-", "mdi6.format-font-size-decrease",
               lambda: at(_SMALLEST, "smallest"), section="text"),
        colours("system", "As the system", "Light or dark colours, whichever the system has."),
        colours("light", "Light", "Dark text on light panels."),
        colours("dark", "Dark", "Light text on dark panels."),
        Action("view.full_screen", "Full screen", w.set_full_screen, "Fill the screen, or go back to a window.",
               "View", "F11", checkable=True, checked=w.isFullScreen, section="window"),
        Action("view.reset_layout", "Reset layout", w.reset_layout,
               "Bring window, panels and tool bars back to where they were at first.", "View", "",
               "mdi6.view-dashboard-outline", section="window"),
    ]  # fmt: skip


def _jobs(w: MainWindow) -> list[Action]:
    jobs = w.context.jobs
    return [
        Action("jobs.cancel_all", "Cancel all jobs", w.cancel_all_jobs, "Stop every waiting and running job.", "Jobs",
               "", "mdi6.cancel", lambda: "" if jobs.active() else "No job is waiting or running."),
    ]  # fmt: skip


def _help(w: MainWindow) -> list[Action]:
    def open_log_folder() -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(places.log_folder())))

    return [
        Action("help.palette", "Command palette", w.dialogs.palette, "Find and run any command by a few letters.",
               "Help", "Ctrl+Shift+P", "mdi6.magnify", section="find"),
        Action("help.shortcuts", "Shortcuts", w.dialogs.cheat_sheet, "Show all shortcuts at a glance.", "Help", "?",
               "mdi6.keyboard-outline", section="find"),
        Action("help.tour", "Guided tour", w.start_tour, "Walk through this workspace in a few steps.", "Help", "",
               "mdi6.map-marker-path", lambda: "" if w.has_tour() else "This workspace has no tour.",
               section="find"),
        Action("help.system", "System information", w.dialogs.system_information,
               "Show versions, system and folders, to copy into a report.", "Help", "", "mdi6.information-outline",
               section="about"),
        Action("help.log_folder", "Open log folder", open_log_folder, "Show the folder that holds the log files.",
               "Help", "", "mdi6.folder-text-outline", section="about"),
        Action("help.about", "About AtomSeg", w.dialogs.about, "Show version and licence.", "Help", "",
               "mdi6.atom", section="about", role=Role.AboutRole),
    ]  # fmt: skip


def scale_text(settings: Settings, step: int) -> None:
    """Make text larger or smaller by ``step`` percent of the normal size."""
    settings.set(FONT_SCALE_PERCENT, min(max(settings.get(FONT_SCALE_PERCENT) + step, _SMALLEST), _LARGEST))
