"""What goes on round a filled wedge: looking at it in Fourier space, going back and forth, the filled series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from atomseg_app.data import Data, Image, TiltSeries, Volume
from atomseg_app.gui.entry_edits import OpenEntry
from atomseg_app.gui.tomography.model import Entry
from atomseg_app.gui.tomography.step_operations import FILL_WEDGE, RECONSTRUCT, operations_of
from atomseg_app.gui.tomography.wedge_panel import Look
from atomseg_app.jobs.tasks import Task, TaskResult

if TYPE_CHECKING:
    from atomseg_app.gui.tomography.tab import TomographyTab

_PLAIN = "reconstruct"


class WedgeFlow:
    """Of one tab. ``running`` names the tasks that run."""

    def __init__(self, tab: TomographyTab) -> None:
        self._tab = tab
        self.running: set[str] = set()

    def follow(self) -> None:
        """Call the button by what it shows."""
        volume = self._tab.model.volume()
        other = "" if volume is None else "unfilled" if is_filled(volume) else "filled"
        title = f"Show the {other} one" if other else "Filled or unfilled"
        self._tab.context.actions.set_title("tomography.swap_filled", title)

    def on_finished(self, operation: str) -> None:
        """Look at what came out of filling."""
        if operation == FILL_WEDGE:
            self.look()

    def swap(self) -> None:
        """Show the unfilled volume of the same series, or the filled one; reconstruct where there is none yet."""
        model, volume = self._tab.model, self._tab.model.volume()
        origin = model.origin()
        if volume is None or origin is None:
            return
        wanted = not is_filled(volume)
        for entry_id, entry in reversed(model.entries.items()):
            if entry.origin != origin or not isinstance(entry.data, Volume) or "quantity" in entry.data.metadata:
                continue
            if is_filled(entry.data) == wanted and is_reconstruction(entry.data):
                if entry.data.shape == volume.shape:
                    model.places[entry_id] = model.place
                model.show_entry(entry_id)
                return
        operation = next(
            each for each in (*operations_of(RECONSTRUCT), *self._tab.steps.fill.run.operations.values())
            if each.name == (FILL_WEDGE if wanted else _PLAIN)
        )  # fmt: skip
        self._tab.context.actions.trigger(f"tomography.{operation.name}")

    def look(self) -> None:
        """Find the power of the volume that is shown by direction."""
        tab, model = self._tab, self._tab.model
        entry_id, volume, series = model.current_id, model.volume(), model.working_series()
        if volume is None or series is None:
            return
        tab.steps.fill_section.unfold()

        def done(result: TaskResult) -> None:
            picture = result.items[0]
            assert isinstance(picture, Image)
            tab.steps.fill.keep(entry_id, Look.of(result.value, volume, picture.values))

        self._run("fourier-view", f"Look in Fourier space: {self._title()}", (series, volume), done)

    def open_series(self) -> None:
        """Open the series with the views that the volume would give where none was measured."""
        tab, model = self._tab, self._tab.model
        volume, series = model.volume(), model.working_series()
        if volume is None or series is None:
            return
        name = f"{self._title()}, series"

        def done(result: TaskResult) -> None:
            filled = result.items[0]
            assert isinstance(filled, TiltSeries)
            for note in filled.history[-1].notes[-1:] if filled.history else ():
                tab.context.notify.info(note)
            step = OpenEntry(model, Entry(replace(filled, source=replace(filled.source, path="")), name), "Fill series")
            tab.context.undo.push(step)

        self._run("filled-series", f"Fill the series: {self._title()}", (series, volume), done)

    def _title(self) -> str:
        entry = self._tab.model.entry
        return "" if entry is None else entry.title

    def _run(self, task: str, title: str, inputs: tuple[Data, ...], done: object) -> None:
        if task in self.running or not callable(done):
            return
        self.running.add(task)

        def ended() -> None:
            self.running.discard(task)
            self._tab.context.actions.refresh()

        self._tab.computing.task(Task(task, {}, inputs), title, done, ended)
        self._tab.context.actions.refresh()


def is_filled(volume: Volume) -> bool:
    """Whether part of a volume was inferred."""
    return any(step.operation == FILL_WEDGE for step in volume.history)


def is_reconstruction(volume: Volume) -> bool:
    """Whether a volume is what it shows: no difference, no uncertainty."""
    facts: Mapping[str, object] = volume.metadata
    return "quantity" not in facts and bool(volume.history) and volume.history[-1].operation in (_PLAIN, FILL_WEDGE)
