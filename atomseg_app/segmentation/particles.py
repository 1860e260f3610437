"""Particles of a segmented volume, counted and measured, and what can be said of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Array, Labels
from atomseg_app.label_classes import IGNORE, LabelClass
from atomseg_app.operations import Report
from atomseg_app.segmentation.envelope import binning, envelope, share_in_blocks, signed_depth
from atomseg_app.segmentation.instances import Instances, split
from atomseg_app.segmentation.measure_settings import MeasureLabels, chosen_classes
from atomseg_app.segmentation.pores import pore_diameters
from atomseg_app.segmentation.size_fits import SizeFit, fit_sizes
from atomseg_app.segmentation.surface_area import areas, contact_areas

PARTICLE_DTYPE = np.dtype(
    [
        ("particle_id", "i8"), ("x", "f8"), ("y", "f8"), ("z", "f8"), ("volume", "f8"), ("diameter", "f8"),
        ("surface", "f8"), ("sphericity", "f8"), ("depth", "f8"), ("nearest", "f8"), ("contact", "f8"),
        ("voxels", "i8"), ("at_border", "?"),
    ]
)  # fmt: skip
"""One row a particle, in one unit of length. ``x``, ``y``, ``z``: centre of mass from the centre of the first voxel;
``diameter``: of the sphere of the same volume; ``depth``: of the centre below the outer surface of the support,
negative outside; ``nearest``: to the centre of the next particle; ``contact``: surface shared with the support.
``at_border``: cut off by the end of the volume, so that volume and surface are of a part. NaN where not defined."""

POWERS = {"x": 1, "y": 1, "z": 1, "volume": 3, "diameter": 1, "surface": 2, "depth": 1, "nearest": 1, "contact": 2}
"""Power of the unit of length that a quantity has; others have none."""

_PORE_VOXELS = 2_000_000


@dataclass(frozen=True)
class Quantity:
    """One figure of the whole: ``power`` is that of the unit of length in its unit; None: not defined."""

    name: str
    value: float | None
    power: int = 0


@dataclass(frozen=True)
class Measured:
    """What was measured, all lengths in ``unit``, "nm" or "px".

    ``instances`` (z, y, x) holds the ``particle_id`` of each voxel. ``pores`` are the diameters of pores and the volume
    share of each (n, 2), empty without a support.
    """

    table: Array
    instances: Instances
    totals: tuple[Quantity, ...]
    fits: tuple[SizeFit, ...]
    pores: npt.NDArray[np.float64]
    unit: str


def measure(labels: Labels, settings: MeasureLabels | None = None, report: Report | None = None) -> Measured:
    """Separate and measure the particles of labels. In nm where the voxel size is known on all axes, else in px.

    Raises UserError for a class that the labels do not have.
    """
    settings, report = settings or MeasureLabels(), report or Report()
    particles, support = chosen_classes(labels, settings)
    spacing, unit = scale_of(labels, report)
    values = labels.values
    numbers = split(values == particles.value, settings.splitting, settings.least_voxels, spacing, report.part(0, 0.4))
    report.progress(0.4, "measuring particles")
    table = _table(numbers, spacing)
    totals = _fractions(labels)
    pores = np.empty((0, 2))
    if support is not None and (values == support.value).any():
        table["contact"] = contact_areas(numbers, values == support.value, len(table), spacing)
        body = _Body(values, support, particles, settings, spacing, report.part(0.5, 1))
        table["depth"] = body.depths(table, spacing)
        totals += body.totals(labels, spacing)
        pores = body.pores
    fits = fit_sizes(table["diameter"][~table["at_border"]])
    totals += _sizes(table, values.size * float(np.prod(spacing)))
    return Measured(table, numbers, tuple(totals), fits, pores, unit)


def scale_of(labels: Labels, report: Report) -> tuple[tuple[float, float, float], str]:
    """Voxel size (z, y, x) and its unit; voxels are the unit where not all of it is known."""
    z, y, x = labels.pixel_size_nm
    if z is not None and y is not None and x is not None:
        return (z, y, x), "nm"
    if (z, y, x) != (None, None, None):
        report.note("The voxel size is not known on all axes; measured in voxels (px).")
    return (1.0, 1.0, 1.0), "px"


def _table(numbers: Instances, spacing: Sequence[float]) -> Array:
    """What follows from the voxels of particles alone."""
    count = int(numbers.max(initial=0))
    table = np.zeros(count, PARTICLE_DTYPE)
    for name in ("depth", "nearest", "contact"):
        table[name] = np.nan
    table["particle_id"] = np.arange(1, count + 1)
    if not count:
        return table
    where = np.flatnonzero(numbers)
    of = numbers.ravel()[where]
    table["voxels"] = np.bincount(of, minlength=count + 1)[1:]
    for name, index, size in zip("zyx", np.unravel_index(where, numbers.shape), spacing, strict=True):
        table[name] = np.bincount(of, index, count + 1)[1:] / table["voxels"] * size
    table["volume"] = table["voxels"] * float(np.prod(spacing))
    table["diameter"] = np.cbrt(6 * table["volume"] / np.pi)
    table["surface"] = areas(numbers, count, spacing)
    with np.errstate(divide="ignore"):
        table["sphericity"] = np.pi * table["diameter"] ** 2 / table["surface"]
    for axis in range(3):
        for end in (0, -1):
            cut = np.unique(np.take(numbers, end, axis))
            table["at_border"][cut[cut > 0] - 1] = True
    if count > 1:
        from scipy.spatial import cKDTree

        centres = np.stack([table[name] for name in "zyx"], axis=1)
        table["nearest"] = cKDTree(centres).query(centres, 2)[0][:, 1]
    return table


class _Body:
    """The support with its pores; volumes too large for that are looked at in blocks of voxels."""

    def __init__(
        self, values: Array, support: LabelClass, particles: LabelClass, settings: MeasureLabels,
        spacing: Sequence[float], report: Report,
    ) -> None:  # fmt: skip
        self._side = binning(values.shape)
        self._spacing = tuple(size * self._side for size in spacing)
        report.progress(0, "looking for the surface of the support")
        solid = share_in_blocks(values, support.value, self._side) > 0.5
        radius = 0.5 * settings.widest_pore_px * min(spacing)
        self._body = envelope(solid, radius, self._spacing)
        self._depth = signed_depth(self._body, self._spacing)
        self._support = support.value
        report.progress(0.3, "measuring pores")
        filled = share_in_blocks((values == support.value) | (values == particles.value), 1, self._side) > 0.5
        self.porosity = float(1 - filled[self._body].mean()) if self._body.any() else None
        further = binning(solid.shape, _PORE_VOXELS)
        coarse = [share_in_blocks(each, 1, further) > 0.5 for each in (filled, self._body)]
        diameters = pore_diameters(
            coarse[0], coarse[1], tuple(size * further for size in self._spacing), report.part(0.3, 1)
        )
        sizes, counts = np.unique(diameters[diameters > 0], return_counts=True)
        self.pores = np.stack([sizes, counts / max(1, counts.sum())], axis=1).astype(np.float64)

    def depths(self, table: Array, spacing: Sequence[float]) -> npt.NDArray[np.float64]:
        """Depth of the centres of particles below the surface of the body."""
        where = tuple(
            np.clip(np.rint((table[name] / size - (self._side - 1) / 2) / self._side), 0, length - 1).astype(np.intp)
            for name, size, length in zip("zyx", spacing, self._depth.shape, strict=True)
        )
        return np.asarray(self._depth[where], np.float64)

    def totals(self, labels: Labels, spacing: Sequence[float]) -> list[Quantity]:
        """Porosity, surface and pores of the support."""
        solid = labels.values == self._support
        surface = float(areas(solid.astype(np.uint8), 1, spacing)[0])
        volume = float(np.count_nonzero(solid)) * float(np.prod(spacing))
        body = float(np.count_nonzero(self._body)) * float(np.prod(self._spacing))
        mean = float((self.pores[:, 0] * self.pores[:, 1]).sum()) if len(self.pores) else None
        return [
            Quantity("support_surface", surface, 2),
            Quantity("support_surface_per_support_volume", surface / volume if volume else None, -1),
            Quantity("support_surface_per_body_volume", surface / body if body else None, -1),
            Quantity("body_volume", body, 3),
            Quantity("porosity", self.porosity),
            Quantity("mean_pore_diameter", mean, 1),
        ]


def _fractions(labels: Labels) -> list[Quantity]:
    counts = np.bincount(labels.values.ravel(), minlength=256)
    known = counts.sum() - counts[IGNORE]
    return [
        Quantity(f"volume_fraction of {each.name}", float(counts[each.value] / known) if known else None)
        for each in labels.classes
    ]


def _sizes(table: Array, volume: float) -> list[Quantity]:
    """Figures of all particles, and of the sizes of those that are whole."""
    whole = table[~table["at_border"]]
    sizes, some = whole["diameter"], len(whole) > 0
    surface, total = float(table["surface"].sum()), float(table["volume"].sum())
    return [
        Quantity("particles", len(table)),
        Quantity("particles_at_border", len(table) - len(whole)),
        Quantity("particles_per_volume", len(table) / volume, -3),
        Quantity("mean_diameter", float(sizes.mean()) if some else None, 1),
        Quantity("median_diameter", float(np.median(sizes)) if some else None, 1),
        Quantity("standard_deviation_of_diameter", float(sizes.std(ddof=1)) if len(whole) > 1 else None, 1),
        Quantity("surface_mean_diameter", float((sizes**3).sum() / (sizes**2).sum()) if some else None, 1),
        Quantity("mean_sphericity", float(whole["sphericity"].mean()) if some else None),
        Quantity("particle_surface", surface, 2),
        Quantity("particle_surface_per_particle_volume", surface / total if total else None, -1),
    ]
