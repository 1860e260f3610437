"""How the cost of an iteration grows with the size of the volume and with the number of views."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from atomseg_app.benchmarks.plot import Curve, write_log_log
from atomseg_app.benchmarks.table import print_table
from atomseg_app.benchmarks.verdicts import Bar
from atomseg_app.rays.blocks import BlockProjector
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.problems import BlockProblem
from atomseg_app.tomography.sirt import sirt

_SIZES, _SIZE_VIEWS = (128, 256, 512, 1024), 75
_VIEWS, _VIEWS_SIZE = (19, 38, 75, 150, 300), 256
_BLOCKS = {128: 4, 256: 4, 512: 2, 1024: 1}
_ROUNDS = 3
_TITLE = """CPU seconds of one iteration of SIRT on all slices (N slices of N x N), best of three; the slope is that of
the logarithms. Blocks of 32 slices do not depend on each other: a few are timed one after another for all."""


def growth() -> list[Bar]:
    """Print the table; where ATOMSEG_FIGURES names a folder, draw ``tomography_growth.png`` there. Gives the bars."""
    by_size = [_seconds(size, _SIZE_VIEWS) for size in _SIZES]
    by_views = [_seconds(_VIEWS_SIZE, views) for views in _VIEWS]
    each, fixed = np.polyfit(_VIEWS, by_views, 1, w=1 / np.array(by_views))
    slopes = _slope([size**3 for size in _SIZES], by_size), _slope(_VIEWS, by_views)
    rows: list[list[object]] = [
        [f"N = {size}", _SIZE_VIEWS, seconds] for size, seconds in zip(_SIZES, by_size, strict=True)
    ]
    rows.append(["slope against N^3", "", slopes[0]])
    rows += [[f"N = {_VIEWS_SIZE}", views, seconds] for views, seconds in zip(_VIEWS, by_views, strict=True)]
    rows.append(["slope against views", "", slopes[1]])
    rows += [["of it for a view", 1, float(each)], ["of it for the image, whatever the views", 0, float(fixed)]]
    print_table(_TITLE, ["volume", "views", "CPU s"], rows)
    folder = os.environ.get("ATOMSEG_FIGURES")
    if folder:
        updates = [2 * size**3 * _SIZE_VIEWS / 1e9 for size in _SIZES]
        more = [2 * _VIEWS_SIZE**3 * views / 1e9 for views in _VIEWS]
        curves = [
            Curve(f"{_SIZES[0]} to {_SIZES[-1]} voxels a side", np.array(updates), np.array(by_size), (31, 119, 180)),
            Curve(f"{_VIEWS[0]} to {_VIEWS[-1]} views", np.array(more), np.array(by_views), (214, 96, 32)),
        ]
        label = "10^9 voxels times views, forward and back"
        path = Path(folder) / "tomography_growth.png"
        write_log_log(curves, "CPU seconds of one iteration; dashed: linear", label, path)
    names = "growth against N^3, N from 128 to 1024", "growth against views, from 19 to 300"
    return [
        Bar(name, "slope of 0.9 to 1.1", f"{slope:.3f}", 0.9 <= slope <= 1.1)
        for name, slope in zip(names, slopes, strict=True)
    ]


def _seconds(size: int, views: int) -> float:
    """CPU seconds of an iteration on all slices."""
    tilts = tuple(np.linspace(-75, 75, views))
    timed = _BLOCKS[size]
    projector = BlockProjector(Geometry(tilts, (32, size), (size, 32, size)))
    problem = BlockProblem(projector, projector.every_view)
    steps = [sirt(problem, projector.sinogram(1.0), projector.image()) for _ in range(timed)]
    for step in steps:
        next(step)
    best = np.inf
    for _ in range(_ROUNDS):
        began = time.process_time()
        for step in steps:
            next(step)
        best = min(best, time.process_time() - began)
    return float(best) * -(-size // 32) / timed


def _slope(across: tuple[int, ...] | list[int], seconds: list[float]) -> float:
    return float(np.polyfit(np.log(across), np.log(seconds), 1)[0])
