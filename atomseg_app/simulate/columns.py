"""Images of Gaussian columns with exact truth, for figures and tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrueColumns:
    """Truth of a simulated image: arrays (n,), pixels and counts. ``sigma_px`` is the Gaussian width."""

    x_px: Floats
    y_px: Floats
    amplitude: Floats
    sigma_px: Floats
    background: Floats


def square_lattice(
    size_px: int,
    spacing_px: float,
    rng: np.random.Generator,
    *,
    displacement_px: float = 0.0,
    amplitudes: tuple[float, float] = (0.7, 1.3),
    sigma_px: float | None = None,
    background: float = 0.3,
    peak: float = 50.0,
    rotation_deg: float = 0.0,
) -> TrueColumns:
    """Columns on a square lattice inside a size_px^2 image, displaced by independent normal amounts per coordinate.

    ``peak`` is the mean amplitude in counts, ``amplitudes`` the uniform range round it, ``background`` in units of
    ``peak``. Columns keep half a spacing from the border; 1024 px at 20 px with 12 px of border gives 50 x 50.
    """
    sigma = 0.2 * spacing_px if sigma_px is None else sigma_px
    centre = (size_px - 1) / 2
    half = int(np.ceil(size_px / spacing_px))
    steps = (np.arange(-half, half + 1) + 0.5) * spacing_px
    gx, gy = (grid.ravel() for grid in np.meshgrid(steps, steps))
    turn = np.deg2rad(rotation_deg)
    x = centre + gx * np.cos(turn) - gy * np.sin(turn)
    y = centre + gx * np.sin(turn) + gy * np.cos(turn)
    margin = spacing_px / 2
    keep = (x > margin) & (x < size_px - 1 - margin) & (y > margin) & (y < size_px - 1 - margin)
    x, y = x[keep], y[keep]
    n = len(x)
    return TrueColumns(
        x + rng.normal(0, displacement_px, n) if displacement_px else x,
        y + rng.normal(0, displacement_px, n) if displacement_px else y,
        peak * rng.uniform(*amplitudes, n),
        np.full(n, float(sigma)),
        np.full(n, background * peak),
    )


def render(columns: TrueColumns, shape: tuple[int, int], *, background: npt.ArrayLike | None = None) -> Floats:
    """Noise-free image (y, x): background plus a Gaussian per column, sampled at pixel centres out to 6 sigma."""
    level = columns.background.mean() if background is None and len(columns.x_px) else background
    image = np.array(np.broadcast_to(np.asarray(0.0 if level is None else level, float), shape))
    for x, y, a, s in zip(columns.x_px, columns.y_px, columns.amplitude, columns.sigma_px, strict=True):
        reach = int(np.ceil(6 * s)) + 1
        x0, x1 = max(0, int(x) - reach), min(shape[1], int(x) + reach + 1)
        y0, y1 = max(0, int(y) - reach), min(shape[0], int(y) + reach + 1)
        gx = np.exp(-((np.arange(x0, x1) - x) ** 2) / (2 * s * s))
        gy = np.exp(-((np.arange(y0, y1) - y) ** 2) / (2 * s * s))
        image[y0:y1, x0:x1] += a * gy[:, None] * gx[None, :]
    return image


def poisson(image: Floats, rng: np.random.Generator, *, read_noise: float = 0.0) -> Floats:
    """Poisson counts of an expected image, plus Gaussian read noise of that standard deviation."""
    noisy = rng.poisson(np.maximum(image, 0)).astype(np.float64)
    return noisy + rng.normal(0, read_noise, image.shape) if read_noise else noisy
