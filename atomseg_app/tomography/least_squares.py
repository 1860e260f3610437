"""Least squares without weights: conjugate gradients (CGLS), Tikhonov's damping, and steepest descent with positivity.

Hestenes and Stiefel, J. Res. Nat. Bur. Stand. 49 (1952) 409. The descent is that of RESIRE (Yang et al., Phys. Rev.
Research 3 (2021) 023173), here with the step that the norm of the projector allows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from atomseg_app.tomography.iterates import Iterate
from atomseg_app.tomography.problem import Floats, Problem

_POWER_ITERATIONS = 12


def cgls(problem: Problem, measured: Floats, image: Floats, damping: float = 0.0) -> Iterator[Iterate]:
    """Iterates of CGLS for min |A x - b|^2 + (damping |A|)^2 |x|^2; nothing keeps them positive but the last step.

    What is given is a copy within the problem's limits; the iteration itself goes on without them.
    """
    views, scratch = problem.views, problem.scratch
    square = (damping**2) * norm_squared(problem) if damping else 0.0
    free = image.copy()
    rest, search, gradient = problem.new_data(), problem.new_image(), problem.new_image()
    problem.forward(free, rest, views)
    rest[...] = chosen(problem, measured) - rest
    problem.back(rest, search, views)
    search -= np.float32(square) * free
    energy = dot(search, search)
    while True:
        misfit = np.asarray(np.abs(rest).sum(axis=problem.ray_axes), np.float32)
        problem.forward(search, scratch, views)
        curvature = part_dot(problem, scratch, scratch) + square * dot(search, search)
        if energy > 0 and curvature > 0:
            step = np.float32(energy / curvature)
            free += step * search
            _less(problem, rest, scratch, step)
            problem.back(rest, gradient, views)
            gradient -= np.float32(square) * free
            before, energy = energy, dot(gradient, gradient)
            search *= np.float32(energy / before)
            search += gradient
        image[...] = free
        problem.confine(image)
        yield Iterate(image, misfit)


def descent(problem: Problem, measured: Floats, image: Floats) -> Iterator[Iterate]:
    """Steepest descent on |A x - b|^2 within the problem's limits, all voxels with one step."""
    views, gradient = problem.views, problem.new_image()
    step = np.float32(problem.relaxation / norm_squared(problem))
    one = np.ones_like(problem.ray_weight)
    while True:
        misfit = np.zeros(problem.geometry.views, np.float32)
        problem.forward(image, problem.scratch, views)
        problem.subtract(measured, one, views, misfit)
        problem.back(problem.scratch, gradient, views)
        gradient *= step
        image += gradient
        problem.confine(image)
        yield Iterate(image, misfit)


def norm_squared(problem: Problem) -> float:
    """Largest eigenvalue of A^T A, by iteration from a constant image, a little enlarged as it comes from below."""
    image, value = problem.new_image(1.0), 1.0
    for _ in range(_POWER_ITERATIONS):
        image /= np.float32(max(dot(image, image) ** 0.5, 1e-30))
        problem.forward(image, problem.scratch, problem.views)
        value = part_dot(problem, problem.scratch, problem.scratch)
        problem.back(problem.scratch, image, problem.views)
    return 1.02 * value


def chosen(problem: Problem, data: Floats) -> Floats:
    """Data of the views in use, the others zero."""
    axis = data.ndim - 3
    used = np.zeros(data.shape[axis], np.float32)
    used[problem.views] = 1
    return data * used.reshape(-1, 1, 1)


def dot(one: Floats, other: Floats) -> float:
    """Inner product of two arrays."""
    return float(np.dot(one.reshape(-1), other.reshape(-1)))


def part_dot(problem: Problem, one: Floats, other: Floats) -> float:
    """Inner product of data in the views in use."""
    return sum(dot(np.ascontiguousarray(one[..., view, :, :]), np.ascontiguousarray(other[..., view, :, :]))
               for view in problem.views)  # fmt: skip


def _less(problem: Problem, rest: Floats, scratch: Floats, step: np.float32) -> None:
    """Take ``step`` times the scratch from the views in use."""
    for view in problem.views:
        rest[..., view, :, :] -= step * scratch[..., view, :, :]
