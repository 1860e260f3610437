"""The matched pair of Joseph's projector in the layout [row, column, slice], 16 or 32 slices at a time.

A ray takes a step along the axis of the image to which it is closer, and at each step interpolates between two
neighbours across it (P. M. Joseph, IEEE Trans. Med. Imaging 1 (1982) 192). Back projection gathers with the same
weights: of a ray at distance d from a voxel, tri(d / c) / c with c = max(|cos|, |sin|). Positions are reckoned in
float64, one for all slices; sums are float32. Images and sinograms have a border of ``PAD`` zeros on each side, so that
rays need no test at the edges.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from atomseg_app.rays.compiled import add_scaled, at_least, kernel, load, plus, store, times, zeros

PAD = 2
CHUNK = 32
"""Steps of rays done for all views before the next ones: their part of the image stays in the nearest cache."""
_GROUP, _TILE = 13, 16
"""Views and pixels along a row that are back-projected together: their part of the sinogram stays there, too."""

REPLACE, ADD, MULTIPLY = 0, 1, 2
"""What back projection does with the image: replace it, add ``step * weight`` times it, or multiply with it."""

_ONE, _ZERO = np.float32(1), np.float32(0)


@kernel
def forward(pixels: Any, rays: Any, views: Any, first_view: int, last_view: int, bins: int, cells: Any) -> None:
    """Project an image to the cells of a sinogram, for ``views[first_view:last_view]``.

    ``pixels`` and ``cells`` are [z, x] and [view, t] with borders as one row of pixels of all slices; ``rays`` is a
    record a view with what :func:`~atomseg_app.rays.blocks.ray_table` reckons.
    """
    places, shares = np.empty(CHUNK, np.int64), np.empty(CHUNK, np.float32)
    longest = 0
    for number in range(first_view, last_view):
        longest = max(longest, rays[views[number]].steps)
    for first in range(0, longest, CHUNK):
        for number in range(first_view, last_view):
            view = views[number]
            ray = rays[view]
            count = min(CHUNK, ray.steps - first)
            if count <= 0:
                continue
            origin, step, across = ray.origin + first * ray.step, ray.step, ray.across
            slope, limit = ray.slope, ray.limit
            for t in range(bins):
                start = (t - ray.zero) * ray.per_bin + PAD - first * slope
                end = start - (count - 1) * slope
                near, far = zeros(pixels), zeros(pixels)
                if max(start, end) > 1.0 and min(start, end) < limit:
                    for k in range(CHUNK):
                        position = min(max(start - k * slope, 0.0), limit)
                        left = int(position)
                        shares[k] = np.float32(position - left)
                        places[k] = origin + k * step + left * across
                    for k in range(count):
                        near = add_scaled(near, _ONE - shares[k], load(pixels, places[k]))
                        far = add_scaled(far, shares[k], load(pixels, places[k] + across))
                cell = view * (bins + 2 * PAD) + t + PAD
                total = plus(near, far)
                if first > 0:
                    total = plus(total, load(cells, cell))
                if first + count == ray.steps:
                    total = add_scaled(zeros(pixels), ray.length, total)
                store(cells, cell, total)


@kernel
def _reckon(rays: Any, views: Any, x: int, z: int, bins: int, places: Any, ones: Any, others: Any) -> None:
    """Where a tile of pixels from (x, z) on is seen in each view: its cell, the weights of this and of the next."""
    limit = bins + 2.0
    for number in range(len(views)):
        view = views[number]
        ray = rays[view]
        start, cos, sharp = ray.cos * x + ray.sin * z + ray.corner, ray.cos, ray.sharp
        row = view * (bins + 2 * PAD)
        for i in range(_TILE):
            position = min(max(start + cos * i, 0.0), limit)
            left = int(position)
            share = np.float32(position - left)
            places[number, i] = row + left
            ones[number, i] = max(_ZERO, _ONE - share * sharp) * sharp
            others[number, i] = max(_ZERO, _ONE - (_ONE - share) * sharp) * sharp


@kernel
def back(
    cells: Any, rays: Any, views: Any, how: int, weight: Any, step: Any, least: Any,
    first_row: int, last_row: int, width: int, bins: int, old: Any, pixels: Any,
) -> None:  # fmt: skip
    """Back-project ``views`` of a sinogram to rows of an image, the adjoint of :func:`forward`.

    ``how`` is REPLACE, ADD or MULTIPLY; with the latter two the sum is first multiplied with ``weight`` [z, x], and the
    result is raised to ``least``. ``old`` is space for a row of pixels.
    """
    places = np.empty((_GROUP, _TILE), np.int64)
    ones, others = np.empty((_GROUP, _TILE), np.float32), np.empty((_GROUP, _TILE), np.float32)
    for z in range(first_row, last_row):
        row = (z + PAD) * (width + 2 * PAD) + PAD
        if how != REPLACE:
            for x in range(width):
                store(old, x, load(pixels, row + x))
        for group in range(0, len(views), _GROUP):
            together = views[group : group + _GROUP]
            for tile in range(0, width, _TILE):
                _reckon(rays, together, tile, z, bins, places, ones, others)
                for i in range(min(_TILE, width - tile)):
                    near, far = zeros(pixels), zeros(pixels)
                    for number in range(len(together)):
                        near = add_scaled(near, ones[number, i], load(cells, places[number, i]))
                        far = add_scaled(far, others[number, i], load(cells, places[number, i] + 1))
                    total = plus(near, far)
                    if group > 0:
                        total = plus(total, load(pixels, row + tile + i))
                    store(pixels, row + tile + i, total)
        if how == ADD:
            for x in range(width):
                changed = add_scaled(load(old, x), step * weight[z, x], load(pixels, row + x))
                store(pixels, row + x, at_least(changed, least))
        elif how == MULTIPLY:
            for x in range(width):
                factor = add_scaled(zeros(pixels), weight[z, x], load(pixels, row + x))
                store(pixels, row + x, at_least(times(load(old, x), factor), least))


@kernel
def convolve(
    cells: Any, response: Any, scales: Any, views: Any, first: int, last: int, bins: int, filtered: Any
) -> None:
    """Filter views of a sinogram across the axis: with ``response`` [2 bins + 2], whose middle is at ``bins - 1``."""
    for number in range(first, last):
        row = views[number] * (bins + 2 * PAD) + PAD
        for t in range(0, bins, 4):
            one, two, three, four = zeros(cells), zeros(cells), zeros(cells), zeros(cells)
            for s in range(bins):
                value, at = load(cells, row + s), bins - 1 + t - s
                one = add_scaled(one, response[at], value)
                two = add_scaled(two, response[at + 1], value)
                three = add_scaled(three, response[at + 2], value)
                four = add_scaled(four, response[at + 3], value)
            store(filtered, row + t, add_scaled(zeros(cells), scales[number], one))
            if t + 1 < bins:
                store(filtered, row + t + 1, add_scaled(zeros(cells), scales[number], two))
            if t + 2 < bins:
                store(filtered, row + t + 2, add_scaled(zeros(cells), scales[number], three))
            if t + 3 < bins:
                store(filtered, row + t + 3, add_scaled(zeros(cells), scales[number], four))


@kernel
def interleave(stack: Any, first_slice: int, first: int, last: int, block: Any) -> None:
    """Copy ``stack`` [i, slice, j] to ``block`` [i, j, lane] inside its border, for i in ``first..last``."""
    lanes = min(block.shape[2], stack.shape[1] - first_slice)
    for i in range(first, last):
        for j in range(stack.shape[2]):
            for lane in range(lanes):
                block[i, j, lane] = stack[i, first_slice + lane, j]


@kernel
def separate(block: Any, first_slice: int, first: int, last: int, stack: Any) -> None:
    """Inverse of :func:`interleave`."""
    lanes = min(block.shape[2], stack.shape[1] - first_slice)
    for i in range(first, last):
        for lane in range(lanes):
            for j in range(stack.shape[2]):
                stack[i, first_slice + lane, j] = block[i, j, lane]


@kernel
def residual(measured: Any, weight: Any, views: Any, first: int, last: int, projected: Any, misfit: Any) -> None:
    """``projected`` becomes ``weight * (measured - projected)``; ``misfit`` [view] gets the sums of |difference|."""
    for number in range(first, last):
        view = views[number]
        total = np.float32(0)
        for t in range(weight.shape[1]):
            factor = weight[view, t]
            for lane in range(measured.shape[2]):
                difference = measured[view, t + PAD, lane] - projected[view, t + PAD, lane]
                total += abs(difference)
                projected[view, t + PAD, lane] = factor * difference
        misfit[view] = total


@kernel
def ratio(measured: Any, least: Any, views: Any, first: int, last: int, projected: Any, misfit: Any) -> None:
    """``projected`` becomes ``measured / projected``, where that is at least ``least``, else 1; ``misfit`` as above."""
    bins = projected.shape[1] - 2 * PAD
    for number in range(first, last):
        view = views[number]
        total = np.float32(0)
        for t in range(bins):
            for lane in range(measured.shape[2]):
                found = projected[view, t + PAD, lane]
                wanted = measured[view, t + PAD, lane]
                total += abs(wanted - found)
                projected[view, t + PAD, lane] = wanted / found if found > least else np.float32(1)
        misfit[view] = total
