"""Metal particles on the surface of a support: faceted, nearly round, some of them touching."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atomseg_app.simulate.catalyst_preset import CatalystPreset
from atomseg_app.simulate.catalyst_support import Floats

_TRIES = 200
_APART_PX = 2.5
_WIDEST = 1.5  # standard deviations that the brightness of a particle may differ by
_FACETS, _CUT = 8, (0.82, 1.0)


@dataclass
class Metal:
    """Occupancy (z, y, x) 0..1 of metal, the relative brightness of each voxel's particle, and its number, 0 none."""

    occupancy: Floats
    brightness: Floats
    number: npt.NDArray[np.int32]
    count: int = 0

    def slab(self, first: int, last: int) -> Metal:
        """The part from ``first`` to before ``last`` along y, what is left of particles numbered from 1 on."""
        cut = np.s_[:, first:last]
        kept, number = np.unique(self.number[cut], return_inverse=True)
        if not len(kept) or kept[0] != 0:
            number = number + 1
        count = int(np.count_nonzero(kept))
        within = np.asarray(number, np.int32).reshape(self.number[cut].shape)
        return Metal(self.occupancy[cut], self.brightness[cut], within, count)


def place_particles(random: np.random.Generator, level: Floats, share: float, preset: CatalystPreset) -> Metal:
    """Particles that fill about ``share`` of the volume, on a support of level function ``level``."""
    from scipy.ndimage import distance_transform_edt

    shape = level.shape
    metal = Metal(np.zeros(shape, np.float32), np.ones(shape, np.float32), np.zeros(shape, np.int32))
    above = distance_transform_edt(level <= 0).astype(np.float32)
    above -= 0.5 * (above > 0)
    outside = _unseen(shape)
    above[outside] = np.inf
    order = np.argsort(above, axis=None, kind="stable")
    heights = above.ravel()[order]
    centres: list[npt.NDArray[np.float64]] = []
    radii: list[float] = []
    left = share * level.size
    while left > 0:
        radius = 0.5 * preset.diameter_px[0] * float(np.exp(preset.diameter_px[1] * random.standard_normal()))
        volume = 4 / 3 * np.pi * radius**3 * 0.93  # facets take the rest
        if volume > left and random.random() > left / volume:
            break
        centre = _place(random, radius, preset, (order, heights), above, centres, radii)
        left -= volume
        if centre is not None:
            _draw(random, metal, centre, radius, preset)
            centres.append(centre)
            radii.append(radius)
    return metal


def _unseen(shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Voxels outside the ellipse in (z, x) that all views see."""
    z, x = (np.linspace(-1, 1, n)[:, None] for n in (shape[0], shape[2]))
    return np.broadcast_to((np.hypot(z, x.T) > 0.9)[:, None, :], shape)


def _place(
    random: np.random.Generator, radius: float, preset: CatalystPreset,
    sorted_heights: tuple[npt.NDArray[np.intp], Floats], above: Floats,
    centres: list[npt.NDArray[np.float64]], radii: list[float],
) -> npt.NDArray[np.float64] | None:  # fmt: skip
    """A centre at the wanted height above the support, clear of other particles or against one; None if none found."""
    order, heights = sorted_heights
    shape = above.shape
    against = bool(centres) and random.random() < preset.touching
    for _ in range(_TRIES):
        if against:
            other = int(random.integers(len(centres)))
            direction = random.standard_normal(3)
            direction *= random.uniform(0.85, 0.97) * (radius + radii[other]) / np.linalg.norm(direction)
            centre = centres[other] + direction
            cell = tuple(np.rint(centre).astype(int))
            if any(not 0 <= c < n for c, n in zip(cell, shape, strict=True)) or not 0 < above[cell] < 1.5 * radius:
                continue
        else:
            other = -1
            height = radius * random.uniform(*preset.off_surface)
            first, last = np.searchsorted(heights, (height - 0.6, height + 0.6))
            if first >= last:
                continue
            place = np.unravel_index(order[int(random.integers(first, last))], shape)
            centre = np.array(place, float) + random.uniform(-0.5, 0.5, 3)
        apart = [
            np.linalg.norm(centre - c) > r + radius + _APART_PX
            for number, (c, r) in enumerate(zip(centres, radii, strict=True))
            if number != other
        ]
        if all(apart):
            return centre
    return None


def _draw(
    random: np.random.Generator, metal: Metal, centre: npt.NDArray[np.float64], radius: float, preset: CatalystPreset
) -> None:
    """Draw one particle: an ellipsoid that planes have cut."""
    shape = metal.occupancy.shape
    stretch = np.exp(0.07 * random.standard_normal(3))
    half = radius * stretch / stretch.prod() ** (1 / 3)
    normals = random.standard_normal((_FACETS, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    cuts = random.uniform(*_CUT, _FACETS) * radius
    reach = float(half.max()) + 1.5
    start = np.maximum(0, np.floor(centre - reach)).astype(int)
    stop = np.minimum(shape, np.ceil(centre + reach) + 1).astype(int)
    axes = [np.arange(a, b) - c for a, b, c in zip(start, stop, centre, strict=True)]
    r = np.stack(np.meshgrid(*axes, indexing="ij"))
    inside = radius * (1 - np.sqrt(((r / half[:, None, None, None]) ** 2).sum(axis=0)))
    for normal, cut in zip(normals, cuts, strict=True):
        inside = np.minimum(inside, cut - np.tensordot(normal, r, 1))
    occupancy = np.clip(0.5 + inside, 0, 1).astype(np.float32)
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    more = occupancy > metal.occupancy[box]
    metal.count += 1
    brightness = np.exp(preset.brightness * np.clip(random.standard_normal(), -_WIDEST, _WIDEST))
    metal.occupancy[box][more] = occupancy[more]
    metal.brightness[box][more] = brightness
    metal.number[box][more & (occupancy > 0.5)] = metal.count
