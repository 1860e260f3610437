"""Tilt series: their views as floats, and angles where the file gives none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from atomseg_app.data import TiltSeries

Views = npt.NDArray[np.float32]


def view(series: TiltSeries, index: int) -> Views:
    """One view (y, x) as 32-bit floats in C order; only this view is read from the disk."""
    return np.ascontiguousarray(series.values[index], np.float32)


def views(series: TiltSeries, indices: Sequence[int] | None = None) -> Iterator[Views]:
    """Views one after another as 32-bit floats (y, x): those of ``indices``, or all that are not excluded."""
    for index in series.used if indices is None else indices:
        yield view(series, int(index))
