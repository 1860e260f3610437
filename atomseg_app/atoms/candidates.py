"""What detection hands to the fit: rough columns and the scale of the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Candidates:
    """Columns as detected, in pixels of the given image array.

    ``x_px``, ``y_px`` (n,) positions; ``sigma_px`` (n,) Gaussian width; ``amplitude`` (n,) peak over background, in
    image units, negative for dark columns; ``background`` (n,) local level; ``probability`` (n,) that it is no noise.
    ``spacing_px`` is the typical nearest-neighbour distance (NaN if unknown); ``dark`` the polarity used.
    """

    x_px: Floats
    y_px: Floats
    sigma_px: Floats
    amplitude: Floats
    background: Floats
    probability: Floats
    spacing_px: float
    dark: bool

    def within(self, rows: slice, columns: slice) -> Candidates:
        """Those in a part of the array, in the part's pixels."""
        x, y = self.x_px - columns.start, self.y_px - rows.start
        width, height = columns.stop - columns.start, rows.stop - rows.start
        keep = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
        return Candidates(
            x[keep], y[keep], self.sigma_px[keep], self.amplitude[keep], self.background[keep],
            self.probability[keep], self.spacing_px, self.dark,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.x_px)
