"""``atomseg bench window``: first frame, longest time without an answer while a user works, cancel, and recovery from
a killed process.

The window runs in a process of its own and measures itself (``window-check --probe``): on the display where there is
one, else off screen.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import atomseg_app
from atomseg_app.benchmarks.table import print_table
from atomseg_app.errors import UserError

ANSWER_S = 0.1
"""Longest that the window may give no answer, whatever is done in it."""
_TITLE = """Window (medians). No answer: the longest time between two beats of a timer in the window's thread, and
how much of such a time that thread computed, which other programs do not change."""
_STARTS = 5
_PROBE_LIMIT_S = 1800


@dataclass(frozen=True)
class Figure:
    """One figure: its runs in seconds, the most its median may be (None: no limit is set), and how much of each the
    window's own thread computed, where that is known: other programs do not change it.
    """

    name: str
    runs_s: tuple[float, ...]
    limit_s: float | None
    processor_s: tuple[float, ...] = ()

    @property
    def median_s(self) -> float:
        """Median of the runs."""
        return statistics.median(self.runs_s)

    @property
    def reached(self) -> bool:
        """Whether the median is within the limit."""
        return self.limit_s is None or self.median_s <= self.limit_s


def check_window(*options: str, home: Path, limit_s: float = 120) -> dict[str, Any]:
    """Start ``window-check`` with these options in a process of its own; the facts it prints. Raises UserError."""
    environment = dict(
        os.environ, ATOMSEG_HOME=str(home), PYTHONPATH=str(Path(atomseg_app.__file__).parent.parent),
        PYTHONPYCACHEPREFIX=str(home / "compiled"),
    )  # fmt: skip
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is compiled once, not at every start
    if not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")) and sys.platform == "linux":
        environment["QT_QPA_PLATFORM"] = "offscreen"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "atomseg_app.gui.app", "window-check", *options],
        env=environment, capture_output=True, text=True, timeout=limit_s, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    if not lines:
        raise UserError(f"The window did not start (exit code {done.returncode}): {done.stderr.strip()[-2000:]}")
    facts: dict[str, Any] = json.loads(lines[-1])
    return facts


def figures(starts: Sequence[Mapping[str, Any]], probe: Mapping[str, Any]) -> list[Figure]:
    """Figures of several starts and of one probe."""
    return [
        Figure("first frame, warm", tuple(start["first_frame_s"] for start in starts), 2.5,
               tuple(start["first_frame_processor_s"] for start in starts)),
        Figure("longest stall while Find columns runs on 1024 x 1024", tuple(probe["stalls_s"]), 0.1),
        Figure("from Cancel to cancelled", tuple(probe["cancel_s"]), 2.0),
        Figure("brush of 100 px radius on 2048 x 2048, a move until it is drawn", tuple(probe["brush_s"]), 0.016,
               tuple(probe["brush_processor_s"])),
        Figure("3D ball of 30 px radius in 512^3, a move until it is drawn", tuple(probe["ball_s"]), 0.033,
               tuple(probe["ball_processor_s"])),
        Figure("from kill -9 of the compute process to the next result", tuple(probe["kill_to_next_s"]), None),
        *(_answer(name, gaps) for name, gaps in {**probe["building"], **probe["answers"]}.items()),
    ]  # fmt: skip


def _answer(name: str, gaps: Sequence[Sequence[float]]) -> Figure:
    """Longest time without an answer while something is done."""
    wall, processor = zip(*gaps, strict=True)
    return Figure(f"no answer: {name}", tuple(wall), ANSWER_S, tuple(processor))


def run() -> int:
    """Measure and print; 0 if every limit is kept and the window's process imported nothing heavy, else 1."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        check_window(home=home)  # files are in memory after this one
        starts = [check_window(home=home) for _ in range(_STARTS)]
        probe = check_window("--probe", home=home, limit_s=_PROBE_LIMIT_S)
    results = figures(starts, probe)
    heavy = sorted({name for facts in (*starts, probe) for name in facts["heavy_modules"]})
    rows = [
        (f.name, "" if f.limit_s is None else f"<= {f.limit_s:g} s", f.median_s, max(f.runs_s),
         max(f.processor_s) if f.processor_s else "", len(f.runs_s))
        for f in results
    ]  # fmt: skip
    heads = ("what", "must reach", "median (s)", "worst (s)", "computed in it, worst (s)", "runs")
    print_table(_TITLE, heads, rows)
    print(f"imported by the window's process: {', '.join(heavy) or 'neither torch nor a heavy reader'}", flush=True)  # noqa: T201
    return 0 if not heavy and all(figure.reached for figure in results) else 1
