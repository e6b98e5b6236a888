"""Messages, addresses and scope keys."""

import copy
import itertools
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoozl.chatbot import Address, Message, MessagePart
from zoozl.chatbot.message import SCOPES, scope_key


def test_a_message_is_made_of_a_text_or_of_parts():
    assert Message("text").text == "text"
    assert Message([MessagePart("a"), {"text": "b"}, MessagePart(binary=b"x")]).text == "a b"
    assert Message().text == ""
    assert Message("x").sent.tzinfo is not None


def test_the_parts_of_a_message_may_be_changed():
    message = Message("text")
    message.parts[0].consumed = True
    message.parts.append(MessagePart("more"))
    assert [(part.text, part.consumed) for part in message.parts] == [("text", True), ("more", False)]
    assert message.text == "text more"
    message.parts = [MessagePart("other")]
    assert (message.text, message.plain(), message.size()) == ("other", "other", 5)


@pytest.mark.parametrize(
    "parts",
    [
        [MessagePart("a"), MessagePart("b")],
        [MessagePart("a", full="> b\na")],
        [MessagePart("a", b"x")],
        [MessagePart("a", filename="a.txt")],
        [],
    ],
)
def test_a_message_is_plain_if_it_is_nothing_but_a_text(parts):
    assert Message(parts).plain() is None
    assert Message("a").plain() == Message([MessagePart("a")]).plain() == "a"


def test_a_message_is_the_same_before_and_after_its_parts_were_asked_for():
    one, other = Message("a", "me", 1.0, "7"), Message("a", "me", 1.0, "7")
    assert one.parts == [MessagePart("a")]
    assert one == other == copy.deepcopy(other) == pickle.loads(pickle.dumps(other))


def test_files_are_the_parts_with_bytes():
    part = MessagePart(binary=b"x", media_type="text/plain", filename="x.txt")
    assert Message([MessagePart("see"), part]).files == [part]


@pytest.mark.parametrize("wrong", [{"text": 1}, {"binary": "text"}, {"media_type": None}, {"filename": 2}])
def test_a_part_of_the_wrong_type_is_refused(wrong):
    with pytest.raises(TypeError, match=next(iter(wrong))):
        MessagePart(**wrong)


def test_a_direct_conversation_is_the_talkers_and_a_room_is_its_threads():
    assert scope_key(Address("slack", "T1", talker="U1")) == scope_key(Address("slack", "T1", talker="U1"), "user")
    room = Address("slack", "T1", "C1", "17.1", "U1")
    assert scope_key(room) == scope_key(room, "thread") == scope_key(Address("slack", "T1", "C1", "17.1", "U2"))
    assert scope_key(room, "user_in_thread") != scope_key(room)
    assert scope_key(room, "room") == scope_key(Address("slack", "T1", "C1", "18.0", "U3"), "room")
    with pytest.raises(ValueError, match="scope"):
        scope_key(room, "planet")


parts = st.text(alphabet="a:%|3A", max_size=4)
addresses = st.builds(Address, parts, parts, parts, parts, parts)


@given(addresses, addresses, st.sampled_from(SCOPES))
def test_different_places_never_share_a_key(one, other, scope):
    fields = {"user": ["talker"], "room": ["room"], "thread": ["room", "thread"]}
    fields["user_in_thread"] = ["room", "thread", "talker"]
    same = all(getattr(one, f) == getattr(other, f) for f in ["account", *fields[scope]])
    if ":" not in one.channel + other.channel:
        assert (scope_key(one, scope) == scope_key(other, scope)) == (same and one.channel == other.channel)


def test_scopes_do_not_share_keys():
    address = Address("c", "a", "r", "t", "u")
    keys = [scope_key(address, scope) for scope in SCOPES]
    assert all(a != b for a, b in itertools.combinations(keys, 2))
