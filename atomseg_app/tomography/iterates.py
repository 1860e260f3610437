"""What reconstruction algorithms are: generators of better and better images.

An algorithm works on one part of the volume: it keeps its own state, gives its image after every iteration, and goes on
for as long as it is asked. So all parts advance together, and any iteration can be shown, judged, or be the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from atomseg_app.tomography.problem import Floats, Problem


@dataclass(frozen=True)
class Iterate:
    """An image after an iteration, and the sum of |measured - projected| of each view before it."""

    image: Floats
    misfit: Floats


Algorithm = Callable[[Problem, Floats, Floats], Iterator[Iterate]]
"""``algorithm(problem, measured, image)`` improves ``image``, which it may start from, in place."""
