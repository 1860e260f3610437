"""Compiling the kernels before they are needed: once after an installation, from the cache ever after."""

from __future__ import annotations

import numpy as np

from atomseg_app.operations import Report
from atomseg_app.rays import kernels
from atomseg_app.rays.blocks import BlockProjector
from atomseg_app.rays.compiled import LANE_COUNTS
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.mlem import mlem
from atomseg_app.tomography.problems import BlockProblem
from atomseg_app.tomography.sirt import sirt


def is_warm() -> bool:
    """Whether the projector's kernels were compiled or loaded in this process."""
    return len(kernels.forward.signatures) >= len(LANE_COUNTS)  # type: ignore[attr-defined]


def warm_up(report: Report) -> None:
    """Compile what MLEM and SIRT need, or load it from the cache; says so, as it can take half a minute."""
    if is_warm():
        return
    report.progress(0, "loading kernels, which are compiled once after installing")
    for lanes in LANE_COUNTS:
        report.check()
        projector = BlockProjector(Geometry((0.0, 60.0), (lanes, 4), (4, lanes, 4)))
        problem = BlockProblem(projector, projector.every_view)
        measured = projector.take_views(np.ones((2, lanes, 4), np.float32), 0)
        volume = np.zeros((4, lanes, 4), np.float32)
        for algorithm in (sirt, mlem):
            image = projector.image()
            next(algorithm(problem, measured, image))
            projector.put_volume(image, volume, 0)
