"""Whether an image holds a few frequencies only, as after a Bragg filter.

A recorded image has noise at all frequencies, and a particle's outline and its disorder spread the power of its lattice
as well. Where nothing is left between the spots of a lattice, a filter took it. Its spots, cut out narrowly, go on as
fringes where no columns are, and nothing in the image tells fringes that cross from columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from atomseg_app.atoms.own_sampling import middle_spectrum

_ROUND_ABOUT = (0.5, 1.5)  # times the frequency at which there is most
_NOTHING = 10**-2.5  # of the power that white noise of the same variance would have

ADVICE = (
    "Between the spots of its lattice this image holds nothing, as a Bragg-filtered one (or one simulated without "
    "noise): a filter's fringes go on where no columns are, and are found as columns. Use the image before the filter."
)


def few_frequencies(values: npt.NDArray[Any]) -> bool:
    """Whether an image (y, x) has next to no power between a few frequencies; False where it is too small to tell."""
    middle = middle_spectrum(values)
    if middle is None:
        return False
    spectrum, _ = middle
    most = spectrum.k[np.argmax(spectrum.total)]
    near = (spectrum.k >= _ROUND_ABOUT[0] * most) & (spectrum.k <= _ROUND_ABOUT[1] * most)
    return bool(np.median(spectrum.noise[near]) < _NOTHING)
