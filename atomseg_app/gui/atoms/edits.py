"""Changes of columns and calibration as new tables, and the undo step that puts one in an entry's place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from atomseg_app import __version__
from atomseg_app.data import FLAG_EDITED, FLAG_NOT_CONVERGED, Array, Columns, Image, Step, column_table, joined
from atomseg_app.gui import entry_edits
from atomseg_app.gui.atoms.model import AtomsModel, Entry
from atomseg_app.gui.undo import Command

BY_HAND = "edit-by-hand"
FACTS = ("lattice", "defects", "atom_counts")
"""Metadata of columns that speak of one image: grains, what defects were compared, and the mixture of counts."""
BY_FRAME = "of_frame"
"""Metadata of the columns of several frames: the facts of each, by its number."""
_FITTED = (
    "x_px", "y_px", "x_err_px", "y_err_px", "amplitude", "background", "sigma_px", "ellipticity", "angle_deg",
    "integrated_intensity",
)  # fmt: skip


class ChangeEntry(entry_edits.ChangeEntry[Entry]):
    """Puts another state in an entry's place. ``continues`` is the step that this one completes (the fit after a move).

    A result that comes while the user has gone on editing is a step of its own.
    """

    def __init__(
        self, model: AtomsModel, entry_id: int, text: str, after: Entry, continues: Command | None = None
    ) -> None:
        super().__init__(model, entry_id, text, after, after.columns.table.nbytes)
        self._continues = continues

    def _takes(self, following: Any) -> bool:
        """What completes this step."""
        return following._continues is self


class CloseEntry(entry_edits.CloseEntry[Entry]):
    """Closes an image; undoing opens it again with its columns."""

    def __init__(self, model: AtomsModel, entry_id: int) -> None:
        super().__init__(model, entry_id, "Close image", model.entries[entry_id].columns.table.nbytes)


def by_hand(columns: Columns, table: Array, what: str, count: int) -> Columns:
    """Columns with another table, and the edit counted in the history: one entry for all edits since the last fit."""
    last = columns.history[-1] if columns.history else None
    counts = dict(last.parameters) if last is not None and last.operation == BY_HAND else {}
    counts[what] = counts.get(what, 0) + count
    step = Step(BY_HAND, counts, __version__, when=datetime.now(UTC).isoformat(timespec="seconds"))
    earlier = columns.history[:-1] if last is not None and last.operation == BY_HAND else columns.history
    return replace(columns, table=table, history=(*earlier, step))


def added(columns: Columns, image: Image, x_px: float, y_px: float, frame: int) -> tuple[Columns, int]:
    """One more column near a position, guessed from the image, and its id; the fit that follows makes it exact."""
    row = column_table(1)
    row["column_id"] = next_id(columns)
    row["frame"], row["flag"] = frame, FLAG_EDITED
    sigma = typical_sigma_px(columns)
    dark = np.nanmedian(columns.table["amplitude"]) < 0 if np.isfinite(columns.table["amplitude"]).any() else False
    row["x_px"], row["y_px"], row["amplitude"], row["background"] = _guess(image, x_px, y_px, sigma, bool(dark))
    row["sigma_px"], row["ellipticity"] = sigma, 1.0
    table = joined([columns.table, row])
    return by_hand(columns, table, "added", 1), int(row["column_id"][0])


def moved(columns: Columns, column_id: int, x_px: float, y_px: float) -> Columns:
    """One column somewhere else: its fit no longer holds."""
    table = columns.table.copy()
    row = table["column_id"] == column_id
    table["x_px"][row], table["y_px"][row] = x_px, y_px
    table["x_err_px"][row] = table["y_err_px"][row] = np.nan
    table["flag"][row] = FLAG_EDITED
    for name in columns.quantities:
        table[name][row] = np.nan
    return by_hand(columns, table, "moved", 1)


def without(columns: Columns, ids: Iterable[int]) -> Columns:
    """Columns with some of them deleted."""
    gone = np.isin(columns.table["column_id"], np.fromiter(ids, np.int64))
    return by_hand(columns, columns.table[~gone], "deleted", int(gone.sum()))


def with_found(
    columns: Columns, found: Columns, frame: int, region_px: tuple[int, int, int, int] | None
) -> Columns:  # fmt: skip
    """Columns in which those of a frame, or of a region of it, are replaced by what was found there, with new ids."""
    table = columns.table
    replaced = table["frame"] == frame
    if region_px is not None:
        left, top, right, bottom = region_px
        x, y = table["x_px"], table["y_px"]
        replaced &= (x >= left - 0.5) & (x < right - 0.5) & (y >= top - 0.5) & (y < bottom - 0.5)
    kept = table[~replaced]
    new = found.table.copy()
    new["frame"] = frame
    new["column_id"] += int(kept["column_id"].max(initial=-1)) + 1
    if not len(kept):  # nothing is left of what was measured of the old ones
        return replace(columns, table=new, metadata=without_facts(columns.metadata), history=found.history)
    return replace(columns, table=joined([kept, new]), history=found.history)


def with_fit(columns: Columns, fitted: Columns, ids: Iterable[int], *, edited: bool) -> Columns:
    """Columns with the values of a fit for some ids; columns deleted meanwhile stay deleted."""
    table = columns.table.copy()
    wanted = np.intersect1d(np.fromiter(ids, np.int64), fitted.table["column_id"])
    rows = np.flatnonzero(np.isin(table["column_id"], wanted))
    order = np.argsort(fitted.table["column_id"])
    source = order[np.searchsorted(fitted.table["column_id"], table["column_id"][rows], sorter=order)]
    for name in _FITTED:
        table[name][rows] = fitted.table[name][source]
    for name in columns.quantities:
        table[name][rows] = np.nan
    flags = fitted.table["flag"][source]
    table["flag"][rows] = np.where(flags != FLAG_NOT_CONVERGED, FLAG_EDITED, flags) if edited else flags
    return replace(columns, table=table)


def without_facts(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata without what was measured of one set of columns: the next has others."""
    return {name: fact for name, fact in metadata.items() if name not in (*FACTS, BY_FRAME)}


def recalibrated(entry: Entry, size_y_nm: float | None, size_x_nm: float | None) -> Entry:
    """An entry with another pixel size in the plane of the image."""
    sizes = (*entry.data.pixel_size_nm[:-2], size_y_nm, size_x_nm)
    data = entry.data.with_pixel_size(*sizes)
    return Entry(data, replace(entry.columns, pixel_size_nm=data.pixel_size_nm[-2:]))


def next_id(columns: Columns) -> int:
    """An id that no column has."""
    return int(columns.table["column_id"].max(initial=-1)) + 1


def typical_sigma_px(columns: Columns) -> float:
    """Median width of the columns; 4 px where there are none."""
    widths = columns.table["sigma_px"][np.isfinite(columns.table["sigma_px"])]
    return float(np.median(widths)) if len(widths) else 4.0


def _guess(
    image: Image, x_px: float, y_px: float, sigma_px: float, dark: bool
) -> tuple[float, float, float, float]:  # fmt: skip
    """Extremum of the smoothed image within a width of a position, its height above the surroundings, and these."""
    reach = max(3, round(3 * sigma_px))
    column, row = round(x_px), round(y_px)
    height, width = image.shape
    top, left = max(0, row - reach), max(0, column - reach)
    patch = np.asarray(image.values[top : min(height, row + reach + 1), left : min(width, column + reach + 1)], float)
    patch = np.where(np.isfinite(patch), patch, np.nanmedian(patch) if np.isfinite(patch).any() else 0.0)
    level = float(np.median(patch))
    kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * (0.7 * sigma_px) ** 2))
    smooth = _smoothed(_smoothed(patch - level, kernel).T, kernel).T * (-1.0 if dark else 1.0)
    rows, columns = np.mgrid[top : top + patch.shape[0], left : left + patch.shape[1]]
    near = np.hypot(columns - x_px, rows - y_px) <= max(1.5, 1.5 * sigma_px)
    if not near.any() or smooth[near].max() <= 0:
        return x_px, y_px, float(patch.std()) * (-1.0 if dark else 1.0), level
    peak = np.argmax(np.where(near, smooth, -np.inf))
    amplitude = float((patch - level).flat[peak])
    return float(columns.flat[peak]), float(rows.flat[peak]), amplitude, level


def _smoothed(patch: npt.NDArray[np.float64], kernel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rows convolved with a kernel, normalised by the part of it that lies in the patch."""
    weight = np.convolve(np.ones(patch.shape[1]), kernel, "same" if patch.shape[1] >= len(kernel) else "full")
    rows = [np.convolve(row, kernel, "same" if patch.shape[1] >= len(kernel) else "full") for row in patch]
    cut = (len(weight) - patch.shape[1]) // 2
    result: npt.NDArray[np.float64] = (np.array(rows) / weight)[:, cut : cut + patch.shape[1]]
    return result
