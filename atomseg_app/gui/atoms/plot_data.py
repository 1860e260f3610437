"""What a plot of the columns shows: one quantity counted, or one against another, and which columns lie where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Columns
from atomseg_app.gui.atoms.neighbours import Distances, distances_of
from atomseg_app.gui.atoms.quantities import Floats, available
from atomseg_app.gui.value_text import value_text

Rows = npt.NDArray[np.intp]
_MOST_LEAST_BINS = 40
_REACH = 0.03  # of the plot, within which a click takes a point


@dataclass(frozen=True)
class PlotChoice:
    """Quantities along x and y by key, y "" for how many; ``among`` are ids of the columns plotted, None for all."""

    x: str = "nearest"
    y: str = ""
    among: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False)
class PlotData:
    """Values (n,) of some rows of the table, both known where there are two; with bars where there is one."""

    rows: Rows
    x: Floats
    y: Floats | None
    x_title: tuple[str, str]
    y_title: tuple[str, str]
    bars: Distances | None = None

    def bar_rows(self, bar: int) -> Rows:
        """Rows of the table in a bar."""
        return self.rows[:0] if self.bars is None else self.rows[self.bars.rows_of(bar)]

    def rows_within(self, left: float, right: float, low: float, high: float) -> Rows:
        """Rows whose point lies in a rectangle; of bars, those between left and right."""
        inside = (self.x >= left) & (self.x <= right)
        if self.y is not None:
            inside &= (self.y >= low) & (self.y <= high)
        return self.rows[inside]

    def point_at(self, x: float, y: float, width: float, height: float) -> int:
        """Place of the point nearest to a position, in a plot that is so wide and high; -1 if none is near."""
        if self.y is None or not len(self.x):
            return -1
        away = np.hypot((self.x - x) / width, (self.y - y) / height)
        nearest = int(np.argmin(away))
        return nearest if away[nearest] <= _REACH else -1

    def summary(self) -> str:
        """Number, mean and standard deviation, and for two quantities how they go together (Pearson's r)."""
        if not len(self.x):
            return "Nothing to plot: not known of any of these columns."
        parts = [f"n = {len(self.x):,}", _mean(self.x, self.x_title)]
        if self.y is not None:
            parts.append(_mean(self.y, self.y_title))
            if len(self.x) > 2 and self.x.std() > 0 and self.y.std() > 0:
                parts.append(f"r = {float(np.corrcoef(self.x, self.y)[0, 1]):.2f}")
        return "   ·   ".join(parts)


def plot_data(columns: Columns | None, choice: PlotChoice) -> PlotData | None:
    """Values for a choice; none without columns, or for quantities that they do not have."""
    quantities = available(columns)
    if columns is None or not len(columns) or choice.x not in quantities or (choice.y and choice.y not in quantities):
        return None
    across = quantities[choice.x]
    x = across.values(columns)
    plotted = np.isfinite(x)
    if choice.among is not None:
        plotted &= np.isin(columns.table["column_id"], choice.among)
    x_title = (across.title, across.unit(columns))
    if not choice.y:
        rows = np.flatnonzero(plotted)
        least = min(_MOST_LEAST_BINS, int(np.sqrt(len(rows))) + 1)
        return PlotData(rows, x[rows], None, x_title, ("Columns", ""), distances_of(x[rows], x_title[1], least))
    up = quantities[choice.y]
    y = up.values(columns)
    rows = np.flatnonzero(plotted & np.isfinite(y))
    return PlotData(rows, x[rows], y[rows], x_title, (up.title, up.unit(columns)))


def _mean(values: Floats, title: tuple[str, str]) -> str:
    """Mean and standard deviation with the name and the unit."""
    return (
        f"{title[0]} {value_text(float(values.mean()), 4)} ± {value_text(float(values.std()), 3)} {title[1]}".rstrip()
    )
