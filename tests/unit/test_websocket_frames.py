"""Frames in and out, without a socket."""

import base64
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoozl.channels.websocket.encode import encode, encode_error, encode_stream, shown
from zoozl.channels.websocket.frames import Ack, Answer, Auth, FrameError, Hello, Listing, decode
from zoozl.chatbot import Message, MessagePart
from zoozl.chatbot.question import Kind, Question, to_choices
from zoozl.errors import Undeliverable


def test_a_text_comes_in_and_goes_out():
    assert decode('{"text": "hi"}').text == "hi"
    assert json.loads(encode(Message("hi", "Oscar"))) == {"author": "Oscar", "text": "hi"}


def test_hello_and_acknowledgements():
    assert decode('{"hello": {"resume": null, "last": 7}}') == Hello(None, 7)
    assert decode('{"ack": 17}') == Ack(17)
    assert decode('{"text": "x", "id": "a"}').id == "a"
    assert json.loads(encode(Message("hi"), 17))["seq"] == 17


def test_tokens_come_alone_or_with_hello():
    assert decode('{"auth": {"token": "x"}}') == Auth("x")
    assert decode('{"hello": {"resume": null, "auth": {"token": "x"}}}') == Hello(None, 0, "x")
    assert decode('{"hello": {"auth": null}}') == Hello(None, 0, None)


def test_listings_have_the_first_page_of_ten_unless_they_say_otherwise():
    assert decode('{"operation": "list_messages"}') == Listing(1, 10, "", False)
    assert decode('{"operation": "list_messages", "page": 0, "page_size": 100, "id": "x", "with_files": true}') == (
        Listing(1, 100, "x", True)
    )


def test_answers_to_questions_are_messages_that_name_them():
    chosen = decode('{"id": "a", "text": "Yes", "choice": {"question": "q", "value": "y"}}')
    assert isinstance(chosen, Answer)
    assert (chosen.message.text, chosen.message.id, chosen.question, chosen.value) == ("Yes", "a", "q", "y")
    filled = decode('{"text": "", "form": {"question": "q", "values": {"n": 1.5, "b": true, "t": "x", "e": null}}}')
    assert isinstance(filled, Answer)
    assert (filled.value, filled.values) == (None, {"n": 1.5, "b": True, "t": "x", "e": None})


def test_every_value_of_a_form_is_a_text_for_the_core():
    values = '{"a": 1.5, "b": 2.0, "c": 3, "d": true, "e": false, "f": null, "g": "x", "h": 1e300}'
    answer = decode(f'{{"text": "", "form": {{"question": "q", "values": {values}}}}}').answer
    assert answer.question == "q"
    assert answer.value == {"a": "1.5", "b": "2", "c": "3", "d": "yes", "e": "no", "f": "", "g": "x", "h": "1e+300"}
    assert decode('{"text": "Yes", "choice": {"question": "q", "value": "y"}}').answer == ("q", "y")


def asked(question, text=None):
    message = Message(question.text if text is None else text, sent=7.0)
    message.question = question
    return message


def test_a_question_is_shown_without_its_numbers_where_there_are_buttons():
    message = asked(Question("7", "Which?", Kind.CHOICE, to_choices({"a": "One", "b": "Two"})))
    assert json.loads(encode(message)) == {"author": "", "text": "Which?\n\n1. One\n2. Two"}
    packet = json.loads(encode(message, 17))
    assert (packet["text"], packet["plain"]) == (shown(message), message.text) == ("Which?", message.text)
    options = [{"value": "a", "label": "One"}, {"value": "b", "label": "Two"}]
    assert packet["choices"] == {"question": "7", "options": options}


def test_yes_and_no_are_buttons_and_a_question_in_words_has_none():
    packet = json.loads(encode(asked(Question("7", "Sure?", Kind.CONFIRM)), 17))
    assert packet["text"] == "Sure?"
    assert [option["value"] for option in packet["choices"]["options"]] == ["yes", "no"]
    assert set(json.loads(encode(asked(Question("7", "Name?")), 17))) == {"author", "text", "seq", "sent"}


def test_the_final_reply_names_its_stream_and_the_questions_it_closes():
    message = Message("done", sent=7.0)
    message.stream, message.closes = "s", ("7", "8")
    assert json.loads(encode(message)) == {"author": "", "text": "done"}
    packet = json.loads(encode(message, 17))
    assert (packet["stream"], packet["answered"]) == ("s", ["7", "8"])


def test_what_grows_must_be_unicode():
    assert json.loads(encode_stream("s", "x", "<p>x</p>")) == {"stream": {"id": "s", "text": "x", "html": "<p>x</p>"}}
    with pytest.raises(Undeliverable):
        encode_stream("s", "\ud800", "")


def test_html_and_time_are_for_those_who_said_hello():
    plain = json.loads(encode(Message("hi", sent=7.0), 0, "<p>hi</p>"))
    assert plain == {"author": "", "text": "hi"}
    packet = json.loads(encode(Message("hi", sent=7.0), 17, "<p>hi</p>"))
    assert packet == {"author": "", "text": "hi", "html": "<p>hi</p>", "seq": 17, "sent": 7.0}


def test_a_refusal_says_what_is_refused_and_when_to_try_again():
    assert json.loads(encode_error("no")) == {"error": "no"}
    assert json.loads(encode_error("no", "a", 0.12345)) == {"error": "no", "id": "a", "retry_after": 0.123}


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
        ('{"auth": "x"}', "'token'"),
        ('{"hello": {"auth": {"token": 7}}}', "'token'"),
        ('{"operation": "drop"}', "list_messages"),
        ('{"operation": "list_messages", "page_size": 101}', "'page_size'"),
        ('{"text": "x", "choice": "x"}', "'question'"),
        ('{"text": "x", "choice": {"question": "q", "value": 7}}', "'value'"),
        ('{"text": "x", "form": {"question": "q", "values": []}}', "'values'"),
        ('{"text": "x", "form": {"question": "q", "values": {"a": {}}}}', "a value of a form"),
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


# Examples of each fuzz test, if not the usual number; with many of them give pytest a longer --timeout as well.
FUZZ = int(os.environ.get("ZOOZL_TEST_FUZZ", "0"))
json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=FUZZ or 100, deadline=None)
@given(
    st.text(max_size=200)
    | json_values.map(json.dumps)
    | st.dictionaries(
        st.sampled_from(["text", "files", "hello", "ack", "id", "auth", "operation", "choice", "form"]), json_values
    ).map(json.dumps)
)
def test_nothing_that_comes_in_is_worse_than_a_frame_error(frame):
    try:
        decode(frame)
    except FrameError:
        pass
