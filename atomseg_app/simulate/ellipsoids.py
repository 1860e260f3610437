"""The phantom of the tomography figures: random ellipsoids, with tilt series in closed form.

No projector takes part: a view is the mean over each detector pixel of the exact line integrals through ellipses, with
normal noise of a share of the largest value. Lengths are in halves of the volume's width, centres from its middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
_SUPERSAMPLING = (-0.25, 0.25)
_SUB_BINS = (-1 / 3, 0.0, 1 / 3)


@dataclass(frozen=True)
class Ellipse:
    """Section of an ellipsoid across the tilt axis, in pixels: axes ``a`` and ``b`` turned by ``angle_rad``, x to z."""

    x: float
    z: float
    a: float
    b: float
    angle_rad: float
    value: float


def random_ellipsoids(seed: int, count: int = 24) -> Doubles:
    """A flat body and ``count`` particles (n, 8): centre x, z, y, half axes, turn, value.

    Both sets of three are in the order x, z, y; the turn is in rad, in the slice, from x to z.
    """
    random = np.random.default_rng(seed)
    rows = [(0.0, 0.0, 0.0, 0.72, 0.46, 0.80, 0.25, 0.4)]
    for _ in range(count):
        centre = random.uniform(-0.45, 0.45, 3) * (1.2, 0.8, 1.5)
        axes = random.uniform(0.03, 0.16, 3)
        rows.append((*centre, *axes, random.uniform(0, np.pi), random.uniform(0.2, 1.0)))
    return np.array(rows)


def sections(ellipsoids: Doubles, size_px: int, y: float) -> list[Ellipse]:
    """Ellipses that a plane at ``y`` (-1 to 1 along the axis) cuts."""
    half, found = size_px / 2, []
    for x, z, along, a, b, c, angle, value in ellipsoids:
        rest = 1 - ((y - along) / c) ** 2
        if rest > 0:
            scale = half * float(np.sqrt(rest))
            found.append(Ellipse(x * half, z * half, a * scale, b * scale, angle, value))
    return found


def slice_of(ellipses: list[Ellipse], size_px: int) -> Floats:
    """Values (z, x) of a slice: the share of four points of each voxel inside, times the value, summed."""
    grid = np.arange(size_px) - (size_px - 1) / 2
    values = np.zeros((size_px, size_px), np.float32)
    for one in ellipses:
        cos, sin = np.cos(one.angle_rad), np.sin(one.angle_rad)
        reach = max(one.a, one.b) + 1
        xs = slice(*np.searchsorted(grid, [one.x - reach, one.x + reach]))
        zs = slice(*np.searchsorted(grid, [one.z - reach, one.z + reach]))
        for down in _SUPERSAMPLING:
            for right in _SUPERSAMPLING:
                x, z = grid[None, xs] + right - one.x, grid[zs, None] + down - one.z
                inside = ((x * cos + z * sin) / one.a) ** 2 + ((z * cos - x * sin) / one.b) ** 2 <= 1
                values[zs, xs] += (0.25 * one.value) * inside
    return values


def sinogram_of(ellipses: list[Ellipse], bins: int, tilt_deg: npt.ArrayLike) -> Floats:
    """Views (view, t) of a slice: chords of the ellipses, the mean of three in each bin."""
    tilt = np.deg2rad(np.asarray(tilt_deg, np.float64))
    t = (np.arange(bins)[:, None] - (bins - 1) / 2 + np.array(_SUB_BINS)).reshape(-1)
    total = np.zeros((len(tilt), bins), np.float32)
    for one in ellipses:
        turned = tilt - one.angle_rad
        square = (one.a * np.cos(turned)) ** 2 + (one.b * np.sin(turned)) ** 2
        centre = one.x * np.cos(tilt) + one.z * np.sin(tilt)
        inside = np.maximum(square[:, None] - (t - centre[:, None]) ** 2, 0)
        chord = 2 * one.value * one.a * one.b * np.sqrt(inside) / square[:, None]
        total += chord.reshape(len(tilt), bins, len(_SUB_BINS)).mean(axis=2).astype(np.float32)
    return total


def phantom(
    size_px: int, slices: int, tilt_deg: npt.ArrayLike, seed: int = 0, noise: float = 0.01
) -> tuple[Floats, Floats]:
    """Volume (z, y, x) of ``size_px`` squared by ``slices`` voxels and its views (view, y, x), seeded.

    ``noise`` is the rms of the noise as a share of the largest value.
    """
    ellipsoids = random_ellipsoids(seed)
    volume = np.empty((size_px, slices, size_px), np.float32)
    views = np.empty((slices, len(np.atleast_1d(tilt_deg)), size_px), np.float32)
    for number in range(slices):
        cut = sections(ellipsoids, size_px, (2 * number + 1) / slices - 1)
        volume[:, number] = slice_of(cut, size_px)
        views[number] = sinogram_of(cut, size_px, tilt_deg)
    if noise:
        random = np.random.default_rng(seed + 1)
        views += (noise * views.max()) * random.standard_normal(views.shape, dtype=np.float32)
    return volume, np.ascontiguousarray(views.transpose(1, 0, 2))
