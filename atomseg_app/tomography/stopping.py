"""When to stop: where views that were left out are explained no better, or where the rest is as small as the noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from atomseg_app.operations import Report
from atomseg_app.tomography.iterates import Iterate
from atomseg_app.tomography.problem import Floats, Indices

FEWEST_VIEWS = 12
"""Of fewer views none can be spared."""
_EVERY, _FIRST = 8, 4
_PATIENCE, _GAIN = 4, 2e-3
FEWEST = 5
"""A trial that ends earlier says that something is wrong."""
MOST = 300
"""Iterations that no trial and no reconstruction without a given number goes beyond."""
_MEAN_OF_NORMAL = 0.798  # mean of |x| where x is normal with rms 1


def held_out(tilt_deg: tuple[float, ...]) -> Indices:
    """Views left out for a trial: every eighth by angle, never the outermost."""
    order = np.argsort(np.asarray(tilt_deg), kind="stable")
    return np.sort(order[_FIRST:-1:_EVERY])


def best_count(steps: Iterator[Iterate], judged: Callable[[Floats], float], report: Report) -> int:
    """How many iterations of a trial explain the views left out best; ``judged`` gives their misfit of an image.

    The trial ends where they have not become better by a part in 500 for several iterations, more the longer it ran.
    """
    best, best_at, number = np.inf, 1, 0
    while number < MOST and number - best_at <= max(_PATIENCE, best_at // 5):
        number += 1
        report.progress(min(number / (best_at + 10), 1), f"trial without some views, iteration {number}")
        misfit = judged(next(steps).image)
        if misfit < best * (1 - _GAIN):
            best, best_at = misfit, number
        if report.stopping:
            break
    return best_at


def explained(misfit: float, rays: int, noise: float) -> bool:
    """Whether a sum of |measured - projected| over rays is no more than noise of this rms makes."""
    return misfit <= _MEAN_OF_NORMAL * noise * rays
