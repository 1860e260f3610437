"""Elongation of spheres along the beam: what a missing wedge is known for, and what filling it must undo.

Views of a sphere are closed forms; no projector takes part. What is measured is the region of half the maximum: the
voxels that are joined to the sphere's centre and above half of the mean grey level in its inner half. Its standard
deviation along the beam over that along the tilt axis is 1 for a sphere.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from atomseg_app.benchmarks.table import print_table
from atomseg_app.benchmarks.verdicts import Bar, at_most, print_bars
from atomseg_app.benchmarks.wedge_classical import back_projection, tv
from atomseg_app.benchmarks.wedge_networks import OURS, Fill, installed
from atomseg_app.benchmarks.wedge_scenes import wedge_tilts
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.simulate.ellipsoids import Ellipse, sinogram_of

WANTED, WEDGES_DEG = 1.03, (45.0, 60.0)
_SIZE, _RADIUS, _SPHERES, _SEED = 128, 20.0, 20, 515
_FARTHEST = 30.0  # px of a sphere's centre from the middle of the slices
_PLANES = (-0.25, 0.25)  # within a slice
_BLOCK = 16


def run() -> bool:
    """Print the table; True if ours leaves spheres longer than is wanted."""
    methods: dict[str, Fill] = {"WBP": back_projection, "TV, automatic": tv, **installed()}
    found = {name: [elongations(fill, wedge) for wedge in WEDGES_DEG] for name, fill in methods.items()}
    rows = [[name, *(f"{each.mean():.3f} +- {each.std(ddof=1):.3f}" for each in found[name])] for name in methods]
    print_table(
        f"Elongation of a sphere of radius {_RADIUS:g} px, off centre: standard deviation along the beam over that\n"
        f"along the tilt axis, mean and spread of {_SPHERES}; noise-free views 2 degrees apart.",
        ["method", *(f"{wedge:g} degrees" for wedge in WEDGES_DEG)],
        rows,
    )
    return not print_bars("Elongation.", bars(found.get(OURS, [])))


def bars(ours: list[npt.NDArray[np.float64]]) -> list[Bar]:
    """What ours has to reach, for its elongations at each of the wedges."""
    return [
        at_most(f"elongation of a sphere, wedge of {wedge:g} degrees", WANTED, float(each.mean()))
        for wedge, each in zip(WEDGES_DEG, ours, strict=False)
    ]


def elongations(fill: Fill, wedge_deg: float, spheres: int = _SPHERES) -> npt.NDArray[np.float64]:
    """Elongation (spheres,) of as many spheres, each alone in its volume, after filling by a method."""
    random = np.random.default_rng(_SEED)
    beam = ParallelBeam(wedge_tilts(wedge_deg), _SIZE)
    found = []
    for _ in range(spheres):
        distance, direction = random.uniform(0.3, 1.0) * _FARTHEST, random.uniform(0, 2 * np.pi)
        centre = distance * np.cos(direction), random.uniform(-0.5, 0.5), distance * np.sin(direction)
        views = sphere_views(centre, beam)
        parts = [fill(views[first : first + _BLOCK], beam) for first in range(0, len(views), _BLOCK)]
        found.append(elongation(torch.cat(parts).numpy(), centre))
    return np.array(found)


def sphere_views(centre: tuple[float, float, float], beam: ParallelBeam) -> torch.Tensor:
    """Views (slices, view, t) of a sphere of grey level 1 at (x, y, z) px from the middle, in slices that hold it."""
    x, y, z = centre
    half = int(_RADIUS) + 2
    slices = []
    for number in range(-half, half + 1):
        rests = [_RADIUS**2 - (number + plane - y) ** 2 for plane in _PLANES]
        cuts = [Ellipse(x, z, rest**0.5, rest**0.5, 0.0, 1 / len(_PLANES)) for rest in rests if rest > 0]
        slices.append(sinogram_of(cuts, beam.size, beam.tilt_deg.numpy()))
    return torch.from_numpy(np.stack(slices))


def elongation(slices: npt.NDArray[np.float32], centre: tuple[float, float, float]) -> float:
    """Standard deviation along z over that along y of the half-maximum region of slices (y, z, x) round a sphere.

    ``centre`` is the sphere's (x, y, z) in px from the middle. NaN where nothing is left at its centre.
    """
    middle = [
        (size - 1) / 2 + offset for size, offset in zip(slices.shape, (centre[1], centre[2], centre[0]), strict=True)
    ]
    grid = np.indices(slices.shape, np.float32)
    distance = np.sqrt(sum((axis - place) ** 2 for axis, place in zip(grid, middle, strict=True)))
    labels, _ = ndimage.label(slices >= 0.5 * slices[distance < _RADIUS / 2].mean())
    own = labels[tuple(round(place) for place in middle)]
    if own == 0:
        return float("nan")
    inside = labels == own
    return float(grid[1][inside].std() / grid[0][inside].std())
