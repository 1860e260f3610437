"""Porous supports as level functions: positive inside, roughly in voxels from the surface near it.

Volumes are (z, y, x). The specimen goes on along y, the tilt axis, and ends within the circle in (z, x) that all views
see.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Shape = tuple[int, int, int]
_LEAST_Y = 96
"""Fields are periodic; along y they are made at least this long, so that thin slabs are cuts of something larger."""


def noise_field(random: np.random.Generator, shape: Shape, low_px: float, high_px: float = np.inf) -> Floats:
    """Gaussian random field (z, y, x) of unit standard deviation, of wavelengths from ``low_px`` to ``high_px``."""
    from scipy import fft

    long = (shape[0], max(shape[1], _LEAST_Y), shape[2])
    spectrum = fft.rfftn(random.standard_normal(long, dtype=np.float32))
    square = (
        fft.fftfreq(long[0])[:, None, None] ** 2
        + fft.fftfreq(long[1])[None, :, None] ** 2
        + fft.rfftfreq(long[2])[None, None, :] ** 2
    ).astype(np.float32)
    spectrum *= np.exp(-square * (low_px**2 * 0.5))
    if np.isfinite(high_px):
        spectrum *= 1 - np.exp(-square * (high_px**2 * 0.5))
    field: Floats = fft.irfftn(spectrum, long)[:, : shape[1]].astype(np.float32)
    return np.asarray((field - field.mean()) / field.std(), np.float32)


def support(random: np.random.Generator, family: str, shape: Shape, feature_px: float, share: float) -> Floats:
    """Level function (z, y, x) of a support of a family that fills ``share`` of the volume, ``feature_px`` its scale.

    Raises KeyError for a family that does not exist.
    """
    outline = _outline(random, shape, random.uniform(0.46, 0.56))
    level = FAMILIES[family](random, shape, feature_px)
    outer = outline > 0
    wanted = min(share * level.size / max(1, int(outer.sum())), 0.95)
    level -= np.float32(np.quantile(level[outer][:: max(1, int(outer.sum()) // 500_000)], 1 - wanted))
    return np.minimum(_in_voxels(level), outline)


def _outline(random: np.random.Generator, shape: Shape, area: float) -> Floats:
    """A rough body that fills about ``area`` of each slice (z, x)."""
    ratio = random.uniform(0.8, 1.25)
    half = [(n - 1) / 2 for n in shape]
    radius = np.sqrt(area * 4 / np.pi)
    widths = np.minimum(radius * np.array([ratio, 1 / ratio]), 0.94)
    z = ((np.arange(shape[0]) - half[0]) / (half[0] * widths[0]))[:, None, None]
    x = ((np.arange(shape[2]) - half[2]) / (half[2] * widths[1]))[None, None, :]
    rough = noise_field(random, shape, 0.35 * min(shape[0], shape[2]))
    body = 1 - np.hypot(z, x) + 0.07 * rough
    seen = 0.97 - np.hypot(z * widths[0], x * widths[1])
    scale = np.float32(min(half[0] * widths[0], half[2] * widths[1]))
    return np.asarray(np.minimum(body, seen) * scale, np.float32)


def _in_voxels(level: Floats) -> Floats:
    """A level function divided by its slope, so that it is a distance near 0."""
    slope = np.sqrt(np.sum([np.square(each) for each in np.gradient(level)], axis=0))
    return np.asarray(level / np.maximum(slope, 0.05 * float(slope.mean()) + 1e-12), np.float32)


def _spinodal(random: np.random.Generator, shape: Shape, feature_px: float) -> Floats:
    """A sponge of one length, as phase separation makes it (Cahn, J. Chem. Phys. 42 (1965) 93)."""
    return noise_field(random, shape, 0.55 * feature_px, 0.9 * feature_px)


def _grains(random: np.random.Generator, shape: Shape, feature_px: float) -> Floats:
    """Overlapping grains of several sizes."""
    return _ellipsoids(random, shape, feature_px, np.array([0.42, 0.42, 0.42]), 0.35, 0.75)


def _plates(random: np.random.Generator, shape: Shape, feature_px: float) -> Floats:
    """Crossing platelets, as boehmite leaves them."""
    return _ellipsoids(random, shape, feature_px, np.array([0.2, 0.9, 0.75]), 0.2, 0.9)


def _channels(random: np.random.Generator, shape: Shape, feature_px: float) -> Floats:
    """A solid with straight channels side by side that waver a little, of one direction in each of a few domains."""
    turned = _rotation(random)
    bend = np.stack([noise_field(random, shape, 2.5 * feature_px) for _ in range(2)])
    grid = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij"))
    one, two = (np.tensordot(axis.astype(np.float32), grid, 1) for axis in turned[:2])
    one, two = one + 0.12 * feature_px * bend[0], two + 0.12 * feature_px * bend[1]
    period = np.float32(2 * np.pi / (0.85 * feature_px))
    waves = [np.cos(period * (one * np.cos(a) + two * np.sin(a))) for a in (0.0, np.pi / 3, 2 * np.pi / 3)]
    return np.asarray(-(waves[0] + waves[1] + waves[2]), np.float32)


def _ellipsoids(
    random: np.random.Generator, shape: Shape, feature_px: float, axes: Floats | npt.NDArray[np.float64],
    spread: float, cover: float,
) -> Floats:  # fmt: skip
    """The largest of the level functions of turned ellipsoids whose volumes add up to ``cover`` of the whole."""
    level = np.full(shape, -feature_px, np.float32)
    filled, total = 0.0, cover * level.size
    while filled < total:
        half = feature_px * axes * np.exp(spread * random.standard_normal())
        centre = random.uniform(-0.1, 1.1, 3) * shape
        paint(level, centre, _rotation(random) / half[:, None], float(half.min()))
        filled += 4 / 3 * np.pi * float(half.prod())
    return level


def paint(level: Floats, centre: npt.NDArray[np.float64], matrix: npt.NDArray[np.float64], scale: float) -> None:
    """Raise a level function to that of the ellipsoid |matrix (r - centre)| <= 1, a multiple of ``scale``, near it."""
    inverse = np.linalg.inv(matrix)
    reach = 1.6 * np.sqrt((inverse**2).sum(axis=1))
    start = np.maximum(0, np.floor(centre - reach)).astype(int)
    stop = np.minimum(level.shape, np.ceil(centre + reach) + 1).astype(int)
    if (stop <= start).any():
        return
    axes = [np.arange(a, b, dtype=np.float32) - np.float32(c) for a, b, c in zip(start, stop, centre, strict=True)]
    square = np.zeros(tuple(stop - start), np.float32)
    for row in matrix.astype(np.float32):
        square += (row[0] * axes[0][:, None, None] + row[1] * axes[1][None, :, None] + row[2] * axes[2]) ** 2
    box = level[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    np.maximum(box, np.float32(scale) * (1 - np.sqrt(square)), out=box)


def _rotation(random: np.random.Generator) -> npt.NDArray[np.float64]:
    """A rotation drawn evenly, from a normal quaternion."""
    w, x, y, z = (quaternion := random.standard_normal(4)) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


FAMILIES: dict[str, Callable[[np.random.Generator, Shape, float], Floats]] = {
    "spinodal": _spinodal,
    "grains": _grains,
    "plates": _plates,
    "channels": _channels,
}
"""Kinds of supports by name: level functions of another zero and scale."""
