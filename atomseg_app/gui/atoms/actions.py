"""The actions of the 2D atoms tab, for menus, tool bar, shortcuts and the command palette."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from atomseg_app.atoms.operations import FIND_COLUMNS
from atomseg_app.gui.actions import Action

if TYPE_CHECKING:
    from atomseg_app.gui.atoms.tab import AtomsTab


def atoms_actions(tab: AtomsTab) -> list[Action]:
    """Every action of the tab."""
    return [*_find(tab), *_tools(tab), *_columns(tab), *_view(tab), *_export(tab)]


def _no_image(tab: AtomsTab) -> str:
    return "" if tab.model.entry is not None else "Open an image first."


def _no_columns(tab: AtomsTab) -> str:
    columns = tab.model.columns()
    return _no_image(tab) or ("" if columns is not None and len(columns) else "Find columns first.")


def _no_selection(tab: AtomsTab) -> str:
    return _no_columns(tab) or ("" if len(tab.model.selection) else "Select columns first.")


def _no_frame(tab: AtomsTab, step: int) -> str:
    entry = tab.model.entry
    if entry is None or entry.frames == 1:
        return _no_image(tab) or "This is a single image."
    if 0 <= tab.model.frame + step < entry.frames:
        return ""
    return "This is the last frame." if step > 0 else "This is the first frame."


def _no_history(tab: AtomsTab) -> str:
    columns = tab.model.columns()
    found = columns is not None and any(step.operation == FIND_COLUMNS.name for step in columns.history)
    return _no_columns(tab) or ("" if found else "These columns were not found by this program.")


def _find(tab: AtomsTab) -> list[Action]:
    def cannot_find() -> str:
        return _no_image(tab) or ("Columns are being found." if tab.computing.finding is not None else "")

    return [
        Action("atoms.find", "Find columns", tab.find_columns,
               "Find every atomic column of this image and measure its position with an error bar.", "Columns", "F5",
               "mdi6.target", cannot_find, section="find", toolbar=True, label="Find columns"),
        Action("atoms.refit", "Fit again", tab.refit,
               "Fit the selected columns again, or all where none is selected.", "Columns", "Ctrl+F5",
               "mdi6.chart-bell-curve", lambda: _no_columns(tab), section="find"),
        Action("atoms.batch", "Find in many files…", tab.open_batch,
               "Find columns in every file of a folder, with one table a file and a summary.", "Columns", "Ctrl+B",
               "mdi6.folder-multiple-image", section="find"),
        Action("atoms.networks", "Networks…", tab.open_networks,
               "The networks that find columns: their cards, what they were trained on, and training one of your own.",
               "Columns", "Ctrl+Shift+N", "mdi6.graph-outline", section="find"),
    ]  # fmt: skip


def _tools(tab: AtomsTab) -> list[Action]:
    def tool(name: str, title: str, tip: str, shortcut: str, icon: str, *, columns: bool = False) -> Action:
        return Action(
            f"atoms.tool_{name}", title, lambda _checked: tab.take_tool(name), tip, "Columns/Tools", shortcut, icon,
            lambda: (_no_columns if columns else _no_image)(tab), checkable=True,
            checked=lambda: tab.toolbox.name == name, section="tools",
        )  # fmt: skip

    return [
        tool("select", "Select and move", "Click or drag to select columns; drag a column to move it.", "V",
             "mdi6.cursor-default-outline"),
        tool("add", "Add columns", "Click where a column is missing; it is fitted at once.", "A",
             "mdi6.plus-circle-outline"),
        tool("delete", "Delete columns by clicking", "Click columns to delete them.", "X",
             "mdi6.minus-circle-outline", columns=True),
        tool("lasso", "Lasso", "Draw a line round columns to select them.", "L", "mdi6.lasso", columns=True),
        tool("region", "Region to search", "Drag a rectangle: only this part of the image is searched.", "R",
             "mdi6.selection"),
        tool("distance", "Measure a distance", "Distance between two columns with its error, or between any points.",
             "D", "mdi6.ruler"),
        tool("calibrate", "Calibrate by a known distance", "Draw a line whose length you know.", "K",
             "mdi6.tape-measure"),
    ]  # fmt: skip


def _columns(tab: AtomsTab) -> list[Action]:
    return [
        Action("atoms.delete_selected", "Delete selected columns", tab.delete_selected,
               "Delete the columns that are selected.", "Columns", "Del", "mdi6.delete-outline",
               lambda: _no_selection(tab), section="edit"),
        Action("atoms.select_all", "Select all columns", tab.select_all, "Select every column of this image.",
               "Columns", "Ctrl+A", "mdi6.select-all", lambda: _no_columns(tab), section="select"),
        Action("atoms.select_none", "Select nothing", lambda: tab.model.select([]), "Select no column.",
               "Columns", "Ctrl+Shift+A", "mdi6.select-off", lambda: _no_selection(tab), section="select"),
        Action("atoms.select_inverse", "Invert selection", tab.select_inverse,
               "Select the columns that are not selected.", "Columns", "Ctrl+I", "mdi6.select-inverse",
               lambda: _no_columns(tab), section="select"),
    ]  # fmt: skip


def _view(tab: AtomsTab) -> list[Action]:
    canvas, view = tab.view.canvas, tab.view

    def act(
        name: str, title: str, callback: Callable[[], object], tip: str, shortcut: str, icon: str, section: str
    ) -> Action:
        return Action(f"image.{name}", title, callback, tip, "Image", shortcut, icon, lambda: _no_image(tab),
                      section=section)  # fmt: skip

    def switch(
        name: str, title: str, tip: str, icon: str, state: Callable[[], bool], change: Callable[[bool], object]
    ) -> Action:
        return Action(f"image.{name}", title, change, tip, "Image", "", icon, lambda: _no_image(tab), checkable=True,
                      checked=state, section="show")  # fmt: skip

    return [
        act("fit", "Fit image to view", canvas.fit, "Show the whole image.", "Ctrl+0", "mdi6.fit-to-page-outline",
            "zoom"),
        act("one_to_one", "One to one", canvas.one_to_one, "One pixel of the screen for one of the image.", "Ctrl+1",
            "mdi6.numeric-1-box-outline", "zoom"),
        act("zoom_in", "Zoom in", lambda: canvas.zoom(1.5), "Show less, larger.", "Ctrl+=", "mdi6.magnify-plus-outline",
            "zoom"),
        act("zoom_out", "Zoom out", lambda: canvas.zoom(1 / 1.5), "Show more, smaller.", "Ctrl+-",
            "mdi6.magnify-minus-outline", "zoom"),
        act("auto_contrast", "Automatic contrast", view.contrast_bar.set_auto,
            "Leave out the darkest and the brightest 0.1 % of the pixels.", "Ctrl+Shift+C", "mdi6.auto-fix",
            "contrast"),
        act("full_contrast", "Full range", view.contrast_bar.set_full, "Show the whole range of values.", "",
            "mdi6.contrast-box", "contrast"),
        switch("scale_bar", "Scale bar", "Show the scale bar, here and in figures.", "mdi6.arrow-expand-horizontal",
               lambda: view.show_scale_bar, lambda on: view.set_shown(scale_bar=on)),
        switch("colour_bar", "Colour bar of the image", "Show what the brightness means, here and in figures.",
               "mdi6.gradient-vertical", lambda: view.show_colour_bar, lambda on: view.set_shown(colour_bar=on)),
        switch("smooth", "Smooth pixels", "Draw enlarged pixels smoothly instead of as squares.", "mdi6.blur",
               lambda: view.layer.smooth, lambda on: view.set_shown(smooth=on)),
        switch("fft", "Power spectrum", "Show the power spectrum of what is visible, to read d-spacings.",
               "mdi6.sine-wave", lambda: tab.fft_on, tab.show_fft),
        Action("image.next_frame", "Next frame", lambda: tab.model.show_frame(tab.model.frame + 1),
               "Show the next frame of the series.", "Image", "PgDown", "mdi6.skip-next-outline",
               lambda: _no_frame(tab, 1), section="frames"),
        Action("image.previous_frame", "Previous frame", lambda: tab.model.show_frame(tab.model.frame - 1),
               "Show the previous frame of the series.", "Image", "PgUp", "mdi6.skip-previous-outline",
               lambda: _no_frame(tab, -1), section="frames"),
        act("close", "Close image", tab.close_current, "Close this image and forget its columns.", "Ctrl+W",
            "mdi6.close-box-outline", "close"),
    ]  # fmt: skip


def _export(tab: AtomsTab) -> list[Action]:
    return [
        Action("atoms.export_table", "Export table…", tab.export_table,
               "Write the columns as CSV, JSON, extended XYZ or atomap HDF5.", "File/Export", "Ctrl+E",
               "mdi6.table-arrow-right", lambda: _no_columns(tab), section="export"),
        Action("atoms.export_figure", "Export figure…", tab.export_figure,
               "Write the view as it is shown: PNG, TIFF, SVG or PDF.", "File/Export", "Ctrl+Shift+E",
               "mdi6.image-outline", lambda: _no_image(tab), section="export"),
        Action("atoms.copy_table", "Copy table", tab.copy_table,
               "Copy the selected columns, or all, for a spreadsheet.", "Edit", "Ctrl+C", "mdi6.content-copy",
               lambda: _no_columns(tab), section="copy"),
        Action("atoms.copy_python", "Copy as Python", tab.copy_python,
               "Copy a script that repeats this result without a window.", "Columns", "", "mdi6.language-python",
               lambda: _no_history(tab), section="python"),
    ]  # fmt: skip
