"""Duals of total variation in 16 bits: at every voxel a vector of three, no longer than the weight, in parts of 32767.

Differences of neighbouring voxels run along i, j and the lanes of images [i, j, lane], of which one block after another
is worked on; lanes go on from one block to the next, up to ``lane_count`` of them, and beyond the last voxel of any
axis the difference is zero. Rounding loses steps of less than a part in 60,000 of the weight.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from atomseg_app.rays.compiled import kernel
from atomseg_app.rays.threads import in_pieces

Floats = npt.NDArray[np.float32]

_FULL = np.float32(32767)
_FARTHEST = np.float32(1e18)
"""Of a component before it is brought back: its square is still a number."""
_LEAST_WEIGHT = 1e-20


class Edges:
    """The duals of images of ``blocks`` blocks [i, j, lane] within a border, for one ``weight`` of total variation."""

    def __init__(self, blocks: int, shape: tuple[int, ...], border: int, lane_count: int, weight: float) -> None:
        rows, columns, lanes = shape[0] - 2 * border, shape[1] - 2 * border, shape[2]
        self.values = np.zeros((blocks, rows, columns, 3, lanes), np.int16)
        self._border, self._lane_count = border, lane_count
        self._weight = max(weight, _LEAST_WEIGHT)

    def step(self, number: int, image: Floats, following: Floats | None, step: float) -> None:
        """Take the duals of a block ``step`` times the differences of its image on, and back to the weight's length.

        ``following`` is the image of the next block, None for the last.
        """
        scale = np.float32(min(step / self._weight * float(_FULL), 1e30))
        lanes = image.shape[2]
        pairs = max(0, min(lanes - 1, self._lane_count - 1 - number * lanes))
        joined = following is not None and (number + 1) * lanes < self._lane_count
        beside = image if following is None else following
        duals = self.values[number]
        in_pieces(lambda first, last: _step(image, beside, scale, pairs, joined, self._border, first, last, duals),
                  len(duals))  # fmt: skip

    def add_divergence(self, number: int, steps: Floats, image: Floats) -> None:
        """Add ``steps`` [i, j, 1 or lane] times the divergence of the duals to the image of a block.

        The divergence is minus the adjoint of the differences, as duals beyond are zero.
        """
        unit = np.float32(self._weight / float(_FULL))
        duals, before = self.values[number], self.values[max(number - 1, 0)]
        in_pieces(
            lambda first, last: _add_divergence(
                duals, before, number > 0, unit, steps, self._border, first, last, image
            ),
            len(duals),
        )  # fmt: skip


@kernel
def _on(dual: Any, i: int, j: int, lane: int, down: Any, right: Any, beside: Any) -> None:
    """Take one vector on, then back to the full length at most."""
    a = min(max(np.float32(dual[i, j, 0, lane]) + down, -_FARTHEST), _FARTHEST)
    b = min(max(np.float32(dual[i, j, 1, lane]) + right, -_FARTHEST), _FARTHEST)
    c = min(max(np.float32(dual[i, j, 2, lane]) + beside, -_FARTHEST), _FARTHEST)
    factor = _FULL / max(np.sqrt(a * a + b * b + c * c), _FULL)
    dual[i, j, 0, lane] = np.int16(np.rint(factor * a))
    dual[i, j, 1, lane] = np.int16(np.rint(factor * b))
    dual[i, j, 2, lane] = np.int16(np.rint(factor * c))


@kernel
def _step(
    image: Any, following: Any, scale: Any, pairs: int, joined: bool, border: int, first: int, last: int, dual: Any
) -> None:
    rows, columns, _, lanes = dual.shape
    for i in range(first, last):
        here_i, next_i = i + border, min(i + 1, rows - 1) + border
        for j in range(columns):
            here_j, next_j = j + border, min(j + 1, columns - 1) + border
            for lane in range(pairs):
                here, beside = image[here_i, here_j, lane], image[here_i, here_j, lane + 1]
                down, right = image[next_i, here_j, lane] - here, image[here_i, next_j, lane] - here
                _on(dual, i, j, lane, scale * down, scale * right, scale * (beside - here))
            for lane in range(pairs, lanes):
                here = image[here_i, here_j, lane]
                beside = following[here_i, here_j, 0] if joined else here
                down, right = image[next_i, here_j, lane] - here, image[here_i, next_j, lane] - here
                _on(dual, i, j, lane, scale * down, scale * right, scale * (beside - here))


@kernel
def _add_divergence(
    dual: Any, before: Any, joined: bool, unit: Any, steps: Any, border: int, first: int, last: int, image: Any
) -> None:
    _, columns, _, lanes = dual.shape
    for i in range(first, last):
        above, over = max(i - 1, 0), np.int32(i > 0)
        for j in range(columns):
            left, beside = max(j - 1, 0), np.int32(j > 0)
            for lane in range(lanes):
                total = np.int32(dual[i, j, 0, lane]) + np.int32(dual[i, j, 1, lane]) + np.int32(dual[i, j, 2, lane])
                total -= over * np.int32(dual[above, j, 0, lane]) + beside * np.int32(dual[i, left, 1, lane])
                step = steps[i, j, lane if steps.shape[2] > 1 else 0]
                image[i + border, j + border, lane] += unit * step * np.float32(total)
            for lane in range(1, lanes):
                step = steps[i, j, lane if steps.shape[2] > 1 else 0]
                image[i + border, j + border, lane] -= unit * step * np.float32(dual[i, j, 2, lane - 1])
            if joined:
                image[i + border, j + border, 0] -= unit * steps[i, j, 0] * np.float32(before[i, j, 2, lanes - 1])


@kernel
def _look_ahead(image: Any, first: int, last: int, ahead: Any) -> None:
    for i in range(first, last):
        for j in range(image.shape[1]):
            for lane in range(image.shape[2]):
                ahead[i, j, lane] = 2 * image[i, j, lane] - ahead[i, j, lane]


def look_ahead(image: Floats, ahead: Floats) -> None:
    """``ahead``, which held the image before, becomes as far beyond the image as that was behind."""
    in_pieces(lambda first, last: _look_ahead(image, first, last, ahead), len(image))
