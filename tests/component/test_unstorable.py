"""What a plugin says, asks or keeps that no store can take: it fails, and the conversation goes on."""

import asyncio
import decimal
import sys
from pathlib import Path

import pytest

from zoozl.chatbot import Interface, Message, MessagePart
from zoozl.chatbot.question import Field, Form
from zoozl.errors import Unstorable
from zoozl.stores.memory import Store as MemoryStore
from zoozl.stores.sqlite import Store as SqliteStore
from zoozl.testing import Bot

sys.path.append(str(Path(__file__).parents[1] / "fakes"))

from deaf import deaf_until

SORRY = "Sorry, something went wrong here. It has been noted."


def without_text():
    part = MessagePart("x")
    part.text = None
    return Message([part])


def with_an_envelope_of_bytes():
    message = Message("x")
    message.envelope = {"to": b"bytes"}
    return message


SAID = {
    "parts that are texts": lambda: Message(["a", "b"]),
    "bytes for a text": lambda: Message(b"hi"),
    "a number for an author": lambda: Message("x", author=5),
    "an object for an id": lambda: Message("x", id=object()),
    "a text for a time": lambda: Message("x", sent="today"),
    "a part without its text": without_text,
}


class Says(Interface):
    aliases = ("/says",)
    what = None
    runs = 0

    def consume(self, package):
        type(self).runs += 1
        package.callback(self.what())


ASKED = {
    "a message for a question": lambda package: package.ask(Message("Which?")),
    "a message to confirm": lambda package: package.confirm(Message("Sure?")),
    "a number for a label": lambda package: package.form("A form", [Field("name", 5)]),
    "a decimal for a default": lambda package: package.form(
        "A form", Form().number("number", "How many?", default=decimal.Decimal(2))
    ),
    "a number for a choice": lambda package: package.ask("Which?", choices=[(1, "one")]),
}


class Asks(Interface):
    aliases = ("/asks",)
    what = None
    runs = 0

    async def consume(self, package):
        type(self).runs += 1
        package.callback(f"got {await type(self).what(package)}")


class Echo(Interface):
    aliases = ("/echo", "help")

    def consume(self, package):
        package.callback(f"You said: {package.last_message_text}")


@pytest.fixture(params=["memory", "sqlite"])
async def opened(request, tmp_path):
    """`await opened()`: the store, as it is after a restart."""
    memory = MemoryStore()

    async def open_store():
        return memory if request.param == "memory" else await SqliteStore.open(tmp_path / "zoozl.db")

    return open_store


@pytest.mark.parametrize("what", SAID)
async def test_an_answer_that_cannot_be_kept_is_a_failure_of_its_plugin(opened, what):
    Says.what, Says.runs = staticmethod(SAID[what]), 0
    async with Bot(Says, Echo, store=await opened(), restarts=False) as bot:
        assert await bot.say("/says") == [SORRY]
        assert await bot.say("/echo") == ["You said: /echo"]
    async with Bot(Says, Echo, store=await opened(), restarts=False) as bot:
        assert await bot.say("/echo") == ["You said: /echo"]
    assert Says.runs == 1


@pytest.mark.parametrize("what", ASKED)
async def test_a_question_that_cannot_be_kept_is_a_failure_of_its_plugin(opened, what):
    Asks.what, Asks.runs = ASKED[what], 0
    async with Bot(Asks, Echo, store=await opened(), restarts=False) as bot:
        assert await bot.say("/asks") == [SORRY]
        assert not await bot.chatbot.root.store.dialogs_of("test", "tester")
        assert await bot.say("/echo") == ["You said: /echo"]
    async with Bot(Asks, Echo, store=await opened(), restarts=False) as bot:
        assert await bot.say("hello") == ["You said: hello"]
    assert Asks.runs == 1


@pytest.mark.parametrize("plugin", [Says, Asks], ids=["answer", "question"])
async def test_what_only_the_file_refuses_is_a_failure_as_well(tmp_path, plugin):
    def ask(package):
        package.callback(with_an_envelope_of_bytes())
        return package.ask("And?")

    plugin.what, plugin.runs = staticmethod(with_an_envelope_of_bytes if plugin is Says else ask), 0
    async with Bot(plugin, Echo, store=await SqliteStore.open(tmp_path / "zoozl.db"), restarts=False) as bot:
        assert await bot.say(plugin.aliases[0]) == [SORRY]
        assert not await bot.chatbot.root.store.dialogs_of("test", "tester")
        assert bot.chatbot.waiting == 0
        assert await bot.say("hello") == ["You said: hello"]
    async with Bot(plugin, Echo, store=await SqliteStore.open(tmp_path / "zoozl.db"), restarts=False) as bot:
        assert await bot.say("hello") == ["You said: hello"]
    assert plugin.runs == 1


async def test_a_dialog_that_cannot_go_on_ends_with_an_apology(tmp_path):
    class Later(Interface):
        aliases = ("/later",)

        async def consume(self, package):
            await package.ask("Well?")
            package.callback(with_an_envelope_of_bytes())
            await package.ask("And?")

    async with Bot(Later, Echo, store=await SqliteStore.open(tmp_path / "zoozl.db"), restarts=False) as bot:
        assert await bot.say("/later") == ["Well?"]
        assert await bot.say("fine") == [SORRY]
        assert not await bot.chatbot.root.store.dialogs_of("test", "tester")
        assert await bot.say("hello") == ["You said: hello"]


async def test_a_plugin_that_does_not_end_and_said_what_cannot_be_kept_is_given_up(tmp_path):
    go = asyncio.Event()

    class Stubborn(Interface):
        aliases = ("/stubborn",)
        timeout = 0.1

        async def consume(self, package):
            package.callback(with_an_envelope_of_bytes())
            await deaf_until(go)

    async with Bot(Stubborn, Echo, store=await SqliteStore.open(tmp_path / "zoozl.db"), restarts=False) as bot:
        await bot.post("/stubborn")
        await bot.post("/echo")
        assert await bot.replies() == [SORRY, "You said: /echo"]
        go.set()
        assert await bot.say("/echo") == ["You said: /echo"]
    async with Bot(Echo, store=await SqliteStore.open(tmp_path / "zoozl.db"), restarts=False) as bot:
        assert await bot.replies() == [], "it is done"


class Words(Interface):
    aliases = ("/words",)

    async def consume(self, package):
        words = await package.ask("Which?", validate=lambda text: {"words": text.split()})
        first = words["words"].pop(0)
        await package.ask(f"First {first}?")
        package.callback(f"then {words['words']}")


async def test_what_a_plugin_makes_of_an_answer_is_not_in_the_journal(opened):
    for text, expected in (("/words", "Which?"), ("a b c", "First a?"), ("yes", "then ['b', 'c']")):
        async with Bot(Words, store=await opened(), restarts=False) as bot:
            assert await bot.say(text) == [expected]


class Judge(Interface):
    aliases = ("/judge",)

    async def consume(self, package):
        async def check(text):
            await package.step(lambda: 1)

        await package.ask("Which?", validate=check)


async def test_a_step_in_a_validate_is_refused_at_once(caplog):
    async with Bot(Judge) as bot:
        await bot.say("/judge")
        assert await bot.say("this") == [SORRY]
    assert "not in a validate" in caplog.text


class RefusesOne(MemoryStore):
    refused = False

    def commit_soon(self, outcome, settled):
        if not self.refused:
            self.refused = True
            raise Unstorable("not this")
        return super().commit_soon(outcome, settled)


async def test_what_is_refused_at_once_leaves_its_lane_to_others():
    async with Bot(Echo, store=RefusesOne(), restarts=False) as bot:
        assert await bot.say("/echo") == [SORRY]
        assert await bot.say("/echo") == ["You said: /echo"]
