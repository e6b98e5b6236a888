"""Plugins for those who have proved a role, on any channel."""

from dataclasses import replace

import pytest

from zoozl.chatbot import Interface
from zoozl.chatbot.identity import Identity
from zoozl.chatbot.message import Address, Event, Message
from zoozl.chatbot.run import Ending
from zoozl.errors import ExtensionError
from zoozl.stores.sqlite import codec
from zoozl.testing import CHANNEL, Bot

REFUSED = "Sorry, you may not use this."


class Danger(Interface):
    aliases = ("delete everything", "/delete")
    roles = {"admin", "root"}
    sticky = True

    async def consume(self, package):
        package.callback(f"deleted for {package.identity.talker}")


class Friendly(Interface):
    aliases = ("help", "greet")

    async def consume(self, package):
        package.callback("hello")


class Gate(Interface):
    aliases = ("greet", "cancel")
    roles = ["staff"]

    async def consume(self, package):
        package.callback("hello, staff" if package.last_message is None else "stopped")


def who(*roles):
    return Identity("jane", {"sub": "jane"}, frozenset(roles))


async def say(bot, text, identity=None):
    bot.chatbot.receive(Event(Address(CHANNEL, talker="tester"), Message(text), (), "message", identity))
    return await bot.replies()


@pytest.mark.parametrize("text", ["delete everything", "/delete"])
async def test_only_a_role_that_was_proved_opens_it(text):
    async with Bot(Danger, Friendly) as bot:
        assert (await say(bot, text))[-1] == REFUSED
        assert await say(bot, text, who()) == [REFUSED]
        assert await say(bot, text, who("user", "Admin")) == [REFUSED]
        assert bot.reports[-1].ending is Ending.REFUSED
        assert await say(bot, text, who("user", "root")) == ["deleted for jane"]


async def test_a_plugin_that_may_not_be_used_any_more_loses_the_floor():
    async with Bot(Danger, Friendly) as bot:
        assert (await say(bot, "delete everything", who("admin")))[-1] == "deleted for jane"
        assert await say(bot, "and more", who("admin")) == ["deleted for jane"]
        assert await say(bot, "and more", who()) == [REFUSED]
        assert await say(bot, "and more", who()) == ["hello"]


async def test_a_greeting_that_is_not_for_everybody_is_silent_and_a_cancel_still_cancels():
    class Sticky(Interface):
        aliases = ("help",)
        sticky = True

        async def consume(self, package):
            package.callback("here")

    async with Bot(Gate, Sticky) as bot:
        assert await bot.connect() == []
        assert await say(bot, "something", who()) == ["here"]
        assert await say(bot, "cancel", who()) == [REFUSED]
        assert bot.reports[-1].ending is Ending.REFUSED
        assert await say(bot, "cancel", who("staff")) == ["stopped"]


@pytest.mark.parametrize("roles", ["admin", [1], {""}, None])
def test_roles_that_are_no_names_are_refused_at_the_start(chatbot, roles):
    class Wrong(Interface):
        aliases = ("x",)

    Wrong.roles = roles
    with pytest.raises(ExtensionError, match="roles must be a set of names"):
        chatbot(Wrong)


def test_an_identity_survives_a_crash_and_costs_nothing_where_there_is_none():
    address = Address("websocket", "token", talker="jane")
    event = Event(address, Message("x", sent=1.0), (), "message", Identity("jane", {"n": 1}, frozenset({"a", "b"})))
    assert codec.load_event(codec.dump_event(event)) == event
    plain = replace(event, identity=None)
    assert "identity" not in codec.dump_event(plain)
    assert codec.load_event(codec.dump_event(plain)) == plain


class Asks(Interface):
    aliases = ("/ask",)
    roles = {"admin"}
    began = 0

    async def consume(self, package):
        type(self).began += 1
        package.callback(f"got {await package.ask('What?')}")


async def test_a_dialog_waits_on_when_somebody_without_its_role_answers():
    Asks.began = 0
    async with Bot(Asks, Friendly, restarts=False) as bot:
        assert (await say(bot, "/ask", who("admin")))[-1] == "What?"
        assert await say(bot, "it", who("user")) == [REFUSED]
        assert bot.chatbot.waiting == 1
        assert await say(bot, "it", who("admin")) == ["got it"]
    assert Asks.began == 1
