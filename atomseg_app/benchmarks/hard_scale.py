"""The hard set halved and enlarged: whether the same columns are found at any magnification of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from atomseg_app.benchmarks.detection import rescaled
from atomseg_app.benchmarks.hard_set import LEAST_SNR, Find, Finder, Floats, Picture, each
from atomseg_app.benchmarks.matching import Score, match, match_radius, nearest_spacing, score
from atomseg_app.benchmarks.table import print_table

SCALES = (0.5, 2.0, 3.0)
APART_PX = 5.0
F1_WITHIN, RMS_WITHIN_PX = 0.01, 0.3

_FIND = Find("network")


@dataclass(frozen=True)
class Rescaled:
    """A picture at one scale against itself at 1x, both in the 1x frame: scores on the same columns, and for those
    found in both the sum of squared distances and their number."""

    there: Score
    at_once: Score
    square_px2: float
    pairs: int

    def __add__(self, other: Rescaled) -> Rescaled:
        return Rescaled(
            self.there + other.there,
            self.at_once + other.at_once,
            self.square_px2 + other.square_px2,
            self.pairs + other.pairs,
        )


def compare(picture: Picture, find: Finder = _FIND) -> dict[float, Rescaled]:
    """The picture at each of :data:`SCALES` against 1x."""
    at_once = find(picture).xy_px
    return {scale: _compared(picture, at_once, _found_at(picture, scale, find), scale) for scale in SCALES}


def total(results: Sequence[dict[float, Rescaled]]) -> dict[float, Rescaled]:
    """Sums over all pictures."""
    nothing = Score(0, 0, 0, 0.0)
    return {scale: sum((r[scale] for r in results), start=Rescaled(nothing, nothing, 0.0, 0)) for scale in SCALES}


def run(items: Sequence[Picture], pool: Executor | None = None) -> bool:
    """Print the table; True if F1 or the positions differ by more than is wanted at a scale."""
    rows, failed = [], False
    for scale, summed in total(each(partial(compare, find=_FIND), items, pool)).items():
        difference = summed.there.f1 - summed.at_once.f1
        rms_px = float(np.sqrt(summed.square_px2 / max(summed.pairs, 1)))
        kind = "2 x 2 sums" if scale < 1 else "cubic"
        rows.append([f"{scale:g} x, {kind}", summed.there.f1, summed.at_once.f1, difference, rms_px, 10 * rms_px])
        failed |= not (abs(difference) <= F1_WITHIN and rms_px <= RMS_WITHIN_PX)
    print_table(
        f"Scale: {len(items)} pictures of the hard set halved and enlarged, network + fit, against 1x, in the 1x\n"
        f"frame. Columns at least {APART_PX:g} px apart at both scales, with signal-to-noise >= {LEAST_SNR:g}.\n"
        "Distances: of the same columns.",
        ["scale", "F1", "F1 at 1x, same columns", "difference", "rms distance (px)", "rms at 10 pm/px (pm)"],
        rows,
    )
    return failed


def _found_at(picture: Picture, scale: float, find: Finder) -> Floats:
    """Places found in the rescaled picture, in pixels of the picture."""
    values = rescaled(np.asarray(picture.values, float), scale).astype(np.float32)
    places = (picture.xy_px + 0.5) * scale - 0.5
    shown = replace(
        picture, values=values, xy_px=places, sigma_px=picture.sigma_px * scale, pm_per_px=picture.pm_per_px / scale
    )
    return (find(shown).xy_px + 0.5) / scale - 0.5


def _compared(picture: Picture, at_once: Floats, there: Floats, scale: float) -> Rescaled:
    true, spacing = picture.xy_px, nearest_spacing(picture.xy_px)
    close = spacing * min(1.0, scale) < APART_PX
    wanted = (picture.snr >= LEAST_SNR) & ~close
    radius = match_radius(spacing)
    matched, scores = [], []
    for found in (there, at_once):
        counted = _not_at(found, true, close)
        scores.append(score(counted, true, radius, ~wanted))
        of_found, of_true = match(counted, true, radius)
        place = np.full((len(true), 2), np.nan)
        place[of_true] = counted[of_found]
        matched.append(place)
    apart = np.sum((matched[0] - matched[1]) ** 2, axis=1)[wanted]
    both = np.isfinite(apart)
    return Rescaled(scores[0], scores[1], float(apart[both].sum()), int(both.sum()))


def _not_at(found: Floats, true: Floats, close: npt.NDArray[np.bool_]) -> Floats:
    """Found places without those nearest to columns that are too close together: what merges counts neither way."""
    if not len(found) or not len(true):
        return found
    return np.asarray(found[~close[cKDTree(true).query(found)[1]]])
