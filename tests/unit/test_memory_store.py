"""The memory store is bounded in every direction."""

from zoozl.chatbot import Address, Message, MessagePart
from zoozl.chatbot.message import Event, scope_key
from zoozl.chatbot.ports import Outcome, State
from zoozl.stores.memory import Store


def say(store, talker, message, *keys):
    event = Event(Address("c", talker=talker), message, keys)
    receipt = store.accept(event, scope_key(event.address))
    if not receipt.duplicate:
        store.commit(Outcome(receipt, State(talker=talker), [message], []))
    return receipt


async def test_old_conversations_go_when_there_are_too_many():
    store = Store(conversations=3)
    for talker in "abcd":
        say(store, talker, Message("hi"))
    assert await store.load("c::user:a") == (None, [], ())
    state, messages, _ = await store.load("c::user:d")
    assert (state.talker, len(messages)) == ("d", 1)


async def test_messages_and_files_are_bounded():
    store = Store(messages=5, large_bytes=10_000)
    for number in range(9):
        say(store, "a", Message(str(number)))
    assert [m.text for m in (await store.load("c::user:a"))[1]] == list("45678")
    for talker in "bcd":
        say(store, talker, Message([MessagePart(binary=b"x" * 4_000)]))
    assert (await store.load("c::user:b"))[0] is None
    assert (await store.load("c::user:d"))[0] is not None


async def test_any_key_makes_a_duplicate_and_keys_are_forgotten_at_last():
    store = Store(keys=4)
    assert not say(store, "a", Message("1"), "x", "y").duplicate
    assert say(store, "a", Message("1"), "y", "z").duplicate
    assert say(store, "a", Message("1"), "z").duplicate, "the keys of a duplicate count as well"
    for key in "pqrs":
        say(store, "a", Message("2"), key)
    assert not say(store, "a", Message("1"), "x").duplicate


async def test_a_loaded_history_is_the_callers_own():
    store = Store()
    say(store, "a", Message("1"))
    _, messages, _ = await store.load("c::user:a")
    messages.clear()
    assert len((await store.load("c::user:a"))[1]) == 1
