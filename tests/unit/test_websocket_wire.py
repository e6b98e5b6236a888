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


HELLO = Frame(Opcode.TEXT, b"hello").serialize(mask=True)
OTHERS = {
    "nothing": b"",
    "a byte": b"\x81",
    "without a mask": Frame(Opcode.TEXT, b"hello").serialize(mask=False),
    "long": Frame(Opcode.TEXT, b"x" * 126).serialize(mask=True),
    "binary": Frame(Opcode.BINARY, b"hello").serialize(mask=True),
    "ping": Frame(Opcode.PING, b"hello").serialize(mask=True),
    "a fragment": Frame(Opcode.TEXT, b"hello", fin=False).serialize(mask=True),
    "a reserved bit": b"\xc1" + HELLO[1:],
    "a part": HELLO[:-1],
    "two": HELLO * 2,
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_anything_else_is_left_to_others(what):
    assert wire.short_text(OTHERS[what]) is None


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
