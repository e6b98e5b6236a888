"""Frames in and out, without a socket."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoozl.channels.websocket.frames import Ack, FrameError, Hello, decode, encode
from zoozl.chatbot import Message, MessagePart


def test_a_text_comes_in_and_goes_out():
    assert decode('{"text": "hi"}').text == "hi"
    assert json.loads(encode(Message("hi", "Oscar"))) == {"author": "Oscar", "text": "hi"}


def test_hello_and_acknowledgements():
    assert decode('{"hello": {"resume": null, "last": 7}}') == Hello(None, 7)
    assert decode('{"ack": 17}') == Ack(17)
    assert decode('{"text": "x", "id": "a"}').id == "a"
    assert json.loads(encode(Message("hi"), 17))["seq"] == 17


def test_files_come_in_and_go_out_the_same():
    sent = encode(Message([MessagePart("see"), MessagePart("", b"\x00\xff", "image/png", "a.png")], "Oscar"))
    packet = json.loads(sent)
    assert packet["files"] == [{"filename": "a.png", "media_type": "image/png", "data": "AP8="}]
    assert decode(sent).files == [MessagePart("", b"\x00\xff", "image/png", "a.png")]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("", "JSON"),
        ("hello", "JSON"),
        ("[" * 100_000, "JSON"),
        ("[]", "object"),
        ('"text"', "object"),
        ("{}", "'text'"),
        ('{"text": 1}', "string"),
        ('{"text": "\\ud800"}', "JSON"),
        ('{"text": "x", "files": {}}', "list"),
        ('{"hello": 1}', "object"),
        ('{"hello": {"resume": 7}}', "string or null"),
        ('{"hello": {"last": -1}}', "number"),
        ('{"ack": "x"}', "number"),
        ('{"text": "x", "id": 7}', "'id'"),
        ('{"files": [1]}', "object"),
        ('{"files": [{"data": 1}]}', "strings"),
        ('{"files": [{"data": "!!"}]}', "base64"),
    ],
)
def test_a_bad_frame_is_refused_with_the_reason(frame, reason):
    with pytest.raises(FrameError, match=reason):
        decode(frame)


@pytest.mark.parametrize("name", ["../../etc/passwd", "..\\..\\passwd", "/etc/passwd", "pass\0wd"])
def test_a_file_name_is_its_last_part(name):
    data = base64.b64encode(b"x").decode()
    frame = json.dumps({"files": [{"filename": name, "data": data}]})
    assert decode(frame).files[0].filename == "passwd"


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.text()
    | json_values.map(json.dumps)
    | st.dictionaries(st.sampled_from(["text", "files", "hello", "ack", "id"]), json_values).map(json.dumps)
)
def test_nothing_that_comes_in_is_worse_than_a_frame_error(frame):
    try:
        decode(frame)
    except FrameError:
        pass
