"""The actions of the tomography tab, for menus, tool bar, shortcuts and the command palette."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from atomseg_app.gui.actions import Action
from atomseg_app.gui.run_panel import run_action
from atomseg_app.gui.tomography.model import angles_known
from atomseg_app.gui.tomography.run_panel import WORKSPACE
from atomseg_app.gui.tomography.step_operations import (
    ALIGN,
    FILL,
    PREPARE,
    QUALITY,
    RECONSTRUCT,
    operations_of,
)
from atomseg_app.gui.tomography.wedge_actions import wedge_actions
from atomseg_app.operations import Operation

if TYPE_CHECKING:
    from atomseg_app.gui.tomography.tab import TomographyTab

_MENU = "Tomography"
_ICONS = {
    PREPARE: "mdi6.image-edit-outline", ALIGN: "mdi6.align-horizontal-center", RECONSTRUCT: "mdi6.cube-scan",
    FILL: "mdi6.circle-slice-6", QUALITY: "mdi6.chart-line",
}  # fmt: skip


def tomography_actions(tab: TomographyTab) -> list[Action]:
    """Every action of the tab."""
    return [
        *_runs(tab),
        *_angles(tab),
        *_alignment(tab),
        *_view(tab),
        *_volume(tab),
        *wedge_actions(tab),
        *_output(tab),
    ]


def no_entry(tab: TomographyTab) -> str:
    """Why something that needs open data cannot be done."""
    return "" if tab.model.entry is not None else "Open a tilt series or a volume first."


def no_series(tab: TomographyTab) -> str:
    """Why something that needs a series cannot be done."""
    if tab.model.series() is not None:
        return ""
    return "Show a tilt series first." if tab.model.entries else "Open a tilt series first."


def no_angles(tab: TomographyTab) -> str:
    """Why something that needs angles cannot be done."""
    series = tab.model.series()
    return no_series(tab) or ("" if series is None or angles_known(series) else "Give the tilt angles first (step 1).")


def no_alignment(tab: TomographyTab) -> str:
    """Why something that needs an alignment cannot be done."""
    series = tab.model.series()
    return no_series(tab) or ("" if series is None or series.alignment is not None else "Align the series first.")


def no_volume(tab: TomographyTab) -> str:
    """Why something that needs a volume cannot be done."""
    if tab.model.volume() is not None:
        return ""
    return "Show a volume first." if tab.model.volumes() else "Reconstruct a volume, or open one."


def _runs(tab: TomographyTab) -> list[Action]:
    shortcuts = {RECONSTRUCT: "Ctrl+R", ALIGN: "Ctrl+G"}
    found = []
    for step in (RECONSTRUCT, FILL, ALIGN, PREPARE, QUALITY):
        for index, operation in enumerate(operations_of(step)):
            shortcut = shortcuts.get(step, "") if index == 0 else ""
            found.append(run_action(
                WORKSPACE, operation, partial(tab.run, step, operation), partial(_cannot_run, tab, operation),
                menu=_MENU, icon=_ICONS[step], shortcut=shortcut, section=step,
                toolbar=index == 0 and step == RECONSTRUCT,
            ))  # fmt: skip
    return found


def _cannot_run(tab: TomographyTab, operation: Operation) -> str:
    if operation.name in tab.computing.jobs:
        return "It is running."
    if operation.inputs[0] != "tilt-series":
        return no_volume(tab)
    series = tab.model.working_series()
    if series is None:
        return no_series(tab)
    needs_angles = not operation.name.startswith("prepare")
    return "Give the tilt angles first (step 1)." if needs_angles and not angles_known(series) else ""


def _no_history(tab: TomographyTab) -> str:
    """Why no script can be made."""
    entry = tab.model.entry
    if entry is None:
        return no_entry(tab)
    return "" if entry.data.source.path else "It was read from no file, so a script has nothing to begin with."


def _no_origin(tab: TomographyTab) -> str:
    """Why a volume cannot be compared with its views."""
    if no_volume(tab):
        return no_volume(tab)
    if tab.comparing_views:
        return "It is running."
    return "" if tab.model.origin() is not None else "The series that it was made from is not open."


def _angles(tab: TomographyTab) -> list[Action]:
    return [
        Action("tomography.apply_scheme", "Apply the scheme", tab.apply_scheme,
               "Give all views angles by the scheme of step 1.", _MENU, "", "mdi6.angle-acute",
               lambda: no_series(tab), section="angles"),
        Action("tomography.paste_angles", "Paste a list of angles…", tab.editing.paste_angles,
               "Give all views angles from a list that you paste.", _MENU, "", "mdi6.clipboard-text-outline",
               lambda: no_series(tab), section="angles"),
        Action("tomography.load_angles", "Load angles from a file…", tab.editing.load_angles,
               "Give all views angles from a .rawtlt, .tlt, .mdoc, text or CSV file.", _MENU, "",
               "mdi6.file-import-outline", lambda: no_series(tab), section="angles"),
        Action("tomography.exclude", "Exclude the chosen views",
               lambda: tab.editing.toggle_excluded(tab.table.chosen()),
               "Leave the views that are chosen in the table out of everything, or use them again.", _MENU, "Alt+X",
               "mdi6.eye-off-outline", lambda: no_series(tab), section="angles"),
        Action("tomography.detect_axis", "Suggest the axis", tab.editing.suggest_axis,
               "Look which direction of the tilt axis fits the images better; you decide.", _MENU, "",
               "mdi6.axis-arrow", lambda: no_angles(tab), section="angles"),
    ]  # fmt: skip


def _alignment(tab: TomographyTab) -> list[Action]:
    def tool(name: str, title: str, tip: str, shortcut: str, icon: str) -> Action:
        return Action(
            f"tomography.tool_{name}", title, lambda _checked: tab.take_tool(name), tip, _MENU, shortcut, icon,
            lambda: no_series(tab), checkable=True, checked=lambda: tab.tool_name == name, section="tools",
        )  # fmt: skip

    return [
        Action("tomography.show_aligned", "Show aligned", tab.show_aligned,
               "Draw views where the alignment puts them, or as they were recorded: before and after.", _MENU,
               "Alt+A", "mdi6.compare-horizontal", lambda: no_alignment(tab), checkable=True,
               checked=lambda: tab.aligned, section="alignment"),
        tool("look", "Look", "Click takes the row of the sinogram; the wheel turns through the views.", "Alt+L",
             "mdi6.cursor-default-outline"),
        tool("shift", "Shift by hand", "Drag the view into place, or move it with the arrow keys.", "Alt+S",
             "mdi6.cursor-move"),
        tool("crop", "Part to keep", "Drag a rectangle: only this part of the views is kept by step 2.", "Alt+R",
             "mdi6.crop"),
        Action("tomography.clear_alignment", "Clear", tab.editing.clear_alignment,
               "Forget the alignment of this series; can be undone.", _MENU, "", "mdi6.eraser",
               lambda: no_alignment(tab), section="alignment"),
        Action("tomography.load_alignment", "Load…", tab.editing.load_alignment,
               "Take shifts and rotations from an IMOD .xf or a CSV file.", _MENU, "", "mdi6.tray-arrow-down",
               lambda: no_series(tab), section="alignment"),
        Action("tomography.save_alignment", "Save alignment…", tab.editing.save_alignment,
               "Write shifts and rotations as IMOD .xf or CSV.", "File/Export", "", "mdi6.tray-arrow-up",
               lambda: no_alignment(tab), section="tomography"),
    ]  # fmt: skip


def _view(tab: TomographyTab) -> list[Action]:
    def act(
        name: str,
        title: str,
        callback: Callable[[], object],
        tip: str,
        shortcut: str,
        icon: str,
        why: Callable[[], str],
    ) -> Action:
        return Action(f"tomography.{name}", title, callback, tip, _MENU, shortcut, icon, why, section="look")

    return [
        act("next_view", "Next view", lambda: tab.step_view(1), "Show the next view of the series.", "Alt+Right",
            "mdi6.skip-next-outline", lambda: no_series(tab)),
        act("previous_view", "Previous view", lambda: tab.step_view(-1), "Show the previous view of the series.",
            "Alt+Left", "mdi6.skip-previous-outline", lambda: no_series(tab)),
        act("fit", "Fit to view", tab.fit, "Show the whole picture.", "Alt+0", "mdi6.fit-to-page-outline",
            lambda: no_entry(tab)),
        act("zoom_in", "Zoom in", lambda: tab.zoom(1.5), "Show less, larger.", "Alt+=", "mdi6.magnify-plus-outline",
            lambda: no_entry(tab)),
        act("zoom_out", "Zoom out", lambda: tab.zoom(1 / 1.5), "Show more, smaller.", "Alt+-",
            "mdi6.magnify-minus-outline", lambda: no_entry(tab)),
        act("auto_contrast", "Automatic contrast", lambda: tab.contrast_bar().set_auto(),
            "Leave out the darkest and the brightest 0.1 % of the values.", "Alt+C", "mdi6.auto-fix",
            lambda: no_entry(tab)),
        Action("tomography.smooth", "Smooth pixels", tab.set_smooth,
               "Draw enlarged pixels smoothly instead of as squares.", _MENU, "", "mdi6.blur",
               lambda: no_entry(tab), checkable=True, checked=lambda: tab.smooth, section="look"),
        act("close", "Close this entry", tab.close_current, "Close the series or volume that is shown; can be undone.",
            "Alt+W", "mdi6.close-box-outline", lambda: no_entry(tab)),
    ]  # fmt: skip


def _volume(tab: TomographyTab) -> list[Action]:
    def switch(name: str, title: str, part: str, tip: str, icon: str, shortcut: str) -> Action:
        return Action(f"tomography.{name}", title, lambda _checked: tab.widen(part), tip, _MENU, shortcut, icon,
                      lambda: no_volume(tab), checkable=True, checked=lambda: tab.part == part and not tab.comparing,
                      section="volume")  # fmt: skip

    return [
        switch("show_all", "Slices and 3D", "", "Show the three slices and the volume in 3D.", "mdi6.view-grid-outline",
               "Alt+1"),
        switch("show_xy", "XY slice", "XY", "Give the slice across the beam all the room.", "mdi6.alpha-z-box-outline",
               "Alt+2"),
        switch("show_3d", "3D view", "3D", "Give the volume in 3D all the room.", "mdi6.cube-outline", "Alt+3"),
        Action("tomography.compare", "Compare with…", tab.compare,
               "Show this volume beside another one of the same size, with linked slices and the difference.", _MENU,
               "Alt+B", "mdi6.compare", lambda: no_volume(tab) or tab.why_no_comparison(), checkable=True,
               checked=lambda: tab.comparing, section="volume"),
        Action("tomography.unexplained", "Compare with the views", tab.find_unexplained,
               "Project the volume and take it from the views: what is left opens as a series, with the R-factor of "
               "each view.", _MENU, "", "mdi6.image-off-outline", lambda: _no_origin(tab), section="volume"),
        Action("tomography.slice_to_atoms", "Open slice in 2D atoms", tab.showing.slice_to_atoms,
               "Open the XY slice that is shown as an image in the 2D atoms tab.", _MENU, "",
               "mdi6.arrow-top-right", lambda: no_volume(tab), section="volume"),
        Action("tomography.to_segmentation", "Send to 3D segmentation", tab.showing.volume_to_segmentation,
               "Open the volume that is shown in the 3D segmentation tab, to label and measure it.", _MENU,
               "Alt+Shift+S", "mdi6.arrow-right-bold-box-outline", lambda: no_volume(tab), section="volume"),
    ]  # fmt: skip


def _output(tab: TomographyTab) -> list[Action]:
    return [
        Action("tomography.save_volume", "Save volume…", tab.save_volume,
               "Write the volume that is shown, with its voxel size: MRC, TIFF, HDF5 and others.", "File/Export",
               "Alt+V", "mdi6.content-save-outline", lambda: no_volume(tab), section="tomography"),
        Action("tomography.export_slice", "Save picture…", tab.save_picture,
               "Write the slices or the view as they are shown, with scale bar: PNG or TIFF.", "File/Export", "",
               "mdi6.image-outline", lambda: no_entry(tab), section="tomography"),
        Action("tomography.movie", "Save movie…", tab.save_movie,
               "Write views, slices, or a turn in 3D one after the other as MP4, GIF, or PNG files.", "File/Export", "",
               "mdi6.movie-open-outline", lambda: no_entry(tab), section="tomography"),
        Action("tomography.copy_python", "Copy as Python", tab.copy_python,
               "Copy a script that repeats what was done, without a window.", _MENU, "", "mdi6.language-python",
               lambda: _no_history(tab), section="python"),
        Action("tomography.sample", "Open the sample series", tab.open_sample,
               "Open a small simulated tilt series to try every step on.", _MENU, "", "mdi6.test-tube",
               section="sample"),
    ]  # fmt: skip
