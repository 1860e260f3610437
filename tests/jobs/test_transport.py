"""Messages survive the wire; damaged ones are refused by name and take no memory."""

import contextlib
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomseg_app.jobs.transport import MAX_FRAME_BYTES, PROTOCOL, Channel, Message, ProtocolError, encode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def received(data):
    return Channel(io.BytesIO(data), io.BytesIO()).receive()


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_any_json_comes_back(fields):
    assert received(encode("kind", fields)) == Message("kind", fields)


def test_messages_in_a_row_and_the_end():
    sent = io.BytesIO()
    channel = Channel(io.BytesIO(), sent)
    channel.send("first", x=1)
    channel.send("second", text="Å ångström")
    reading = Channel(io.BytesIO(sent.getvalue()), io.BytesIO())
    assert [reading.receive(), reading.receive(), reading.receive()] == [
        Message("first", {"x": 1}),
        Message("second", {"text": "Å ångström"}),
        None,
    ]


def test_the_version_comes_first():
    assert struct.unpack(">H", encode("kind", {})[:2]) == (PROTOCOL,)


@given(st.integers(1, len(encode("kind", {"number": 5})) - 1))
def test_cut_anywhere_it_is_refused(length):
    with pytest.raises(ProtocolError, match="ends within a message"):
        received(encode("kind", {"number": 5})[:length])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (struct.pack(">HI", PROTOCOL + 1, 2) + b"[]", f"version {PROTOCOL + 1}"),
        (struct.pack(">HI", PROTOCOL, MAX_FRAME_BYTES + 1), "announced"),
        (struct.pack(">HI", PROTOCOL, 3) + b"{x}", "not readable"),
        (struct.pack(">HI", PROTOCOL, 2) + b"\xff\xfe", "not readable"),
        (struct.pack(">HI", PROTOCOL, 2) + b"17", "lacks"),
        (struct.pack(">HI", PROTOCOL, 6) + b"[1,{}]", "lacks"),
        (b"Traceback (most recent call last)", "version"),
    ],
)
def test_damage_is_refused(data, words):
    with pytest.raises(ProtocolError, match=words):
        received(data)


@given(st.binary(max_size=60))
def test_noise_is_a_message_or_a_protocol_error(data):
    with contextlib.suppress(ProtocolError):
        received(data)


def test_numpy_scalars_and_paths_are_plain_json():
    fields = {"a": np.float32(0.5), "b": np.int64(3), "c": np.arange(2), "d": Path("x") / "y", "e": np.bool_(True)}
    assert received(encode("kind", fields)).fields == {"a": 0.5, "b": 3, "c": [0, 1], "d": str(Path("x/y")), "e": True}


def test_what_cannot_cross_is_named():
    with pytest.raises(TypeError, match="complex cannot cross"):
        encode("kind", {"value": 1j})


def test_a_frame_that_the_other_side_would_refuse_is_not_sent():
    with pytest.raises(ProtocolError, match="bytes long"):
        encode("kind", {"text": "x" * MAX_FRAME_BYTES})
