"""Compiling the kernels before they are needed: once after an installation, from the cache ever after."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from atomseg_app.alignment import Alignment
from atomseg_app.operations import Report
from atomseg_app.rays.blocks import BlockProjector
from atomseg_app.rays.compiled import LANE_COUNTS
from atomseg_app.tomography.fbp import fbp
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.mlem import mlem
from atomseg_app.tomography.problem import Problem
from atomseg_app.tomography.problems import BlockProblem, StackProblem, VolumeProblem
from atomseg_app.tomography.sirt import sirt
from atomseg_app.tomography.total_variation import chambolle_pock
from atomseg_app.tomography.turned import TurnedProblem

_TILTS = (0.0, 60.0)
_WAIT_S = 0.2
_one_at_a_time = threading.Lock()
_done = threading.Event()


def is_warm() -> bool:
    """Whether the kernels were compiled or loaded in this process."""
    return _done.is_set()


def warm_up(report: Report) -> None:
    """Compile what reconstructing and aligning need, or load it from the cache; says so, as it can take half a minute.

    Where another thread is about it, waits for that.
    """
    if is_warm():
        return
    while not _one_at_a_time.acquire(timeout=_WAIT_S):
        report.progress(0, "waiting for kernels, which are compiled once after installing")
    try:
        if not is_warm():
            for stage in _stages():
                report.progress(0, "loading kernels, which are compiled once after installing")
                stage()
            _done.set()
    finally:
        _one_at_a_time.release()


def warm_up_beside() -> threading.Thread:
    """Do it in a thread of its own, which ends with the process; what it cannot do, the job that needs it will say."""
    thread = threading.Thread(target=warm_up, args=(Report(),), name="kernels", daemon=True)
    thread.start()
    return thread


def _stages() -> Iterator[Callable[[], object]]:
    """Small reconstructions that use every kernel, the ones most needed first."""
    for lanes in LANE_COUNTS:
        yield partial(_blocks, lanes)
    yield _turned
    yield _any_direction


def _blocks(lanes: int) -> None:
    """Slices of one axis."""
    projector = BlockProjector(Geometry(_TILTS, (lanes, 4), (4, lanes, 4)))
    problem = BlockProblem(projector, projector.every_view)
    measured = projector.take_views(np.ones((2, lanes, 4), np.float32), 0)
    volume, image = np.zeros((4, lanes, 4), np.float32), projector.image()
    for algorithm in (sirt, mlem, fbp):
        next(algorithm(problem, measured, image))
    projector.put_volume(image, volume, 0)
    projector.take_volume(volume, 0)
    projector.put_views(measured, np.zeros((2, lanes, 4), np.float32), 0)
    stack = StackProblem(problem)
    next(chambolle_pock(stack, measured[None], stack.new_image(), 1.0))


def _turned() -> None:
    """Views of one axis that are turned and moved."""
    alignment = Alignment((0.0, 0.0), (0.5, 0.0), (0.0, 0.0), 0.0, 1.0)
    geometry = Geometry(_TILTS, (17, 4), (4, 17, 4), alignment)
    _steps(TurnedProblem(geometry, np.arange(2)))


def _any_direction() -> None:
    """Views in any direction, rays along each axis of the volume."""
    triples = ((0.0, 0.0, 0.0), (0.0, 90.0, 0.0), (0.0, 0.0, 90.0))
    geometry = Geometry((0.0,) * 3, (2, 2), (2, 2, 2), None, triples)
    _steps(VolumeProblem(geometry, np.arange(3)))


def _steps(problem: Problem) -> None:
    """Iterations of SIRT and MLEM on nothing."""
    for algorithm in (sirt, mlem):
        next(algorithm(problem, problem.new_data(1.0), problem.new_image()))
