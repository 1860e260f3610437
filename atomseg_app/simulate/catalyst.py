"""Catalysts with known labels: metal particles on porous supports, seen through a whole tomogram.

Matched to published patches of Pt on gamma-alumina (Genc, Kovarik, Fraser, arXiv 2201.07342): class shares, grey levels
in 8 bits, sizes of particles, how much of their surroundings is support, and how well one threshold finds the metal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Labels, Source, Volume
from atomseg_app.simulate.catalyst_particles import place_particles
from atomseg_app.simulate.catalyst_preset import (
    CATALYST_CLASSES,
    CATALYST_VERSION,
    HELD_OUT,
    METAL,
    PORES,
    SUPPORT,
    CatalystPreset,
)  # fmt: skip
from atomseg_app.simulate.catalyst_support import FAMILIES, Floats, noise_field, support
from atomseg_app.simulate.catalyst_tomogram import draw_conditions, tomogram

VOXEL_NM = 0.3
_BEYOND = 12
"""Slices of specimen made at both ends and cut off again, so that a slab also holds parts of particles."""
MATCHED = CatalystPreset("catalyst")
"""As near to the published patches as measured by ``atomseg bench segmentation``."""


@dataclass(frozen=True)
class Catalyst:
    """A reconstructed volume in 8 bits, its true labels, and the number of the particle in each voxel, 0 for none."""

    volume: Volume
    labels: Labels
    particles: npt.NDArray[np.int32]
    family: str


def catalyst(
    seed: int, shape_zyx: Sequence[int] = (128, 128, 128), family: str = "", preset: CatalystPreset = MATCHED
) -> tuple[Volume, Labels]:
    """Volume (z, y, x) of 8-bit grey levels and its labels; see :func:`make_catalyst`."""
    made = make_catalyst(seed, shape_zyx, family, preset)
    return made.volume, made.labels


def make_catalyst(
    seed: int, shape_zyx: Sequence[int] = (128, 128, 128), family: str = "", preset: CatalystPreset = MATCHED
) -> Catalyst:
    """A catalyst of a seed: y is the tilt axis, slices (z, x) are reconstructed each by itself.

    ``family`` is one of the preset's, drawn if empty, or any known one. Raises ValueError for an unknown family or an
    axis below 16 voxels (y: below 1).
    """
    z, y, x = (int(n) for n in shape_zyx)
    if min(z, x) < 16 or y < 1:
        raise ValueError(f"a catalyst needs 16 voxels in z and x and 1 in y or more, got {(z, y, x)}")
    random = np.random.default_rng([CATALYST_VERSION, seed])
    family = family or preset.families[int(random.integers(len(preset.families)))]
    if family not in FAMILIES:
        raise ValueError(f"there is no family {family!r} of supports; known: {', '.join(FAMILIES)}")
    longer = (z, y + 2 * _BEYOND, x)
    level = support(random, family, longer, random.uniform(*preset.feature_px), random.uniform(*preset.support_share))
    metal = place_particles(random, level, random.uniform(*preset.metal_share), preset)
    level, metal = level[:, _BEYOND:-_BEYOND], metal.slab(_BEYOND, _BEYOND + y)
    solid = np.clip(0.5 + level, 0, 1) * (1 - metal.occupancy)
    values = np.full((z, y, x), PORES, np.uint8)
    values[solid > 0.5] = SUPPORT
    values[metal.occupancy > 0.5] = METAL
    texture = 1 + random.uniform(*preset.texture) * noise_field(random, (z, y, x), 3.0)
    ratio = random.uniform(*preset.metal_ratio)
    density = solid * np.maximum(texture, 0.1) + ratio * metal.occupancy * metal.brightness
    found = _square(random, density.astype(np.float32), preset)
    grey = _grey_levels(found, values, random.uniform(*preset.support_grey))
    source = Source(f"catalyst_{family}_{seed}")
    sizes = (VOXEL_NM,) * 3
    about = {"family": family, "seed": seed, "simulator": f"catalyst {CATALYST_VERSION}"}
    return Catalyst(
        Volume(grey, sizes, source, about), Labels(values, sizes, source, about, classes=CATALYST_CLASSES),
        metal.number, family,
    )  # fmt: skip


def catalysts(
    first_seed: int, shape_zyx: Sequence[int] = (128, 32, 128), preset: CatalystPreset = MATCHED
) -> Iterator[Catalyst]:
    """Catalysts without end, of seeds from ``first_seed`` on: what networks learn from."""
    seed = first_seed
    while True:
        yield make_catalyst(seed, shape_zyx, preset=preset)
        seed += 1


def unseen_catalyst(seed: int, shape_zyx: Sequence[int] = (128, 128, 128)) -> Catalyst:
    """A catalyst of the kind that no bundled network was trained on."""
    return make_catalyst(seed, shape_zyx, HELD_OUT[0])


def _square(random: np.random.Generator, density: Floats, preset: CatalystPreset) -> Floats:
    """The tomogram of a specimen whose slices may be no squares: they are put in the middle of ones."""
    side = max(density.shape[0], density.shape[2])
    before = [(side - density.shape[0]) // 2, 0, (side - density.shape[2]) // 2]
    room = [
        (b, side - n - b) if axis != 1 else (0, 0)
        for axis, (b, n) in enumerate(zip(before, density.shape, strict=True))
    ]
    found = tomogram(random, np.pad(density, room), draw_conditions(random, preset))
    return found[tuple(slice(b, b + n) for b, n in zip(before, density.shape, strict=True))]


def _grey_levels(found: Floats, labels: npt.NDArray[np.uint8], support_grey: float) -> npt.NDArray[np.uint8]:
    """8 bits with support at a level: what is brighter than 255 is cut off, as in published patches."""
    inside = labels == SUPPORT
    mean = float(found[inside].mean()) if inside.any() else float(found.max()) or 1.0
    grey: npt.NDArray[np.uint8] = np.clip(np.rint(found * (support_grey / mean)), 0, 255).astype(np.uint8)
    return grey
