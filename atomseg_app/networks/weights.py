"""Weights of a network in a safetensors file: checked before memory is taken for them.

The format: 8 bytes with the length of a header, the header (JSON: for each tensor its type, shape and place), the
numbers. https://huggingface.co/docs/safetensors; the library reads the numbers, the header is checked here, because a
file may come from anywhere.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors

from atomseg_app.errors import FileError
from atomseg_app.networks.card import read_bounded

LARGEST_HEADER = 1 << 20
LARGEST_FILE = 64 << 20
"""Bytes that a header and a whole file may have."""

_BYTES = {"F16": 2, "F32": 4, "I64": 8}
_FLOATING = ("F16", "F32")

Tensors = dict[str, torch.Tensor]


def read_weights(path: Path, expected: Mapping[str, torch.Tensor], sha256: str) -> Tensors:
    """Tensors of a file, as float32 or int64, that has exactly the names and shapes of ``expected``.

    ``expected`` is the architecture's own state; its tensors may be on the device "meta". ``sha256`` is the checksum
    that the model's card names. Raises FileError, in one sentence, for anything but such a file.
    """
    _check_header(path, _read_header(path), expected)
    content = read_bounded(path, LARGEST_FILE, "weights file")
    if hashlib.sha256(content).hexdigest() != sha256:
        raise FileError(f"{path} is not the weights file that its card describes (checksums differ); get both again.")
    try:
        tensors = safetensors.load(content)
    except (SafetensorError, ValueError, RuntimeError) as problem:
        raise FileError(f"{path} cannot be read as weights: {problem}.") from None
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise FileError(f"{path}: the weights {name!r} hold values that are no numbers; train or get it again.")
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def pack_weights(state: Mapping[str, torch.Tensor]) -> bytes:
    """A network's state as the content of a safetensors file.

    Matrices and kernels are kept as float16 where their numbers fit it; biases, the statistics of normalisation and
    what does not fit as float32. Raises ValueError for values that are not finite.
    """
    stored = {}
    for name, tensor in state.items():
        values = tensor.detach().to("cpu")
        if values.is_floating_point():
            if not torch.isfinite(values).all():
                raise ValueError(f"weights {name!r} are not finite")
            small = values.ndim > 1 and bool((values.abs() < torch.finfo(torch.float16).max).all())
            values = values.to(torch.float16 if small else torch.float32)
        stored[name] = values.contiguous().clone()
    return safetensors.save(stored)


def _read_header(path: Path) -> dict[str, Any]:
    """The header's entries for tensors, its size and the file's known to be sound."""
    try:
        size = path.stat().st_size
        if not path.is_file() or size > LARGEST_FILE:
            read_bounded(path, LARGEST_FILE, "weights file")  # says which of them it is
        with path.open("rb") as stream:
            start = stream.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= min(LARGEST_HEADER, size - 8):
                raise FileError(f"{path} is no safetensors file, or it was cut short: get it again.")
            text = stream.read(length)
    except OSError as problem:
        raise FileError(f"The weights file {path} cannot be read: {problem.strerror or problem}.") from None
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
        if not isinstance(header, dict):
            raise ValueError("it is no table")
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict):
            raise ValueError("its metadata are no table")
        _check_places(header, size - 8 - length)
    except (ValueError, RecursionError) as problem:
        raise FileError(f"{path} is no safetensors file that can be used: {problem}.") from None
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("its header says something twice")
    return table


def _check_places(header: dict[str, Any], room: int) -> None:
    """Raise ValueError unless the tensors fill so many bytes, each once, in known types."""
    places = []
    for name, entry in header.items():
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise ValueError(f"its entry {name[:80]!r} is none of a tensor")
        dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(dtype, str) or dtype not in _BYTES:
            raise ValueError(f"{name[:80]!r} is of the type {str(dtype)[:20]!r}, known: {', '.join(_BYTES)}")
        if not _sizes(shape) or not _sizes(place) or len(place) != 2:
            raise ValueError(f"the shape or place of {name[:80]!r} is none")
        if place[1] - place[0] != math.prod(shape) * _BYTES[dtype]:
            raise ValueError(f"the shape of {name[:80]!r} does not fit its place")
        places.append((place[0], place[1]))
    reached = 0
    for start, end in sorted(places):
        if start != reached:
            raise ValueError("its tensors overlap or leave gaps")
        reached = end
    if reached != room:
        raise ValueError(f"its tensors need {reached} bytes where there are {room}; it was cut short or added to")


def _sizes(value: Any) -> bool:
    """Whether it is a short list of whole numbers that could be sizes."""
    return isinstance(value, list) and len(value) <= 8 and all(type(n) is int and 0 <= n <= LARGEST_FILE for n in value)


def _check_header(path: Path, header: dict[str, Any], expected: Mapping[str, torch.Tensor]) -> None:
    """Raise FileError unless names, shapes and kinds of numbers are those of ``expected``."""
    strange, absent = sorted(set(header) - set(expected)), sorted(set(expected) - set(header))
    if strange or absent:
        name, what = (strange[0], "holds") if strange else (absent[0], "lacks")
        raise FileError(f"{path} does not fit the network that its card names: it {what} {name[:80]!r}.")
    for name, tensor in expected.items():
        shape, dtype = header[name]["shape"], header[name]["dtype"]
        if shape != list(tensor.shape):
            raise FileError(
                f"{path} does not fit the network that its card names: {name!r} is {shape} instead of "
                f"{list(tensor.shape)}."
            )
        if (dtype in _FLOATING) != tensor.is_floating_point():
            raise FileError(f"{path} does not fit the network that its card names: {name!r} is of the type {dtype}.")
