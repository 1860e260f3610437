"""What a benchmark has to reach, what it did reach, and seconds that mean something on a busy machine, too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from atomseg_app.benchmarks.table import cores, print_table

_EFFICIENCY = 0.9  # of work on all cores, where the machine has nothing else to do


@dataclass
class Spent:
    """Seconds that something took: on the clock, and of processors."""

    wall: float = 0.0
    cpu: float = 0.0

    @property
    def busy(self) -> bool:
        """Whether other work on the machine kept this from the cores that it may use."""
        return self._alone < 0.8 * self.wall

    @property
    def seconds(self) -> float:
        """On the clock; on a busy machine, what work on all cores would have taken with these to itself."""
        return self._alone if self.busy else self.wall

    @property
    def _alone(self) -> float:
        return self.cpu / (_EFFICIENCY * cores())


@contextmanager
def spending() -> Iterator[Spent]:
    """Seconds of what is done inside, filled in at its end."""
    spent = Spent()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield spent
    finally:
        spent.wall, spent.cpu = time.perf_counter() - wall, time.process_time() - cpu


@dataclass(frozen=True)
class Bar:
    """One thing to reach: ``bar`` in words, ``measured`` likewise, and whether it was reached."""

    what: str
    bar: str
    measured: str
    reached: bool


def at_most(what: str, limit: float, value: float, unit: str = "") -> Bar:
    """Bar of a value that may be as large as ``limit``."""
    return Bar(what, f"at most {limit:g} {unit}".rstrip(), f"{value:.4g} {unit}".rstrip(), value <= limit)


def at_least(what: str, limit: float, value: float, unit: str = "") -> Bar:
    """Bar of a value that has to be as large as ``limit``."""
    return Bar(what, f"at least {limit:g} {unit}".rstrip(), f"{value:.4g} {unit}".rstrip(), value >= limit)


def print_bars(title: str, bars: list[Bar]) -> bool:
    """Print what was to be reached; whether all of it was."""
    rows = [[bar.what, bar.bar, bar.measured, "reached" if bar.reached else "MISSED"] for bar in bars]
    if rows:
        print_table(title, ["what", "bar", "measured", ""], rows)
    return all(bar.reached for bar in bars)
