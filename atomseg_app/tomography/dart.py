"""DART: a sample of few grey levels, of which only the voxels at boundaries are reconstructed again and again.

Batenburg and Sijbers, IEEE Trans. Image Process. 20 (2011) 2542. Grey levels are those with which the segmented image
explains the views best, found again on the way (projection distance minimisation: Van Aert et al., 2012); the free
voxels are smoothed, and what comes out is carried on.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from atomseg_app.rays.kernels import ADD
from atomseg_app.tomography.iterates import Iterate
from atomseg_app.tomography.least_squares import chosen, part_dot
from atomseg_app.tomography.problem import Floats, Problem

_FIRST, _INNER = 25, 10  # iterations of SIRT before and in each iteration
_FREE = 0.15  # of the voxels away from boundaries
_SMOOTHING = 0.5  # share of the neighbours' mean
_SEED = 20110901
Labels = npt.NDArray[np.int8]


def dart(problem: Problem, measured: Floats, image: Floats, count: int) -> Iterator[Iterate]:
    """Iterates of DART with ``count`` grey levels, the first of them 0: segmented images in those levels."""
    random = np.random.default_rng(_SEED)
    wanted, grey = chosen(problem, measured), problem.new_image()
    misfit = np.zeros(problem.geometry.views, np.float32)
    for _ in range(_FIRST):
        _sirt_step(problem, wanted, grey, None, misfit)
    levels = first_levels(problem.inside(grey), count)
    while True:
        labels = segmented(problem.inside(grey), levels)
        levels = best_levels(problem, wanted, labels, levels)
        labels = segmented(problem.inside(grey), levels)
        fixed = levels[labels]
        free = boundaries(labels) | (random.random(labels.shape, np.float32) < _FREE)
        problem.inside(grey)[...] = np.where(free, problem.inside(grey), fixed)
        for _ in range(_INNER):
            _sirt_step(problem, wanted, grey, free, misfit)
        _smooth(problem.inside(grey), free)
        problem.inside(image)[...] = levels[segmented(problem.inside(grey), levels)]
        yield Iterate(image, misfit.copy())


def _sirt_step(
    problem: Problem, measured: Floats, grey: Floats, free: npt.NDArray[np.bool_] | None, misfit: Floats
) -> None:
    """A step of SIRT that changes the free voxels only."""
    before = None if free is None else problem.inside(grey).copy()
    problem.forward(grey, problem.scratch, problem.views)
    problem.subtract(measured, problem.ray_weight, problem.views, misfit)
    problem.back(problem.scratch, grey, problem.views, ADD, problem.voxel_weight, 1.0, problem.limits.least)
    if free is not None and before is not None:
        inner = problem.inside(grey)
        inner[...] = np.where(free, inner, before)


def first_levels(grey: Floats, count: int) -> Floats:
    """Grey levels of the classes that divide the values best (Lloyd, from evenly spread levels), the first 0."""
    values = grey.reshape(-1)[:: max(1, grey.size // 1_000_000)]
    levels = np.linspace(0, float(np.quantile(values, 0.995)), count)
    for _ in range(50):
        labels = np.digitize(values, (levels[1:] + levels[:-1]) / 2)
        means = [values[labels == k].mean() if np.any(labels == k) else levels[k] for k in range(count)]
        levels = np.array([0.0, *sorted(means[1:])])
    return levels.astype(np.float32)


def segmented(grey: Floats, levels: Floats) -> Labels:
    """Number of the nearest level of every voxel."""
    return np.digitize(grey, (levels[1:] + levels[:-1]) / 2).astype(np.int8)


def best_levels(problem: Problem, measured: Floats, labels: Labels, levels: Floats) -> Floats:
    """Levels with which these labels explain the views best; as they were where that is not well defined."""
    count = len(levels)
    shares = []
    for label in range(1, count):
        mask, projected = problem.new_image(), problem.new_data()
        problem.inside(mask)[...] = labels == label
        problem.forward(mask, projected, problem.views)
        shares.append(projected)
    matrix = np.array([[part_dot(problem, one, other) for other in shares] for one in shares])
    right = np.array([part_dot(problem, one, measured) for one in shares])
    if np.linalg.matrix_rank(matrix) < count - 1:
        return levels
    found = np.array([0.0, *np.linalg.solve(matrix, right)])
    return found.astype(np.float32) if np.all(np.diff(found) > 0) else levels


def boundaries(labels: Labels) -> npt.NDArray[np.bool_]:
    """Voxels with a neighbour of another label in their slice, diagonal ones included."""
    size = tuple(3 if axis in _slice_axes(labels.ndim) else 1 for axis in range(labels.ndim))
    return np.asarray(ndimage.maximum_filter(labels, size) != ndimage.minimum_filter(labels, size))


def _smooth(grey: Floats, free: npt.NDArray[np.bool_]) -> None:
    """Free voxels half way to the mean of their neighbours in the slice."""
    size = tuple(3 if axis in _slice_axes(grey.ndim) else 1 for axis in range(grey.ndim))
    mean = ndimage.uniform_filter(grey, size)
    grey[free] += np.float32(_SMOOTHING) * (mean - grey)[free]


def _slice_axes(ndim: int) -> tuple[int, int]:
    """The two axes of a slice: of blocks [.., z, x, slice], and of a volume (z, y, x), taken as slices across y, x."""
    return ndim - 3, ndim - 2
