"""Particles that were measured, as the window knows them: a table, its units, and which voxels belong to which."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Image, Volume
from atomseg_app.gui.value_text import value_text
from atomseg_app.io.atomic_write import write_text
from atomseg_app.jobs.tasks import TaskResult

Floats = npt.NDArray[np.float64]

TITLES: Mapping[str, tuple[str, str]] = {
    "particle_id": ("ID", "Number of the particle."),
    "diameter": ("Diameter", "Diameter of the sphere of the same volume."),
    "volume": ("Volume", "Volume of its voxels."),
    "surface": ("Surface", "Area of its surface."),
    "sphericity": ("Sphericity", "Surface of the sphere of the same volume over its own; 1 is a sphere."),
    "depth": ("Depth", "Depth of its centre below the outer surface of the support; negative outside."),
    "nearest": ("Nearest", "Distance to the centre of the next particle."),
    "contact": ("Contact", "Surface that it shares with the support."),
    "x": ("x", "Centre of mass from the centre of the first voxel."),
    "y": ("y", "Centre of mass from the centre of the first voxel."),
    "z": ("z", "Centre of mass from the centre of the first voxel."),
    "voxels": ("Voxels", "Number of its voxels."),
    "at_border": ("Cut", "1: cut off by the end of the volume, so that it is a part only."),
}
"""Title and tip of each quantity, in the order of the table."""
_POWERS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_RAISED = {1: "", 2: "²", 3: "³", -1: "⁻¹", -2: "⁻²", -3: "⁻³"}


@dataclass(frozen=True, eq=False)
class Total:
    """A figure of the whole with its unit; None: not defined."""

    name: str
    value: float | None
    unit: str

    def text(self) -> str:
        """The figure in words."""
        title = self.name.replace("_", " ").capitalize()
        if self.value is None:
            return f"{title}: n/a"
        share = "fraction" in self.name or self.name == "porosity"
        if share:
            return f"{title}: {100 * self.value:.3g} %"
        return f"{title}: {amount_text(self.value)} {self.unit}".rstrip()


@dataclass(frozen=True, eq=False)
class Particles:
    """What was measured of one set of labels. ``columns`` (n,) by quantity; lengths in ``unit``, "nm" or "px"."""

    columns: Mapping[str, Floats]
    powers: Mapping[str, int]
    unit: str
    instances: npt.NDArray[np.int32]
    spacing: tuple[float, float, float]
    totals: Sequence[Total]
    fits: Sequence[Mapping[str, Any]]

    def __len__(self) -> int:
        return len(self.columns["particle_id"])

    def heading(self, name: str) -> str:
        """Title of a quantity with its unit."""
        unit = unit_text(self.unit, self.powers.get(name, 0))
        return f"{TITLES[name][0]} ({unit})" if unit else TITLES[name][0]

    def place(self, row: int) -> tuple[float, float, float]:
        """Centre of a particle in voxels (z, y, x)."""
        z, y, x = (float(self.columns[name][row]) / size for name, size in zip("zyx", self.spacing, strict=True))
        return z, y, x

    def row_at(self, voxel: tuple[int, int, int]) -> int:
        """Row of the particle that a voxel belongs to, -1 for none."""
        number = int(self.instances[voxel])
        found = np.flatnonzero(self.columns["particle_id"] == number)
        return int(found[0]) if number and found.size else -1


def amount_text(value: float) -> str:
    """Four digits as people write them: 0.0366, 9,668,000, 1.257 × 10⁻⁸."""
    size = abs(value)
    if not size or 1e-3 <= size < 1e9:
        return f"{float(f'{value:.4g}'):,.10g}"
    digits, power = f"{value:.3e}".split("e")
    return f"{digits} × 10{str(int(power)).translate(_POWERS)}"


def unit_text(unit: str, power: int) -> str:
    """``nm²``, ``px``, ``nm⁻³``; nothing for a number without a unit."""
    return f"{unit}{_RAISED[power]}" if power else ""


def from_result(result: TaskResult) -> Particles:
    """What the compute process measured."""
    told: Mapping[str, Any] = result.value
    table, instances = cast(Image, result.items[0]).values, cast(Volume, result.items[1]).values
    unit = str(told["unit"])
    totals = [Total(each["name"], each["value"], unit_text(unit, each["power"])) for each in told["totals"]]
    z, y, x = told["spacing"]
    columns = {name: np.asarray(table[:, index], np.float64) for index, name in enumerate(told["names"])}
    return Particles(columns, told["powers"], unit, instances, (z, y, x), totals, told["fits"])


def number_text(name: str, value: float) -> str:
    """A value of the table as shown; n/a where it is not defined."""
    if not np.isfinite(value):
        return "n/a"
    return f"{value:.0f}" if name in ("particle_id", "voxels", "at_border") else value_text(value, 4)


def csv_text(particles: Particles) -> str:
    """All particles with their units in the header; an empty cell where a quantity is not defined."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [name for name in TITLES if name in particles.columns]
    powers = {1: "", 2: "2", 3: "3"}
    writer.writerow([
        f"{name}_{particles.unit}{powers[particles.powers[name]]}" if particles.powers.get(name) else name
        for name in names
    ])  # fmt: skip
    for row in range(len(particles)):
        values = [float(particles.columns[name][row]) for name in names]
        writer.writerow(["" if not np.isfinite(value) else f"{value:.8g}" for value in values])
    return out.getvalue()


def write_csv(path: Path, particles: Particles) -> Path:
    """Write the table, whole or not at all. Raises FileError."""
    write_text(path, csv_text(particles))
    return path
