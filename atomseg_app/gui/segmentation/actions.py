"""The actions of the segmentation tab, for menus, tool bar, shortcuts and the command palette."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from atomseg_app.gui.actions import Action
from atomseg_app.gui.run_panel import run_action
from atomseg_app.gui.segmentation.computing import CLEANING
from atomseg_app.gui.segmentation.toolbox import TOOLS
from atomseg_app.segmentation.operations import SEGMENT

if TYPE_CHECKING:
    from atomseg_app.gui.segmentation.tab import SegmentationTab

WORKSPACE = "segmentation"
MENU = "Segmentation"


def segmentation_actions(tab: SegmentationTab) -> list[Action]:
    """Every action of the tab."""
    return [*_tools(tab), *_classes(tab), *_labels(tab), *_networks(tab), *_view(tab), *_output(tab)]


def no_volume(tab: SegmentationTab) -> str:
    """Why something that needs a volume cannot be done."""
    return "" if tab.model.volume() is not None else "Open a volume first."


def no_labels(tab: SegmentationTab) -> str:
    """Why something that needs painted labels cannot be done."""
    entry = tab.model.entry
    return no_volume(tab) or ("" if entry is not None and entry.painted else "Paint a class in some slices first.")


def no_result(tab: SegmentationTab) -> str:
    """Why something that needs a segmented volume cannot be done."""
    return no_volume(tab) or ("" if tab.model.result() is not None else "Segment the volume, or show a result, first.")


def _tools(tab: SegmentationTab) -> list[Action]:
    def tool(name: str) -> Action:
        title, shortcut, icon, tip = TOOLS[name]
        return Action(f"{WORKSPACE}.tool_{name}", title, lambda _checked: tab.take_tool(name), tip, MENU, shortcut,
                      icon, lambda: no_volume(tab), checkable=True, checked=lambda: tab.tool_name == name,
                      section="tools")  # fmt: skip

    return [
        *map(tool, TOOLS),
        Action(f"{WORKSPACE}.larger", "Larger brush", lambda: tab.step_brush(1.25), "Make the brush larger.", MENU, "]",
               "mdi6.plus-circle-outline", lambda: no_volume(tab), section="brush"),
        Action(f"{WORKSPACE}.smaller", "Smaller brush", lambda: tab.step_brush(0.8), "Make the brush smaller.", MENU,
               "[", "mdi6.minus-circle-outline", lambda: no_volume(tab), section="brush"),
    ]  # fmt: skip


def _classes(tab: SegmentationTab) -> list[Action]:
    def why_not(number: int) -> str:
        entry = tab.model.entry
        known = 0 if entry is None else len(entry.classes)
        return no_volume(tab) or ("" if number <= known else f"There are {known} classes.")

    keys = [
        Action(f"{WORKSPACE}.class_{number}", f"Paint class {number}", partial(tab.choose_class, number - 1),
               f"Paint with class {number} of the list.", "", str(number), "mdi6.palette-outline",
               partial(why_not, number))
        for number in range(1, 10)
    ]  # fmt: skip
    return [
        *keys,
        Action(f"{WORKSPACE}.add_class", "Add class", lambda: tab.steps.classes.add(),
               "Add a class to the list and name it.", MENU, "", "mdi6.plus", lambda: no_volume(tab),
               section="classes"),
        Action(f"{WORKSPACE}.remove_class", "Remove class", lambda: tab.steps.classes.remove(),
               "Remove the class that is chosen; you are asked what becomes of its voxels.", MENU, "", "mdi6.minus",
               lambda: no_volume(tab), section="classes"),
    ]  # fmt: skip


def _labels(tab: SegmentationTab) -> list[Action]:
    def busy() -> str:
        return no_labels(tab) or ("An edit is being computed." if tab.computing.editing is not None else "")

    cleaning = [
        Action(f"{WORKSPACE}.{how}", title, partial(tab.computing.clean, how),
               f"{title}: the chosen class in the whole volume.", MENU, "", "mdi6.creation-outline", busy,
               section="edits")
        for how, title in CLEANING.items()
    ]  # fmt: skip
    return [
        Action(f"{WORKSPACE}.between", "Interpolate slices", tab.computing.interpolate,
               "Label the slices between those in which you painted the chosen class.", MENU, "I",
               "mdi6.layers-triple-outline", busy, section="edits"),
        *cleaning,
        Action(f"{WORKSPACE}.clear_labels", "Clear labels", tab.starting.clear,
               "Take away everything that was painted on this volume; can be undone.", MENU, "",
               "mdi6.trash-can-outline", lambda: no_labels(tab), section="edits"),
        Action(f"{WORKSPACE}.open_labels", "Open labels…", tab.files.ask_labels,
               "Read labels of this volume from a file: TIFF, MRC, NRRD, HDF5, NPY, OME-Zarr.", MENU, "",
               "mdi6.file-import-outline", lambda: no_volume(tab), section="labels"),
        Action(f"{WORKSPACE}.use_result", "Paint on from the result", tab.starting.use_result,
               "Take the result over as painted labels, to correct it by hand.", MENU, "",
               "mdi6.content-copy", lambda: no_result(tab), section="labels"),
    ]  # fmt: skip


def _networks(tab: SegmentationTab) -> list[Action]:
    def running() -> str:
        return no_volume(tab) or ("It is running." if SEGMENT.name in tab.computing.jobs else "")

    return [
        run_action(WORKSPACE, SEGMENT, lambda: tab.run(SEGMENT), running, menu=MENU, icon="mdi6.puzzle-outline",
                   shortcut="Ctrl+Shift+G", section="networks", toolbar=True),
        Action(f"{WORKSPACE}.measure", "Measure particles", tab.measure,
               "Separate, count and measure the particles of the result, in nm where the volume is calibrated.", MENU,
               "M", "mdi6.ruler", lambda: ("" if not no_result(tab) else no_labels(tab)) or tab.why_not_measure(),
               section="networks"),
        Action(f"{WORKSPACE}.otsu", "Otsu thresholds", lambda: tab.run_baseline("otsu"),
               "Segment by thresholds alone, from dark to bright: what a network has to beat.", MENU, "",
               "mdi6.chart-histogram", lambda: no_volume(tab), section="networks"),
        Action(f"{WORKSPACE}.forest", "Random forest", lambda: tab.run_baseline("forest"),
               "Segment by a random forest taught what you painted: what a network has to beat.", MENU, "",
               "mdi6.forest-outline", lambda: no_labels(tab), section="networks"),
        Action(f"{WORKSPACE}.preview", "Preview while painting", lambda on: tab.set_preview(on),
               "Guess the slice that is shown from what you painted so far, after every stroke.", MENU, "Shift+F",
               "mdi6.flash-outline", lambda: no_volume(tab) or tab.why_no_preview(), checkable=True,
               checked=lambda: tab.built and tab.preview.on, section="networks"),
        Action(f"{WORKSPACE}.train", "Train", lambda: tab.steps.train.start(),
               "Train a network on what you painted.", MENU, "Ctrl+T", "mdi6.school-outline",
               lambda: no_labels(tab) or tab.why_not_train(), section="networks"),
    ]  # fmt: skip


def _view(tab: SegmentationTab) -> list[Action]:
    def switch(name: str, title: str, part: str, tip: str, icon: str, shortcut: str) -> Action:
        return Action(f"{WORKSPACE}.{name}", title, lambda _checked: tab.widen(part), tip, MENU, shortcut, icon,
                      lambda: no_volume(tab), checkable=True, checked=lambda: tab.part == part,
                      section="look")  # fmt: skip

    def shown(name: str, title: str, tip: str, icon: str, shortcut: str) -> Action:
        field = name.removeprefix("show_")
        return Action(f"{WORKSPACE}.{name}", title, lambda on: tab.model.show(**{field: on}), tip, MENU, shortcut, icon,
                      lambda: no_volume(tab) if field == "painted" else no_result(tab) or tab.why_not_shown(field),
                      checkable=True, checked=lambda: bool(getattr(tab.model.shown, field)),
                      section="layers")  # fmt: skip

    return [
        shown("show_painted", "Painted labels", "Draw what you painted over the slices.", "mdi6.brush-variant",
              "Shift+P"),
        shown("show_uncertainty", "Uncertainty", "Draw where the result is unsure: paint there next.",
              "mdi6.help-rhombus-outline", "Shift+U"),
        shown("show_errors", "Errors", "Draw where the result differs from the reference, for the chosen class.",
              "mdi6.alert-decagram-outline", "Shift+E"),
        Action(f"{WORKSPACE}.next_error", "Next error", lambda: tab.steps.errors.step(1),
               "Put the cross-hair on the next error of the chosen class, from the largest on.", MENU, "N",
               "mdi6.arrow-right-circle-outline", lambda: no_result(tab) or tab.why_no_error(), section="layers"),
        Action(f"{WORKSPACE}.previous_error", "Previous error", lambda: tab.steps.errors.step(-1),
               "Put the cross-hair on the error before.", MENU, "Shift+N", "mdi6.arrow-left-circle-outline",
               lambda: no_result(tab) or tab.why_no_error(), section="layers"),
        Action(f"{WORKSPACE}.report", "Report…", tab.judging.report,
               "Dice, IoU, precision, recall, HD95 and volume of each class against the reference, and the confusion "
               "matrix: to read, copy, or save as CSV.", MENU, "Shift+R", "mdi6.table-check",
               lambda: no_volume(tab) or tab.judging.why_not(), section="layers"),
        switch("show_all", "Slices and 3D", "", "Show the three slices and the volume in 3D.", "mdi6.view-grid-outline",
               "Shift+1"),
        switch("show_xy", "XY slice", "XY", "Give the slice across z all the room.", "mdi6.alpha-z-box-outline",
               "Shift+2"),
        switch("show_3d", "3D view", "3D", "Give the volume in 3D all the room.", "mdi6.cube-outline", "Shift+3"),
        Action(f"{WORKSPACE}.fit", "Fit to view", tab.fit, "Show the whole slices.", MENU, "Shift+0",
               "mdi6.fit-to-page-outline", lambda: no_volume(tab), section="look"),
        Action(f"{WORKSPACE}.zoom_in", "Zoom in", lambda: tab.zoom(1.5), "Show less, larger.", MENU, "Shift+=",
               "mdi6.magnify-plus-outline", lambda: no_volume(tab), section="look"),
        Action(f"{WORKSPACE}.zoom_out", "Zoom out", lambda: tab.zoom(1 / 1.5), "Show more, smaller.", MENU, "Shift+-",
               "mdi6.magnify-minus-outline", lambda: no_volume(tab), section="look"),
        Action(f"{WORKSPACE}.auto_contrast", "Automatic contrast", lambda: tab.slices.contrast_bar.set_auto(),
               "Leave out the darkest and the brightest 0.1 % of the grey levels.", MENU, "Shift+C",
               "mdi6.contrast-box", lambda: no_volume(tab), section="look"),
        Action(f"{WORKSPACE}.close", "Close this volume", tab.close_current,
               "Close the volume that is shown with its labels; can be undone.", MENU, "Shift+W",
               "mdi6.close-box-outline", lambda: no_volume(tab), section="look"),
    ]  # fmt: skip


def _output(tab: SegmentationTab) -> list[Action]:
    return [
        Action(f"{WORKSPACE}.save_labels", "Save labels…", tab.files.ask_save_labels,
               "Write the result, or what you painted, with names of classes: TIFF, MRC, NRRD, HDF5, OME-Zarr, VTI.",
               "File/Export", "", "mdi6.content-save-outline",
               lambda: "" if not no_result(tab) else no_labels(tab), section="segmentation"),
        Action(f"{WORKSPACE}.save_errors", "Save error map…", tab.judging.ask_save_errors,
               "Write where the result is right, too much or missed, for the chosen class, as labels: TIFF, MRC and "
               "others.", "File/Export", "", "mdi6.alert-decagram-outline",
               lambda: no_volume(tab) or tab.judging.why_not(), section="segmentation"),
        Action(f"{WORKSPACE}.save_probability", "Save probabilities…", tab.files.ask_save_probability,
               "Write the probability of the class that is shown as a volume.", "File/Export", "",
               "mdi6.gradient-horizontal", lambda: no_result(tab) or tab.why_not_shown("probability"),
               section="segmentation"),
        Action(f"{WORKSPACE}.save_meshes", "Save meshes…", tab.files.ask_save_meshes,
               "Write the surface of each class in nm: STL, PLY or OBJ, one file a class.", "File/Export", "",
               "mdi6.triangle-outline", lambda: "" if not no_result(tab) else no_labels(tab), section="segmentation"),
        Action(f"{WORKSPACE}.save_particles", "Save particles…", lambda: tab.steps.measure.save(),
               "Write the table of particles as CSV, with units in its header.", "File/Export", "",
               "mdi6.table-arrow-right",
               lambda: "" if tab.built and tab.steps.measure.particles is not None else "Measure the particles first.",
               section="segmentation"),
        Action(f"{WORKSPACE}.save_picture", "Save picture of the slices…", tab.files.ask_picture,
               "Write the slices and the 3D view as they are shown: PNG or TIFF.", "File/Export", "",
               "mdi6.image-outline", lambda: no_volume(tab), section="segmentation"),
        Action(f"{WORKSPACE}.movie", "Save movie of the volume…", tab.files.ask_movie,
               "Write a sweep through the slices, or a turn in 3D, as MP4, GIF or PNG files.", "File/Export", "",
               "mdi6.movie-open-outline", lambda: no_volume(tab), section="segmentation"),
    ]  # fmt: skip
