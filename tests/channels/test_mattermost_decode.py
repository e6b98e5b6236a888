"""Mattermost's frames, posts and requests as values: whatever comes, it is a value or a DecodeError."""

import json
import os
import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoozl.channels.mattermost import decode, encode, taking, verify
from zoozl.channels.mattermost.taking import Me
from zoozl.chatbot.message import Message

sys.path.append(str(Path(__file__).parents[1] / "fakes"))

from chance import changed

# Examples of each fuzz test, if not the usual number; with many of them give pytest a longer --timeout as well.
FUZZ = int(os.environ.get("ZOOZL_TEST_FUZZ", "0"))
ME = Me("botid", ("zoozl", "ai-bot"))
POST = {
    "id": "p1",
    "channel_id": "c1",
    "user_id": "u1",
    "root_id": "",
    "message": "hi",
    "create_at": 1,
    "type": "",
    "props": {},
    "file_ids": ["f1"],
    "metadata": {"files": [{"id": "f1", "name": "../a.txt", "size": 3, "mime_type": "text/plain; charset=x"}]},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ["id", "channel_id", "user_id", "root_id", "message", "create_at", "type", "props", "file_ids", "metadata"]
ASKED = ["user_id", "user_name", "channel_id", "post_id", "trigger_id", "context", "state", "submission", "cancelled"]


def said(text, **more):
    return decode.post({**POST, "message": text, **more})


def test_a_post_is_decoded_twice():
    post = decode.posted({"post": json.dumps(POST), "mentions": '["botid"]', "channel_type": "O"})
    assert (post.id, post.text, post.mentions, post.room_type) == ("p1", "hi", {"botid"}, "O")
    assert post.files == (decode.File("f1", "a.txt", 3, "text/plain"),)


@pytest.mark.parametrize("file_id", [{}, [], None, 7])
def test_what_is_told_of_a_file_without_an_id_is_passed_over(file_id):
    post = said("hi", metadata={"files": [{"id": file_id, "name": "b.txt"}, {"id": "f1", "name": "a.txt"}]})
    assert [file.name for file in post.files] == ["a.txt"]


@pytest.mark.parametrize("mentions", ["{", "17", '{"a": 1}', 17, []])
def test_mentions_that_are_no_list_in_json_are_an_error(mentions):
    with pytest.raises(decode.DecodeError):
        decode.posted({"post": json.dumps(POST), "mentions": mentions})


@settings(max_examples=FUZZ or 300, deadline=None)
@given(st.text(max_size=200) | JSON.map(json.dumps))
def test_any_frame_is_a_frame_or_an_error(text):
    try:
        decode.frame(text)
    except decode.DecodeError:
        pass


@settings(max_examples=FUZZ or 500, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.booleans())
def test_any_post_is_a_post_or_an_error(changes, whole):
    raw = {**POST, **changes} if whole else changes
    try:
        post = decode.posted({"post": json.dumps(raw)})
    except decode.DecodeError:
        return
    taking.mentions(post, ME)
    taking.words(post.text, ME)
    post.text.encode()


CLICK = {"user_id": "u1", "user_name": "a", "channel_id": "c1", "post_id": "p1", "trigger_id": "t", "type": "button"}
CLICK |= {"context": {"sealed": "x", "selected_option": "s"}, "state": "x", "submission": {"name": "Anna", "n": 3}}
FRAME = {"event": "posted", "seq": 3, "data": {"post": json.dumps(POST), "mentions": '["botid"]', "channel_type": "D"}}
REPLY = {"status": "OK", "seq_reply": 1, "error": {"id": "x", "message": "y"}, "data": {}}


def test_nothing_near_to_what_mattermost_sends_makes_the_decoders_stumble():
    decoders = {
        "frame": lambda chance: decode.frame(json.dumps(changed(chance.choice([FRAME, REPLY]), chance))),
        "posted": lambda chance: decode.posted({**FRAME["data"], "post": json.dumps(changed(POST, chance))}),
        "event": lambda chance: decode.posted(decode.frame(json.dumps(changed(FRAME, chance))).data),
        "posts": lambda chance: decode.posts(changed({"order": ["a"], "posts": {"a": POST, "b": POST}}, chance)),
        "callback": lambda chance: decode.callback(json.dumps(changed(CLICK, chance)).encode()),
    }
    decoded = set()
    for seed in range(FUZZ or 2_000):
        chance = random.Random(seed)
        name = chance.choice(list(decoders))
        try:
            found = decoders[name](chance)
        except decode.DecodeError:
            continue
        decoded.add(name)
        if name == "posted":
            taking.is_said(found, ME, bots=False)
            taking.words(found.text, ME)
    assert decoded == set(decoders)


@settings(max_examples=FUZZ or 300, deadline=None)
@given(st.dictionaries(st.sampled_from(ASKED), JSON | st.just("a1")))
def test_any_callback_is_one_or_an_error(raw):
    try:
        click = decode.callback(json.dumps({"user_id": "u1", "channel_id": "c1", **raw}).encode())
    except decode.DecodeError:
        return
    with pytest.raises(verify.Forged):
        verify.unseal(b"key", "action", click.sealed, 0)


@settings(max_examples=FUZZ or 200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_no_callback(body):
    try:
        decode.callback(body)
    except decode.DecodeError:
        pass


@settings(max_examples=FUZZ or 300, deadline=None)
@given(JSON)
def test_any_list_of_posts_is_one_or_an_error(raw):
    try:
        assert isinstance(decode.posts({"posts": {"a": raw, "b": POST}}), list)
        decode.posts(raw)
    except decode.DecodeError:
        pass


@settings(max_examples=FUZZ or 300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["command", "text", "user_id", "user_name", "channel_id", "channel_name", "trigger_id"]),
        st.text(max_size=20) | st.just("a1"),
    ),
    st.text(max_size=30).map("https://mm.test/hooks/commands/".__add__),
)
def test_any_command_is_one_or_an_error(form, url):
    try:
        decode.command({**form, "response_url": url})
    except decode.DecodeError:
        pass


@settings(max_examples=FUZZ or 300, deadline=None)
@given(st.text(max_size=80))
def test_nothing_opens_but_what_was_sealed(text):
    with pytest.raises(verify.Forged):
        verify.unseal(b"key", "action", text, 0)
    assert verify.unseal(b"key", "action", verify.seal(b"key", "action", text, 10), 9) == text
    with pytest.raises(verify.Expired):
        verify.unseal(b"key", "action", verify.seal(b"key", "action", text, 10), 10)


@pytest.mark.parametrize(
    ("text", "mentioned", "words"),
    [
        ("@zoozl hi", True, "hi"),
        ("@ZOOZL: hi", True, "hi"),
        ("@ai-bot, hi", True, "hi"),
        ("well @zoozl.", True, "well @zoozl."),
        ("zoozl: hi", False, "hi"),
        ("zoozl is fine", False, "zoozl is fine"),
        ("@zoozler hi", False, "@zoozler hi"),
        ("@zoozl-two hi", False, "@zoozl-two hi"),
        ("@zoozl.two hi", False, "@zoozl.two hi"),
        ("me@zoozl hi", False, "me@zoozl hi"),
        ("`@zoozl` hi", False, "`@zoozl` hi"),
        ("```\n@zoozl\n```", False, "```\n@zoozl\n```"),
        ("@zoozl", True, ""),
    ],
)
def test_who_is_spoken_to(text, mentioned, words):
    assert taking.mentions(said(text), ME) is mentioned
    assert taking.words(text, ME) == words


def test_the_list_of_those_mentioned_counts_unless_everybody_is():
    listed = said("psst")
    listed.mentions = frozenset({"botid", "u2"})
    assert taking.mentions(listed, ME)
    everybody = said("@here psst")
    everybody.mentions = frozenset({"botid"})
    assert not taking.mentions(everybody, ME)


def test_a_text_of_any_length_is_posts_that_fit():
    for text in ("", "a", "x" * 40_000, "word " * 20_000, "```py\n" + "line\n" * 9_000 + "```"):
        found = encode.drafts(Message(text), buttons=False)
        assert all(0 < len(draft.text) <= encode.LONGEST_POST for draft in found)
    assert len(encode.drafts(Message("x" * 40_000), buttons=False)) == 3


def test_a_command_token_is_compared_whole():
    assert verify.is_command_token("abcdef", ["other", "abcdef"])
    assert not verify.is_command_token("abcde", ["abcdef"])
    assert not verify.is_command_token("", ["abcdef"])
    assert not verify.is_command_token(None, ["abcdef"])
