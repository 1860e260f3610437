"""Direct Fourier reconstruction, and its refinement by what is known of the sample (as GENFIRE does).

The spectrum of a view is a line through that of the slice. Oversampled spectra of all views are put on a grid, points
within half a cell of a line with weights that fall with their distance; then image and grid are made consistent in
turns: at or above 0 in the volume, as measured on the grid, coarse frequencies first (Pryor et al., Sci. Rep. 7 (2017)
10409). A part of the points is left out; how badly they are predicted, R-free, says when to stop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from atomseg_app.errors import UserError
from atomseg_app.rays.kernels import PAD
from atomseg_app.rays.threads import thread_count
from atomseg_app.tomography.iterates import Iterate
from atomseg_app.tomography.problem import Floats, Problem
from atomseg_app.tomography.problems import BlockProblem

_OVERSAMPLING = 2
_REACH = 0.8  # cells of the grid between a measured line and a point that it fixes
_LEFT_OUT, _SEED = 0.05, 20170901
_RAMP_ITERATIONS = 15  # until all frequencies take part
_PATIENCE = 5

Complexes = npt.NDArray[np.complex64]


@dataclass(frozen=True)
class GridPoints:
    """Points of the half grid (kz, kx) that views fix: flat index (n,), |k| in cycles a pixel (n,), left out or not.

    Each is the weighted mean of samples: point (m,), view (m,), frequency bin (m,), weight (m,).
    """

    index: npt.NDArray[np.int64]
    radius: npt.NDArray[np.float64]
    left_out: npt.NDArray[np.bool_]
    point: npt.NDArray[np.int64]
    view: npt.NDArray[np.int64]
    bin_number: npt.NDArray[np.int64]
    weight: Floats


def grid_points(tilt_deg: npt.NDArray[np.float64], size: int, samples: int) -> GridPoints:
    """Points of a ``size`` x ``size`` grid near the lines of views with ``samples`` frequencies along them."""
    kz, kx = np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij")
    kz, kx = kz.reshape(-1), kx.reshape(-1)
    radius = np.hypot(kz, kx)
    chosen = np.flatnonzero(radius < 0.5)
    points, views, bins, weights = [], [], [], []
    for view, tilt in enumerate(np.deg2rad(tilt_deg)):
        along = kx[chosen] * np.cos(tilt) + kz[chosen] * np.sin(tilt)
        across = kz[chosen] * np.cos(tilt) - kx[chosen] * np.sin(tilt)
        nearest = np.round(along * samples)
        distance = np.hypot(across, along - nearest / samples) * size
        near = distance < _REACH
        points.append(chosen[near])
        views.append(np.full(np.count_nonzero(near), view))
        bins.append(nearest[near].astype(np.int64) % samples)
        weights.append((1 / (distance[near] + 0.05)).astype(np.float32))
    index, point = np.unique(np.concatenate(points), return_inverse=True)
    weight = np.concatenate(weights)
    weight /= np.bincount(point, weight)[point]
    left_out = np.random.default_rng(_SEED).random(len(index)) < _LEFT_OUT
    return GridPoints(index, radius[index], left_out, point, np.concatenate(views), np.concatenate(bins), weight)


def fourier(problem: Problem, measured: Floats, image: Floats) -> Iterator[Iterate]:
    """The direct reconstruction first, then its refinements; the one with the best R-free is what stays.

    Raises UserError for views in any direction.
    """
    if not isinstance(problem, BlockProblem):
        raise UserError("The Fourier method takes views tilted round one axis; choose SIRT or MLEM, which take any.")
    geometry, views = problem.geometry, problem.views
    depth, _, width = geometry.volume_zyx
    size = fft.next_fast_len(_OVERSAMPLING * max(depth, width, geometry.detector_yx[1]), real=True)
    points = grid_points(np.asarray(geometry.tilt_deg)[views], size, size)
    known = _on_grid(points, _spectra(problem, measured, size), depth, width)
    grid = np.zeros((size, size // 2 + 1, measured.shape[2]), np.complex64)
    flat = grid.reshape(-1, measured.shape[2])
    best, best_at, number = np.inf, 0, 0
    flat[points.index] = known
    while True:
        number += 1
        found = fft.irfft2(grid, (size, size), axes=(0, 1), workers=thread_count())[:depth, :width]
        inner = problem.inside(image)
        kept = inner.copy()
        inner[...] = found
        problem.confine(image)
        padded = np.zeros((size, size, measured.shape[2]), np.float32)
        padded[:depth, :width] = inner
        grid = fft.rfft2(padded, axes=(0, 1), workers=thread_count())
        flat = grid.reshape(-1, measured.shape[2])
        free = float(np.abs(flat[points.index[points.left_out]] - known[points.left_out]).sum())
        if free < best:
            best, best_at = free, number
        elif number - best_at > _PATIENCE and number > _RAMP_ITERATIONS:
            inner[...] = kept
        limit = 0.5 * min(1.0, 0.2 + 0.8 * number / _RAMP_ITERATIONS)
        taken = ~points.left_out & (points.radius <= limit)
        flat[points.index[taken]] = known[taken]
        yield Iterate(image, _misfit(problem, measured, image))


def _misfit(problem: Problem, measured: Floats, image: Floats) -> Floats:
    """Sum of |measured - projected| of each view."""
    problem.forward(image, problem.scratch, problem.views)
    misfit = np.zeros(problem.geometry.views, np.float32)
    problem.subtract(measured, problem.ray_weight, problem.views, misfit)
    return misfit


def _spectra(problem: Problem, measured: Floats, size: int) -> Complexes:
    """Spectra of views (view, frequency, slice) about the axis, as smooth as the sample is small."""
    geometry, views = problem.geometry, problem.views
    bins = geometry.detector_yx[1]
    spectra = fft.fft(measured[views, PAD:-PAD], size, axis=1, workers=thread_count())
    middle = (bins - 1) / 2 + geometry.t_shift_px[views]
    phase = np.exp(2j * np.pi * middle[:, None] * np.fft.fftfreq(size)[None]).astype(np.complex64)
    return np.asarray(spectra * phase[:, :, None], np.complex64)


def _on_grid(points: GridPoints, spectra: Complexes, depth: int, width: int) -> Complexes:
    """Values at the points (n, slice) from spectra (view, frequency, slice), about the volume's first voxel."""
    size = spectra.shape[1]
    kz, kx = np.fft.fftfreq(size)[points.index // (size // 2 + 1)], (points.index % (size // 2 + 1)) / size
    phase = np.exp(-1j * np.pi * (kz * (depth - 1) + kx * (width - 1))).astype(np.complex64)
    samples = spectra[points.view, points.bin_number] * points.weight[:, None]
    order = np.argsort(points.point, kind="stable")
    starts = np.searchsorted(points.point[order], np.arange(len(points.index)))
    return np.asarray(phase[:, None] * np.add.reduceat(samples[order], starts, axis=0), np.complex64)
