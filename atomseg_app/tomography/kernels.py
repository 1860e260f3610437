"""The matched pair of Joseph's projector in the layout [row, column, slice], ``LANES`` slices at a time.

A ray takes a step along the axis of the image to which it is closer, and at each step interpolates between two
neighbours across it (P. M. Joseph, IEEE Trans. Med. Imaging 1 (1982) 192). Back projection gathers with the same
weights: of a ray at distance d from a voxel, tri(d / c) / c with c = max(|cos|, |sin|). Positions are reckoned in
float64, one for all slices; sums are float32. Images and sinograms have a border of ``PAD`` zeros on each side, so that
rays need no test at the edges.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from atomseg_app.tomography.compiled import LANES, add_scaled, at_least, kernel, load, plus, store, times, zeros

PAD = 2
CHUNK = 16
"""Steps of rays done for all views before the next ones: their part of the image stays in the nearest cache."""

REPLACE, ADD, MULTIPLY = 0, 1, 2
"""What back projection does with the image: replace it, add ``step * weight`` times it, or multiply with it."""


@kernel
def forward(image: Any, rays: Any, views: Any, first_view: int, last_view: int, sinogram: Any) -> None:
    """Project an image [z, x, slice] to ``sinogram`` [view, t, slice] for ``views[first_view:last_view]``.

    ``rays`` is a record a view with what :func:`~atomseg_app.tomography.blocks.ray_table` reckons.
    """
    bins = sinogram.shape[1] - 2 * PAD
    pixels, sums = image.reshape(-1), sinogram.reshape(-1)
    longest = 0
    for place in range(first_view, last_view):
        longest = max(longest, rays[views[place]].steps)
    for first in range(0, longest, CHUNK):
        for place in range(first_view, last_view):
            view = views[place]
            ray = rays[view]
            last = min(first + CHUNK, ray.steps)
            if last <= first:
                continue
            origin, step, across, slope, limit = ray.origin, ray.step, ray.across, ray.slope, ray.limit
            for t in range(bins):
                start = (t - ray.zero) * ray.per_bin + PAD
                head, tail = start - first * slope, start - (last - 1) * slope
                near, far = zeros(), zeros()
                if max(head, tail) > 1.0 and min(head, tail) < limit:
                    for k in range(first, last):
                        position = min(max(start - k * slope, 0.0), limit)
                        left = int(position)
                        share = np.float32(position - left)
                        pixel = origin + k * step + left * across
                        near = add_scaled(near, np.float32(1) - share, load(pixels, pixel))
                        far = add_scaled(far, share, load(pixels, pixel + across))
                cell = (view * (bins + 2 * PAD) + t + PAD) * LANES
                total = plus(near, far)
                if first > 0:
                    total = plus(total, load(sums, cell))
                if last == ray.steps:
                    total = add_scaled(zeros(), ray.length, total)
                store(sums, cell, total)


@kernel
def back(
    sinogram: Any, rays: Any, views: Any, how: int, weight: Any, step: Any, least: Any,
    first_row: int, last_row: int, image: Any,
) -> None:  # fmt: skip
    """Back-project the ``views`` of a sinogram to rows of an image, the adjoint of :func:`forward`.

    ``how`` is REPLACE, ADD or MULTIPLY; with the latter two the sum is first multiplied with ``weight`` [z, x], and the
    result is raised to ``least``.
    """
    bins = sinogram.shape[1] - 2 * PAD
    width = image.shape[1]
    pixels, sums = image.reshape(-1), sinogram.reshape(-1)
    limit = bins + 2.0
    for z in range(first_row, last_row):
        for x in range(width - 2 * PAD):
            near, far = zeros(), zeros()
            for place in range(len(views)):
                view = views[place]
                ray = rays[view]
                position = min(max(ray.cos * x + ray.sin * z + ray.corner, 0.0), limit)
                left = int(position)
                share = np.float32(position - left)
                sharp = ray.sharp
                cell = (view * (bins + 2 * PAD) + left) * LANES
                one = max(np.float32(0), np.float32(1) - share * sharp) * sharp
                other = max(np.float32(0), np.float32(1) - (np.float32(1) - share) * sharp) * sharp
                near = add_scaled(near, one, load(sums, cell))
                far = add_scaled(far, other, load(sums, cell + LANES))
            total = plus(near, far)
            pixel = ((z + PAD) * width + x + PAD) * LANES
            if how == ADD:
                total = at_least(add_scaled(load(pixels, pixel), step * weight[z, x], total), least)
            elif how == MULTIPLY:
                total = at_least(times(load(pixels, pixel), add_scaled(zeros(), weight[z, x], total)), least)
            store(pixels, pixel, total)


@kernel
def interleave(stack: Any, first_slice: int, first: int, last: int, block: Any) -> None:
    """Copy ``stack`` [i, slice, j] to ``block`` [i, j, lane] inside its border, for i in ``first..last``."""
    lanes = min(LANES, stack.shape[1] - first_slice)
    for i in range(first, last):
        for j in range(stack.shape[2]):
            for lane in range(lanes):
                block[i, j, lane] = stack[i, first_slice + lane, j]


@kernel
def separate(block: Any, first_slice: int, first: int, last: int, stack: Any) -> None:
    """Inverse of :func:`interleave`."""
    lanes = min(LANES, stack.shape[1] - first_slice)
    for i in range(first, last):
        for lane in range(lanes):
            for j in range(stack.shape[2]):
                stack[i, first_slice + lane, j] = block[i, j, lane]


@kernel
def residual(measured: Any, weight: Any, views: Any, first: int, last: int, projected: Any, misfit: Any) -> None:
    """``projected`` becomes ``weight * (measured - projected)``; ``misfit`` [view] gets the sums of |difference|."""
    for place in range(first, last):
        view = views[place]
        total = np.float32(0)
        for t in range(weight.shape[1]):
            factor = weight[view, t]
            for lane in range(LANES):
                difference = measured[view, t + PAD, lane] - projected[view, t + PAD, lane]
                total += abs(difference)
                projected[view, t + PAD, lane] = factor * difference
        misfit[view] = total


@kernel
def ratio(measured: Any, least: Any, views: Any, first: int, last: int, projected: Any, misfit: Any) -> None:
    """``projected`` becomes ``measured / projected``, where that is at least ``least``, else 1; ``misfit`` as above."""
    bins = projected.shape[1] - 2 * PAD
    for place in range(first, last):
        view = views[place]
        total = np.float32(0)
        for t in range(bins):
            for lane in range(LANES):
                found = projected[view, t + PAD, lane]
                wanted = measured[view, t + PAD, lane]
                total += abs(wanted - found)
                projected[view, t + PAD, lane] = wanted / found if found > least else np.float32(1)
        misfit[view] = total
