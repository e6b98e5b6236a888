"""Frames that are made and read here, against a library that is not ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from zoozl.channels.websocket import wire


@given(st.binary(max_size=125))
def test_a_short_text_is_read(payload):
    assert wire.short_text(Frame(Opcode.TEXT, payload).serialize(mask=True)) == payload


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x81",
        Frame(Opcode.TEXT, b"hello").serialize(mask=False),
        Frame(Opcode.TEXT, b"x" * 126).serialize(mask=True),
        Frame(Opcode.BINARY, b"hello").serialize(mask=True),
        Frame(Opcode.PING, b"hello").serialize(mask=True),
        Frame(Opcode.TEXT, b"hello", fin=False).serialize(mask=True),
        b"\xc1" + Frame(Opcode.TEXT, b"hello").serialize(mask=True)[1:],
        Frame(Opcode.TEXT, b"hello").serialize(mask=True)[:-1],
        Frame(Opcode.TEXT, b"hello").serialize(mask=True) * 2,
    ],
)
def test_what_is_anything_else_is_left_to_others(data):
    assert wire.short_text(data) is None


@given(st.binary(max_size=300))
def test_whatever_comes_is_no_reason_to_fail(data):
    wire.short_text(data)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000])
def test_a_text_is_one_whole_frame(size):
    reader = StreamReader()
    reader.feed_data(wire.text(b"x" * size))
    parsing = Frame.parse(reader.read_exact, mask=False)
    with pytest.raises(StopIteration) as parsed:
        next(parsing)
    assert parsed.value.value == Frame(Opcode.TEXT, b"x" * size)
    reader.feed_eof()
    with pytest.raises(StopIteration):
        next(reader.read_to_eof(0))
