"""Volumes that ghosts of a missing wedge are looked for in: separate objects with nothing between, by signed distances.

Polyhedra, a particle of gyroid pores with grains beside it, rings and hollow shells: in three dimensions, and of kinds
that no network was trained or chosen on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from atomseg_app.benchmarks.wedge_scenes import Condition, counted
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.simulate.draw import Draw
from atomseg_app.simulate.wedge import FINER, record

KINDS = ("polyhedra", "gyroid", "rings")
SIZE, SLICES = 128, 48
_SEED = 27_005
_PLANES = (-0.25, 0.25)  # within a slice
_REACH = 40.0  # px from the middle, of objects' centres
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Volume:
    """True slices (slices, z, x) with a greatest value of about 1, their views (slices, view, t), and the beam."""

    truth: torch.Tensor
    views: torch.Tensor
    beam: ParallelBeam


def volume(kind: str, number: int, condition: Condition, tilts: torch.Tensor) -> Volume:
    """Volume of a kind with its views, other objects for each ``number``; counts are those of the whole volume."""
    random = np.random.default_rng((_SEED, KINDS.index(kind), number))
    fine = torch.from_numpy(_on_grid(_BODIES[kind](random)))
    draw = Draw(_SEED + number, torch.device("cpu"))
    shift = (condition.shift_px * draw.normal((1, len(tilts)))).expand(len(fine), -1)
    clean = record(ParallelBeam(tilts, FINER * SIZE), fine, shift)
    views = counted(clean.reshape(1, -1, SIZE), condition.counts, draw).reshape(clean.shape)
    return Volume(functional.avg_pool2d(fine[:, None], FINER)[:, 0], views, ParallelBeam(tilts, SIZE))


@dataclass(frozen=True)
class _Body:
    """A body of a grey level by its signed distance (...) at places (..., 3) from its centre, all within ``reach``."""

    centre: Doubles
    reach: float
    level: float
    distance: Callable[[Doubles], Doubles]


def _polyhedra(random: np.random.Generator) -> list[_Body]:
    """Truncated octahedra, turned at random."""
    octahedral = np.array([(a, b, c) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]) / math.sqrt(3)
    normals = np.concatenate([octahedral, np.eye(3), -np.eye(3)])

    def body(centre: Doubles) -> _Body:
        turned, radius = normals @ _turn(random).T, random.uniform(7, 14)
        faces = radius * np.where(np.arange(14) < 8, 1.0, random.uniform(1.05, 1.5))
        return _Body(centre, 1.75 * radius, random.uniform(0.5, 1.0), lambda p: (p @ turned.T - faces).max(-1))

    return [body(centre) for centre in _centres(random, 5)]


def _gyroid(random: np.random.Generator) -> list[_Body]:
    """A ball with the pores of a gyroid, and three grains beside it."""
    period, radius, turn = random.uniform(13, 19), random.uniform(17, 21), _turn(random)
    middle = np.array([random.uniform(-12, 12), 0.0, random.uniform(-12, 12)])

    def porous(p: Doubles) -> Doubles:
        q = (2 * math.pi / period) * (p @ turn)
        wall = (np.sin(q) * np.cos(np.roll(q, -1, -1))).sum(-1) * period / (2 * math.pi * 1.5)  # about a distance
        distance: Doubles = np.maximum(wall, np.linalg.norm(p, axis=-1) - radius)
        return distance

    def grain(angle: float) -> _Body:
        size = random.uniform(3, 6)
        place = middle + 36 * np.array([math.cos(angle), random.uniform(-0.3, 0.3), math.sin(angle)])
        return _Body(place, size, 0.8, lambda p: np.linalg.norm(p, axis=-1) - size)

    start = random.uniform(0, 2 * math.pi)
    return [_Body(middle, radius, 1.0, porous), *(grain(start + n * 2 * math.pi / 3) for n in range(3))]


def _rings(random: np.random.Generator) -> list[_Body]:
    """Rings and hollow shells, turned at random."""

    def body(centre: Doubles, ring: bool) -> _Body:
        radius, thick, axis = random.uniform(8, 13), random.uniform(1.5, 3.5), _turn(random)[0]

        def distance(p: Doubles) -> Doubles:
            along, far = p @ axis, np.linalg.norm(p, axis=-1)
            across = np.sqrt(np.maximum(far**2 - along**2, 0))
            middle: Doubles = np.hypot(across - radius, along) if ring else np.abs(far - radius)
            return middle - thick

        return _Body(centre, radius + thick, random.uniform(0.6, 1.0), distance)

    return [body(centre, number % 2 == 0) for number, centre in enumerate(_centres(random, 4))]


_BODIES = {"polyhedra": _polyhedra, "gyroid": _gyroid, "rings": _rings}


def _on_grid(bodies: list[_Body]) -> npt.NDArray[np.float32]:
    """Grey levels (slices, z, x) on the fine grid; the brighter one where bodies overlap."""
    line = (np.arange(FINER * SIZE) + 0.5) / FINER - SIZE / 2
    slices = np.zeros((SLICES, FINER * SIZE, FINER * SIZE), np.float32)
    for number in range(SLICES):
        for plane in _PLANES:
            grey = np.zeros(slices.shape[1:], np.float32)
            for body in bodies:
                x, y, z = body.centre
                height = number - (SLICES - 1) / 2 + plane - y
                if abs(height) > body.reach + 1:
                    continue
                columns, rows = (
                    slice(*np.searchsorted(line, [place - body.reach - 1, place + body.reach + 1])) for place in (x, z)
                )
                down, across = np.meshgrid(line[rows] - z, line[columns] - x, indexing="ij")
                places = np.stack([across, np.full_like(across, height), down], -1)
                part = grey[rows, columns]
                np.maximum(part, body.level * _coverage(body.distance(places)), out=part, casting="same_kind")
            slices[number] += grey / len(_PLANES)
    return slices


def _coverage(distance_px: Doubles) -> Doubles:
    """Share of a fine pixel that lies within a surface, from its middle's signed distance."""
    return np.clip(0.5 - FINER * distance_px, 0, 1)


def _centres(random: np.random.Generator, count: int) -> Doubles:
    """Places (count, 3) x, y, z round the middle, apart from each other in direction."""
    angles = (
        random.uniform(0, 2 * math.pi) + (np.arange(count) + random.uniform(-0.2, 0.2, count)) * 2 * math.pi / count
    )
    far = random.uniform(0.6, 1.0, count) * _REACH
    return np.stack([far * np.cos(angles), random.uniform(-6, 6, count), far * np.sin(angles)], 1)


def _turn(random: np.random.Generator) -> Doubles:
    """A rotation (3, 3), all equally likely."""
    q, r = np.linalg.qr(random.standard_normal((3, 3)))
    result: Doubles = q * np.sign(np.diag(r))
    return result
