"""What speaks against reconstructing a series as it is: a background, views that are displaced, a bright field.

All of it is looked for in sums and samples of the views, so that it costs next to nothing beside a reconstruction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from atomseg_app.data import TiltSeries
from atomseg_app.operations import Report
from atomseg_app.tomography.noise import noise_rms

Floats = npt.NDArray[np.float64]

_STRIP, _FEWEST_COLUMNS = 0.04, 2  # of the views, at both ends across the axis: there is no sample where it fits in
_LIKE, _CONTAINED = 0.15, 0.8  # by how much both ends may differ, of the brightest; in how many of the views
_NEAR = 6.0  # times the median distance from the median: four standard deviations
_SEEN = 0.02  # of the brightest: a level that matters
_SAMPLES = 64  # a side, of which the brightest and the darkest are found
_JUDGED_VIEWS = 25
_LEAST_SHIFT_PX, _BETTER, _ALIKE = 0.5, 2.0, 0.8
"""A shift counts if profiles are alike with it, and differ this many times more without it."""
_LEAST_SPAN_DEG = 60.0
_R_FACTOR, _TIMES_NOISE, _ENOUGH = 0.15, 3.0, 10
_NOISE_VIEWS = 8
_MEAN_OF_NORMAL = 0.798  # mean of |x| where x is normal with rms 1
LEVELS_KEY = "background_levels"
"""Of a volume's metadata: what was taken off each used view."""
ALIGN_FIRST = "align the series first ('atomseg align', or Align in the window)"


@dataclass(frozen=True)
class Ends:
    """Of one view: mean levels at both ends across the axis, and its brightest and darkest grey levels."""

    first: float
    second: float
    bright: float
    dark: float

    @property
    def alike(self) -> bool:
        """Whether both ends show the same, as they do where the sample lies between them."""
        return abs(self.first - self.second) <= _LIKE * max(self.bright - self.lower, self.lower - self.dark)

    @property
    def lower(self) -> float:
        """Level of the darker end."""
        return min(self.first, self.second)

    @property
    def level(self) -> float:
        """Level of both ends, of the darker one where the other shows the sample."""
        return (self.first + self.second) / 2 if self.alike else self.lower


def ends_of(view: npt.NDArray[np.generic], axis: str) -> Ends:
    """Ends of a view (y, x) across a tilt axis along ``axis``; its pixels may be no numbers in places."""
    image = view if axis == "y" else view.T
    strip = max(_FEWEST_COLUMNS, round(_STRIP * image.shape[1]))
    steps = tuple(max(1, size // _SAMPLES) for size in image.shape)
    sample = np.sort(np.asarray(image[:: steps[0], :: steps[1]], np.float64), axis=None)  # what is no number is last
    known = sample[: np.searchsorted(sample, np.inf)]
    if not len(known):
        return Ends(0.0, 0.0, 0.0, 0.0)
    dark, bright = float(known[int(0.005 * len(known))]), float(known[int(0.995 * (len(known) - 1))])
    first, second = (_middle(part, dark) for part in (image[:, :strip], image[:, -strip:]))
    return Ends(first, second, bright, dark)


def _middle(pixels: npt.NDArray[np.generic], otherwise: float) -> float:
    """Mean of the values near their median: as robust as that, and without its steps where values are counts."""
    values = np.asarray(pixels, np.float64).reshape(-1)
    values = values[np.isfinite(values)]
    if not len(values):
        return otherwise
    away = np.abs(values - np.median(values))
    return float(values[away <= _NEAR * np.median(away)].mean())


def background_levels(series: TiltSeries, wanted: str, report: Report) -> Floats | None:
    """Level (used views,) to be taken off each view, None where there is nothing to take off.

    ``wanted`` is ``keep``, ``subtract`` or ``auto``: where the ends of the views show a level that matters. Notes say
    what was done, and that a bright field needs its logarithm.
    """
    if wanted == "keep":
        return None
    used = series.used
    some = used[:: max(1, len(used) // _JUDGED_VIEWS)]
    ends = [ends_of(series.values[view], series.tilt_axis) for view in some]
    level = float(np.median([one.level for one in ends]))
    bright, dark = float(np.median([one.bright for one in ends])), float(np.median([one.dark for one in ends]))
    contained = float(np.mean([one.alike for one in ends])) >= _CONTAINED
    if contained and level - dark > 2 * (bright - level):
        report.note(
            "The sample is darker than what surrounds it (a bright field): first take the logarithm of the views "
            "('atomseg prepare-tilts --absorption', or Prepare in the window)."
        )
        return None
    share = level / max(bright - level, 1e-30)
    if wanted == "auto" and not (contained and abs(share) > _SEEN):
        return None
    report.note(
        f"Beside the sample the views show {level:.4g} ({abs(share):.0%} of the brightest above it): the level at the "
        "ends of each view was subtracted (background = keep leaves it)."
    )
    return np.array([ends_of(series.values[view], series.tilt_axis).level for view in used])


def displaced(series: TiltSeries) -> str:
    """A sentence where the views of a series without an alignment are displaced against each other; else empty."""
    if series.alignment is not None or series.euler_deg is not None:
        return ""
    used = series.used[np.argsort(np.asarray(series.tilt_deg)[series.used], kind="stable")]
    if len(used) < 5 or min(series.values.shape[1:]) < 16:
        return ""
    along, centres = [], []
    rows, columns = (np.ones(size, np.float32) for size in series.values.shape[1:])
    for view in used:
        image = np.asarray(series.values[view], np.float32)
        profiles = [
            np.nan_to_num(np.asarray(one, np.float64), posinf=0, neginf=0) for one in (image @ columns, rows @ image)
        ]
        one, other = profiles if series.tilt_axis == "y" else profiles[::-1]
        along.append(one)
        centres.append(_centre(other))
    shifts = np.array(list(_shifts(along)))
    if len(shifts) >= 4 and (moved := float(np.sqrt(np.mean(shifts**2)))) > _LEAST_SHIFT_PX:
        return f"Neighbouring views are displaced by {moved:.1f} px rms along the tilt axis; {ALIGN_FIRST}."
    tilt = np.deg2rad(np.asarray(series.tilt_deg)[used])
    found = np.array([np.nan if one is None else one for one in centres])
    known = np.isfinite(found)
    if known.mean() < _CONTAINED or np.ptp(tilt[known]) < np.deg2rad(_LEAST_SPAN_DEG):
        return ""
    basis = np.stack([np.ones(int(known.sum())), np.cos(tilt[known]), np.sin(tilt[known])], axis=1)
    fit = np.linalg.lstsq(basis, found[known], rcond=None)[0]
    off = max(float(np.sqrt(np.mean((found[known] - basis @ fit) ** 2))), abs(float(fit[0])) / 2)
    if off <= 2 * _LEAST_SHIFT_PX:
        return ""
    return (
        f"The sample does not move across the tilt axis as turning about the middle of the views would move it (off by "
        f"{off:.1f} px); {ALIGN_FIRST}."
    )


def _shifts(profiles: list[Floats]) -> Iterator[float]:
    """Shifts in pixels of profiles against the ones before, of those that a shift makes alike."""
    window = np.hanning(len(profiles[0]) + 2)[1:-1]
    faded = [window * (profile - np.average(profile, weights=window)) for profile in profiles]
    size = 2 * len(window)
    spectra = [np.fft.rfft(profile, size) for profile in faded]
    norms = [float(np.sqrt((profile**2).sum())) for profile in faded]
    for one, other, a, b in zip(spectra[:-1], spectra[1:], norms[:-1], norms[1:], strict=True):
        if a * b <= 0:
            continue
        alike = np.fft.irfft(other * np.conj(one), size) / (a * b)
        best = int(np.argmax(alike))
        left, middle, right = alike[best - 1], alike[best], alike[(best + 1) % size]
        if middle < _ALIKE:
            continue
        bend = left - 2 * middle + right
        shift = (best + size // 2) % size - size // 2 + (0.5 * (left - right) / bend if bend < 0 else 0.0)
        yield float(shift) if 1 - alike[0] > _BETTER * (1 - middle) else 0.0


def _centre(profile: Floats) -> float | None:
    """Centre of mass of a profile across the axis from its middle, None where the sample does not end within it."""
    strip = max(_FEWEST_COLUMNS, round(_STRIP * len(profile)))
    ends = np.median(profile[:strip]), np.median(profile[-strip:])
    height = float(profile.max()) - min(ends)
    if height <= 0 or abs(ends[0] - ends[1]) > _LIKE * height:
        return None
    mass = profile - sum(ends) / 2
    total = float(mass.sum())
    place = np.arange(len(profile)) - (len(profile) - 1) / 2
    return float((mass * place).sum()) / total if total > 0.01 * height * len(profile) else None


def badly_explained(series: TiltSeries, facts: Mapping[str, Any], levels: Floats | None) -> str:
    """A sentence where a volume of these facts leaves far more of the views than their noise; else empty.

    ``levels`` (used views,) were taken off the views.
    """
    r_factor = float(facts.get("r_factor", 0))
    if facts.get("iterations", 0) < _ENOUGH or r_factor < _R_FACTOR:
        return ""
    some = np.arange(len(series.used))[:: max(1, len(series.used) // _NOISE_VIEWS)]
    views = np.stack([np.asarray(series.values[view], np.float32) for view in series.used[some]])
    views = np.nan_to_num(views, posinf=0, neginf=0)
    if levels is not None:
        views -= levels[some][:, None, None].astype(np.float32)
    expected = _MEAN_OF_NORMAL * noise_rms(views) / max(float(np.abs(views).mean()), 1e-30)
    if r_factor < _TIMES_NOISE * expected:
        return ""
    ends = [ends_of(series.values[view], series.tilt_axis) for view in series.used[some]]
    if float(np.mean([one.alike for one in ends])) < _CONTAINED:
        what = "the sample reaches beyond the views, where a wider volume (width) explains more"
    elif series.alignment is None and series.euler_deg is None:
        what = ALIGN_FIRST
    else:
        what = "look at the alignment"
    return (
        f"The volume leaves {r_factor:.0%} of the views unexplained, of which noise is {expected:.0%}: {what}; and see "
        "whether the angles, the direction of the tilt axis and the background are right."
    )
