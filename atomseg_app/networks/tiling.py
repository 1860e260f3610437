"""A network over an image of any size at constant memory: tiles whose answers are those of the whole image.

Each tile is read with an overlap to all sides that is cropped again, and begins on the network's own grid; so where
the overlap is at least the reach of the network, nothing but rounding tells tiles from the whole image.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import nn

from atomseg_app.errors import UserError
from atomseg_app.operations import Report

Precision = Literal["auto", "float32", "bfloat16"]

_NO_MEMORY = (
    "out of memory", "allocate memory", "not enough memory", "bad_alloc", "bad allocation",
    "could not create a primitive", "could not create a memory",  # oneDNN's words for it
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """Values (channels, h, w), float32 on the network's device, of the part ``rows``, ``columns`` of the image."""

    rows: slice
    columns: slice
    values: torch.Tensor


@dataclass(frozen=True)
class _Cut:
    """Grid of the tiles along one side: what is padded begins at ``start`` and ends at ``stop``, both on the grid."""

    start: int
    stop: int
    size: int
    stride: int

    @classmethod
    def of(cls, size: int, border_px: int, stride: int) -> _Cut:
        border = _up(border_px, stride)
        return cls(-border, -border + _up(size + 2 * border, stride), size, stride)

    def pieces(self, start: int, stop: int, most: int) -> list[tuple[int, int]]:
        """A part of the side in as few pieces of at most ``most`` pixels as there are, nearly alike."""
        cells = (stop - start) // self.stride
        count = -(-cells // max(1, most // self.stride))
        edges = [start + self.stride * (cells * k // count) for k in range(count + 1)]
        return list(pairwise(edges))

    def with_overlap(self, piece: tuple[int, int], overlap_px: int) -> tuple[int, int]:
        return max(self.start, piece[0] - overlap_px), min(self.stop, piece[1] + overlap_px)

    def indices(self, start: int, stop: int) -> torch.Tensor:
        """Pixels of the image at such places of the padded side: mirrored at the first and the last pixel."""
        period = max(1, 2 * (self.size - 1))
        place = torch.arange(start, stop) % period
        return torch.minimum(place, period - place)


def tiles(
    module: nn.Module,
    image: torch.Tensor,
    report: Report,
    *,
    tile_px: int = 1024,
    overlap_px: int = 128,
    border_px: int = 0,
    channels: Sequence[int] | None = None,
    precision: Precision = "auto",
) -> Iterator[Answer]:
    """Answers of a network for an image (y, x) or (c, y, x), tile by tile; together they cover it once.

    ``module`` is in evaluation mode, maps (1, c, h, w) to (1, channels, h, w) and says in ``module.stride`` of what its
    sides must be multiples; sides that are not are mirrored at the right and the bottom, and ``border_px`` mirrors the
    image that far to all sides. Tiles are at most ``tile_px`` wide with their overlap. ``precision`` "auto" computes in
    bfloat16 where the processor has instructions for it. Where memory runs out, tiles are halved, and the report says
    so. The report is asked for cancellation before each tile. Raises UserError if the smallest tile does not fit
    memory, ValueError for an image without pixels, a
    module in training mode, or an overlap that leaves no tile.
    """
    if not image.numel():
        raise ValueError(f"an image of shape {tuple(image.shape)} has no pixels")
    stride = _stride(module)
    overlap = _up(overlap_px, stride)
    pixels = image if image.ndim == 3 else image[None]
    down, across = (_Cut.of(size, border_px, stride) for size in pixels.shape[-2:])
    if tile_px < 2 * overlap + stride:
        raise ValueError(f"tiles of {tile_px} px leave nothing beside an overlap of {overlap} px to each side")
    pending = deque([((down.start, down.stop), (across.start, across.stop))])
    total, done = (down.stop - down.start) * (across.stop - across.start), 0
    while pending:
        rows, columns = pending.popleft()
        parts = [
            (part, other)
            for part in down.pieces(*rows, _core(down, tile_px, overlap))
            for other in across.pieces(*columns, _core(across, tile_px, overlap))
        ]
        if len(parts) > 1:
            pending.extendleft(reversed(parts))
            continue
        report.progress(done / total, "Running the network")
        top, bottom = down.with_overlap(rows, overlap)
        left, right = across.with_overlap(columns, overlap)
        tile = _gather(pixels, down.indices(top, bottom), across.indices(left, right))
        inner = (slice(rows[0] - top, rows[1] - top), slice(columns[0] - left, columns[1] - left))
        values = _answer(module, tile, inner, channels, precision)
        if isinstance(values, str):
            tile_px = _smaller(tile_px, overlap, max(tile.shape[-2:]), stride, values, report)
            pending.appendleft((rows, columns))
            continue
        done += (rows[1] - rows[0]) * (columns[1] - columns[0])
        yield _within(values, (rows[0], columns[0]), (down.size, across.size))
    report.progress(1.0, "Running the network")


def apply_tiled(
    module: nn.Module,
    image: torch.Tensor,
    report: Report,
    *,
    tile_px: int = 1024,
    overlap_px: int = 128,
    border_px: int = 0,
    channels: Sequence[int] | None = None,
    precision: Precision = "auto",
    result_dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Answer (channels, y, x) of a network for a whole image, on the image's device; see :func:`tiles`."""
    result: torch.Tensor | None = None
    for part in tiles(
        module,
        image,
        report,
        tile_px=tile_px,
        overlap_px=overlap_px,
        border_px=border_px,
        channels=channels,
        precision=precision,
    ):
        if result is None:
            shape = (len(part.values), *image.shape[-2:])
            result = torch.empty(shape, dtype=result_dtype, device=image.device)
        result[:, part.rows, part.columns] = part.values.to(result_dtype)
    assert result is not None  # an image that has pixels has tiles
    return result


def precision_of(wish: Precision, device: torch.device) -> torch.dtype:
    """Type that convolutions compute in: bfloat16 if wished for, or by itself where a device has instructions for it.

    The choice depends on the machine alone, not on how busy it is, so that results can be repeated.
    """
    if wish != "auto":
        return torch.bfloat16 if wish == "bfloat16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float32
    tell = getattr(torch.cpu, "get_capabilities", None)  # torch 2.11 and later
    able = tell() if device.type == "cpu" and tell is not None else {}
    return torch.bfloat16 if able.get("avx512_bf16") or able.get("amx_bf16") else torch.float32


def no_memory(problem: BaseException) -> bool:
    """Whether what torch raised says that memory did not suffice."""
    return isinstance(problem, MemoryError) or any(sign in str(problem).lower() for sign in _NO_MEMORY)


def _stride(module: nn.Module) -> int:
    if module.training:
        raise ValueError("the network is in training mode, where its answer depends on the batch: call eval() first")
    return int(module.stride)  # type: ignore[arg-type]


def _up(value: int, step: int) -> int:
    """Next multiple of a step that is not smaller."""
    return -(-value // step) * step


def _core(cut: _Cut, tile_px: int, overlap_px: int) -> int:
    """Pixels of a side that a tile answers for: all if they fit one tile, else what the overlap leaves."""
    return cut.stop - cut.start if cut.stop - cut.start <= tile_px else tile_px - 2 * overlap_px


def _gather(pixels: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Tile (1, c, h, w) of an image (c, y, x), mirrored where the indices are."""
    device = pixels.device
    return pixels.index_select(1, rows.to(device)).index_select(2, columns.to(device))[None].float()


@torch.no_grad()
def _answer(
    module: nn.Module,
    tile: torch.Tensor,
    inner: tuple[slice, slice],
    channels: Sequence[int] | None,
    precision: Precision,
) -> torch.Tensor | str:
    """The network's answer (channels, h, w) for the inner part of a tile; torch's words if memory does not hold it."""
    device = next(module.parameters()).device
    dtype = precision_of(precision, device)
    try:
        placed = tile.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            out = module(placed)
        if out.shape[-2:] != tile.shape[-2:]:
            raise ValueError(f"the network answers {tuple(tile.shape)} with {tuple(out.shape)}: not pixel for pixel")
        chosen = out[0] if channels is None else out[0, list(channels)]
        values: torch.Tensor = chosen[:, inner[0], inner[1]].float()
        return values
    except (RuntimeError, MemoryError) as problem:
        if not no_memory(problem):
            raise
        words = str(problem).partition("\n")[0][:200]
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return words


def _smaller(tile_px: int, overlap_px: int, tried_px: int, stride: int, words: str, report: Report) -> int:
    """Size of tiles after memory ran out for a tile; the report is told. Raises UserError at the smallest."""
    smaller = min(tile_px, tried_px) // 2
    if smaller < 2 * overlap_px + stride:
        raise UserError(
            f"Memory does not hold the network's work on {tried_px} x {tried_px} pixels ({words}); close other "
            "programs, or compute on another device."
        )
    report.note(f"Memory ran out in tiles of {tried_px} px; the image is computed in tiles of {smaller} px.")
    return smaller


def _within(values: torch.Tensor, corner: tuple[int, int], size: tuple[int, int]) -> Answer:
    """The part of an answer that lies in the image, its corner being at (y, x)."""
    spans = [
        (max(0, start), min(length, start + extent))
        for start, extent, length in zip(corner, values.shape[-2:], size, strict=True)
    ]
    rows, columns = (slice(a, max(a, b)) for a, b in spans)
    y, x = corner
    return Answer(rows, columns, values[:, rows.start - y : rows.stop - y, columns.start - x : columns.stop - x])
