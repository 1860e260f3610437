"""Figures of measuring that need no network: spheres from their masks, particles from masks and from labels found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from atomseg_app.benchmarks.table import print_table
from atomseg_app.benchmarks.verdicts import Bar, at_most
from atomseg_app.segmentation.instances import split
from atomseg_app.segmentation.surface_area import areas

_RADII, _PLACES = (5.0, 10.0, 20.0), 12
_BARRED = (10.0, 20.0)
_SHAPE, _SCENES, _PARTICLES, _TOUCHING = (144, 144, 144), 3, 100, 0.1
_MEDIAN_PX, _SPREAD = 14.0, 0.28
Mask = npt.NDArray[np.bool_]


def spheres() -> list[Bar]:
    """Volume and surface of spheres at random places between voxels, against closed forms."""
    rows: list[list[object]] = []
    bars = []
    random = np.random.default_rng(1)
    for radius in _RADII:
        volumes, surfaces = [], []
        for _ in range(_PLACES):
            size = int(2 * radius + 6)
            mask = _ball((size,) * 3, (size - 1) / 2 + random.uniform(-0.5, 0.5, 3), radius)
            volumes.append(np.count_nonzero(mask) / (4 / 3 * np.pi * radius**3) - 1)
            surfaces.append(areas(mask.astype(np.uint8), 1, (1, 1, 1))[0] / (4 * np.pi * radius**2) - 1)
        worst = [100 * float(np.abs(each).max()) for each in (volumes, surfaces)]
        rows.append([radius, 100 * float(np.mean(volumes)), worst[0], 100 * float(np.mean(surfaces)), worst[1]])
        if radius in _BARRED:
            bars.append(at_most(f"volume of a sphere of radius {radius:g} px, worst of {_PLACES}", 1, worst[0], "%"))
            bars.append(at_most(f"surface of a sphere of radius {radius:g} px, worst of {_PLACES}", 2, worst[1], "%"))
    print_table(
        f"Spheres from their binary masks, {_PLACES} places each: voxels counted, surface by Crofton's formula in 13 "
        "directions; error in %.",
        ["radius px", "volume: mean", "worst", "surface: mean", "worst"], rows,
    )  # fmt: skip
    return bars


def particle_sizes() -> list[Bar]:
    """Particles in masks where a tenth of them touch another: counts, none merged, diameters."""
    errors: list[float] = []
    true = found = merged = matched = 0
    for seed in range(_SCENES):
        mask, numbers, diameters = touching_scene(seed)
        one = match(split(mask, least_voxels=20), numbers, diameters)
        errors += one.errors
        true, found = true + one.true, found + one.found
        merged, matched = merged + one.merged, matched + one.matched
    count, size = 100 * abs(found - true) / true, 100 * float(np.mean(np.abs(errors)))
    print_table(
        f"Particles of {_SCENES} masks, ellipsoids of a median diameter of {_MEDIAN_PX:g} px, {_TOUCHING:.0%} of them "
        "touching; matched where they share more than half (IoU) of both.",
        ["true", "found", "matched", "merged", "count error %", "mean diameter error %"],
        [[true, found, matched, merged, count, size]],
    )
    return [
        at_most("particles touching: mean diameter error", 3, size, "%"),
        at_most("particles touching: count error", 2, count, "%"),
        at_most("particles touching: merged", 0, merged),
    ]


class Matching:
    """Particles found against true ones: ``errors`` are relative, of diameters of those that match at IoU > 0.5."""

    def __init__(self, true: int, found: int, matched: int, merged: int, errors: list[float]) -> None:
        self.true, self.found, self.matched, self.merged, self.errors = true, found, matched, merged, errors


def match(found: npt.NDArray[np.int32], truth: npt.NDArray[np.int32], diameters: Sequence[float] = ()) -> Matching:
    """Match particles by number; ``merged`` counts those found that hold more than half of two or more true ones.

    ``diameters`` are the true ones, else those of the volumes in ``truth``.
    """
    rows, columns = int(truth.max(initial=0)) + 1, int(found.max(initial=0)) + 1
    common = np.bincount(truth.ravel().astype(np.int64) * columns + found.ravel(), minlength=rows * columns)
    common = common.reshape(rows, columns)
    true_size, found_size = common.sum(axis=1), common.sum(axis=0)
    inner = common[1:, 1:]
    iou = inner / np.maximum(true_size[1:, None] + found_size[None, 1:] - inner, 1)
    pairs = np.argwhere(iou > 0.5)  # of which a particle has one at most
    known = np.asarray(diameters) if len(diameters) else np.cbrt(6 * true_size[1:] / np.pi)
    errors = [float(np.cbrt(6 * found_size[1 + b] / np.pi) / known[a] - 1) for a, b in pairs]
    merged = int((np.count_nonzero(inner > 0.5 * true_size[1:, None], axis=0) > 1).sum())
    return Matching(rows - 1, columns - 1, len(pairs), merged, errors)


def touching_scene(seed: int) -> tuple[Mask, npt.NDArray[np.int32], list[float]]:
    """A mask (z, y, x) of particles, the number of each voxel's, and their diameters in voxels by closed form.

    Those that touch share a neck as wide as a tenth of the way between them makes it.
    """
    random = np.random.default_rng([17, seed])
    numbers = np.zeros(_SHAPE, np.int32)
    places: list[tuple[npt.NDArray[np.float64], float]] = []
    diameters: list[float] = []
    against = 0
    while len(places) < _PARTICLES:
        radius = 0.5 * _MEDIAN_PX * float(np.exp(_SPREAD * random.standard_normal()))
        centre = random.uniform(1.2 * radius + 2, np.array(_SHAPE) - 1.2 * radius - 3)
        other = -1
        if places and against < _TOUCHING / 2 * len(places):  # each makes two that touch
            other = int(random.integers(len(places)))
            direction = random.standard_normal(3)
            reach = random.uniform(0.9, 0.97) * (radius + places[other][1])
            centre = places[other][0] + reach * direction / np.linalg.norm(direction)
        inside = (centre > 1.2 * radius + 2).all() and (centre < np.array(_SHAPE) - 1.2 * radius - 3).all()
        free = all(
            np.linalg.norm(centre - c) > 1.15 * (r + radius) + 2 for k, (c, r) in enumerate(places) if k != other
        )
        if not inside or not free:
            continue
        stretch = np.ones(3) if other >= 0 else np.exp(0.08 * random.standard_normal(3))
        half = radius * stretch / np.cbrt(stretch.prod())
        _draw(numbers, centre, half, len(places) + 1)
        places.append((centre, radius))
        diameters.append(2 * radius)
        against += other >= 0
    return numbers > 0, numbers, diameters


def _draw(
    numbers: npt.NDArray[np.int32], centre: npt.NDArray[np.float64], half: npt.NDArray[np.float64], number: int
) -> None:
    start = np.maximum(0, np.floor(centre - half)).astype(int)
    stop = np.ceil(centre + half).astype(int) + 1
    axes = [(np.arange(a, b) - c) / h for a, b, c, h in zip(start, stop, centre, half, strict=True)]
    square = axes[0][:, None, None] ** 2 + axes[1][None, :, None] ** 2 + axes[2][None, None, :] ** 2
    box = numbers[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    box[(square[: box.shape[0], : box.shape[1], : box.shape[2]] <= 1) & (box == 0)] = number


def _ball(shape: tuple[int, ...], centre: npt.NDArray[np.float64], radius: float) -> Mask:
    square = sum((axis - c) ** 2 for axis, c in zip(np.indices(shape), centre, strict=True))
    return np.asarray(square <= radius**2)
