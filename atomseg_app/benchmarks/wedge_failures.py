"""Structure that is not there: what a filled volume shows where the truth is empty.

A ghost is a set of voxels joined by their faces, each brighter than the truth by more than a share of the particles'
grey level, each a few voxels and more from any true object.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from atomseg_app.benchmarks.table import print_table
from atomseg_app.benchmarks.verdicts import Bar, at_most, print_bars
from atomseg_app.benchmarks.wedge_classical import back_projection, tv
from atomseg_app.benchmarks.wedge_networks import OURS, Fill, installed
from atomseg_app.benchmarks.wedge_scenes import CONDITIONS, COUNTED, EXACT, Condition, wedge_tilts
from atomseg_app.benchmarks.wedge_volumes import KINDS, Volume, volume

WEDGES_DEG, HELD = (30.0, 45.0, 60.0, 80.0), ((45.0, EXACT), (45.0, COUNTED), (60.0, EXACT), (60.0, COUNTED))
"""All wedges that are reported, and the cases in which there must be no ghost."""
LEAST_VOXELS, LEAST_DISTANCE_PX, LEAST_SHARE = 27, 3.0, 0.05
VOLUMES = 2
"""Of each kind, where nothing else is said."""
_EMPTY = 0.005  # share of the particles' grey level: less is nothing
_BLOCK = 16


Case = tuple[float, Condition]


@dataclass(frozen=True)
class Ghosts:
    """Ghosts of a volume: how many, voxels of the largest, and the greatest mean as a share of the grey level."""

    count: int = 0
    largest_voxels: int = 0
    strongest: float = 0.0


def run(volumes: int = VOLUMES) -> bool:
    """Print the table; True if ours shows structure that is not there, where it must not."""
    methods: dict[str, Fill] = {"WBP": back_projection, "TV, automatic": tv, **installed()}
    cases = [(wedge, condition) for wedge in WEDGES_DEG for condition in CONDITIONS]
    found: dict[Case, dict[str, list[Ghosts]]] = {case: {name: [] for name in methods} for case in cases}
    for case in cases:
        for kind in KINDS:
            for number in range(volumes):
                sample = volume(kind, number, case[1], wedge_tilts(case[0]))
                for name, fill in methods.items():
                    found[case][name].append(ghosts(filled(fill, sample), sample.truth))
    rows = [
        [f"{wedge:g}, {condition.name}", *(told(found[wedge, condition][name]) for name in methods)]
        for wedge, condition in cases
    ]
    print_table(
        f"Structure that is not there: {LEAST_VOXELS} voxels and more, joined, each {LEAST_DISTANCE_PX:g} px and more\n"
        f"from any true object and above {LEAST_SHARE:.0%} of the particles' grey level. Ghosts a volume (voxels of\n"
        f"the largest), of {volumes * len(KINDS)} volumes with {', '.join(KINDS)}.",
        ["wedge (degrees), views", *methods],
        rows,
    )
    return OURS in methods and not print_bars("Ghosts.", [bar(*case, found[case][OURS]) for case in HELD])


def filled(fill: Fill, sample: Volume) -> torch.Tensor:
    """Slices (slices, z, x) that a method makes of a volume's views."""
    views = sample.views
    return torch.cat([fill(views[first : first + _BLOCK], sample.beam) for first in range(0, len(views), _BLOCK)])


def ghosts(answer: torch.Tensor, truth: torch.Tensor) -> Ghosts:
    """What slices (slices, z, x) show that the true ones do not; the particles' grey level is their greatest."""
    top = float(truth.max())
    away = ndimage.distance_transform_edt(truth.numpy() <= _EMPTY * top) >= LEAST_DISTANCE_PX
    excess = (answer - truth).numpy() / top
    labels, count = ndimage.label((excess > LEAST_SHARE) & away)
    if not count:
        return Ghosts()
    voxels = np.bincount(labels.ravel())[1:]
    means = ndimage.mean(excess, labels, np.arange(1, count + 1))
    large = voxels >= LEAST_VOXELS
    if not large.any():
        return Ghosts()
    return Ghosts(int(large.sum()), int(voxels.max()), float(means[large].max()))


def told(found: list[Ghosts]) -> str:
    """Ghosts a volume, and the largest one's voxels."""
    count = sum(each.count for each in found) / len(found)
    return f"{count:.1f} ({max(each.largest_voxels for each in found)})" if count else "none"


def bar(wedge_deg: float, condition: Condition, found: list[Ghosts]) -> Bar:
    """No ghost in any volume."""
    what = f"ghosts in {len(found)} volumes, wedge of {wedge_deg:g} degrees, {condition.name}"
    return at_most(what, 0, sum(each.count for each in found))
