"""The Cramér-Rao bound of a column's position for counted electrons: what no unbiased method can beat."""

from __future__ import annotations

import numpy as np

_REACH_SIGMA = 5.0


def position_bound(
    x_px: float, y_px: float, amplitude: float, sigma_px: float, background: float, *, nuisances: bool = True
) -> tuple[float, float]:
    """Smallest standard deviations of x and y in pixels of one round Gaussian column in Poisson noise.

    ``amplitude`` and ``background`` are in counts. The Fisher information is summed over the pixels within five
    widths; with ``nuisances`` its own amplitude, its background and its width are unknown too and are fitted with it,
    otherwise all but x and y is known.
    """
    reach = int(np.ceil(_REACH_SIGMA * sigma_px))
    dx = np.arange(np.rint(x_px) - reach, np.rint(x_px) + reach + 1) - x_px
    dy = (np.arange(np.rint(y_px) - reach, np.rint(y_px) + reach + 1) - y_px)[:, None]
    gaussian = np.exp(-(dx**2 + dy**2) / (2 * sigma_px**2))
    slope = amplitude * gaussian / sigma_px**2
    derivatives = [slope * dx, slope * dy]
    if nuisances:
        derivatives += [gaussian, np.ones_like(gaussian), slope * (dx**2 + dy**2) / sigma_px]
    jacobian = np.stack([d.ravel() for d in derivatives])
    mean = (background + amplitude * gaussian).ravel()
    covariance = np.linalg.inv((jacobian / mean) @ jacobian.T)
    return float(np.sqrt(covariance[0, 0])), float(np.sqrt(covariance[1, 1]))
