"""A 3D network over a volume of any size: overlapping blocks, blended by weights that fall towards their faces.

Only the blocks of one row of slices are held: what lies behind the next row is finished and given away.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from atomseg_app.data import Array
from atomseg_app.errors import UserError
from atomseg_app.networks.tiling import no_memory, precision_of
from atomseg_app.operations import Report
from atomseg_app.segmentation.grey import GreyRange

_OVERLAP = 0.5
_SMALLEST = 32

Slices = tuple[int, npt.NDArray[np.float32]]


def block_probabilities(
    module: nn.Module, values: Array, grey: GreyRange, report: Report, *, side_px: int = 96, flips: bool = False
) -> Iterator[Slices]:
    """First slice and probabilities (classes, slices, rows, columns) of one finished part after the other.

    Where memory does not hold a block, blocks are halved and the report says so. Raises UserError at the smallest,
    Cancelled.
    """
    while True:
        try:
            yield from _rows_of_blocks(module, values, grey, report, side_px, flips)
            return
        except (RuntimeError, MemoryError) as problem:
            if not no_memory(problem):
                raise
        side_px //= 2
        if side_px < _SMALLEST:
            raise UserError(
                "Memory does not hold the network's work on the smallest block; close other programs, or compute on "
                "another device."
            )
        report.note(f"Memory ran out in blocks of {2 * side_px} voxels; the volume is computed in {side_px} voxels.")


def _rows_of_blocks(
    module: nn.Module, values: Array, grey: GreyRange, report: Report, side_px: int, flips: bool
) -> Iterator[Slices]:
    sides = [min(side_px, length) for length in values.shape]
    starts = [_starts(length, side) for length, side in zip(values.shape, sides, strict=True)]
    windows = [_window(side) for side in sides]
    totals = [
        _total(length, first, window) for length, first, window in zip(values.shape, starts, windows, strict=True)
    ]
    weight = windows[0][:, None, None] * windows[1][:, None] * windows[2]
    plane = totals[1][:, None] * totals[2]
    sums: npt.NDArray[np.float32] | None = None
    count, number = len(starts[0]) * len(starts[1]) * len(starts[2]), 0
    for row, top in enumerate(starts[0]):
        for left in starts[1]:
            for near in starts[2]:
                report.progress(number / count, "Segmenting")
                number += 1
                place = (slice(top, top + sides[0]), slice(left, left + sides[1]), slice(near, near + sides[2]))
                found = _answer(module, grey.apply(values[place]), flips)
                if sums is None:
                    sums = np.zeros((len(found), sides[0], *values.shape[1:]), np.float32)
                sums[:, :, place[1], place[2]] += weight * found
        assert sums is not None
        finished = (starts[0][row + 1] if row + 1 < len(starts[0]) else len(values)) - top
        weights = totals[0][top : top + finished, None, None] * plane
        yield top, np.divide(sums[:, :finished], weights, dtype=np.float32)
        sums = np.concatenate([sums[:, finished:], np.zeros_like(sums[:, :finished])], 1)


@torch.no_grad()
def _answer(module: nn.Module, values: npt.NDArray[np.float32], flips: bool) -> npt.NDArray[np.float32]:
    """Probabilities (classes, z, y, x) of a block, the mean over its mirror images where wished."""
    device = next(module.parameters()).device
    block = torch.from_numpy(values)[None, None].to(device)
    total: torch.Tensor | None = None
    for flip in ((), (2,), (3,), (4,)) if flips else ((),):
        with torch.autocast(device.type, torch.bfloat16, enabled=precision_of("auto", device) == torch.bfloat16):
            logits = module(block.flip(flip).contiguous(memory_format=torch.channels_last_3d))
        chance = torch.softmax(logits.float(), 1).flip(flip)
        total = chance if total is None else total + chance
    assert total is not None
    return (total / (4 if flips else 1))[0].cpu().numpy()


def _starts(length: int, side: int) -> list[int]:
    """Where blocks begin: evenly spread, overlapping by at least the share wished for."""
    step = max(1, round(side * (1 - _OVERLAP)))
    count = max(1, -(-(length - side) // step) + 1)
    return [round(index * (length - side) / max(1, count - 1)) for index in range(count)]


def _window(side: int) -> npt.NDArray[np.float32]:
    """Weights of a block along one side: highest in the middle, never 0."""
    place = (np.arange(side) + 0.5) / side
    return (np.sin(np.pi * place) ** 2 + 1e-3).astype(np.float32)


def _total(length: int, starts: list[int], window: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    total = np.zeros(length, np.float32)
    for start in starts:
        total[start : start + len(window)] += window
    return total
