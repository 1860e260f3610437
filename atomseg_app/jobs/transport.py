"""Messages between the window and its compute process: length-prefixed JSON over a pair of pipes.

A frame is six bytes, protocol version then length (big-endian), and that many bytes of UTF-8 JSON ``[kind, fields]``.
The version comes first, so that a window and a compute process of different releases refuse each other by name.
"""

from __future__ import annotations

import json
import struct
import threading
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, BinaryIO

import numpy as np

PROTOCOL = 1
MAX_FRAME_BYTES = 64 << 20
"""Larger than any message (arrays do not travel here), small enough that a damaged length takes no memory."""

_HEADER = struct.Struct(">HI")


class ProtocolError(Exception):
    """The stream holds something that is no message of this protocol version."""


class CutShortError(ProtocolError):
    """The stream ends within a message."""


@dataclass(frozen=True)
class Message:
    """One message: what it is about and its JSON-able fields."""

    kind: str
    fields: dict[str, Any]


def _plain(value: object) -> Any:
    """JSON form of what metadata of files commonly holds beside plain JSON."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot cross between processes: {value!r}")


def encode(kind: str, fields: dict[str, Any]) -> bytes:
    """One frame. Raises TypeError for fields that are not JSON-able and ProtocolError for a frame that is too long."""
    body = json.dumps([kind, fields], default=_plain).encode()
    if len(body) > MAX_FRAME_BYTES:
        raise ProtocolError(f"the message {kind!r} is {len(body)} bytes long; the most is {MAX_FRAME_BYTES}")
    return _HEADER.pack(PROTOCOL, len(body)) + body


class Channel:
    """Both directions of one connection. Any thread may send; one thread receives."""

    def __init__(self, read: BinaryIO, write: BinaryIO) -> None:
        self._read, self._write = read, write
        self._sending = threading.Lock()

    def send(self, kind: str, **fields: Any) -> None:
        """Send one message. Raises OSError if the other side is gone."""
        frame = encode(kind, fields)
        with self._sending:
            try:
                self._write.write(frame)
                self._write.flush()
            except ValueError:
                raise BrokenPipeError("the connection is closed") from None

    def receive(self) -> Message | None:
        """Next message, or None at the end of the stream. Raises ProtocolError if the stream is damaged."""
        header = self._read.read(_HEADER.size)
        if not header:
            return None
        if len(header) < _HEADER.size:
            raise CutShortError("the stream ends within a message")
        version, length = _HEADER.unpack(header)
        if version != PROTOCOL:
            raise ProtocolError(f"protocol version {version} was met where {PROTOCOL} is spoken")
        if length > MAX_FRAME_BYTES:
            raise ProtocolError(f"a message of {length} bytes is announced; the most is {MAX_FRAME_BYTES}")
        body = self._read.read(length)
        if len(body) < length:
            raise CutShortError("the stream ends within a message")
        try:
            message = json.loads(body)
        except ValueError as problem:
            raise ProtocolError(f"a message is not readable: {problem}") from None
        match message:
            case [str(kind), dict(fields)]:
                return Message(kind, fields)
            case _:
                raise ProtocolError("a message lacks its kind or its fields")
