"""Codes of where labels differ from a reference; numpy alone, for the window, too."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Array
from atomseg_app.label_classes import IGNORE

RIGHT, TOO_MUCH, MISSED = 1, 2, 3
"""True positive, false positive, false negative; 0 is true negative, or ignored."""


def error_codes(predicted: Array, reference: Array, value: int) -> npt.NDArray[np.uint8]:
    """0 elsewhere, 1 right, 2 too much, 3 missed, for one class; where the reference is ignored nothing counts."""
    found, wanted = predicted == value, reference == value
    codes: npt.NDArray[np.uint8] = np.zeros(found.shape, np.uint8)
    codes[found & wanted], codes[found & ~wanted], codes[~found & wanted] = RIGHT, TOO_MUCH, MISSED
    codes[reference == IGNORE] = 0
    return codes
