"""What a run on files shows: a bar on a terminal, plain lines otherwise; results on stdout, the rest on stderr."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from atomseg_app.batch import FileTask, SummaryRow
from atomseg_app.operations import Report

if TYPE_CHECKING:
    from rich.progress import Progress


class Display:
    """Progress and results of ``total`` files; a context manager."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._failed: list[SummaryRow] = []
        self._bar: Progress | None = _bar() if sys.stderr.isatty() else None
        self._all = self._bar.add_task("", total=total) if self._bar else None

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()
        if kind is None and self._failed and self._total > 1:
            self._say(f"atomseg: {len(self._failed)} of {self._total} did not work:")
            for row in self._failed:
                self._say(f"  {row.error}")

    def report(self, task: FileTask) -> Report:
        """Report that moves the bar while a file is worked on."""

        def on_progress(fraction: float, message: str) -> None:
            if self._bar and self._all is not None:
                text = f"{task.path.name}: {message}" if message else task.path.name
                self._bar.update(self._all, completed=self._done + min(fraction, 0.99), description=text)

        return Report(on_progress=on_progress)

    def finished(self, row: SummaryRow) -> None:
        """A file is done: its line, and what the user should know of it."""
        self._done += 1
        if self._bar and self._all is not None:
            self._bar.update(self._all, completed=self._done)
        count = f"[{self._done}/{self._total}] " if self._total > 1 else ""
        if row.error:
            self._failed.append(row)
            self._say(f"atomseg: {count}{row.error}")
            return
        for note in row.notes:
            self._say(f"atomseg: {row.file}: {note}")
        facts = [] if row.columns is None else [f"{row.columns} columns"]
        if row.mean_spacing_nm is not None:
            facts.append(f"spacing {row.mean_spacing_nm:.4g} nm")
        elif row.mean_spacing_px is not None:
            facts.append(f"spacing {row.mean_spacing_px:.4g} px")
        if row.median_error_pm is not None:
            facts.append(f"error bar {row.median_error_pm:.3g} pm")
        facts.append(f"{row.seconds or 0:.1f} s")
        self._print(f"{count}{row.file}: {', '.join(facts)}")

    def cancelled(self) -> None:
        """The user stopped the run."""
        self._say(f"atomseg: cancelled after {self._done} of {self._total}; finished results are kept.")

    def _say(self, text: str) -> None:
        self._print(text, to_stderr=True)

    def _print(self, text: str, *, to_stderr: bool = False) -> None:
        """One line above the bar. File names may hold bytes that no terminal shows."""
        stream = sys.stderr if to_stderr else sys.stdout
        shown = text.encode(stream.encoding or "utf-8", "backslashreplace").decode(stream.encoding or "utf-8")
        if self._bar and stream.isatty():
            self._bar.console.print(shown, markup=False, highlight=False, soft_wrap=True)
        else:
            stream.write(shown + "\n")
            stream.flush()


def _bar() -> Progress:
    """Bar of a batch on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
