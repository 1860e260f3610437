"""Two other ways to little total variation: ASD-POCS and FISTA-TV.

Sidky and Pan, Phys. Med. Biol. 53 (2008) 4777 (ASD-POCS: passes of SART, each followed by steps down the slope of total
variation no longer than what the pass changed); Beck and Teboulle, IEEE Trans. Image Process. 18 (2009) 2419 (FISTA).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from atomseg_app.rays.kernels import ADD
from atomseg_app.tomography.iterates import Iterate
from atomseg_app.tomography.least_squares import chosen, dot, norm_squared
from atomseg_app.tomography.ordered_subsets import subsets
from atomseg_app.tomography.problem import Floats, Problem
from atomseg_app.tomography.total_variation import found_weight
from atomseg_app.tomography.variation_kernels import divergence, dual_step, total_variation

_STEPS, _SHORTER, _MOST, _FADING = 5, 0.8, 0.95, 0.995
_INNER = 5  # steps of the denoising in an iteration of FISTA, which goes on from the last one's
_SHARP = 1e-3  # of the largest value: differences below are no edges


def asd_pocs(problem: Problem, measured: Floats, image: Floats, count: int) -> Iterator[Iterate]:
    """Iterates of ASD-POCS with ``count`` subsets of views."""
    parts = subsets(problem, count)
    weights = [problem.per_voxel(part) for part in parts]
    blocks, lanes = problem.as_blocks(image), problem.lane_count
    edges = np.zeros((3, *blocks.shape), np.float32)
    slope = np.zeros(blocks.shape, np.float32)
    relaxation, length = problem.relaxation, 0.0
    while True:
        before = image.copy()
        misfit = np.zeros(problem.geometry.views, np.float32)
        for part, weight in zip(parts, weights, strict=True):
            problem.forward(image, problem.scratch, part)
            problem.subtract(measured, problem.ray_weight, part, misfit)
            problem.back(problem.scratch, image, part, ADD, weight, relaxation, problem.limits.least)
        before -= image
        moved = dot(before, before) ** 0.5
        length = length or moved
        after = image.copy()
        for _ in range(_STEPS):
            _down(blocks, lanes, edges, slope, length)
        after -= image
        if dot(after, after) ** 0.5 > _MOST * moved:
            length *= _SHORTER
        relaxation *= _FADING
        yield Iterate(image, misfit)


def _down(blocks: Floats, lanes: int, edges: Floats, slope: Floats, length: float) -> None:
    """One step of ``length`` / _STEPS down the slope of total variation, shorter until it falls."""
    edges[...] = 0
    dual_step(blocks, 1.0, 1 / max(_SHARP * float(blocks.max()), 1e-30), lanes, edges)
    divergence(edges, slope)
    size = dot(slope, slope) ** 0.5
    if size == 0:
        return
    now, step = total_variation(blocks, lanes), length / _STEPS / size
    for _ in range(8):
        blocks += np.float32(step) * slope
        if total_variation(blocks, lanes) <= now:
            return
        blocks -= np.float32(step) * slope
        step *= _SHORTER / 2


def fista(
    problem: Problem, measured: Floats, image: Floats, noise: float, weight: float | None = None
) -> Iterator[Iterate]:
    """Iterates of FISTA for min |A x - b|^2 / 2 + w TV(x), restarted where momentum leads away; w as in *tv*."""
    wanted, lanes = chosen(problem, measured), problem.lane_count
    norm = norm_squared(problem)
    strength = found_weight(problem, wanted, noise) if weight is None else weight
    ahead, gradient, spread = image.copy(), problem.new_image(), problem.new_image()
    edges = np.zeros((3, *problem.as_blocks(image).shape), np.float32)
    momentum, level = 1.0, np.inf
    while True:
        problem.forward(ahead, problem.scratch, problem.views)
        difference = problem.scratch - wanted
        misfit = np.asarray(np.abs(difference).sum(axis=problem.ray_axes), np.float32)
        square = dot(difference, difference)
        problem.back(difference, gradient, problem.views)
        ahead -= np.float32(1 / norm) * gradient
        before = image.copy()
        for _ in range(_INNER):
            divergence(edges, problem.as_blocks(spread))
            image[...] = ahead + spread
            problem.confine(image)
            dual_step(problem.as_blocks(image), strength / norm, 1 / 12, lanes, edges)
        divergence(edges, problem.as_blocks(spread))
        image[...] = ahead + spread
        problem.confine(image)
        following = 1.0 if square > level else (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead[...] = image + np.float32((momentum - 1) / following) * (image - before)
        momentum, level = following, square
        yield Iterate(image, misfit)
