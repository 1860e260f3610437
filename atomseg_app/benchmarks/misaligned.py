"""Tilt series of ellipsoids, mis-aligned by known amounts: analytic, so no projector is tested on itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atomseg_app.alignment import Alignment
from atomseg_app.data import TiltSeries

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ellipsoid:
    """Homogeneous ellipsoid, lengths in pixels: its x and z half axes are turned round y by ``phi_rad``, x towards z.

    The centre is relative to that of the volume.
    """

    centre_xyz: tuple[float, float, float]
    half_axes_xyz: tuple[float, float, float]
    phi_rad: float
    value: float


def random_ellipsoids(size_px: int, seed: int, count: int = 24) -> list[Ellipsoid]:
    """A flat body and ``count`` particles in it, the reference phantom of the tomography figures, y along the axis."""
    random = np.random.default_rng(seed)
    half = size_px / 2
    found = [Ellipsoid((0, 0, 0), (0.72 * half, 0.80 * half, 0.46 * half), 0.25, 0.4)]
    for _ in range(count):
        x, z, y = half * random.uniform(-0.45, 0.45, 3) * (1.2, 0.8, 1.5)
        a, b, c = half * random.uniform(0.03, 0.16, 3)
        found.append(Ellipsoid((x, y, z), (a, c, b), random.uniform(0, np.pi), random.uniform(0.2, 1.0)))
    return found


def projected(
    ellipsoids: list[Ellipsoid], tilt_deg: float, shape_yx: tuple[int, int], alignment: Alignment, view: int
) -> npt.NDArray[np.float32]:
    """One view (y, x), seen as the alignment says: line integrals averaged over 3 x 3 points of each pixel."""
    height, width = shape_yx
    sub = np.array([-1 / 3, 0, 1 / 3])
    y = (np.arange(height)[:, None] - (height - 1) / 2 + sub).ravel()
    x = (np.arange(width)[:, None] - (width - 1) / 2 + sub).ravel()
    x = x - alignment.axis_offset_px - alignment.shift_x_px[view]
    y = y - alignment.shift_y_px[view]
    turn = np.deg2rad(alignment.axis_rotation_deg + alignment.rotation_deg[view])
    theta = np.deg2rad(tilt_deg)
    image = np.zeros((len(y), len(x)))
    for one in ellipsoids:
        (cx, cy, cz), (a, h, b) = one.centre_xyz, one.half_axes_xyz
        t0 = cx * np.cos(theta) + cz * np.sin(theta)
        r2 = (a * np.cos(theta - one.phi_rad)) ** 2 + (b * np.sin(theta - one.phi_rad)) ** 2
        # Only the part of the detector that this ellipsoid's shadow can reach.
        seen = np.array([np.cos(turn) * t0 - np.sin(turn) * cy, np.sin(turn) * t0 + np.cos(turn) * cy])
        reach = np.hypot(np.sqrt(r2), h)
        rows, columns = (slice(*np.searchsorted(axis, (at - reach, at + reach)))
                         for axis, at in ((y, seen[1]), (x, seen[0])))  # fmt: skip
        t = np.cos(turn) * x[None, columns] + np.sin(turn) * y[rows, None] - t0
        along = -np.sin(turn) * x[None, columns] + np.cos(turn) * y[rows, None] - cy
        inside = np.maximum(r2 * (1 - (along / h) ** 2) - t**2, 0)
        image[rows, columns] += 2 * one.value * a * b * np.sqrt(inside) / r2
    return np.asarray(image.reshape(height, 3, width, 3).mean(axis=(1, 3)), np.float32)


def series_of(
    ellipsoids: list[Ellipsoid],
    tilt_deg: Floats,
    shape_yx: tuple[int, int],
    alignment: Alignment,
    noise: float = 0.0,
    seed: int = 0,
) -> TiltSeries:
    """Series seen as the alignment says, with Gaussian noise of ``noise`` times its maximum."""
    views = np.stack([projected(ellipsoids, tilt, shape_yx, alignment, i) for i, tilt in enumerate(tilt_deg)])
    if noise:
        random = np.random.default_rng(seed)
        views += noise * views.max() * random.standard_normal(views.shape, dtype=np.float32)
    return TiltSeries(views, tilt_deg=tuple(float(tilt) for tilt in tilt_deg))


def random_alignment(
    views: int, seed: int, shift_px: float = 20, offset_px: float = 7, rotation_deg: float = 1.5
) -> Alignment:
    """Shifts evenly spread over +-``shift_px``, one axis offset and rotation."""
    random = np.random.default_rng(seed + 1000)
    x, y = random.uniform(-shift_px, shift_px, (2, views))
    return Alignment(tuple(x), tuple(y), (0.0,) * views, offset_px, rotation_deg)
