"""Frames that are made and read here, against a library that is not ours."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from zoozl.channels.websocket import wire
from zoozl.channels.websocket.inbound import BUFFER, Inlet, Partials
from zoozl.channels.websocket.reader import CROWD, Reader
from zoozl.channels.websocket.replies import Replies
from zoozl.channels.websocket.talkers import Talkers
from zoozl.chatbot import Address, Message


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


class Line:
    """What is at the other ends of an Inlet: the socket, the parser, and who waits for a text."""

    def __init__(self):
        self.parsed, self.heard = b"", []
        transport = SimpleNamespace(pause_reading=lambda: None, resume_reading=lambda: None)
        self.inlet = Inlet(transport, SimpleNamespace(data_received=self.parse), Partials(1 << 20))
        self.inlet.hear = self.hear

    def parse(self, data):
        self.parsed += data

    def hear(self, text):
        self.heard.append(text)
        return True

    def comes(self, data):
        BUFFER[: len(data)] = data
        self.inlet.buffer_updated(len(data))


def test_a_text_that_comes_alone_is_offered_to_who_waits():
    line = Line()
    line.comes(HELLO)
    assert (line.heard, line.parsed) == ([b"hello"], b"")
    line.inlet.hear = lambda text: False
    line.comes(HELLO)
    assert (line.heard, line.parsed) == ([b"hello"], HELLO), "what is declined goes the other way"
    line.inlet.hear = None
    line.comes(HELLO)
    assert line.parsed == HELLO * 2


def test_a_text_behind_others_keeps_its_place():
    line = Line()
    line.comes(HELLO * 2)
    line.comes(HELLO)
    assert (line.heard, line.parsed) == ([], HELLO * 3)


@pytest.mark.parametrize("shown", [1, 3, 8, 100])
def test_what_looks_like_a_text_inside_of_another_frame_is_none(shown):
    line = Line()
    frame = b"\x81\xfe\x00\xc8" + bytes(4) + b"x" * (200 - len(HELLO)) + HELLO
    line.comes(frame[:shown])
    line.comes(frame[shown : -len(HELLO)])
    line.comes(HELLO)
    assert (line.heard, line.parsed) == ([], frame)


def test_a_text_between_the_fragments_of_another_is_left_to_the_parser():
    line = Line()
    first = Frame(Opcode.TEXT, b"hel", fin=False).serialize(mask=True)
    line.comes(first)
    line.comes(HELLO)
    assert (line.heard, line.parsed) == ([], first + HELLO)


@pytest.mark.parametrize(
    ("busy", "bucket", "text"),
    [(CROWD, None, b'{"text": "x"}'), (0, "limited", b'{"text": "x"}'), (0, None, b'{"ack": 1}'), (0, None, b"\xff")],
)
def test_what_may_have_to_wait_is_not_heard_at_once(busy, bucket, text):
    # Neither the bot nor the connection has anything that could be used.
    reader = Reader(SimpleNamespace(busy=busy), SimpleNamespace(required=False), None)
    assert not reader._hear_at_once(SimpleNamespace(bucket=bucket), text)


@pytest.mark.parametrize("way", ["behind", "closed", "not ready", "of several"])
def test_what_has_to_wait_is_not_sent_at_once(way):
    connection = SimpleNamespace(
        behind=way == "behind", socket=SimpleNamespace(closed=way == "closed"), ready=way != "not ready", acks=False
    )
    talkers = Talkers()
    talkers.single["anna"] = connection
    address = Address("websocket", "token" if way == "of several" else "", talker="anna")
    assert Replies(talkers, None).send_nowait(address, Message("x"), "1") is None
