"""The bundled tilt series: a porous nanoparticle whose views are shifted, about an axis off the middle and turned.

Projections of ellipsoids are closed forms, averaged over the pixel, so that no projector is tested against itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from atomseg_app.alignment import Alignment
from atomseg_app.data import Source, TiltSeries
from atomseg_app.io.atomic_write import write_text
from atomseg_app.io.series_writer import write_series
from atomseg_app.simulate.columns import Floats

NAME = "porous_particle_tilts"
SIZE_PX, PIXEL_NM = 92, 1.6
TILT_DEG = tuple(float(angle) for angle in range(-70, 71, 3))
_COUNTS = 900.0  # electrons where most of the particle is passed
_BACKGROUND = 12.0
_SUB = (-0.25, 0.25)  # places within a pixel


@dataclass(frozen=True)
class Ellipsoid:
    """Centre and half axes (x, y, z) in px from the middle of the volume, turned round z, then y; added ``density``."""

    centre: tuple[float, float, float]
    half_axes: tuple[float, float, float]
    turns_deg: tuple[float, float]
    density: float

    @property
    def matrix(self) -> Floats:
        """A of (p - centre)^T A (p - centre) <= 1 (3, 3)."""
        about_z, about_y = np.deg2rad(self.turns_deg)
        turn_z = np.array([[np.cos(about_z), -np.sin(about_z), 0], [np.sin(about_z), np.cos(about_z), 0], [0, 0, 1]])
        turn_y = np.array([[np.cos(about_y), 0, np.sin(about_y)], [0, 1, 0], [-np.sin(about_y), 0, np.cos(about_y)]])
        turn = turn_y @ turn_z
        result: Floats = turn @ np.diag(1 / np.square(self.half_axes)) @ turn.T
        return result


def particle(rng: np.random.Generator) -> list[Ellipsoid]:
    """A flat body with pores, and small dense grains on it."""
    found = [Ellipsoid((0, 0, 0), (27, 33, 20), (20, 12), 1.0)]
    for _ in range(7):
        place = rng.uniform(-0.5, 0.5, 3) * (27, 33, 20)
        found.append(
            Ellipsoid((place[0], place[1], place[2]), tuple(rng.uniform(3, 7, 3)), (rng.uniform(0, 90), 0), -1.0)
        )
    for _ in range(9):
        direction = rng.normal(size=3)
        place = direction / np.linalg.norm(direction) * (25, 31, 18)
        size = rng.uniform(1.6, 3.2)
        found.append(Ellipsoid((place[0], place[1], place[2]), (size, size, size), (0, 0), 2.5))
    return found


def projection(bodies: list[Ellipsoid], tilt_deg: float, t_px: Floats, y_px: Floats) -> Floats:
    """Line integrals at detector places (t, y) from the centre: the chord of each ellipsoid times its density."""
    tilt = np.deg2rad(tilt_deg)
    across = np.array([np.cos(tilt), 0.0, np.sin(tilt)])
    beam = np.array([-np.sin(tilt), 0.0, np.cos(tilt)])
    points = t_px[..., None] * across + y_px[..., None] * np.array([0.0, 1.0, 0.0])
    total = np.zeros(t_px.shape)
    for body in bodies:
        matrix, from_centre = body.matrix, points - np.asarray(body.centre)
        square = beam @ matrix @ beam
        mixed = from_centre @ matrix @ beam
        rest = np.einsum("...i,ij,...j->...", from_centre, matrix, from_centre) - 1
        total += body.density * 2 * np.sqrt(np.maximum(mixed**2 - square * rest, 0)) / square
    return total


def true_alignment(rng: np.random.Generator) -> Alignment:
    """Where the views lie: up to 5 px off, about an axis 2.4 px off the middle and turned by 1.1 degrees."""
    shifts = rng.uniform(-5, 5, (2, len(TILT_DEG))).round(2)
    return Alignment(tuple(shifts[0]), tuple(shifts[1]), (0.0,) * len(TILT_DEG), 2.4, 1.1)


def tilt_series(seed: int = 2031) -> TiltSeries:
    """The series as a microscope would give it, with its true alignment; counts of electrons, 16 bit."""
    rng = np.random.default_rng(seed)
    bodies, alignment = particle(rng), true_alignment(rng)
    grid = np.arange(SIZE_PX) - (SIZE_PX - 1) / 2
    views = np.zeros((len(TILT_DEG), SIZE_PX, SIZE_PX))
    turn = np.deg2rad(alignment.axis_rotation_deg)
    for view, tilt in enumerate(TILT_DEG):
        for down in _SUB:
            for right in _SUB:
                y, x = np.meshgrid(grid + down, grid + right, indexing="ij")
                x = x - alignment.axis_offset_px - alignment.shift_x_px[view]
                y = y - alignment.shift_y_px[view]
                t, along = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
                views[view] += projection(bodies, tilt, t, along) / len(_SUB) ** 2
    counts = rng.poisson(_BACKGROUND + _COUNTS * np.maximum(views, 0) / views.max())
    values: npt.NDArray[np.int16] = np.clip(counts, 0, 32767).astype(np.int16)
    return TiltSeries(values, (PIXEL_NM, PIXEL_NM), Source(f"{NAME}.mrc"), {"kV": 300.0}, tilt_deg=TILT_DEG,
                      alignment=alignment)  # fmt: skip


def write_tilt_sample(folder: Path) -> None:
    """Write the series as MRC with its angles, its true alignment beside it, and its card."""
    series = tilt_series()
    write_series(folder / f"{NAME}.mrc", series)
    card = {
        "title": "Tilt series of a porous particle",
        "description": f"{len(TILT_DEG)} HAADF-like views from -70° to 68°, shifted at random about an axis off the "
        "middle: align, reconstruct, look at the pores. Simulated.",
        "file": f"{NAME}.mrc", "order": 3, "truth": f"{NAME}_alignment.csv", "licence": "CC0-1.0",
    }  # fmt: skip
    write_text(folder / f"{NAME}.json", json.dumps(card, indent=2, ensure_ascii=False) + "\n")
