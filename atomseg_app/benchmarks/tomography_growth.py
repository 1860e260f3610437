"""How the cost of an iteration grows with the size of the volume and with the number of views."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from atomseg_app.benchmarks.plot import Curve, write_log_log
from atomseg_app.benchmarks.table import print_table
from atomseg_app.rays.blocks import BlockProjector
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.problems import BlockProblem
from atomseg_app.tomography.sirt import sirt

_SIZES, _SIZE_VIEWS = (128, 256, 512, 1024), 75
_VIEWS, _VIEWS_SIZE = (19, 38, 75, 150), 256
_TITLE = """Seconds of one iteration of SIRT on all slices (N slices of N x N), best of three; the slope is that of the
logarithms. Blocks of 32 slices are timed one after another and those of a volume added up: of 512 and 1024, two blocks
stand for all, as blocks do not depend on each other."""


def growth() -> None:
    """Print the table; with ATOMSEG_PLOTS, a folder, also draw ``tomography_growth.png`` there."""
    by_size = [_seconds(size, _SIZE_VIEWS) for size in _SIZES]
    by_views = [_seconds(_VIEWS_SIZE, views) for views in _VIEWS]
    rows: list[list[object]] = [
        [f"N = {size}", _SIZE_VIEWS, seconds] for size, seconds in zip(_SIZES, by_size, strict=True)
    ]
    rows.append(["slope against N", "", _slope(_SIZES, by_size)])
    rows += [[f"N = {_VIEWS_SIZE}", views, seconds] for views, seconds in zip(_VIEWS, by_views, strict=True)]
    rows.append(["slope against views", "", _slope(_VIEWS, by_views)])
    print_table(_TITLE, ["volume", "views", "seconds"], rows)
    folder = os.environ.get("ATOMSEG_PLOTS")
    if folder:
        updates = [2 * size**3 * _SIZE_VIEWS / 1e9 for size in _SIZES]
        more = [2 * _VIEWS_SIZE**3 * views / 1e9 for views in _VIEWS]
        curves = [
            Curve("128 to 1024 voxels a side", np.array(updates), np.array(by_size), (31, 119, 180)),
            Curve("19 to 150 views", np.array(more), np.array(by_views), (214, 96, 32)),
        ]
        label = "10^9 voxels times views, forward and back"
        write_log_log(curves, "Seconds of one iteration", label, Path(folder) / "tomography_growth.png")


def _seconds(size: int, views: int) -> float:
    """Seconds of an iteration on all slices."""
    tilts = tuple(np.linspace(-75, 75, views))
    blocks = -(-size // 32)
    timed = blocks if size <= 256 else 2
    projector = BlockProjector(Geometry(tilts, (32, size), (size, 32, size)))
    problem = BlockProblem(projector, projector.every_view)
    steps = [sirt(problem, projector.sinogram(1.0), projector.image()) for _ in range(timed)]
    for step in steps:
        next(step)
    best = np.inf
    for _ in range(3):
        began = time.perf_counter()
        for step in steps:
            next(step)
        best = min(best, time.perf_counter() - began)
    return float(best) * blocks / timed


def _slope(across: tuple[int, ...], seconds: list[float]) -> float:
    return float(np.polyfit(np.log(across), np.log(seconds), 1)[0])
