"""Which direction of the tilt axis fits the images better; a suggestion that the user takes or leaves."""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
import numpy.typing as npt

from atomseg_app.data import TiltSeries

_SIDE, _VIEWS = 128, 31
_CLEAR = 1.3


def guess_axis(series: TiltSeries) -> tuple[Literal["x", "y"] | None, str]:
    """The axis along which sums of the views change least with tilt, and a sentence; None where neither is clear.

    Summed across the axis, a view is the mass of each slice, which tilting does not change (common line); summed the
    other way it changes with the angle. Each profile is shifted onto its neighbour first, as views are not aligned.
    """
    used = series.used
    chosen = used[np.unique(np.linspace(0, len(used) - 1, min(_VIEWS, len(used))).round().astype(int))]
    step = max(1, round(max(series.shape[1:]) / _SIDE))
    views = [np.nan_to_num(np.asarray(series.values[view, ::step, ::step], np.float32)) for view in chosen]
    along_y = _change([view.sum(axis=1) for view in views])
    along_x = _change([view.sum(axis=0) for view in views])
    better: Literal["x", "y"] = "y" if along_y <= along_x else "x"
    ratio = max(along_y, along_x) / max(min(along_y, along_x), 1e-12)
    name = {"y": "vertical", "x": "horizontal"}
    if ratio < _CLEAR or len(chosen) < 3:
        return None, "The images do not tell which direction the tilt axis has; look at how the sample turns."
    now = "as it is set" if better == series.tilt_axis else f"but it is set to {name[series.tilt_axis]}"
    return better, f"The tilt axis seems to be {name[better]} ({ratio:.1f} times better), {now}."


def _change(profiles: list[npt.NDArray[np.float32]]) -> float:
    """Mean squared change between neighbours after the best shift of each, relative to the profiles' variance."""
    changes = []
    for first, second in itertools.pairwise(profiles):
        a, b = first - first.mean(), second - second.mean()
        spectrum = np.fft.rfft(a, 2 * len(a)) * np.conj(np.fft.rfft(b, 2 * len(b)))
        best = float(np.fft.irfft(spectrum).max())
        power = float(np.linalg.norm(a) * np.linalg.norm(b))
        changes.append(1 - best / power if power > 0 else 0.0)
    return float(np.mean(changes)) + 1e-9
